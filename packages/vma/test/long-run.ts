/**
 * The random operations of property.test.ts, as many as one likes: `node --conditions=@mmkit/source long-run.ts
 * [operations] [seed]`, ten million with seed 1 unless told. Prints count and time; throws at the first answer that is
 * not the sorted array's, naming round and operation.
 */
import { closeRangeView } from '../src/index.ts';
import { OPS, checkWorld, makeWorld, step } from './steps.ts';

const total = Number(process.argv[2] ?? 10_000_000);
let state = Number(process.argv[3] ?? 1) >>> 0;

/** An integer from 0 to n − 1 (mulberry32). */
function random(n: number): number {
  state = (state + 0x6d2b_79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * n);
}

const start = process.hrtime.bigint();
let done = 0;
let opened = 0;
let most = 0;
let highest = 0;
for (let round = 0; done < total; round++) {
  const world = makeWorld();
  // Some rounds on few numbers, some on many; and phases that favour inserts, erases, or nothing.
  const span = [60, 300, 3000, 20_000][round % 4]!;
  const length = Math.min(1 + random(40_000), total - done);
  for (let i = 0; i < length; i++) {
    const favoured = [0, 2, -1][Math.floor(i / 4000) % 3]!;
    const op = favoured >= 0 && random(4) > 0 ? favoured : random(OPS);
    const one = { op, x: random(span), length: 1 + random(8), pick: random(0x1_0000) };
    try {
      step(world, one, i);
      if (i % 5000 === 0) checkWorld(world);
    } catch (error) {
      console.log(`round ${round}, operation ${i}`, one);
      throw error;
    }
    if (world.tree.height > highest) highest = world.tree.height;
  }
  checkWorld(world);
  for (const { view } of world.views) closeRangeView(view);
  checkWorld({ ...world, views: [] });
  done += length;
  opened += world.opened;
  most = Math.max(most, world.most);
}
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
console.log(
  `${done} operations, ${opened} views opened, at most ${most} ranges, ${highest + 1} levels: ${seconds.toFixed(1)} s`,
);
