// How the API server names a MultiNicBizConfig.

/** API groups that the controller serves; the external system writes the second. */
export const GROUPS = ['multinic.io', 'multinic.okestro.io'] as const;
export type Group = (typeof GROUPS)[number];
export const VERSION = 'v1';
export const KIND = 'MultiNicBizConfig';
export const PLURAL = 'multinicbizconfigs';
