import { expect, test } from 'vitest';
import { projectWarning } from './agent-run.ts';

const warning = (message: string): string =>
  projectWarning({
    metadata: {},
    involvedObject: { uid: 'u', namespace: 'net' },
    reason: 'FailedCreate',
    message,
  }).message;

test('a refusal by Pod Security ends with the command that helps', () => {
  const refusal =
    'pods "multinic-agent-x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true), hostPath volumes (volume "host"), runAsUser=0';
  expect(warning(refusal)).toBe(
    'PodSecurity "restricted:latest" forbids the host\'s root, which agents need: kubectl label namespace net pod-security.kubernetes.io/enforce=privileged --overwrite',
  );
});

test('any other warning is told as it is', () => {
  expect(warning('exceeded quota: pods')).toBe('exceeded quota: pods');
});
