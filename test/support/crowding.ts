/**
 * Measures how many times slower work is here than on an idle machine, from the wall time and the CPU time of a short
 * loop.
 */
export function crowding(): number {
  const began = performance.now();
  const before = process.cpuUsage();
  const milliseconds = (): number => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  while (milliseconds() < 100);
  return Math.max(1, (performance.now() - began) / milliseconds());
}
