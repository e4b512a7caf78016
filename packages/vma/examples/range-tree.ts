import { closeRangeView, createRangeTree, findPlace, findRange, insertRange } from '@mmkit/vma';
import { openRangeView, rangesIn, replaceRanges } from '@mmkit/vma';

const tree = createRangeTree<string>();
insertRange(tree, 10, 90, 'whole');

// A reader begins; then the middle is cut out, in one change.
const view = openRangeView(tree);
replaceRanges(tree, 10, 90, [
  { start: 10, end: 40, value: 'below' },
  { start: 60, end: 90, value: 'above' },
]);

console.log(rangesIn(tree, 0, 100), findRange(view, 50)); // below and above; whole
closeRangeView(view); // the nodes only it could see are free

// 16 free numbers from a multiple of 4, as high as possible below 60.
if (findPlace(tree, 16, 0, 60, { align: 4, topDown: true }) !== 44) throw new Error('44 to 59 are free');
