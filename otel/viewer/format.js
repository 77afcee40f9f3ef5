// Numbers, times and foreign text as a person reads them. Absolute times are nanoseconds in BigInt or text, never numbers.

const UNITS = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];

/** Control characters, line ends included, that would be invisible or act on a terminal. */
const CONTROLS = /[\u0000-\u001f\u007f]/g;

const ESCAPES = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/** Characters that turn the direction of the text around them, or that have no width. */
const INVISIBLES = /[\u0080-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The unit that fits `ns` nanoseconds, as `[nanoseconds in it, name]`. */
export function unitFor(ns) {
  return UNITS.find(([size]) => Math.abs(ns) >= size) ?? UNITS.at(-1);
}

/** A length of `ns` nanoseconds (a number, or text of digits) in three digits: `14.2 ms`. A minute and more: `2 min 5 s`. */
export function duration(ns, unit = undefined) {
  const value = Number(ns);
  if (!unit && Math.abs(value) >= 60e9) return minutes(value);
  // What rounds up to a thousand belongs to the next unit.
  const [size, name] = unit ?? unitFor(Math.abs(value) >= 999.5 ? Number(value.toPrecision(3)) : value);
  return `${digits(value / size)} ${name}`;
}

/** A difference with its sign: `+1.20 ms`, `−3 ms`, `0 ns`. */
export function difference(ns, unit = undefined) {
  const value = Number(ns);
  if (value === 0) return unit ? `0 ${unit[1]}` : "0";
  return `${value > 0 ? "+" : "−"}${duration(Math.abs(value), unit)}`;
}

/** How long after the trace's start something happened: `+1.31 ms`. A clock that runs behind may give `−20.0 µs`. */
export function offset(ns) {
  return ns === 0 ? "+0" : difference(ns);
}

/** A number in three digits, never in powers of ten. */
export function digits(value) {
  // Rounded first, so that 9.999 reads 10.0 and not 10.00.
  const size = Math.abs(Number(value.toPrecision(3)));
  if (size === 0) return "0";
  if (size >= 100) return String(Math.round(value));
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 0.01 ? 2 : 3);
}

/** A count with its noun: `1 span`, `12 spans`. */
export function count(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** A whole number with thin spaces between thousands. */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A share of 0 to 1 in per cent, with no false zeros: `0.4 %`, `12 %`. */
export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.1) return "< 0.1 %";
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** The clock time of `unixNano` (text or BigInt) where the reader is, to the millisecond. */
export function clock(unixNano) {
  const time = moment(unixNano);
  const two = (number) => String(number).padStart(2, "0");
  const millis = String(time.getMilliseconds()).padStart(3, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${millis}`;
}

/** The day of `unixNano`: `23 Nov 2026`. */
export function day(unixNano) {
  return moment(unixNano).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

/** Day and clock time, the day left out when it is today. */
export function when(unixNano) {
  const today = day(BigInt(Date.now()) * 1_000_000n) === day(unixNano);
  return today ? clock(unixNano) : `${day(unixNano)} ${clock(unixNano)}`;
}

/** RFC 3339 with all nanoseconds. */
export function rfc3339(unixNano) {
  const value = BigInt(unixNano);
  const seconds = new Date(Number(value / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(value % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** RFC 3339 of a moment in milliseconds since the epoch. */
export function rfc3339OfMillis(millis) {
  return new Date(millis).toISOString();
}

/**
 * Foreign text made visible: control characters are written out (`\x1b`, `\n`), what turns the direction of text or has no
 * width is named, and what is longer than `most` characters ends in `…`.
 */
export function plain(text, most = 300) {
  const all = String(text);
  const shown = (all.length > most ? all.slice(0, most) : all)
    .replace(
      CONTROLS,
      (character) => ESCAPES.get(character) ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
    )
    .replace(INVISIBLES, (character) => `⟨U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  return shown.length > most || all.length > most ? `${shown.slice(0, most)}…` : shown;
}

/** The same, but line ends and tabs stay: for places that show text as it was written. */
export function plainLines(text, most = 20_000) {
  return (
    String(text)
      .slice(0, most)
      .split(/\r?\n/)
      .map((line) =>
        line
          .split("\t")
          .map((part) => plain(part, most))
          .join("\t"),
      )
      .join("\n") + (String(text).length > most ? "…" : "")
  );
}

/** An attribute's value as one line of text. */
export function valueText(value) {
  if (typeof value === "string") return value;
  return JSON.stringify(value) ?? "";
}

/** `tracelab.user.v1.UserService/GetUser` as screens show it: `UserService/GetUser`. */
export function shortOperation(name) {
  const match = /^(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*\/[A-Za-z_]\w*)$/.exec(name);
  return match ? match[1] : name;
}

function moment(unixNano) {
  return new Date(Number(BigInt(unixNano) / 1_000_000n));
}

function minutes(ns) {
  const seconds = Math.round(ns / 1e9);
  const rest = seconds % 60;
  return `${Math.trunc(seconds / 60)} min${rest ? ` ${Math.abs(rest)} s` : ""}`;
}
