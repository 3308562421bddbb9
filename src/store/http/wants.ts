import { MultinicError } from '../../api/errors.ts';
import { parseOid } from '../../api/oid.ts';
import { FLUSH, pkt, readSection } from './pktline.ts';
import type { Oid, Reader } from '../model/store-port.ts';

/** Lines that name a commit: a want, or a commit where the client's clone is shallow. */
const NAMES_COMMIT = /^(?:want|shallow) ([0-9a-f]{40})(?: [^\n]*)?\n?$/;
/** Maximum number of commits that a node may name in one fetch; a node needs its tip alone. */
const MAX_NAMED = 8;
/** Number of newest commits that a node may name: far more than a branch gains during a fetch. */
const MAX_BEHIND = 256;
const DEEPEN = /^deepen [1-9][0-9]{0,8}\n?$/;

/**
 * Confines a fetch request of protocol v0 to the commits of one branch, because git refuses a hidden commit but serves
 * any blob or tree: git checks only whether a *commit* is out of reach. Leaves out the objects that the client claims
 * to have: git's answer would tell which objects exist, and a pack may hold a file as its difference from one of them;
 * a node fetches afresh and shallow, so it loses nothing.
 * @returns the request that git may see
 * @throws MultinicError `Forbidden` for a want of anything else, and for any line that a node does not need
 */
export async function confine(body: Buffer, branch: string, reader: Reader): Promise<Buffer> {
  const section = readSection(body);
  if (section === undefined || section.lines.length === 0) throw refused('this is no fetch of protocol v0');
  const tip = await reader.ref(branch);
  const named = new Set<Oid>();
  for (const line of section.lines) {
    const text = line.toString('latin1');
    const [, oid] = NAMES_COMMIT.exec(text) ?? [];
    const known = parseOid(oid);
    if (known !== undefined) named.add(known);
    else if (!DEEPEN.test(text)) throw refused('it says more than a node needs to');
  }
  if (named.size > MAX_NAMED) throw refused(`it names more than ${MAX_NAMED} commits`);
  const [strange] = await withoutNewest(named, tip, reader);
  if (strange !== undefined) throw refused(`${strange} is no recent commit of ${branch}`);
  return Buffer.concat([body.subarray(0, section.end), ...closing(body, section.end)]);
}

/** The packets after the wants: flushes and `done`. */
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

/**
 * The commits that are not among a branch's newest. A few commits before the tip count as newest, because the tip may
 * have moved since the node read the refs.
 */
async function withoutNewest(
  named: ReadonlySet<Oid>,
  tip: Oid | undefined,
  reader: Reader,
): Promise<ReadonlySet<Oid>> {
  const left = new Set(named);
  let next = tip;
  for (let walked = 0; next !== undefined && left.size > 0 && walked < MAX_BEHIND; walked += 1) {
    left.delete(next);
    if (left.size > 0) next = (await reader.commit(next)).parents[0];
  }
  return left;
}

function refused(why: string): MultinicError {
  return new MultinicError(
    'Forbidden',
    `a node may fetch its own branch only, and ${why}: use an operator's token`,
  );
}
