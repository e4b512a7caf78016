/** File seals (fcntl(2), "File Sealing"): F_SEAL_* by Linux's values. Adding them: add-seals.co.ts. */

/** No seals can be added any more. */
export const F_SEAL_SEAL = 0x1;
/** The file cannot shrink. */
export const F_SEAL_SHRINK = 0x2;
/** The file cannot grow. */
export const F_SEAL_GROW = 0x4;
/** The contents cannot change. */
export const F_SEAL_WRITE = 0x8;
/** The contents cannot change but through mappings that are there already. */
export const F_SEAL_FUTURE_WRITE = 0x10;
/** The file cannot be made executable. */
export const F_SEAL_EXEC = 0x20;
/** Every seal. */
export const F_ALL_SEALS = 0x3f;
