// What a search asks, what it found and where the points of its scatter lie. No DOM.

import { isDuration, lookbackWords } from "./address.js";
import { count, duration, shortOperation } from "./format.js";

/** Read a trace summary of the query API; a missing count is 0. */
export function readSummary(summary) {
  const start = BigInt(summary.minStartTimeUnixNano ?? 0);
  const end = BigInt(summary.maxEndTimeUnixNano ?? 0);
  return {
    id: summary.traceId,
    service: summary.rootServiceName ?? "",
    operation: shortOperation(summary.rootOperationName ?? ""),
    start,
    startMs: Number(start / 1_000_000n),
    // A start of 0 was never set: nothing is known of how long it took.
    duration: start ? Number(end - start) : 0,
    spans: summary.spanCount ?? 0,
    errors: summary.errorSpanCount ?? 0,
    orphans: summary.orphanSpanCount ?? 0,
    services: (summary.services ?? []).map((service) => ({
      name: service.name,
      spans: service.spanCount ?? 0,
      errors: service.errorSpanCount ?? 0,
    })),
  };
}

/** Newest first; of equal starts the smaller id. */
export function newestFirst(summaries) {
  return [...summaries].sort((a, b) => (a.start === b.start ? (a.id < b.id ? -1 : 1) : a.start > b.start ? -1 : 1));
}

/** What a search means, as a sentence: `Traces of order that failed, longer than 100ms, in the last hour`. */
export function explain(search) {
  const tags = Object.entries(search.tags).filter(([key]) => key !== "error");
  const parts = [
    search.service ? `Traces with a span of ${search.service}` : "Traces of all services",
    search.operation && `called ${shortOperation(search.operation)}`,
    search.tags.error === "true" && "that failed",
    search.tags.error === "false" && "that did not fail",
    search.minDuration && `of at least ${search.minDuration}`,
    search.maxDuration && `of at most ${search.maxDuration}`,
    tags.length > 0 && `with ${tags.map(([key, value]) => `${key} = ${value}`).join(" and ")}`,
  ].filter(Boolean);
  const time = search.start && search.end ? "in the chosen time" : `in the ${lookbackWords(search.lookback)}`;
  const oneSpan = parts.length > 2 || (parts.length > 1 && search.service) ? " (all of it true of one span)" : "";
  return `${parts.join(" ")}, ${time}${oneSpan}`;
}

/** Read `key=value` pairs apart by spaces, values quoted where they have spaces: `{tags}` or `{problem}`. */
export function readTags(text) {
  const tags = {};
  const pattern = /\s*([^\s=]+)=("((?:[^"\\]|\\.)*)"|\S*)(?=\s|$)/y;
  let at = 0;
  while (text.slice(at).trim()) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) return { problem: `'${text.slice(at).trim()}' is not key=value` };
    tags[match[1]] = match[3] === undefined ? match[2] : match[3].replace(/\\(.)/g, "$1");
    at = pattern.lastIndex;
  }
  return { tags };
}

/** The pairs as text that `readTags` reads back. */
export function tagsText(tags) {
  return Object.entries(tags)
    .map(
      ([key, value]) =>
        `${key}=${/[\s"\\]/.test(value) || value === "" ? `"${value.replace(/["\\]/g, "\\$&")}"` : value}`,
    )
    .join(" ");
}

/** Why a length of time can't be asked for, or "". */
export function durationProblem(text) {
  return !text || isDuration(text) ? "" : `'${text}' is not a length of time such as 250us, 1.5s or 1m30s`;
}

/** What was found, as a sentence. */
export function foundWords(found, limit) {
  if (!found.length) return "no trace";
  const errors = found.filter((trace) => trace.errors > 0).length;
  return `${count(found.length, "trace")}${errors ? `, ${errors} with errors` : ""}${found.length >= limit ? " (the limit: more may match)" : ""}`;
}

/**
 * Where each trace lies in the scatter, in shares from the left and from the bottom; duration on a log scale.
 * `period` is `{fromMs, toMs}`. The answer has `points` (`{trace, x, y}`), `xTicks` and `yTicks` (`{at, text}`).
 */
export function scatter(found, period) {
  const durations = found.map((trace) => Math.max(trace.duration, 1000));
  const low = 10 ** Math.floor(Math.log10(Math.min(...durations, 1e6)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...durations, low * 10) * 1.01));
  const scale = (value) => (Math.log10(value) - Math.log10(low)) / (Math.log10(high) - Math.log10(low));
  const width = Math.max(period.toMs - period.fromMs, 1);
  const yTicks = [];
  for (let value = low; value <= high * 1.001; value *= 10)
    yTicks.push({ at: scale(value), text: duration(value).replace(".00", "").replace(".0", "") });
  return {
    points: found.map((trace, index) => ({
      trace,
      x: Math.min(Math.max((trace.startMs - period.fromMs) / width, 0), 1),
      y: scale(durations[index]),
    })),
    xTicks: [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, ms: period.fromMs + width * at })),
    yTicks,
  };
}
