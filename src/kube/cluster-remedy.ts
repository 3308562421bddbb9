// Remedies in a status and in Events: a person reads them by kubectl, and runs them from there.

import { ANNOTATIONS } from '../api/annotations.ts';

/** The namespace in which the CLI looks when nobody names one. */
const USUAL_NAMESPACE = 'multinic-system';
const COMMAND =
  /(?<!kubectl )\bmultinic (status|log|show|diff|rollback|release|retry|rerender|confirm|observe|accept)\b/g;
/** Nodes are paused by their annotation: the controller may not change Nodes. */
const PAUSE = /\bmultinic (pause|resume) ([\w.-]*\w)/g;

/** @param namespace of the controller */
export function clusterRemedy(message: string, namespace: string): string {
  const where = namespace === USUAL_NAMESPACE ? '' : ` --namespace ${namespace}`;
  return message.replaceAll(COMMAND, `kubectl multinic $1${where}`).replaceAll(PAUSE, (_, what, node) => {
    const value = what === 'pause' ? '=true' : '-';
    return `kubectl annotate node ${node} ${ANNOTATIONS.paused.key}${value}`;
  });
}
