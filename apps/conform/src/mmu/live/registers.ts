/** Modes and probes as the guest wants them: control registers and flag words. */
import type { Arch, Arm64Mode, Mode, Probe, X86Mode } from '../format.ts';

/** CR0: PG, NE, ET, PE. */
const CR0_FIXED = 0x8000_0031n;
const CR0_WP = 1n << 16n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const CR4_SMEP = 1n << 20n;
const CR4_SMAP = 1n << 21n;
const CR4_PKE = 1n << 22n;
/** EFER: LMA, LME. */
const EFER_FIXED = 0x500n;
const EFER_NXE = 1n << 11n;

/** TCR_EL1.TG0 by granule. */
const TG0: Readonly<Record<number, bigint>> = { 4096: 0n, 16384: 2n, 65536: 1n };
const TCR_EPD0 = 1n << 7n;
const TCR_TG0_SHIFT = 14n;
const TCR_IPS_SHIFT = 32n;
const TCR_TBI0 = 1n << 37n;
const TCR_HA = 1n << 39n;
const TCR_HD = 1n << 40n;
const TCR_HPD0 = 1n << 41n;
const TCR_E0PD0 = 1n << 55n;
const TCR_DS = 1n << 59n;

/** Access in bits 1:0, then who, then the flag. */
const ACCESS = { r: 0n, w: 1n, x: 2n };
const PROBE_USER = 4n;
const PROBE_OVERRIDE = 8n;

/** x86-64: CR0, CR4, EFER, PKRU. arm64: the part of TCR_EL1 that governs TTBR0, and zeros. */
export function registersOf(arch: Arch, mode: Mode): readonly [bigint, bigint, bigint, bigint] {
  return arch === 'x86_64' ? x86Registers(mode as X86Mode) : [tcr(mode as Arm64Mode), 0n, 0n, 0n];
}

function x86Registers({ la57, nxe, wp, smep, smap, pke, pkru }: X86Mode): [bigint, bigint, bigint, bigint] {
  const cr4 = CR4_PAE | bit(la57, CR4_LA57) | bit(smep, CR4_SMEP) | bit(smap, CR4_SMAP) | bit(pke, CR4_PKE);
  return [CR0_FIXED | bit(wp, CR0_WP), cr4, EFER_FIXED | bit(nxe, EFER_NXE), BigInt(pkru ?? 0)];
}

function tcr({ granule, t0sz, ha, hd, ips, tbi, hpd, e0pd, epd0, ds }: Arm64Mode): bigint {
  const fields = BigInt(t0sz) | (TG0[granule]! << TCR_TG0_SHIFT) | (BigInt(ips) << TCR_IPS_SHIFT);
  const walk = bit(epd0, TCR_EPD0) | bit(tbi === 1, TCR_TBI0) | bit(hpd, TCR_HPD0) | bit(e0pd, TCR_E0PD0);
  return fields | walk | bit(ha, TCR_HA) | bit(hd, TCR_HD) | bit(ds, TCR_DS);
}

/** The kind of a probe. */
export function kindOf([, access, who, flags]: Probe): bigint {
  return ACCESS[access] | bit(who === 'u', PROBE_USER) | bit(flags?.ac === 1 || flags?.pan === 1, PROBE_OVERRIDE);
}

function bit(on: boolean, value: bigint): bigint {
  return on ? value : 0n;
}
