import { rows } from './reason-rows.ts';

/** Errors of the controller in a cluster; the code of an API server's error is `Kube` and the server's reason. */
export const CLUSTER_REASONS = {
  ...rows('itself', 'nobody', {
    JobNameTaken: ['A Job of this name is still there.', 'Nothing; it is tried again when that is gone.'],
    LeaseLost: ['Another replica leads.', 'Nothing; this one starts again.'],
    NodesUnknown: ['The Nodes cannot be listed now.', 'Nothing; no node is judged until they can.'],
  }),
  ...rows('person', 'operator', {
    CrdsNotEstablished: ['The API does not serve the CRDs.', 'Look at kubectl describe crd.'],
    InvalidTlsSecret: [
      'The TLS Secret lacks a key, or its certificate does not do for the store.',
      'Issue one for multinic-agent-store.NAMESPACE.svc, with tls.crt, tls.key and ca.crt.',
    ],
    NoCa: ['No controller has published its CA yet.', 'Wait until one has led.'],
    NoEnvironment: ['An environment variable is not set.', 'Install by the chart, or see --help.'],
    NoService: ['The Service of the store has no ClusterIP.', "Install the chart's."],
    ShellNotStarted: ['The pod of the shell does not run.', 'See whether the node is there and Ready.'],
  }),
  ...rows('never', 'caller', {
    InvalidKubeconfig: ['The kubeconfig cannot be used.', 'Name another with --kubeconfig or --context.'],
    NoExec: ['No command can be run in the pod of the controller.', 'Get the right that the message names.'],
    NoPortForward: ['The API server forwards no port.', 'Get the Role that the message names.'],
    UseKubectl: ['The controller may not change Nodes.', 'Run the kubectl command of the message.'],
  }),
};
