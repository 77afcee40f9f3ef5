// Calls over time, from the backend's metrics: a card per method, its heat map, and where a cell leads to. No DOM.

export const METHOD = "rpc.method";
export const STATUS = "rpc.response.status_code";
/** What the page shows, by the side that measured; durations are in seconds. */
export const SIDES = { served: "rpc.server.call.duration", made: "rpc.client.call.duration" };
/** What gRPC's core names a method by, and what it counts, where a process records that. */
export const CORE_METHOD = "grpc.method";
export const ATTEMPTS = "grpc.client.attempt.started";
/** What each side sends: bytes on the wire as core counts them, and bytes of messages before compression. */
export const SENT = {
  served: {
    wire: "grpc.server.call.sent_total_compressed_message_size",
    messages: "tracelab.rpc.server.sent_message_size",
  },
  made: {
    wire: "grpc.client.attempt.sent_total_compressed_message_size",
    messages: "tracelab.rpc.client.sent_message_size",
  },
};
/** So many steps the time is cut into. */
const STEPS = 60;
/** As often as the processes that lab starts send metrics: in less there is nothing to see. */
const LEAST_STEP_S = 10;
const NS_PER_S = 1e9;
/** Fewer rows would make a cell a tower. */
const LEAST_ROWS = 5;

/** The step in whole seconds for a time of `lookbackMs`. */
export function stepSeconds(lookbackMs) {
  return Math.max(LEAST_STEP_S, Math.ceil(lookbackMs / 1000 / STEPS));
}

/**
 * Join the backend's answers into cards, the method with most calls first. `rates` is by method and status; `heat`, `p50` and
 * `p95` (a value a step), `wholeP50` and `wholeP95` (one value) are by method. Values are null where nothing tells them.
 * `core` is what `readCore` gives of gRPC's own counts.
 */
export function readCards({ rates, heat, p50, p95, wholeP50, wholeP95, core = new Map() }) {
  const startsMs = heat.times.map((time) => Date.parse(time));
  const cards = heat.series.map((series) => {
    const method = series.attributes[METHOD];
    const mine = (answer) => answer.series.filter((one) => one.attributes[METHOD] === method);
    const one = (answer) => mine(answer)[0]?.values ?? [];
    const all = added(mine(rates), startsMs.length);
    const failed = added(
      mine(rates).filter((line) => !["", "OK"].includes(line.attributes[STATUS])),
      startsMs.length,
    );
    const map = heatMap(series, heat.bounds, startsMs, heat.stepS * 1000);
    const seconds = all.filter((value) => value !== null).length * heat.stepS;
    const count = total(all) * heat.stepS;
    return {
      method,
      stepMs: heat.stepS * 1000,
      startsMs,
      bounds: heat.bounds,
      rates: all,
      failed,
      count,
      rate: seconds ? count / seconds : 0,
      errors: count ? (total(failed) * heat.stepS) / count : 0,
      p50: one(wholeP50)[0] ?? null,
      p95: one(wholeP95)[0] ?? null,
      p50s: one(p50),
      p95s: one(p95),
      ...map,
      slowest: slowest(series.exemplars),
      core: core.get(method) ?? null,
    };
  });
  return cards.filter((card) => card.count > 0).sort((a, b) => b.count - a.count || (a.method < b.method ? -1 : 1));
}

/**
 * Join what gRPC's core counted over the whole time, by method: `attempts` of `calls`, `wireBytes` for `messageBytes`. Each
 * answer has one value a method, or is null where that metric is not stored; so is what it tells.
 */
export function readCore({ attempts, calls, wire, messages }) {
  const found = new Map();
  const take = (answer, name, key, round) => {
    for (const series of answer?.series ?? []) {
      const value = series.values[0] ?? null;
      const method = series.attributes[key];
      if (value === null || !method) continue;
      if (!found.has(method)) found.set(method, { attempts: null, calls: null, wireBytes: null, messageBytes: null });
      found.get(method)[name] = Math.round(round ? value * answer.stepS : value);
    }
  };
  take(attempts, "attempts", CORE_METHOD, false);
  take(calls, "calls", METHOD, true);
  take(wire, "wireBytes", CORE_METHOD, false);
  take(messages, "messageBytes", METHOD, false);
  return found;
}

/** From where to where the bucket `row` goes, in seconds; null where it has no end. */
export function bucketOf(bounds, row) {
  return { low: row ? bounds[row - 1] : 0, high: row < bounds.length ? bounds[row] : null };
}

/** Where a length of `seconds` lies in the drawn rows, 0 at the bottom, 1 at the top; inside its bucket evenly. */
export function heightOf(card, seconds) {
  if (seconds === null || seconds === undefined) return null;
  const row = rowOf(card.bounds, seconds);
  const { low, high } = bucketOf(card.bounds, row);
  const inside = high === null ? 0.5 : (seconds - low) / (high - low);
  const at = (row - card.firstRow + inside) / (card.lastRow - card.firstRow + 1);
  return Math.min(1, Math.max(0, at));
}

/** The search of the calls that began in the columns `from` to `to`, both included; with `row`, that took so long. */
export function searchOf(card, from, to, row = null) {
  const { low, high } = row === null ? { low: 0, high: null } : bucketOf(card.bounds, row);
  // A call is counted when it ends, a trace is found by when it began.
  const earlier = Math.ceil((high ?? low) * 1000);
  return {
    operation: card.method,
    start: String((card.startsMs[from] - earlier) * 1000),
    end: String((card.startsMs[to] + card.stepMs) * 1000),
    minDuration: low > 0 ? lengthText(low) : "",
    maxDuration: high === null ? "" : lengthText(high),
  };
}

/** The cell that the arrow `key` leads to from `cell`: the nearest with calls in that direction, or `cell` itself. */
export function neighbour(cells, cell, key) {
  const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
  if (!along) return cell;
  const distance = (other) => {
    const [x, y] = [(other.column - cell.column) * along[0], (other.row - cell.row) * along[1]];
    const ahead = along[0] ? x : y;
    const aside = along[0] ? Math.abs(other.row - cell.row) : Math.abs(other.column - cell.column);
    return ahead > 0 ? ahead + aside * 100 : Infinity;
  };
  const nearest = cells.reduce((best, other) => (distance(other) < distance(best) ? other : best), cell);
  return distance(nearest) === Infinity ? cell : nearest;
}

/** Nanoseconds of a length in seconds, for words. */
export function nanoseconds(seconds) {
  return seconds * NS_PER_S;
}

function heatMap(series, bounds, startsMs, stepMs) {
  const cells = [];
  for (const [column, counts] of series.values.entries())
    for (const [row, count] of (counts ?? []).entries()) if (count > 1e-9) cells.push({ column, row, count, exemplar: null });
  const at = new Map(cells.map((cell) => [`${cell.column} ${cell.row}`, cell]));
  for (const exemplar of series.exemplars) {
    // A moment that ends a step belongs to it, as in the backend.
    const column = Math.ceil((Date.parse(exemplar.time) - startsMs[0]) / stepMs) - 1;
    const cell = at.get(`${Math.max(0, column)} ${rowOf(bounds, exemplar.value)}`);
    if (cell && (!cell.exemplar || exemplar.value > cell.exemplar.value)) cell.exemplar = exemplar;
  }
  const rows = cells.map((cell) => cell.row);
  const [lowest, highest] = [Math.min(...rows, bounds.length), Math.max(...rows, 0)];
  const room = Math.max(0, Math.ceil((LEAST_ROWS - 1 - (highest - lowest)) / 2));
  return {
    cells,
    firstRow: Math.max(0, lowest - room),
    lastRow: Math.min(bounds.length, highest + room),
    most: Math.max(...cells.map((cell) => cell.count), 0),
  };
}

function rowOf(bounds, seconds) {
  const row = bounds.findIndex((bound) => seconds <= bound);
  return row < 0 ? bounds.length : row;
}

/** The exemplars that took longest, one of each trace. */
function slowest(exemplars) {
  const byLength = [...exemplars].sort((a, b) => b.value - a.value);
  return byLength.filter((one, index) => byLength.findIndex((other) => other.traceId === one.traceId) === index).slice(0, 3);
}

function added(lines, length) {
  return Array.from({ length }, (_, step) => {
    const known = lines.map((line) => line.values[step]).filter((value) => value !== null && value !== undefined);
    return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
  });
}

function total(values) {
  return values.reduce((sum, value) => sum + (value ?? 0), 0);
}

function lengthText(seconds) {
  return `${Number((seconds * 1000).toPrecision(9))}ms`;
}
