// Odd but valid files of foreign configuration. Our reader and the program that reads them on a host must agree.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { profileFor } from '../../src/agent/foreign/boot-profiles.ts';
import type { ReadFolder } from '../../src/agent/foreign/boot-folders.ts';
import { describes } from '../../src/agent/foreign/foreign-nics.ts';
import { netplanNics } from '../../src/agent/foreign/foreign-netplan.ts';
import { readIfcfgs } from '../../src/agent/foreign/ifcfg-files.ts';
import { systemdFileFor } from '../../src/agent/foreign/systemd-files.ts';
import { nic } from '../support/agent.ts';
import { ifcfgCorpus, keyfileCorpus, linkCorpus, netplanCorpus, networkCorpus, type Case } from './corpus.ts';
import { LiveHost } from '../support/live-host.ts';

const MAC = nic(0).mac;
const NAME = 'lan0';

/** Content by path, as folders: the files of the host, overlaid by the files of a case. */
function reader(files: Readonly<Record<string, string>>): ReadFolder {
  return (folder) =>
    new Map(
      Object.entries(files).flatMap(([path, content]) => {
        const cut = path.lastIndexOf('/');
        return path.slice(0, cut) === folder ? [[path.slice(cut + 1), content] as const] : [];
      }),
    );
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/**
 * Puts the files of each case on the host, one case after the other, and asks a program.
 * @param ask shell commands that print one line
 * @param mode of the files: networkd reads as an ordinary user, NetworkManager takes root's own files only
 * @returns that line, for each case
 */
async function judged(host: LiveHost, cases: readonly Case[], ask: string, mode = '644'): Promise<string[]> {
  const scripts = cases.map(({ files }) => {
    const paths = Object.keys(files).map((path) => `'/${path}'`);
    return [
      ...Object.entries(files).map(([path, content]) =>
        content === null
          ? `mkdir -p "$(dirname '/${path}')"; ln -s /dev/null '/${path}'`
          : `mkdir -p "$(dirname '/${path}')"; printf %s ${base64(content)} | base64 -d >'/${path}'; chmod ${mode} '/${path}'`,
      ),
      `echo "answer: $(${ask})"`,
      `rm -f ${paths.join(' ')}`,
    ].join('\n');
  });
  const output = await host.sh(scripts.join('\n'));
  return [...output.matchAll(/^answer: (.*)$/gm)].map(([, answer = '']) => answer);
}

/** Files of the host in some folders. */
async function filesOf(host: LiveHost, folders: string): Promise<Record<string, string>> {
  const output = await host.sh(
    `for f in ${folders}; do [ -f "$f" ] && echo "\${f#/} $(base64 -w0 "$f")"; done; true`,
  );
  return Object.fromEntries(
    output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [path = '', content = ''] = line.split(' ');
        return [path, Buffer.from(content, 'base64').toString()];
      }),
  );
}

const caseFiles = ({ files }: Case): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([path, content]) => [path, content ?? '']));

/** Answers by the title of the case, so that a difference names the case. */
const byTitle = (cases: readonly Case[], answers: readonly unknown[]): Record<string, unknown> =>
  Object.fromEntries(cases.map(({ title }, index) => [title, answers[index]]));

describe('systemd', () => {
  let host: LiveHost;
  let own: Record<string, string>;

  beforeAll(async () => {
    host = await LiveHost.boot('netplan');
    const { name } = await host.machine.attachNic({ mac: MAC, network: 'tenant-0' });
    await host.sh(
      `ip link set ${name} down; ip link set ${name} name ${NAME}; ip link set ${NAME} up; sleep 1
       for a in $(ip -j link show ${NAME} | sed -n 's/.*"altnames":\\["\\([^]]*\\)"\\].*/\\1/p' | tr -d '"' | tr , ' '); do ip link property del dev ${NAME} altname $a; done`,
    );
    own = await filesOf(host, '/usr/lib/systemd/network/* /run/systemd/network/* /etc/systemd/network/*');
  });
  afterAll(() => host?.[Symbol.asyncDispose]());

  const chosen = (suffix: string, each: Case): string =>
    systemdFileFor(suffix, { mac: MAC, names: [NAME] }, reader({ ...own, ...caseFiles(each) }))?.file ?? '';

  test('our reader finds the .network file that networkd finds', async () => {
    const cases = networkCorpus({ mac: MAC, name: NAME });
    const ask = `networkctl reload; sleep 0.3; sed -n 's,^NETWORK_FILE=/,,p' /run/systemd/netif/links/$(cat /sys/class/net/${NAME}/ifindex)`;
    const real = await judged(host, cases, ask);
    expect(
      byTitle(
        cases,
        cases.map((each) => chosen('.network', each)),
      ),
    ).toEqual(byTitle(cases, real));
  }, 180_000);

  test('our reader finds the .link file that udev finds', async () => {
    const cases = linkCorpus({ mac: MAC, name: NAME });
    const ask = `udevadm test-builtin net_setup_link /sys/class/net/${NAME} 2>/dev/null | sed -n 's,^ID_NET_LINK_FILE=/,,p'`;
    const real = await judged(host, cases, ask);
    expect(
      byTitle(
        cases,
        cases.map((each) => chosen('.link', each)),
      ),
    ).toEqual(byTitle(cases, real));
  }, 180_000);

  test("our reader says that a netplan file describes the NIC where netplan's generator makes a file for the NIC", async () => {
    const cases = netplanCorpus({ mac: MAC, name: NAME });
    const out = '/tmp/corpus';
    const ask = `rm -rf ${out}; mkdir -p ${out}/etc ${out}/run ${out}/lib; cp -a /etc/netplan-corpus ${out}/etc/netplan; /usr/libexec/netplan/generate --root-dir ${out} >/dev/null 2>&1; cd ${out}; for f in run/systemd/network/*.network; do [ -f "$f" ] && printf '%s %s,' "$f" "$(base64 -w0 "$f")"; done`;
    const real = await judged(host, cases, ask);
    const isForNic = (answer: string): boolean => {
      const files = Object.fromEntries(
        answer
          .split(',')
          .filter((each) => each !== '')
          .map((each) => {
            const [path = '', content = ''] = each.split(' ');
            return [path, Buffer.from(content, 'base64').toString()];
          }),
      );
      return (
        systemdFileFor('.network', { mac: MAC, names: [NAME], driver: 'veth' }, reader(files)) !== undefined
      );
    };
    const ours = cases.map((each) => {
      const files = Object.entries(caseFiles(each))
        .filter(([file]) => file.endsWith('.yaml'))
        .map(([file, content]) => ({ file, content }));
      return netplanNics(files).some((one) => describes(one, { mac: MAC, names: [NAME], driver: 'veth' }));
    });
    expect(byTitle(cases, ours)).toEqual(byTitle(cases, real.map(isForNic)));
  }, 180_000);
});

describe.each([['networkmanager', keyfileCorpus] as const, ['networkmanager-ifcfg', ifcfgCorpus] as const])(
  '%s',
  (rootfs, corpus) => {
    let host: LiveHost;

    beforeAll(async () => {
      host = await LiveHost.boot(rootfs);
      const { name } = await host.machine.attachNic({ mac: MAC, network: 'tenant-0' });
      await host.sh(
        `nmcli device disconnect ${name}; ip link set ${name} down; ip link set ${name} name ${NAME}; ip link set ${NAME} up; sleep 2`,
      );
    });
    afterAll(() => host?.[Symbol.asyncDispose]());

    test('our reader says that a profile is for the NIC where NetworkManager offers it for the NIC', async () => {
      const cases = corpus({ mac: MAC, name: NAME });
      const ask = [
        'nmcli connection reload; sleep 0.2',
        `nmcli -t -f CONNECTIONS.AVAILABLE-CONNECTIONS device show ${NAME} | grep -c 'corpus'`,
      ].join('; ');
      const real = await judged(host, cases, ask, '600');
      const ours = cases.map((each) => {
        const read = reader(caseFiles(each));
        return String(profileFor(MAC, [NAME], readIfcfgs(read), read) === undefined ? 0 : 1);
      });
      expect(byTitle(cases, ours)).toEqual(byTitle(cases, real));
    }, 180_000);
  },
);
