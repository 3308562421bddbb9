// What node.yaml says of a node: who it is, which OS family, which renderer, which CR.

export type OsFamily = 'ubuntu' | 'debian' | 'rhel';
export type RendererKind = 'netplan' | 'ifcfg' | 'keyfile';

/** A CR is known by group, namespace and name. */
export interface ConfigRef {
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
}

/** The identity that stands in a branch's node.yaml. */
export interface NodeIdentity {
  /** Kubernetes' node name. */
  readonly name: string;
  readonly systemUUID: string;
  readonly machineID: string;
  /** attachedNodeId of the CR's entry. */
  readonly nodeId: string;
  readonly os: { readonly family: OsFamily; readonly major: number };
  readonly renderer: RendererKind;
  readonly source: ConfigRef;
}
