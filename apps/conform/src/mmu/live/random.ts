/** Reproducible choices: xoshiro128** of Blackman and Vigna, its state from splitmix32. */

export class Random {
  /** The generator's state; not all zero. */
  readonly state: Uint32Array;

  /** `seed`: any integers; the same ones give the same choices. */
  constructor(...seed: readonly number[]) {
    this.state = new Uint32Array(4);
    let x = 0;
    for (const part of seed) x = splitmix(x ^ (part | 0) ^ Math.floor(part / 2 ** 32));
    for (let i = 0; i < 4; i++) this.state[i] = splitmix((x += 0x9e37_79b9));
  }

  /** 32 bits. */
  word(): number {
    const s = this.state;
    const [s0, s1, s2, s3] = s as unknown as [number, number, number, number];
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    s[2] = s2 ^ s0;
    s[3] = s3 ^ s1;
    s[1] = s1 ^ s[2];
    s[0] = s0 ^ s[3];
    s[2] ^= s1 << 9;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** An integer from 0 to `end` - 1; `end` is 2^32 at most. */
  below(end: number): number {
    return Math.floor((this.word() / 2 ** 32) * end);
  }

  /** From `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True in `percent` of 100. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** `count` random bits, 64 at most. */
  bits(count: number): bigint {
    return BigInt.asUintN(count, (BigInt(this.word()) << 32n) | BigInt(this.word()));
  }

  /** Bits `low` to `high` of a word, each set in `percent` of 100. */
  noise(low: number, high: number, percent: number): bigint {
    let bits = 0n;
    for (let i = low; i <= high; i++) if (this.chance(percent)) bits |= 1n << BigInt(i);
    return bits;
  }
}

function splitmix(seed: number): number {
  let z = (seed + 0x9e37_79b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}
