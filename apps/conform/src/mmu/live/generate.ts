/** Random cases, each from its seed and number alone. */
import type { Case } from '../format.ts';
import { hexText } from '../image.ts';
import { arm64Machine, randomArm64Mode } from './aarch64.ts';
import type { LiveArch } from './qemu.ts';
import { Random } from './random.ts';
import { Tree } from './tree.ts';
import { randomX86Mode, x86Machine } from './x86_64.ts';

/** Case `index` of `seed`. */
export function generateCase(arch: LiveArch, seed: number, index: number): Case {
  const random = new Random(seed, index);
  const id = `${arch}-${seed}-${index}`;
  if (arch === 'x86_64') {
    const mode = randomX86Mode(random);
    return { id, mode, ...content(random, new Tree(random, x86Machine(random, mode))) };
  }
  const mode = randomArm64Mode(random);
  return { id, mode, ...content(random, new Tree(random, arm64Machine(random, mode))) };
}

function content(random: Random, tree: Tree): Pick<Case, 'root' | 'mem' | 'probes'> {
  const paths = random.between(3, 9);
  for (let i = 0; i < paths; i++) tree.addPath();
  const probes = Array.from({ length: random.between(40, 100) }, () => tree.probe());
  return { root: hexText(tree.root.address | tree.machine.rootFlags), mem: tree.mem(), probes };
}
