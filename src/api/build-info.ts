// Version and commit that this program was built from. The bundler inserts them; unbundled sources have neither.

declare const __VERSION__: string | undefined;
declare const __COMMIT__: string | undefined;

export interface BuildInfo {
  readonly version: string;
  /** First digits of the commit; `-dirty`: the working tree had changes. */
  readonly commit: string;
}

export const BUILD: BuildInfo = {
  version: typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0',
  commit: typeof __COMMIT__ === 'string' ? __COMMIT__ : 'unknown',
};
