// Names that the controller uses in the cluster. Operators type these names, so the names are frozen.

import { JOB_ANNOTATIONS } from '../api/annotations.ts';

export const NAME = 'multinic-agent';
/** The name of the pods of observations, so that an operator who lists agents by name finds runs only. */
export const OBSERVER_NAME = 'multinic-observer';
export const FIELD_MANAGER = 'multinic-agent';

export const LABEL = {
  name: 'app.kubernetes.io/name',
  component: 'app.kubernetes.io/component',
  partOf: 'app.kubernetes.io/part-of',
  /** Node ID as in the Job's name. */
  instance: 'instance',
  /** `true` on the controller's pod that leads. The store's Service selects this label. */
  leader: 'multinic.io/leader',
} as const;

/** Values of the label `component` of runs and of observations. */
export const AGENT_COMPONENT = 'agent';
export const OBSERVER_COMPONENT = 'observer';

/** Keys of the annotations of agents' Jobs and pods. */
export const ANNOTATION = {
  node: JOB_ANNOTATIONS.node.key,
  commit: JOB_ANNOTATIONS.commit.key,
  attempt: JOB_ANNOTATIONS.attempt.key,
  recorded: JOB_ANNOTATIONS.recorded.key,
  waitingSince: JOB_ANNOTATIONS.waitingSince.key,
  withdrawn: JOB_ANNOTATIONS.withdrawn.key,
  job: JOB_ANNOTATIONS.job.key,
  ca: JOB_ANNOTATIONS.ca.key,
} as const;

export const CONTROLLER_LEASE = 'multinic-agent-controller';
export const AGENT_ACCOUNT = 'multinic-agent-job';
/**
 * Account for people whose kubeconfig has no token, or only a token that must not reach a pod. The chart creates the
 * account.
 */
export const OPERATOR_ACCOUNT = 'multinic-agent-operator';
/** Audience of an agent's token. */
export const AUDIENCE = 'multinic-agent';
export const STORE_SERVICE = 'multinic-agent-store';
export const STORE_PORT = 8443;
export const TLS_SECRET = 'multinic-agent-store-tls';
export const CA_CONFIG_MAP = 'multinic-agent-ca';
export const PRIORITY_CLASS = 'multinic-agent';

/** Paths of the agent's inputs in its pod. */
export const AGENT_PATH = {
  host: '/host',
  job: '/etc/multinic/job.json',
  ca: '/etc/multinic/ca.crt',
  token: '/var/run/secrets/multinic/token',
  outcome: '/dev/termination-log',
} as const;
