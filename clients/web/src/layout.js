/**
 * Where the pictures go on the stage: pure geometry, in CSS pixels.
 */

/** @typedef {{left: number, top: number, width: number, height: number}} Rect */
/** @typedef {{seat: number, source: string, screen: boolean}} Tile */

const GAP_PX = 10;
const ASPECT = 16 / 9;
/** A portrait tile narrower than this would cut too much off a landscape picture. */
const NARROWEST = 3 / 4;
const NARROWEST_ALONE = 0.5;
/** A tile wider than this would cut heads off; one picture alone may be a little wider. */
const WIDEST = 2;
const WIDEST_ALONE = 2.2;
/** A picture whose shape differs more than this from its tile is shown whole. */
const CROP_LIMIT = 3.6;
/** The strip of small pictures beside a large one. */
const STRIP_SHARE = 0.18;
const STRIP_MIN_PX = 96;

/**
 * Which picture is shown large: what the person pinned, else a shared screen, else none.
 *
 * @param {readonly Tile[]} tiles
 * @param {string | null} pinned source
 * @returns {number} index in `tiles`, -1 for none
 */
export function largeTile(tiles, pinned) {
  if (tiles.length < 2) return -1;
  const chosen = tiles.findIndex((tile) => tile.source === pinned);
  return chosen >= 0 ? chosen : tiles.findIndex((tile) => tile.screen);
}

/**
 * @param {number} count of tiles
 * @param {number} large index of the large one, -1 when all are alike
 * @param {number} width of the stage
 * @param {number} height of the stage
 * @returns {Rect[]} one for each tile
 */
export function arrange(count, large, width, height) {
  if (count === 0) return [];
  return large < 0 ? grid(count, width, height) : besideLarge(count, large, width, height);
}

/**
 * How many columns show `count` pictures largest.
 *
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @returns {number} at least 1
 */
export function columnsFor(count, width, height) {
  let best = 1;
  let largest = 0;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const picture = Math.min(width / columns, (height / rows) * ASPECT);
    if (picture > largest + 0.5) {
      largest = picture;
      best = columns;
    }
  }
  return best;
}

/**
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @returns {Rect[]}
 */
function grid(count, width, height) {
  const columns = columnsFor(count, width, height);
  const rows = Math.ceil(count / columns);
  const full_width = (width - GAP_PX * (columns - 1)) / columns;
  const full_height = (height - GAP_PX * (rows - 1)) / rows;
  const alone = count === 1;
  const cell_height = Math.min(full_height, full_width / (alone ? NARROWEST_ALONE : NARROWEST));
  const cell_width = Math.min(full_width, cell_height * (alone ? WIDEST_ALONE : WIDEST));
  const top = (height - rows * cell_height - GAP_PX * (rows - 1)) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const in_row = row === rows - 1 ? count - row * columns : columns;
    const left = (width - in_row * cell_width - GAP_PX * (in_row - 1)) / 2;
    return {
      left: left + (index % columns) * (cell_width + GAP_PX),
      top: top + row * (cell_height + GAP_PX),
      width: cell_width,
      height: cell_height,
    };
  });
}

/**
 * @param {number} count
 * @param {number} large
 * @param {number} width
 * @param {number} height
 * @returns {Rect[]}
 */
function besideLarge(count, large, width, height) {
  const small = count - 1;
  const upright = height > width;
  const along = upright ? width : height;
  const across = upright ? height : width;
  const strip = Math.max(STRIP_MIN_PX, across * STRIP_SHARE);
  const natural = upright ? strip * ASPECT : strip / ASPECT;
  const length = Math.min(natural, (along - GAP_PX * (small - 1)) / small);
  const main = across - strip - GAP_PX;
  const start = (along - small * length - GAP_PX * (small - 1)) / 2;
  let placed = 0;
  return Array.from({ length: count }, (_, index) => {
    if (index === large) return turned(upright, 0, 0, along, main);
    const at = start + placed * (length + GAP_PX);
    placed += 1;
    return turned(upright, at, main + GAP_PX, length, strip);
  });
}

/**
 * @param {boolean} upright
 * @param {number} along position along the strip
 * @param {number} across position across it
 * @param {number} length
 * @param {number} depth
 * @returns {Rect}
 */
function turned(upright, along, across, length, depth) {
  return upright
    ? { left: along, top: across, width: length, height: depth }
    : { left: across, top: along, width: depth, height: length };
}

/**
 * How tall the whole picture is drawn, with what is cropped of it: what its source need not exceed.
 *
 * @param {{width: number, height: number}} tile
 * @param {number} picture width / height; NaN before the first frame
 * @param {'cover' | 'contain'} how
 * @returns {number} in the tile's unit
 */
export function drawnHeight({ width, height }, picture, how) {
  if (Number.isNaN(picture)) return height;
  const across = width / picture;
  return how === 'cover' ? Math.max(height, across) : Math.min(height, across);
}

/**
 * Whether a picture may be cropped to fill its tile.
 *
 * @param {number} tile width / height
 * @param {number} picture width / height; NaN before the first frame
 * @returns {'cover' | 'contain'}
 */
export function fit(tile, picture) {
  const difference = Math.max(tile / picture, picture / tile);
  return difference > CROP_LIMIT ? 'contain' : 'cover';
}
