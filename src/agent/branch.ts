import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import type { AgentJob } from '../api/job.ts';
import { branchOfNode } from '../network/node.ts';
import { workingSeconds } from './limit.ts';
import type { Branch } from './run.ts';

const CHECKOUT_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 3_000;
const PROBE_ATTEMPTS = 4;

/** The node's branch as the store serves it. */
export function httpBranch(job: AgentJob): Branch {
  return {
    checkout: async () => {
      const { checkout } = await import('./checkout.ts');
      return checkout({
        url: job.url,
        token: readToken(job),
        ref: `refs/heads/node/${branchOfNode(job.node)}`,
        timeoutMs: Math.min(CHECKOUT_TIMEOUT_MS, workingSeconds(job.deadlineSeconds) * 1000),
      });
    },
    probe: () => probe(job),
  };
}

/** Any answer will do: that one comes back over the changed network is the question. */
async function probe(job: AgentJob): Promise<void> {
  const url = `${job.url.replace(/\/$/, '')}/info/refs?service=git-upload-pack`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${readToken(job)}` },
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
      });
      await response.body?.cancel();
      return;
    } catch (error) {
      if (attempt === PROBE_ATTEMPTS) {
        throw new MultinicError(
          'StoreUnreachable',
          `after the change the store at ${job.url} no longer answers; look at the node’s routes`,
          { cause: error },
        );
      }
      await setTimeout(500 * attempt);
    }
  }
}

function readToken({ tokenFile }: AgentJob): string {
  try {
    return readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    throw new MultinicError(
      'TokenUnreadable',
      `${tokenFile}: ${(error as Error).message}; mount the node’s token there`,
    );
  }
}
