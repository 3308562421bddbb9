import { AGENT_EXIT, EXIT } from '../../src/api/exit-codes.ts';

const MEANS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: 'done',
  failed: 'failed: the message has the code and the remedy',
  usage: 'wrong usage',
  invalid: 'the input is invalid: the message has each problem with its field',
  unsettled:
    'not as it should be (`status`, `drift`, `observe --wait`, `local --once`), not in time (`wait`), or different (`diff --exit-code`)',
};

const AGENT_MEANS: Readonly<Record<keyof typeof AGENT_EXIT, string>> = {
  ok: 'a report with any result but Failed',
  failed: 'Failed',
  usage: 'a wrong command line, or a job file that cannot be read; no report',
  restoreFailed: 'the host could not be restored',
  wouldChange: '`plan`: a run would change something; `observe`: the host has drifted',
  locked: 'another agent runs on this node; no report',
};

function table(codes: Readonly<Record<string, number>>, means: Readonly<Record<string, string>>): string {
  const rows = Object.entries(codes).map(([key, code]) => `| ${code} | ${means[key] ?? ''} |`);
  return ['| Code | Meaning |', '| --- | --- |', ...rows].join('\n');
}

/** Exit codes of every command but `agent`. */
export const exitCodesTable = (): string => table(EXIT, MEANS);

/** Exit codes of `multinic agent`. */
export const agentExitCodesTable = (): string => table(AGENT_EXIT, AGENT_MEANS);
