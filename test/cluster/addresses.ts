// The addresses of a cluster: separate ranges for nodes, services and pods, all inside the /16 of its lab.
import type { Slot } from '../nodes/slot.ts';

export class Addresses {
  readonly #slot: Slot;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  /** The switch's own address, where the control plane listens. */
  get controlPlane(): string {
    return this.#slot.address('0.1');
  }

  get server(): string {
    return `https://${this.controlPlane}:6443`;
  }

  get etcd(): string {
    return `http://${this.controlPlane}:2379`;
  }

  get services(): string {
    return this.#slot.address('64.0/20');
  }

  /** The Service "kubernetes" is always the first of the range. */
  get kubernetesService(): string {
    return this.#slot.address('64.1');
  }

  get pods(): string {
    return this.#slot.address('128.0/17');
  }

  /** @param node from 1 on */
  podsOf(node: number): string {
    return this.#slot.address(`${128 + node}.0/24`);
  }
}
