// Remembers what was made from objects that never change. Where all inputs are the same objects as before, the value is
// the one of before: so a pass pays for the nodes that changed, and the objects that come out stay the same as well.

interface Known<Value> {
  readonly inputs: readonly unknown[];
  readonly value: Value;
}

/** Values by the object that they were made of. A value lives as long as that object. */
export class Derived<Key extends object, Value> {
  readonly #known = new WeakMap<Key, Known<Value>>();

  /** @param inputs everything that `make` reads besides the key: objects that never change, or plain values */
  of(key: Key, inputs: readonly unknown[], make: () => Value): Value {
    const known = this.#known.get(key);
    if (known !== undefined && areSame(known.inputs, inputs)) return known.value;
    const value = make();
    this.#known.set(key, { inputs, value });
    return value;
  }
}

/** Whether two lists have the same objects and plain values. */
export function areSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
}
