import { describe, expect, test } from 'vitest';
import { ByteBudget } from './byte-budget.ts';

describe('bytes of request bodies', () => {
  test('fit up to the budget, and not one more', () => {
    const budget = new ByteBudget(10, 6);
    const [a, b] = [budget.account('a'), budget.account('b')];
    a.take(6);
    b.take(4);
    expect(() => b.take(1)).toThrow(expect.objectContaining({ code: 'Busy' }));
    expect(budget.used).toBe(10);
    a.close();
    b.take(1);
    expect(budget.used).toBe(5);
  });

  test('of one caller take its share, however many requests it has', () => {
    const budget = new ByteBudget(10, 6);
    const [one, two] = [budget.account('a'), budget.account('a')];
    one.take(4);
    two.take(2);
    expect(() => two.take(1)).toThrow(expect.objectContaining({ code: 'Busy' }));
    budget.account('b').take(4);
    one.close();
    // Closing twice gives nothing back twice.
    one.close();
    expect(budget.used).toBe(6);
    two.take(4);
  });
});
