// One colour per service, the same on every view and in the terminal. The name always stands beside it.

/** The lab's own services keep theirs (`--service-0` to `--service-3` of the theme). */
const KNOWN = new Map([
  ["user", 0],
  ["order", 1],
  ["report", 2],
  ["demo", 3],
  ["cli", 3],
]);
/** All others share the rest, by the CRC-32 of their names, as the terminal does. */
const OTHERS = [4, 5, 6, 7, 8, 9];

const classes = new Map();

/** The class that gives an element `--service`, the colour of the service called `name`. */
export function serviceClass(name) {
  let found = classes.get(name);
  if (!found) {
    found = `service-${KNOWN.get(name) ?? OTHERS[crc32(name) % OTHERS.length]}`;
    classes.set(name, found);
  }
  return found;
}

function crc32(text) {
  let value = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return (value ^ 0xffffffff) >>> 0;
}
