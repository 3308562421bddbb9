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
  /** Seconds since 1970, of the commit: the time of all that the release says or packs. */
  readonly time: number;
}

export interface Release extends Source {
  /** Folder that becomes the release. */
  readonly dir: string;
  readonly names: Names;
  /** Whether what the cache lacks may come from Debian's mirror and from npm. */
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
