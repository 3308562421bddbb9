import type { Interface } from './interface.ts';
import type { RendererKind } from './node.ts';

/** Text files by the path that they have on the host, without a leading slash: `etc/netplan/90-multinic0.yaml`. */
export type Files = ReadonlyMap<string, string>;

/**
 * Turns interfaces into the files of one OS family and back: `parse(render(x))` is `x`, and the same input gives the
 * same bytes. A constant line stands between any two lines that vary, so that git merges a revert.
 */
export interface Renderer {
  readonly kind: RendererKind;
  /** The files of one interface. */
  render(nic: Interface): Files;
  /**
   * Reads a set of managed files back, sorted by index of the names. Strict, as for a node's tree: the files have
   * exactly our vocabulary. Lenient, as for files of the earlier agent: our constant keys may be absent, but a key that
   * the renderer does not know is still refused.
   * @throws InvalidInputError `InvalidTree`; a problem's path is `file` or `file: key`.
   */
  parse(files: Files, options?: { readonly lenient?: boolean }): Interface[];
  /** Whether a path is one that this renderer writes. */
  manages(path: string): boolean;
  /** Permission bits on the host: 0o600 where the OS asks for it, else 0o644. */
  hostMode(path: string): number;
  /** Folders on the host that hold managed files: `etc/netplan`. */
  readonly directories: readonly string[];
}
