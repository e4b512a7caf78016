/** Bytes as the story writes them: letters, and a `0` for a zero byte. */

export function bytesOf(letters: string): Uint8Array {
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

export function lettersOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte === 0 ? '0' : String.fromCharCode(byte))).join('');
}
