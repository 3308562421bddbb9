import type { Oid } from '../src/api/oid.ts';
import { oid } from './support/oid.ts';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Batch } from '../src/store/model/batch.ts';
import { FLUSH, pkt } from '../src/store/http/pktline.ts';
import type { PushPolicy } from '../src/store/model/store-port.ts';
import { ensureRepository } from '../src/store/git/repository.ts';
import { Store } from '../src/store/store.ts';
import {
  clone,
  commitFile,
  git,
  NODE_REF,
  OTHER_REF,
  request,
  startServer,
  subjectPolicy,
  TOKENS,
} from './support/http.ts';
import type { TestServer } from './support/http.ts';

/** Hook of a test that runs while a push is judged. */
let during: () => Promise<void> = async () => undefined;

const policy: PushPolicy = {
  ...subjectPolicy,
  async check(push, objects) {
    await during();
    return subjectPolicy.check(push, objects);
  },
};

let server: TestServer;
let copy: string;

beforeAll(async () => {
  server = await startServer({ policy });
  copy = await clone(server, TOKENS.write, 'copy');
});
afterAll(() => server.close());
beforeEach(() => {
  during = async () => undefined;
  server.pushes.length = 0;
});

const allTips = async () => JSON.stringify([...(await server.store.reader.refs('refs/heads/'))]);
const tipOf = async (ref: string): Promise<Oid> => (await server.store.reader.ref(ref))!;
const push = (...refs: string[]) => git(copy, 'push', 'origin', ...refs);
const audits = async (): Promise<number> => {
  const tip = await server.store.reader.ref('refs/audit/pushes');
  return tip === undefined ? 0 : (await server.store.reader.log(tip)).length;
};

/** Checks out the present branch of a node. */
async function start(node = 'worker-1'): Promise<void> {
  await git(copy, 'fetch', '-q', 'origin');
  await git(copy, 'checkout', '-q', '-B', `node/${node}`, `origin/node/${node}`);
}

/** Makes a commit of the controller on top of a branch's tip. */
async function writeOurs(store: Store, ref: string, text: string, from?: Oid): Promise<Oid> {
  const tip = from ?? (await store.reader.ref(ref))!;
  const batch = new Batch();
  const commit = batch.commit({
    parents: [tip],
    files: new Map([['etc/mtu', text]]),
    author: { name: 'Tester', email: 'tester@example.org' },
    subject: `MTU ${text}`,
    trailers: [],
  });
  batch.move(ref, commit, tip);
  const [written] = await store.write(batch);
  return written!;
}

describe('a push that is accepted', () => {
  test('moves its branch, is recorded before, and is announced once', async () => {
    await start();
    const before = await tipOf(NODE_REF);
    let recordedWhileJudged = -1;
    during = async () => {
      recordedWhileJudged = await audits();
    };
    const tip = await commitFile(copy, 'etc/mtu', '9000\n', 'worker-1: MTU 9000');
    const { stderr, code } = await push('node/worker-1');
    expect(stderr).toContain('node/worker-1 -> node/worker-1');
    expect(code).toBe(0);
    expect(await tipOf(NODE_REF)).toBe(tip);
    expect(server.pushes).toEqual([
      { principal: { name: 'alice', role: 'write' }, ref: NODE_REF, old: before, new: tip },
    ]);
    expect(await audits()).toBe(recordedWhileJudged + 1);
    const { trailers } = await server.store.reader.commit(await tipOf('refs/audit/pushes'));
    expect(Object.fromEntries(trailers)).toEqual({
      Principal: 'alice',
      Ref: NODE_REF,
      Old: before,
      New: tip,
    });
  });

  test('describes its changes on the terminal of its pusher, without control characters', async () => {
    await start();
    await commitFile(copy, 'etc/mtu', '8000\n', 'worker-1: MTU 8000');
    const { stderr, code } = await push('node/worker-1');
    expect(code).toBe(0);
    expect(stderr).toMatch(/^remote: multinic: worker-1: MTU \?\[31m8000 *$/m);
  });

  test('of two branches moves both, in one record', async () => {
    const before = await audits();
    for (const node of ['worker-1', 'worker-2']) {
      await start(node);
      await commitFile(copy, 'etc/mtu', '2000\n', `${node}: MTU 2000`);
    }
    expect((await push('node/worker-1', 'node/worker-2')).code).toBe(0);
    expect(server.pushes.map(({ ref }) => ref)).toEqual([NODE_REF, OTHER_REF]);
    expect(await audits()).toBe(before + 1);
    const { subject, trailers } = await server.store.reader.commit(await tipOf('refs/audit/pushes'));
    expect(subject).toBe('alice pushes 2 branches');
    expect(trailers.filter(([key]) => key === 'Ref').map(([, ref]) => ref)).toEqual([NODE_REF, OTHER_REF]);
  });

  test('may be so large that git sends it in chunks after a probe', async () => {
    await start();
    const tip = await commitFile(
      copy,
      'etc/blob',
      randomBytes(1_500_000).toString('base64'),
      'more than http.postBuffer',
    );
    const { code, stderr } = await push('node/worker-1');
    expect([code, stderr]).toEqual([0, expect.stringContaining('node/worker-1')]);
    expect(await tipOf(NODE_REF)).toBe(tip);
  });
});

describe('a push that is refused', () => {
  let tips: string;
  beforeEach(async () => {
    await start('worker-2');
    await start('worker-1');
    tips = await allTips();
  });

  /** Expects that nothing moved, nothing was announced, and the next push works. */
  async function expectUntouched(): Promise<void> {
    expect(await allTips()).toBe(tips);
    expect(server.pushes).toEqual([]);
    expect((await readdir(join(server.store.dir, 'objects'))).filter((name) => name.length > 4)).toEqual([]);
    await server.store.fsck();
  }

  test('by the policy shows reason and remedy on the terminal, without control characters', async () => {
    await commitFile(copy, 'etc/mtu', '1400', 'refuse');
    const { code, stderr } = await push('node/worker-1');
    expect(code).not.toBe(0);
    expect(stderr).toContain(
      'remote: multinic: refused node/worker-1 (SubjectSaysNo): worker says ?[31m1400',
    );
    expect(stderr).toContain('remote: multinic:   change the subject: git commit --amend');
    await expectUntouched();
  });

  test('by a defect of the policy shows no detail of the defect', async () => {
    await commitFile(copy, 'etc/mtu', '1400', 'crash the policy');
    const { stderr } = await push('node/worker-1');
    expect(stderr).toContain("(Internal): internal error, which the controller's log has");
    expect(stderr).not.toContain('a defect');
    await expectUntouched();
  });

  test('on one branch leaves the other pushed branch unmoved too', async () => {
    await commitFile(copy, 'etc/mtu', '1400', 'refuse');
    await start('worker-2');
    await commitFile(copy, 'etc/mtu', '1400', 'fine');
    const { stderr } = await push('node/worker-1', 'node/worker-2');
    expect(stderr).toContain('(SubjectSaysNo)');
    expect(stderr.match(/remote rejected/g)).toHaveLength(2);
    await expectUntouched();
  });

  test.each([
    ['a new branch', ['HEAD:refs/heads/node/worker-9'], 'BranchCreate'],
    ['main', ['HEAD:refs/heads/main'], 'ReservedRef'],
    ['a tag', ['HEAD:refs/tags/v1'], 'ReservedRef'],
    ['the writer', ['HEAD:refs/meta/writer'], 'ReservedRef'],
    ['the audit', ['HEAD:refs/audit/pushes'], 'ReservedRef'],
    ['an outcome', ['HEAD:refs/heads/outcome/worker-1'], 'ReservedRef'],
    ['a deletion', [':refs/heads/node/worker-1'], 'BranchDelete'],
    ['a hidden ref beside a good one', ['HEAD:refs/meta/x', 'HEAD:refs/heads/node/worker-1'], 'ReservedRef'],
  ])('%s', async (_, refs, code) => {
    await commitFile(copy, 'etc/mtu', '1400', 'fine');
    const pushed = await push('-f', ...refs);
    expect(pushed.code).not.toBe(0);
    expect(pushed.stderr).toMatch(new RegExp(`remote: multinic: refused \\S+ \\(${code}\\): .+`));
    await expectUntouched();
  });

  test('because it is forced', async () => {
    await git(copy, 'reset', '-q', '--hard', 'HEAD~1');
    await commitFile(copy, 'etc/mtu', '1111', 'fine');
    const { code, stderr } = await push('-f', 'node/worker-1');
    expect(code).not.toBe(0);
    expect(stderr).toContain('remote rejected');
    await expectUntouched();
  });

  test('of more than 8 MiB shows the reason on the terminal', async () => {
    await commitFile(copy, 'etc/blob', randomBytes(12_000_000).toString('base64'), 'too large');
    const { code, stderr } = await push('node/worker-1');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(
      /remote: multinic: refused node\/worker-1 \(PushTooLarge\): the push has \d+\.\d MiB/,
    );
    await expectUntouched();
  });

  test('of far more than 8 MiB gets 413 before it is read', async () => {
    const { status } = await request(server, '/git/git-receive-pack', {
      method: 'POST',
      token: TOKENS.write,
      body: Buffer.alloc(65 * 1024 * 1024),
    });
    expect(status).toBe(413);
    await expectUntouched();
  });

  test.each([
    ['no pkt-lines', Buffer.from('hello')],
    ['a torn list', Buffer.from('00a0')],
    ['a certificate', Buffer.concat([pkt('push-cert\0 report-status\n'), FLUSH])],
    [
      'a bad id',
      Buffer.concat([pkt(`${'x'.repeat(40)} ${oid('0'.repeat(40))} ${NODE_REF}\0 report-status\n`), FLUSH]),
    ],
  ])('%s: 400', async (_, body) => {
    const { status } = await request(server, '/git/git-receive-pack', {
      method: 'POST',
      token: TOKENS.write,
      body,
    });
    expect(status).toBe(400);
    await expectUntouched();
  });

  test('by path instead of HTTP, into a new store and into an older store', async () => {
    await start();
    await commitFile(copy, 'etc/mtu', '1337\n', 'by path');
    const { dir } = server.store;
    const before = await tipOf(NODE_REF);
    // A person's own hooks must not replace the hooks of the store.
    const config = join(server.folder, 'gitconfig');
    await writeFile(config, `[core]\n\thooksPath = ${server.folder}/none\n`);
    const byPath = () =>
      execa({ cwd: copy, reject: false, env: { GIT_CONFIG_GLOBAL: config } })`git push ${dir} node/worker-1`;
    expect((await byPath()).stderr).toMatch(/neither checked nor audited: push over HTTP/);

    await rm(join(dir, 'hooks'), { recursive: true });
    const old = (await readFile(join(dir, 'config'), 'utf8')).replace(/\thooksPath.*\n/, '');
    await writeFile(join(dir, 'config'), old);
    await ensureRepository(dir);
    expect((await byPath()).stderr).toMatch(/neither checked nor audited: push over HTTP/);
    expect(await tipOf(NODE_REF)).toBe(before);
  });

  test('because fsck refuses its objects', async () => {
    await git(copy, 'config', 'user.useConfigOnly', 'false');
    const tree = (await git(copy, 'rev-parse', 'HEAD^{tree}')).stdout;
    const parent = (await git(copy, 'rev-parse', 'HEAD')).stdout;
    const file = join(copy, '.git', 'bad-commit');
    await writeFile(
      file,
      `tree ${tree}\nparent ${parent}\nauthor no date <a@b>\ncommitter c <c@d> 1 +0000\n\nbad\n`,
    );
    const bad = (await git(copy, 'hash-object', '-t', 'commit', '-w', '--literally', file)).stdout;
    const { code, stderr } = await push(`${bad}:${NODE_REF}`);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/missingSpaceBeforeDate|badDate|fsck error/);
    await expectUntouched();
  });
});

describe('a push and a writer at the same time:', () => {
  test('the writer is first: the whole push is refused, with the remedy', async () => {
    await start('worker-2');
    await commitFile(copy, 'etc/mtu', '1501', 'beside');
    await start();
    await commitFile(copy, 'etc/mtu', '1501', 'late');
    let writing: Promise<Oid> | undefined;
    during = async () => {
      await (writing ??= writeOurs(server.store, NODE_REF, '1502'));
    };
    const { code, stderr } = await push('node/worker-1', 'node/worker-2');
    const ours = await writing;
    expect(code).not.toBe(0);
    expect(stderr).toContain('(LostRace): the branch has moved to');
    expect(stderr).toContain('git pull --rebase');
    expect(await tipOf(NODE_REF)).toBe(ours);
    expect(server.pushes).toEqual([]);
    await server.store.fsck();
  });

  test('the push is first: the writer is refused, and the push stays', async () => {
    await start();
    const before = await tipOf(NODE_REF);
    const tip = await commitFile(copy, 'etc/mtu', '1503', 'first');
    expect((await push('node/worker-1')).code).toBe(0);
    await expect(writeOurs(server.store, NODE_REF, '1504', before)).rejects.toMatchObject({
      code: 'LostRace',
    });
    expect(await tipOf(NODE_REF)).toBe(tip);
    await server.store.fsck();
  });

  test('many writers and pushers on one branch: the branch is a chain of exactly the accepted commits', async () => {
    await start();
    const begin = await tipOf(NODE_REF);
    const accepted: string[] = [];
    const clones = await Promise.all([0, 1, 2].map((index) => clone(server, TOKENS.write, `racer-${index}`)));
    const pusher = async (folder: string, index: number): Promise<void> => {
      for (let round = 0; round < 3; round += 1) {
        await git(folder, 'fetch', '-q', 'origin');
        await git(folder, 'checkout', '-q', '-B', 'node/worker-1', 'origin/node/worker-1');
        const tip = await commitFile(folder, 'etc/mtu', `${index}${round}`, `racer ${index} ${round}`);
        if ((await git(folder, 'push', '-q', 'origin', 'node/worker-1')).code === 0) accepted.push(tip);
      }
    };
    const writer = async (): Promise<void> => {
      for (let round = 0; round < 8; round += 1) {
        await writeOurs(server.store, NODE_REF, `w${round}`).then(
          (oid) => accepted.push(oid),
          (error: unknown) => expect(error).toMatchObject({ code: 'LostRace' }),
        );
      }
    };
    await Promise.all([...clones.map(pusher), writer()]);
    const history = await server.store.reader.log(await tipOf(NODE_REF), { until: begin });
    expect(history.map(({ oid }) => oid).sort()).toEqual(accepted.sort());
    expect(accepted.length).toBeGreaterThan(0);
    await server.store.fsck();
  });
});
