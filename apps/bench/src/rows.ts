/** Every row of the table, in its order. */
import type { Row, WholeRow } from './row.ts';
import { faultRows } from './rows/faults.ts';
import { formatRows } from './rows/formats.ts';
import { lockRows } from './rows/locks.ts';
import { machineRows } from './rows/machines.ts';
import { mapRows } from './rows/maps.ts';
import { odirectRows } from './rows/odirect.ts';
import { physRows } from './rows/phys.ts';
import { pinRows } from './rows/pins.ts';
import { rangeRows } from './rows/ranges.ts';

export const rows: readonly (Row | WholeRow)[] = [
  ...pinRows,
  ...faultRows,
  ...mapRows,
  ...rangeRows,
  ...lockRows,
  ...formatRows,
  ...physRows,
  ...machineRows,
  ...odirectRows,
];
