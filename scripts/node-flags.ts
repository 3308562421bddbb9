// The controller of a large fleet has 50 MB of live data, and V8 by default lets three times as much garbage pile up. A
// small young generation, and an old one that grows by a third at most, keep a fleet of 5,000 nodes below 250 MB, and
// cost no time that bench/mirror.ts can measure.
export const NODE_FLAGS = ['--max-semi-space-size=8', '--heap-growing-percent=30'];
