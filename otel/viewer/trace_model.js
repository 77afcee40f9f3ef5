// A trace as the views need it, computed from the analysis JSON without touching the page.
// Times inside a trace are numbers: nanoseconds after the trace's start. Absolute times stay text or BigInt.

import { plain, shortOperation, valueText } from "./format.js";

/** Events that instrumentation writes for each message of a stream, by name. */
const MESSAGE_EVENTS = new Map([
  ["Inbound message", "in"],
  ["Outbound message", "out"],
]);

/** Read the body of `GET /api/lab/traces/{id}/analysis`. What is missing is empty; nothing is refused. */
export function readTrace(analysis) {
  const start = BigInt(analysis.startTimeUnixNano ?? 0);
  const after = (unixNano) => Number(BigInt(unixNano) - start);
  const spans = (analysis.spans ?? []).map((span, index) => readSpan(span, index, after));
  const byId = new Map(spans.map((span) => [span.id, span]));
  const logs = (analysis.logs ?? []).map((log, index) => readLog(log, index, after));
  const trace = {
    id: analysis.traceId,
    startUnixNano: start,
    duration: Math.max(Number(analysis.durationNano ?? 0), 1),
    analysis,
    spans,
    byId,
    logs,
    logsBySpan: groupBy(logs, (log) => log.spanId),
    path: (analysis.criticalPath ?? []).map((step) => ({
      span: step.spanId,
      label: step.label,
      from: after(step.startTimeUnixNano),
      to: after(step.endTimeUnixNano),
    })),
    errors: spans.filter((span) => span.error),
  };
  markSubtrees(spans);
  markAttempts(analysis.calls ?? [], byId);
  return trace;
}

/**
 * The rows to show, top to bottom: each span whose ancestors are all expanded, and under it (with `logsInPlace`) its log lines.
 * A row is `{kind: "span" | "log", key, span, log}`.
 */
export function visibleRows(trace, { collapsed, logsInPlace }) {
  const rows = [];
  for (let index = 0; index < trace.spans.length;) {
    const span = trace.spans[index];
    rows.push({ kind: "span", key: span.id, span, log: null });
    if (logsInPlace && !(collapsed.has(span.id) && span.childCount > 0)) {
      for (const log of trace.logsBySpan.get(span.id) ?? []) rows.push({ kind: "log", key: log.key, span, log });
    }
    index = collapsed.has(span.id) ? span.subtreeEnd : index + 1;
  }
  return rows;
}

/** The span above `span` in the tree that is shown, or null. */
export function parentOf(trace, span) {
  for (let index = span.index - 1; index >= 0; index -= 1) {
    if (trace.spans[index].depth < span.depth) return trace.spans[index];
  }
  return null;
}

/** All spans that must be expanded for `span` to be seen. */
export function ancestorsOf(trace, span) {
  const found = [];
  for (let parent = parentOf(trace, span); parent; parent = parentOf(trace, parent)) found.push(parent);
  return found;
}

/** The spans that `text` finds: one of its words in a name, attribute, event or log line, or a span's exact id. */
export function findSpans(trace, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return trace.spans.filter((span) => words.some((word) => word === span.id || haystack(trace, span).includes(word)));
}

/** The next member of `spans` after (or before, with `step` -1) the span with `id`, around the end; null when there is none. */
export function nextAround(spans, id, step, byId) {
  if (!spans.length) return null;
  const from = byId.get(id)?.index ?? (step > 0 ? -1 : Number.POSITIVE_INFINITY);
  const ordered = step > 0 ? spans : [...spans].reverse();
  return ordered.find((span) => (span.index - from) * step > 0) ?? ordered[0];
}

/** Where a span's time lies in the zoomed part, in shares of it: `{from, to}`, which may be outside of 0 to 1. */
export function place(from, to, zoom) {
  const width = zoom.to - zoom.from;
  return { from: (from - zoom.from) / width, to: (to - zoom.from) / width };
}

/** At most `most` round times between `zoom.from` and `zoom.to`, for the axis. */
export function ticks(zoom, most = 5) {
  const width = zoom.to - zoom.from;
  const rough = width / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max([1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough, 1);
  const found = [];
  for (let at = Math.ceil(zoom.from / step) * step; at <= zoom.to && found.length <= most + 1; at += step)
    found.push(at);
  return found;
}

/** `zoom` narrowed (`factor` below 1) or widened about the moment `center`, inside the trace; null when all is shown. */
export function zoomed(trace, zoom, factor, center) {
  const now = zoom ?? { from: 0, to: trace.duration };
  const width = Math.max((now.to - now.from) * factor, Math.min(1000, trace.duration));
  if (width >= trace.duration) return null;
  const middle = center ?? (now.from + now.to) / 2;
  const from = Math.min(Math.max(middle - width / 2, 0), trace.duration - width);
  return { from: Math.round(from), to: Math.round(from + width) };
}

/** `zoom` moved by `share` of its width, inside the trace. */
export function moved(trace, zoom, share) {
  if (!zoom) return null;
  const width = zoom.to - zoom.from;
  const from = Math.min(Math.max(zoom.from + width * share, 0), trace.duration - width);
  return { from: Math.round(from), to: Math.round(from + width) };
}

function readSpan(span, index, after) {
  const start = Number(span.offsetNano);
  const duration = Number(span.durationNano);
  const hasTime = span.hasTime !== false;
  return {
    id: span.spanId,
    hasTime,
    index,
    depth: span.depth ?? 0,
    parentId: span.parentSpanId ?? "",
    childCount: (span.childSpanIds ?? []).length,
    service: span.serviceName,
    operation: span.operation || shortOperation(span.name),
    kind: span.kind,
    error: Boolean(span.error),
    status: span.rpcStatusCode || (span.rpcCutShort ? "cut short" : ""),
    start,
    end: start + duration,
    duration,
    selfTime: Number(span.selfTimeNano ?? 0),
    criticalTime: Number(span.criticalTimeNano ?? 0),
    segments: (span.criticalSegments ?? []).map((segment) => [
      after(segment.startTimeUnixNano),
      after(segment.endTimeUnixNano),
    ]),
    deadline: !hasTime || span.timeoutS === null || span.timeoutS === undefined ? null : start + span.timeoutS * 1e9,
    messages: (span.events ?? [])
      .filter((event) => MESSAGE_EVENTS.has(event.name))
      .map((event) => ({ at: after(event.timeUnixNano), way: MESSAGE_EVENTS.get(event.name) })),
    attempt: null,
    attempts: [],
    subtreeEnd: index + 1,
    raw: span,
  };
}

function readLog(log, index, after) {
  return {
    key: `log-${index}`,
    index,
    at: after(log.timeUnixNano),
    spanId: log.spanId ?? "",
    service: log.serviceName ?? "",
    severity: severityName(log.severityNumber ?? 0, log.severityText),
    rank: severityRank(log.severityNumber ?? 0),
    body: bodyText(log),
    raw: log,
  };
}

/** The line of a log record: its body, else its event's name. */
export function bodyText(log) {
  const body = log.body === null || log.body === undefined ? "" : valueText(log.body);
  return body || log.eventName || "(empty)";
}

/** `info`, `warning`, `error`... of an OTLP severity number (1 to 24), else the text that was sent, else `log`. */
export function severityName(number, text = "") {
  const names = ["trace", "debug", "info", "warning", "error", "fatal"];
  return number > 0 ? names[Math.min(Math.floor((number - 1) / 4), 5)] : plain(text.toLowerCase(), 20) || "log";
}

/** 0 for lines that only inform, 1 for warnings, 2 for errors. */
export function severityRank(number) {
  return number >= 17 ? 2 : number >= 13 ? 1 : 0;
}

/** Set where each span's subtree ends, as the index after its last descendant. */
function markSubtrees(spans) {
  const open = [];
  for (const span of spans) {
    while (open.length && open.at(-1).depth >= span.depth) open.pop().subtreeEnd = span.index;
    open.push(span);
  }
  for (const span of open) span.subtreeEnd = spans.length;
  for (const span of spans) span.childCount = span.subtreeEnd > span.index + 1 ? Math.max(span.childCount, 1) : 0;
}

function markAttempts(calls, byId) {
  for (const call of calls) {
    const client = byId.get(call.clientSpanId);
    if (client) client.attempts = call.attempts;
    for (const attempt of call.attempts) {
      const server = byId.get(attempt.spanId);
      if (server) server.attempt = attempt.number;
    }
  }
}

function haystack(trace, span) {
  span.haystack ??= [
    span.service,
    span.raw.name,
    span.kind,
    span.status,
    span.raw.statusMessage,
    ...(span.raw.attributes ?? []).flatMap(({ key, value }) => [key, valueText(value)]),
    ...(span.raw.events ?? []).flatMap((event) => [
      event.name,
      ...event.attributes.map(({ value }) => valueText(value)),
    ]),
    ...(trace.logsBySpan.get(span.id) ?? []).flatMap((log) => [
      log.body,
      ...log.raw.attributes.map(({ value }) => valueText(value)),
    ]),
  ]
    .join("\n")
    .toLowerCase();
  return span.haystack;
}

function groupBy(members, keyOf) {
  const groups = new Map();
  for (const member of members) {
    const group = groups.get(keyOf(member));
    if (group) group.push(member);
    else groups.set(keyOf(member), [member]);
  }
  return groups;
}
