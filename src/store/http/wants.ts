import { hasCode, MultinicError } from '../../api/errors.ts';
import { FLUSH, pkt, readSection } from './pktline.ts';
import type { Oid, Reader } from '../model/store-port.ts';

/** Its wants, where it is shallow already, and how deep it wants to be. */
const NAMES_COMMIT = /^(?:want|shallow) ([0-9a-f]{40})(?: [^\n]*)?\n?$/;
const DEEPEN = /^deepen [1-9][0-9]{0,8}\n?$/;

/**
 * Confines a fetch request of protocol v0 to the commits of one branch. git's own check does not: it refuses a hidden
 * commit, but answers a want of any blob or tree, because it asks only whether a *commit* is out of reach.
 *
 * What the client says it has is left out: git's answer would tell which objects exist, and a pack may hold a file
 * as its difference from one of those. A node fetches afresh and shallow, so it loses nothing.
 * @returns the request that git may see
 * @throws MultinicError `Forbidden` for a want of anything else, and for what only a curious client sends
 */
export async function confine(body: Buffer, branch: string, reader: Reader): Promise<Buffer> {
  const section = readSection(body);
  if (section === undefined || section.lines.length === 0) throw refused('this is no fetch of protocol v0');
  const tip = await reader.ref(branch);
  const named = new Set<Oid>();
  for (const line of section.lines) {
    const text = line.toString('latin1');
    const [, oid] = NAMES_COMMIT.exec(text) ?? [];
    if (oid !== undefined) named.add(oid);
    else if (!DEEPEN.test(text)) throw refused('it says more than a node needs to');
  }
  for (const oid of named) {
    if (!(await isOnBranch(oid, tip, reader))) throw refused(`${oid} is no commit of ${branch}`);
  }
  return Buffer.concat([body.subarray(0, section.end), ...closing(body, section.end)]);
}

/** What follows the wants: flushes and `done`. */
function closing(body: Buffer, start: number): Buffer[] {
  const packets: Buffer[] = [];
  let at = start;
  for (let section = readSection(body, at); section !== undefined; section = readSection(body, at)) {
    packets.push(FLUSH);
    at = section.end;
  }
  if (/(0009done\n|0008done)$/.test(body.toString('latin1', at))) packets.push(pkt('done\n'));
  return packets;
}

/** The tip may have moved since the node was shown it, so any commit of the branch's history is its own. */
async function isOnBranch(oid: Oid, tip: Oid | undefined, reader: Reader): Promise<boolean> {
  if (tip === undefined) return false;
  if (oid === tip) return true;
  try {
    await reader.commit(oid);
  } catch (error) {
    if (hasCode(error, 'NotFound')) return false;
    throw error;
  }
  return reader.isAncestor(oid, tip);
}

function refused(why: string): MultinicError {
  return new MultinicError(
    'Forbidden',
    `a node may fetch its own branch only, and ${why}: use an operator's token`,
  );
}
