// Words in PascalCase: codes of errors and problems, reasons of states, conditions, events and outcomes. They stand in
// the sources as literals of many kinds, so every such literal is a code unless it is listed here.

import { inSources } from './sources.ts';

/** Words of Kubernetes, D-Bus, systemd, udev, HTTP and JavaScript, and headings of ours. */
const OTHERS = words(`
  ActiveState Age Allow Authorization Background Basic Bearer Complete ConfigMap Connection ContainerCannotRun ContainerCreating
  CustomResourceDefinition Default DeleteOptions Driver Established Event ExecStart Exists FailureTarget False File
  GetUnit HostToContainer IfNotPresent In Lease List LoadConnections MultiNicBizConfig MultinicError Name
  NameHasOwner Namespaced Never Node Nodes None Normal Opaque OriginalName PermanentMACAddress Pod PodInitializing
  PodScheduled Provider RemainAfterExit ResetFailedUnit Secret SelfSubjectReview StartError StartTransientUnit StopUnit SubjectAccessReview
  KubeUnreachable NamesAccepted Success
  Again Asked Boot Edited Interval Repaired
  AddPrefixRoute Address Destination From Gateway GatewayOnLink KeepMaster Metric Network PreferredSource Priority Route RoutingPolicyRule Scope
  SuppressPrefixLength Table
  Architecture Credential Firmware Host InternalIP KernelCommandLine KernelVersion Kind Path Property Virtualization
  Succeeded TokenRequest TokenReview True Type Unconfined Version Warning NotFoundError Message
`);

/** Trailers, which formats/store.ts lists, and which are not also codes. */
const TRAILERS = words(
  'Accepts Attempt Baseline By Change Confirms Difference Digest Duration Found Generation Job Means Missing New Old Principal Reason Record Ref Request Result Stamp Writer',
);

export function codes(): string[] {
  const kinds = new Set(outputKinds());
  return pascal().filter((word) => !OTHERS.has(word) && !TRAILERS.has(word) && !kinds.has(word));
}

/** Kinds of the objects that the CLI prints for programs. */
export function outputKinds(): string[] {
  return inSources(/\bprintObject\(\s*[^,()]+,\s*'(\w+)'/g);
}

/** Words of the list above that the sources no longer have. */
export function unusedWords(): string[] {
  const used = new Set(pascal());
  return [...OTHERS, ...TRAILERS].filter((word) => !used.has(word));
}

function pascal(): string[] {
  return inSources(/(?<![A-Za-z0-9])'([A-Z][a-z]+[A-Za-z]*)'/g);
}

/** Words that people search the agent's log for. */
export function logKeywords(): string[] {
  return [
    ...inSources(/`([A-Z][a-z]+[A-Z][A-Za-z]+): \$\{/g),
    ...inSources(/\$\{paths\.length\} (orphaned): /g),
    ...inSources(/'nothing is (orphaned)'/g),
  ];
}

export function checkpoints(steps: readonly string[]): string[] {
  const named = inSources(/\bcheckpoint\((?:'|`)([^'`]+)(?:'|`)\)/g);
  return named.flatMap((name) =>
    name.includes('${step}') ? steps.map((step) => name.replace('${step}', step)) : [name],
  );
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}
