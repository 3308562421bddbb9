// A part of a release: files for its users, or the reason why they are not there.
import { resolve } from 'node:path';
import type { Names } from './names.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
/** Name of the chart and of the image. */
export const NAME = 'multinic-agent';

/** Version, commit and time of the tree that is released. */
export interface Source {
  readonly version: string;
  readonly commit: string;
  /** Time of the commit, in seconds since 1970. All files and texts of the release have this time. */
  readonly time: number;
}

export interface Release extends Source {
  /** Folder that becomes the release. */
  readonly dir: string;
  readonly names: Names;
  /** Whether missing parts of the cache may be fetched from Debian's mirror and from npm. */
  readonly fetch: boolean;
}

export interface ReleaseFile {
  /** Path in the release; a folder ends with a slash. */
  readonly path: string;
  readonly use: string;
}

export interface Part {
  readonly files: readonly ReleaseFile[];
  /** Artefacts that are not there, each with the reason and the remedy. */
  readonly leftOut?: readonly string[];
}
