import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KnownConfig } from '../mirror/home-port.ts';
import { ConfigFolder, isConfigFile, type FolderList } from './config.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-crs-'));
  await mkdir(join(dir, 'crs'));
});
afterEach(() => rm(dir, { recursive: true }));

const write = (name: string, text: string): Promise<void> => writeFile(join(dir, 'crs', name), text);
let now = 0;
const folder = (): ConfigFolder => new ConfigFolder(join(dir, 'crs'), () => now);
const listed = (from = folder(), inMain: readonly KnownConfig[] = []): Promise<FolderList> =>
  from.list(new Map(inMain.map((config) => [Object.values(config.ref).join('/'), config])));
const AWAY = /crs\/; if that stays so for a second, it is removed/;
const ref = (name: string, group = 'multinic.io', namespace = 'default') => ({ group, namespace, name });

function cr(name: string, spec: unknown = { nodeConfigs: [] }, group = 'multinic.io'): string {
  return JSON.stringify({ apiVersion: `${group}/v1`, kind: 'MultiNicBizConfig', metadata: { name }, spec });
}

describe('a folder of CRs', () => {
  test('has YAML and JSON, several documents a file, lists, and both groups', async () => {
    await write('a.yaml', `---\n${cr('a')}\n---\n${cr('b', {}, 'multinic.okestro.io')}\n---\n`);
    await write('c.json', cr('c'));
    await write('d.yml', `kind: List\napiVersion: v1\nitems:\n- ${cr('d')}\n`);
    const list = await listed();
    expect(list.configs.map((config) => config.ref)).toEqual([
      ref('a'),
      ref('b', 'multinic.okestro.io'),
      ref('c'),
      ref('d'),
    ]);
    expect(list.problems).toEqual([]);
    expect(list.doubt(ref('gone'))).toMatch(AWAY);
    expect(list.configs[0]).toMatchObject({
      generation: 1,
      spec: { nodeConfigs: [] },
      writer: { name: 'local' },
    });
  });

  test('keeps namespace and annotations', async () => {
    await write(
      'a.yaml',
      'apiVersion: multinic.io/v1\nkind: MultiNicBizConfig\nmetadata:\n  name: a\n  namespace: multinic-system\n  annotations: {multinic.io/paused: "true"}\nspec: {}\n',
    );
    const [config] = (await listed()).configs;
    expect(config).toMatchObject({
      ref: ref('a', 'multinic.io', 'multinic-system'),
      annotations: { 'multinic.io/paused': 'true' },
    });
  });

  test('a MAC of digits only stays text', async () => {
    await write(
      'a.yaml',
      'apiVersion: multinic.io/v1\nkind: MultiNicBizConfig\nmetadata: {name: a}\nspec: {macAddress: 12:34:56:12:34:56}\n',
    );
    expect((await listed()).configs[0]?.spec).toEqual({ macAddress: '12:34:56:12:34:56' });
  });

  const unreadable: [string, string, RegExp][] = [
    ['broken YAML', 'a: [', /crs\/bad\.yaml: .*mend the file/],
    ['an emptied file', '', /crs\/bad\.yaml: has no CR; .*delete the file/],
    ['only a comment', '# nothing\n', /delete the file/],
    [
      'another kind',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n',
      /crs\/bad\.yaml: apiVersion: .*only MultiNicBizConfig/,
    ],
    ['another version', cr('x').replace('/v1', '/v2'), /apiVersion/],
    ['a name that is none', cr('../x'), /metadata\.name: .*lower-case/],
    ['no name', cr('x').replace('"name"', '"nome"'), /metadata\.name/],
    [
      'an annotation that is no text',
      cr('x').replace('"metadata":{', '"metadata":{"annotations":{"a":1},'),
      /metadata\.annotations\.a/,
    ],
    [
      'aliases without bound',
      `a: &a [x]\n${'bcdefghijk'.replaceAll(
        /./g,
        (k) =>
          `${k}: &${k} [${Array(9)
            .fill(`*${String.fromCodePoint(k.codePointAt(0)! - 1)}`)
            .join()}]\n`,
      )}`,
      /mend the file/,
    ],
  ];
  test.each(unreadable)(
    '%s makes it incomplete for all that is not found elsewhere',
    async (_, text, reason) => {
      await write('bad.yaml', text);
      await write('good.yaml', cr('good'));
      const list = await listed();
      expect(list.configs.map((config) => config.ref.name)).toEqual(['good']);
      expect(list.doubt(ref('gone'))).toMatch(reason);
    },
  );

  test('a broken document does not hide the others of its file', async () => {
    await write('a.yaml', `${cr('a')}\n---\na: [\n`);
    const list = await listed();
    expect(list.configs.map((config) => config.ref.name)).toEqual(['a']);
    expect(list.doubt(ref('gone'))).toMatch(/crs\/a\.yaml: document 2/);
  });

  test('one CR in two files counts as neither, and only it is in doubt', async () => {
    await write('a.yaml', cr('a'));
    await write('b.yaml', `${cr('a')}\n---\n${cr('b')}`);
    const list = await listed();
    expect(list.configs.map((config) => config.ref.name)).toEqual(['b']);
    expect(list.doubt(ref('a'))).toMatch(/crs\/a\.yaml and crs\/b\.yaml: multinic\.io\/default\/a/);
    expect(list.doubt(ref('gone'))).toMatch(AWAY);
    expect(list.problems).toHaveLength(1);
  });

  test('that is not there proves nothing', async () => {
    await rm(join(dir, 'crs'), { recursive: true });
    const list = await listed();
    expect(list.configs).toEqual([]);
    expect(list.doubt(ref('a'))).toMatch(/crs: cannot be listed .*make the folder again/);
  });

  test('that is empty is complete, once it stays so', async () => {
    const configs = folder();
    expect((await listed(configs)).doubt(ref('a'))).toMatch(AWAY);
    now += 1000;
    expect((await listed(configs)).doubt(ref('a'))).toBeUndefined();
  });

  test('a CR that is being saved is not removed', async () => {
    const configs = folder();
    const doubt = async (): Promise<string | undefined> => (await listed(configs)).doubt(ref('a'));
    await write('a.yaml', cr('a'));
    await listed(configs);
    now += 5000;
    await rm(join(dir, 'crs/a.yaml'));
    expect(await doubt()).toMatch(AWAY);
    expect(configs.undecided).toBe(true);
    now += 300;
    await write('a.yaml', cr('a'));
    await listed(configs);
    expect(configs.undecided).toBe(false);
    // The CR is missing again, and its time starts anew.
    await rm(join(dir, 'crs/a.yaml'));
    now += 900;
    expect(await doubt()).toMatch(AWAY);
    now += 999;
    expect(await doubt()).toMatch(AWAY);
    now += 1;
    expect(await doubt()).toBeUndefined();
    expect(configs.undecided).toBe(false);
  });

  test('a pipe among the files is not waited for', async () => {
    execFileSync('mkfifo', [join(dir, 'crs/a.yaml')]);
    expect((await listed()).doubt(ref('a'))).toMatch(/crs\/a\.yaml: .*no regular file/);
  });

  test('a file that changes within the same second is read again', async () => {
    const configs = folder();
    await write('a.yaml', cr('a', { providerId: '1' }));
    await listed(configs);
    await write('a.yaml', cr('a', { providerId: '2' }));
    expect((await listed(configs)).configs[0]?.spec).toEqual({ providerId: '2' });
  });
});

describe('what an API server would know', () => {
  const nodes = [{ attachedNodeId: 'a', interfaces: [] }, { attachedNodeId: 'b' }];
  const known: KnownConfig = {
    ref: ref('a'),
    uid: 'uid-of-main',
    generation: 7,
    rest: { providerId: 'p' },
    entries: new Map(nodes.map((node) => [node.attachedNodeId, { text: JSON.stringify(node) }])),
  };

  test('comes from main', async () => {
    await write('a.yaml', cr('a', { nodeConfigs: nodes.toReversed(), providerId: 'p' }));
    expect((await listed(folder(), [known])).configs[0]).toMatchObject({ uid: 'uid-of-main', generation: 7 });
  });

  test.each([
    ['a value', { providerId: 'q', nodeConfigs: nodes }],
    ['a node more', { providerId: 'p', nodeConfigs: [...nodes, { attachedNodeId: 'c' }] }],
    ['a node twice', { providerId: 'p', nodeConfigs: [...nodes, nodes[0]] }],
    ['no nodes at all', { providerId: 'p' }],
    ['nodes that are none', { providerId: 'p', nodeConfigs: 'x' }],
    ['no spec', undefined],
  ])('and counts on with %s', async (_, spec) => {
    await write('a.yaml', cr('a', spec));
    expect((await listed(folder(), [known])).configs[0]).toMatchObject({ uid: 'uid-of-main', generation: 8 });
  });

  test('a file that contains itself is a problem of that file, and stops no other', async () => {
    await write(
      'a.yaml',
      'apiVersion: multinic.io/v1\nkind: MultiNicBizConfig\nmetadata: {name: a}\nspec: &self\n  nodeConfigs: [*self]\n',
    );
    await write('b.yaml', cr('b'));
    const list = await listed(folder(), [known]);
    expect(list.configs.map((config) => config.ref)).toEqual([ref('b')]);
    expect(list.problems).toMatchObject([
      { path: 'crs/a.yaml', message: expect.stringMatching(/contains itself/) },
    ]);
    expect(list.doubt(ref('a'))).toMatch(/contains itself/);
  });

  test('a UID stays until main knows it, and a new CR of that name gets another', async () => {
    await write('a.yaml', cr('a'));
    let inMain: KnownConfig | undefined;
    const configs = folder();
    const uid = async (): Promise<string | undefined> =>
      (await listed(configs, inMain && [inMain])).configs[0]?.uid;
    const first = await uid();
    expect(await uid()).toBe(first);
    inMain = { ...known, uid: first! };
    expect(await uid()).toBe(first);
    inMain = undefined;
    expect(await uid()).not.toBe(first);
  });
});

test('files of editors are none of ours', () => {
  const names = [
    'a.yaml',
    'a.b.yml',
    'a.json',
    '.a.yaml',
    '.a.yaml.swp',
    '.#a.yaml',
    '#a.yaml#',
    'a.yaml~',
    'a.yaml.bak',
    '4913',
  ];
  expect(names.filter(isConfigFile)).toEqual(['a.yaml', 'a.b.yml', 'a.json']);
});

const asked = (from = folder(), inMain: readonly KnownConfig[] = []) =>
  from.generations(new Map(inMain.map((config) => [Object.values(config.ref).join('/'), config])));
const inMain = (name: string): KnownConfig => ({
  ref: ref(name),
  uid: 'u',
  generation: 3,
  rest: { nodeConfigs: [] },
  entries: new Map(),
});

describe('generations', () => {
  test('are those of the files now: edited, unchanged, new, and gone', async () => {
    await write('a.yaml', cr('edited', { nodeConfigs: [], more: 1 }));
    await write('b.yaml', `${cr('same')}\n---\n${cr('new')}`);
    expect(await asked(folder(), [inMain('edited'), inMain('same'), inMain('gone')])).toEqual(
      new Map([
        ['multinic.io/default/edited', 4],
        ['multinic.io/default/same', 3],
        ['multinic.io/default/new', 1],
      ]),
    );
  });

  test('leave the wait for a missing CR as it was', async () => {
    const from = folder();
    await listed(from, [inMain('gone')]).then((list) => list.doubt(ref('gone')));
    expect(from.undecided).toBe(true);
    await asked(from, [inMain('gone')]);
    expect(from.undecided).toBe(true);
  });

  test('of a folder that cannot be listed are not made up', async () => {
    await rm(join(dir, 'crs'), { recursive: true });
    await expect(asked()).rejects.toMatchObject({ code: 'Busy' });
  });
});
