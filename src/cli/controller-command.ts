import { InvalidArgumentError, Option, type Command } from 'commander';
import { MultinicError } from '../api/errors.ts';
import { GROUPS, type Group } from '../api/api-groups.ts';
import { groups } from './groups.ts';
import { backupOf, withBackups, type BackupFlags } from './backup-schedule.ts';
import { limitsOf, withLimits, type LimitFlags } from './limits.ts';
import { port, wholeNumber } from './option-values.ts';
import { DEFAULTS, LEASE_DEFAULTS } from '../api/defaults.ts';
import { APPLY_MODES } from '../api/apply-modes.ts';
import type { LeaseTiming } from '../kube/lease.ts';
import type { PodSettings } from '../kube/pod-settings.ts';

interface Flags extends LimitFlags, BackupFlags {
  readonly kubeconfig?: string;
  readonly store: string;
  readonly groups: Group[];
  readonly apply: (typeof APPLY_MODES)[number];
  readonly probes: readonly string[];
  readonly deadline: number;
  readonly port: number;
  readonly healthPort: number;
  readonly tlsSecret?: string;
  readonly jobTtl: number;
  readonly startLimit: number;
  readonly imagePullSecret: string[];
  readonly agentPod: PodSettings;
  readonly clusterDomain: string;
  readonly leaseDuration: number;
  readonly leaseRenewDeadline: number;
  readonly leaseRetryPeriod: number;
  readonly logLevel: string;
}

/** @param readPods absent: the command is only listed, and runs in a program of its own */
export function addControllerCommand(program: Command, readPods?: (text: string) => PodSettings): void {
  const command = program
    .command('controller')
    .description('run the controller in a cluster (what the chart deploys)')
    .option('--kubeconfig <file>', 'instead of the pod’s own account')
    .option('--store <dir>', 'the config store, on a volume that stays', '/var/lib/multinic/store.git')
    .option('--groups <list>', 'API groups that are watched', groups, [...GROUPS]);
  withBackups(withLease(withRuns(withLimits(command))))
    .option('--port <port>', 'HTTPS: the store and the API', port, 8443)
    .option('--health-port <port>', 'HTTP: /healthz, /readyz, /livez, /metrics', port, 8080)
    .option('--tls-secret <name>', 'Secret with tls.crt, tls.key and ca.crt; without it they are made')
    .option('--cluster-domain <domain>', 'DNS domain of the cluster', 'cluster.local')
    .option('--image-pull-secret <name...>', 'Secrets for the agents’ image', [])
    .option(
      '--agent-pod <json>',
      'resources, priorityClassName, labels, annotations of agents’ pods',
      (text: string) => podSettings(text, readPods),
      {},
    )
    .option('--log-level <level>', 'of pino: debug, info, warn', 'info')
    .addHelpText(
      'after',
      `
Environment: POD_NAMESPACE and POD_NAME (this pod's), AGENT_IMAGE (what agents run),
AGENT_IMAGE_PULL_POLICY (IfNotPresent when not set).

Example:
  POD_NAMESPACE=multinic-system POD_NAME=here AGENT_IMAGE=multinic-agent:dev \\
    multinic controller --kubeconfig ~/.kube/config --store ./store.git`,
    )
    .action(async (flags: Flags) => {
      const [{ runInCluster }, { KubeClient }, { createLog }] = await Promise.all([
        import('../kube/serve-cluster.ts'),
        import('../kube/client.ts'),
        import('../kube/kube-log.ts'),
      ]);
      const abort = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
      await runInCluster({
        client: KubeClient.load(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
        namespace: environment('POD_NAMESPACE'),
        pod: environment('POD_NAME'),
        image: environment('AGENT_IMAGE'),
        imagePullPolicy: process.env['AGENT_IMAGE_PULL_POLICY'] ?? 'IfNotPresent',
        imagePullSecrets: flags.imagePullSecret,
        pods: flags.agentPod,
        lease: leaseOf(flags),
        clusterDomain: flags.clusterDomain,
        storeDir: flags.store,
        groups: flags.groups,
        port: flags.port,
        healthPort: flags.healthPort,
        ...(flags.tlsSecret !== undefined && { tlsSecret: flags.tlsSecret }),
        jobTtl: flags.jobTtl,
        startLimit: flags.startLimit,
        ...backupOf(flags),
        ...limitsOf(flags, { apply: flags.apply, probes: flags.probes, deadlineSeconds: flags.deadline }),
        log: createLog(flags.logLevel),
        signal: abort.signal,
      });
    });
}

/** Options for the runs of agents. */
function withRuns(command: Command): Command {
  return command
    .addOption(
      new Option('--apply <mode>', 'how agents apply a change').choices(APPLY_MODES).default(DEFAULTS.apply),
    )
    .option(
      '--probes <list>',
      'hosts that must answer after a change: 192.168.100.1,192.168.101.1:22',
      (text: string) => text.split(',').filter((part) => part !== ''),
      [],
    )
    .option(
      '--deadline <seconds>',
      'an agent ends by itself, its host restored, before this',
      wholeNumber(10),
      DEFAULTS.deadline,
    )
    .option(
      '--start-limit <seconds>',
      'how long a Job’s pod may take to start',
      wholeNumber(5),
      DEFAULTS.startLimit,
    )
    .option(
      '--job-ttl <seconds>',
      'how long a Job stays after its outcome is recorded',
      wholeNumber(0),
      DEFAULTS.jobTtl,
    );
}

/** Options for the Lease of the replica that leads. */
function withLease(command: Command): Command {
  return command
    .option(
      '--lease-duration <seconds>',
      'silence of the leader after which another replica leads',
      wholeNumber(3),
      LEASE_DEFAULTS.duration,
    )
    .option(
      '--lease-renew-deadline <seconds>',
      'the leader gives up when it could not renew for so long',
      wholeNumber(2),
      LEASE_DEFAULTS.renewDeadline,
    )
    .option(
      '--lease-retry-period <seconds>',
      'between two tries',
      wholeNumber(1),
      LEASE_DEFAULTS.retryPeriod,
    );
}

/** @throws InvalidArgumentError when two leaders could be at work at once */
function leaseOf({ leaseDuration, leaseRenewDeadline, leaseRetryPeriod }: Flags): LeaseTiming {
  if (leaseDuration <= leaseRenewDeadline || leaseRenewDeadline <= leaseRetryPeriod) {
    throw new InvalidArgumentError(
      `--lease-duration (${leaseDuration}) must be longer than --lease-renew-deadline (${leaseRenewDeadline}), and that longer than --lease-retry-period (${leaseRetryPeriod})`,
    );
  }
  return {
    leaseDurationMs: leaseDuration * 1000,
    renewDeadlineMs: leaseRenewDeadline * 1000,
    retryPeriodMs: leaseRetryPeriod * 1000,
  };
}

function podSettings(text: string, read: (text: string) => PodSettings = () => ({})): PodSettings {
  try {
    return read(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new MultinicError('NoEnvironment', `${name} is not set: the chart sets it; by hand, see --help`);
  return value;
}
