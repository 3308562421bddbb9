import { expect, test } from 'vitest';
import { activateLinks } from './activate.ts';
import type { Host, HostState, Link, LinkStep } from '../host/host.ts';

const MAC = 'fa:16:3e:00:00:01';
const OLD = '10.0.0.1/24';
const NEW = '10.0.0.2/24';
const VIP = '10.0.0.9/32';

/** A kernel, of as many links as it takes. */
class Kernel implements Pick<Host, 'state' | 'change'> {
  link: Link = { name: 'ens6', mac: MAC, up: true, mtu: 1500, addresses: [VIP] };

  state(): Promise<HostState> {
    return Promise.resolve({ links: [this.link], routes: [] } as Partial<HostState> as HostState);
  }

  change(step: LinkStep): Promise<void> {
    const { addresses } = this.link;
    if (step.op === 'rename') this.link = { ...this.link, name: step.to };
    if (step.op === 'add') this.link = { ...this.link, addresses: [...addresses, step.address] };
    if (step.op === 'drop')
      this.link = { ...this.link, addresses: addresses.filter((each) => each !== step.address) };
    return Promise.resolve();
  }
}

test('what networkd gives a NIC with its name is taken off again, what others put there stays', async () => {
  const kernel = new Kernel();
  await activateLinks({
    host: kernel as Partial<Host> as Host,
    targets: [{ name: 'multinic0', mac: MAC, up: true, mtu: 1500, addresses: [VIP, NEW], dropped: [] }],
    change: (step) => kernel.change(step),
    renamed: () => {
      kernel.link = { ...kernel.link, addresses: [...kernel.link.addresses, OLD], loaded: [OLD] };
      return Promise.resolve();
    },
    giveBack: () => Promise.resolve(),
  });
  expect(kernel.link).toMatchObject({ name: 'multinic0', addresses: [VIP, NEW] });
});
