// Exit codes and messages of `multinic local --once` when something fails.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LocalRun, type Ran } from './support/local.ts';

const once = (local: LocalRun): Promise<Ran> => local.cli('local', local.dir, '--once', '--max-removal', '0');

describe('exit code 4', () => {
  const cases: [string, (local: LocalRun) => Promise<unknown>, RegExp][] = [
    ['a CR that is no YAML', ({ dir }) => writeFile(join(dir, 'crs/more.yaml'), 'a: ['), /mend the file/],
    [
      'a CR that is invalid as a whole',
      async (local) => {
        const config = await local.config();
        await local.writeConfig({ ...config, spec: { ...config.spec, nodeConfigs: 'none' as never } });
      },
      /InvalidConfig/,
    ],
    [
      'a machine that cannot be read',
      (local) => rm(join(local.hostRoot('k8s-worker-02'), 'host.yaml')),
      /k8s-worker-01 .*Configured/,
    ],
  ];
  test.each(cases)('%s', async (_, spoil, said) => {
    await using local = await LocalRun.prepare();
    await spoil(local);
    const { code, stdout } = await once(local);
    expect(stdout).toMatch(said);
    expect(code).toBe(4);
  });

  test('a CR was removed: the command waits for the node, and then ends because the removal waits for a person', async () => {
    await using local = await LocalRun.prepare();
    expect((await once(local)).code).toBe(0);
    await local.removeConfig();
    const { code, stdout } = await once(local);
    expect(stdout).toMatch(/RemovalStopped/);
    expect(code).toBe(4);
  });
});

test('when every pass fails, the command ends with their error', async () => {
  await using local = await LocalRun.prepare();
  await writeFile(join(local.dir, 'inventory.yaml'), 'nodes: [');
  const { code, stderr } = await once(local);
  expect(stderr).toMatch(/inventory\.yaml: .*mend the file/);
  expect(code).toBe(3);
});
