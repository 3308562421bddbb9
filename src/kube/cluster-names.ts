// The names under which the cluster knows us: operators type them, so they stay.

export const NAME = 'multinic-agent';
export const FIELD_MANAGER = 'multinic-agent';

export const LABEL = {
  name: 'app.kubernetes.io/name',
  component: 'app.kubernetes.io/component',
  /** Node ID as in the Job's name. */
  instance: 'instance',
  /** `true` on the controller's pod that leads: what the store's Service selects. */
  leader: 'multinic.io/leader',
} as const;

export const ANNOTATION = {
  /** On a Job. */
  node: 'multinic.io/node',
  commit: 'multinic.io/commit',
  attempt: 'multinic.io/attempt',
  /** On a Job whose outcome is in the store. */
  recorded: 'multinic.io/recorded',
  /** On an agent's pod: `AgentJob` as JSON, and the store's CA as PEM; files by the downward API. */
  job: 'multinic.io/job',
  ca: 'multinic.io/ca',
} as const;

export const CONTROLLER_LEASE = 'multinic-agent-controller';
export const AGENT_ACCOUNT = 'multinic-agent-job';
/** For people without a token of their own; the chart makes it on request. */
export const OPERATOR_ACCOUNT = 'multinic-agent-operator';
/** Audience of an agent's token. */
export const AUDIENCE = 'multinic-agent';
export const STORE_SERVICE = 'multinic-agent-store';
export const STORE_PORT = 8443;
export const TLS_SECRET = 'multinic-agent-store-tls';
export const CA_CONFIG_MAP = 'multinic-agent-ca';
export const PRIORITY_CLASS = 'multinic-agent';

/** Where an agent's pod finds what it needs. */
export const AGENT_PATH = {
  host: '/host',
  job: '/etc/multinic/job.json',
  ca: '/etc/multinic/ca.crt',
  token: '/var/run/secrets/multinic/token',
  outcome: '/dev/termination-log',
} as const;
