// Collects every format that others read from the program itself, in the groups of formats.yaml.

import { STEPS } from '../../src/agent/run/steps.ts';
import { HostFileSchema } from '../../src/agent/recorded/host-file.ts';
import { recordSchema } from '../../src/agent/files/host-record.ts';
import { AgentJob } from '../../src/api/job.ts';
import { DIFFERENCE_KINDS, HostTree, Observation, OBSERVATION_RESULTS } from '../../src/api/observation.ts';
import { Outcome } from '../../src/api/outcome.ts';
import { RESULTS } from '../../src/api/results.ts';
import { NODE_STATES } from '../../src/api/status.ts';
import {
  AcceptBody,
  ChangeBody,
  ConfirmBody,
  ObserveBody,
  DiffQuery,
  LogQuery,
  StatusQuery,
  RerenderBody,
  RollbackBody,
} from '../../src/controller/api.ts';
import { Inventory } from '../../src/local/inventory.ts';
import { Request } from '../../src/local/job-folder.ts';
import { TokenFile } from '../../src/local/tokens.ts';
import {
  annotations,
  chartValues,
  definitions,
  healthKeys,
  jobs,
  metrics,
  objects,
  paths,
} from './cluster.ts';
import { commands, exitCodes, variables } from './command-line.ts';
import { hostFiles, mainFiles, nodeFile, renderedFiles } from './files.ts';
import { keysOfSchema } from './keys.ts';
import { recordedTrailers, refs, signatures, trailers } from './store.ts';
import { checkpoints, codes, logKeywords, outputKinds } from './words.ts';

type Group = readonly [name: string, names: () => readonly string[] | Promise<readonly string[]>];

const GROUPS: readonly Group[] = [
  ['node.yaml, line by line', nodeFile],
  ['files of a node, line by line', renderedFiles],
  ['files of main, line by line', mainFiles],
  ['files of ours on a host', hostFiles],
  ['host record', () => keysOfSchema(recordSchema)],
  ['job file', () => keysOfSchema(AgentJob)],
  ['outcome', () => keysOfSchema(Outcome)],
  ['results', () => RESULTS],
  ['observation', () => keysOfSchema(Observation)],
  ['results of observations', () => OBSERVATION_RESULTS],
  ['differences', () => DIFFERENCE_KINDS],
  ['steps of a run', () => STEPS],
  ['node states', () => NODE_STATES],
  ['refs', refs],
  ['signatures', signatures],
  ['trailers of branches and main', trailers],
  ['trailers and subjects of outcomes and pushes', recordedTrailers],
  ['codes and reasons', codes],
  ['keywords of the log', logKeywords],
  ['checkpoints', () => checkpoints(STEPS)],
  ['annotations', annotations],
  ['objects of the cluster', objects],
  ['Jobs', jobs],
  ['definitions of the custom resource', definitions],
  ['metrics', metrics],
  ['/healthz', healthKeys],
  ['HTTP paths', paths],
  ['HTTP body of accept', () => keysOfSchema(AcceptBody)],
  ['HTTP body of rollback', () => keysOfSchema(RollbackBody)],
  ['HTTP body of rollback of a change', () => keysOfSchema(ChangeBody)],
  ['HTTP body of rerender', () => keysOfSchema(RerenderBody)],
  ['HTTP body of confirm', () => keysOfSchema(ConfirmBody)],
  ['HTTP body of observe', () => keysOfSchema(ObserveBody)],
  ['HTTP body of a host tree', () => keysOfSchema(HostTree)],
  ['HTTP query of status', () => keysOfSchema(StatusQuery)],
  ['HTTP query of log', () => keysOfSchema(LogQuery)],
  ['HTTP query of diff', () => keysOfSchema(DiffQuery)],
  ['commands', commands],
  ['kinds of output', outputKinds],
  ['exit codes', exitCodes],
  ['variables of the environment', variables],
  ['values of the chart', chartValues],
  ['local home: inventory.yaml', () => keysOfSchema(Inventory)],
  ['local home: host.yaml', () => keysOfSchema(HostFileSchema)],
  ['local home: tokens.yaml', () => keysOfSchema(TokenFile)],
  ['local home: request.json', () => keysOfSchema(Request)],
];

/** Names by group, each once, sorted. */
export async function collectFormats(): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const [name, names] of GROUPS) found.set(name, [...new Set(await names())].sort());
  return found;
}
