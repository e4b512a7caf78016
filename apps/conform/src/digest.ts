/** The short form of a byte string in outputs: DIGEST of the trace format. */

/** FNV-1a, 32 bits, of `bytes`. */
export function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/** '' for no byte; two hex digits when all are equal; hex of up to 16 bytes; else `#` and the FNV-1a. */
export function digest(bytes: Uint8Array): string {
  if (bytes.length === 0) return '';
  const first = bytes[0]!;
  if (bytes.every((byte) => byte === first)) return hex(first, 2);
  if (bytes.length <= 16) return Array.from(bytes, (byte) => hex(byte, 2)).join('');
  return `#${hex(fnv1a(bytes), 8)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
