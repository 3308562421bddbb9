// Checks, before anything runs, that the machine has everything that the ordinary tests need.
import { spawnSync } from 'node:child_process';

const GIT = '2.39';
const NODE = 20;

/** Output of a program's `--version`; empty: the program is missing. */
export type Ask = (program: string) => string;

export interface Machine {
  readonly platform: string;
  /** Version of the Node that runs npm, such as `20.19.2`. */
  readonly node: string;
  readonly ask: Ask;
}

export function thisMachine(): Machine {
  const agent = /node\/v(\S+)/.exec(process.env['npm_config_user_agent'] ?? '');
  return {
    platform: process.platform,
    node: agent?.[1] ?? process.versions.node,
    ask: (program) => spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? '',
  };
}

/** @returns what is missing, each with its remedy; nothing when the tests can run */
export function missingPrerequisites({ platform, node, ask }: Machine): string[] {
  const git = /(\d+\.\d+)/.exec(ask('git'))?.[1];
  return [
    platform === 'linux' ? '' : `Linux (this is ${platform}: run the tests in a Linux container)`,
    Number.parseInt(node, 10) >= NODE ? '' : `Node ${NODE} or newer (found ${node}: install a newer one)`,
    git !== undefined && isAtLeast(git, GIT)
      ? ''
      : `git ${GIT} or newer (found ${git ?? 'none'}: install the package git)`,
    ask('flock').includes('util-linux') ? '' : 'flock of util-linux (install the package util-linux)',
  ].filter((line) => line !== '');
}

function isAtLeast(version: string, least: string): boolean {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0;
}
