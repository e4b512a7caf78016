/** What a zap leaves alone (Linux: struct zap_details). */

/** Private copies: only pages of the file itself go (even_cows not set; hole punching). */
export const ZAP_KEEP_COWS = 0x1;
/** Guard markers, which only unmapping takes away (ZAP_FLAG_DROP_MARKER not set; MADV_DONTNEED, truncation). */
export const ZAP_KEEP_MARKERS = 0x2;

/** The range lies in a VMA that is mlocked: its pages are mlocked once less each. */
export const ZAP_MLOCKED = 0x4;
/** A leaf table that is wholly inside the range and empty afterwards is freed (zap_details.reclaim_pt, 6.14). */
export const ZAP_RECLAIM_TABLES = 0x8;
