/** How many times longer work takes here than on a machine of its own: a moment of it, by the time that it had a CPU. */
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
