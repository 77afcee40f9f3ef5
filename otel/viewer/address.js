// The address bar and what is shown, each made from the other. Jaeger's deep links mean the same here.
// Rubbish in an address is ignored, never an error: what can't be read is as if it were not there.

export const VIEWS = ["waterfall", "sequence", "operations", "logs"];
export const LOOKBACKS = ["5m", "15m", "1h", "6h", "1d", "2d", "7d"];
export const DEFAULT_LOOKBACK = "1h";
export const DEFAULT_METRICS_LOOKBACK = "15m";
export const DEFAULT_LIMIT = 50;
/** The most traces that one search asks for. */
export const MOST_TRACES = 1500;

const TRACE_ID = /^[0-9a-fA-F]{1,32}$/;
// Of different spans that were sent under one id, the analysis calls the second `ID_1`, the third `ID_2`.
const SPAN_ID = /^([0-9a-fA-F]{1,16})(_\d{1,6})?$/;
const DURATION = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/;
const LOOKBACK = /^([1-9]\d{0,5})([smhd])$/;
const MILLIS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Read `pathname` below `base` and `search` (the part from `?` on) into what to show. */
export function parseAddress(pathname, search, base = "") {
  const query = new URLSearchParams(search);
  const path = pathname.startsWith(base) ? pathname.slice(base.length) : pathname;
  const [first = "", second = ""] = path.split("/").filter(Boolean);
  if (first === "trace" && second.includes("...")) return compareRoute(decode(second));
  if (first === "trace" && TRACE_ID.test(second)) return traceRoute(second, query);
  if (first === "map" || first === "dependencies") return { page: "map", lookback: lookbackOf(query) };
  if (first === "monitor") return metricsRoute(query);
  if (first === "logs") return logsRoute(query);
  if (first === "" || first === "search") return searchRoute(query);
  return { page: "missing", path };
}

/** The address (path and query below `base`) of what `route` shows. The shortest form: defaults are left out. */
export function formatAddress(route, base = "") {
  const query = new URLSearchParams();
  const put = (name, value, fallback = "") => {
    if (value !== undefined && value !== null && String(value) !== String(fallback)) query.set(name, value);
  };
  let path = "/search";
  if (route.page === "trace") path = traceAddress(route, put);
  if (route.page === "compare") path = `/trace/${route.a}...${route.b}`;
  if (route.page === "map") path = mapAddress(route, put);
  if (route.page === "metrics") path = metricsAddress(route, put);
  if (route.page === "logs") path = logsAddress(route, put);
  if (route.page === "search") searchAddress(route, put);
  const text = query.toString();
  return base + path + (text ? `?${text}` : "");
}

/** The trace view of `traceId` as it opens, or with what `more` sets. */
export function traceTo(traceId, more = {}) {
  return { page: "trace", traceId, view: "waterfall", span: "", find: "", zoom: null, ...more };
}

/** Milliseconds of a lookback such as `1h`. */
export function lookbackMillis(lookback) {
  const [, number, unit] = LOOKBACK.exec(lookback) ?? LOOKBACK.exec(DEFAULT_LOOKBACK);
  return Number(number) * MILLIS[unit];
}

/** A lookback in words: `last hour`, `last 15 minutes`. */
export function lookbackWords(lookback) {
  const [, number, unit] = LOOKBACK.exec(lookback) ?? LOOKBACK.exec(DEFAULT_LOOKBACK);
  const noun = { s: "second", m: "minute", h: "hour", d: "day" }[unit];
  return number === "1" ? `last ${noun}` : `last ${number} ${noun}s`;
}

/** Whether `text` is a duration that the query API takes, such as `1.5s` or `250us`. */
export function isDuration(text) {
  return DURATION.test(text);
}

/** Whether `text` is a trace id: 1 to 32 hex digits. */
export function isTraceId(text) {
  return TRACE_ID.test(text);
}

/** A trace id with 32 lower-case digits. */
export function padTraceId(text) {
  return text.toLowerCase().padStart(32, "0");
}

/** The id that a span was sent under: log records name that. */
export function sentSpanId(spanId) {
  return spanId.split("_")[0];
}

function padSpanId(text) {
  const [, digits, number = ""] = SPAN_ID.exec(text) ?? [];
  return digits ? digits.toLowerCase().padStart(16, "0") + number : "";
}

function traceRoute(id, query) {
  const view = query.get("view");
  const span = query.get("span") ?? "";
  return traceTo(padTraceId(id), {
    view: VIEWS.includes(view) ? view : "waterfall",
    span: padSpanId(span),
    find: query.get("uiFind") ?? "",
    zoom: parseZoom(query.get("zoom")),
  });
}

function traceAddress(route, put) {
  put("view", route.view, "waterfall");
  put("span", route.span);
  put("uiFind", route.find);
  if (route.zoom) put("zoom", `${Math.round(route.zoom.from)}-${Math.round(route.zoom.to)}`);
  return `/trace/${route.traceId}`;
}

/** `from-to` in nanoseconds after the trace's start. */
function parseZoom(text) {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text ?? "");
  if (!match) return null;
  const [from, to] = [Number(match[1]), Number(match[2])];
  return from < to ? { from, to } : null;
}

function compareRoute(pair) {
  const [a, b] = pair.split("...");
  const id = (text) => (TRACE_ID.test(text) ? padTraceId(text) : "");
  return { page: "compare", a: id(a), b: id(b ?? "") };
}

function searchRoute(query) {
  const micros = (name) => (/^\d{1,17}$/.test(query.get(name) ?? "") ? query.get(name) : "");
  const length = (name) => (DURATION.test(query.get(name) ?? "") ? query.get(name) : "");
  const limit = Number.parseInt(query.get("limit") ?? "", 10);
  const [start, end] = [micros("start"), micros("end")];
  const custom = start !== "" && end !== "" && !query.get("lookback")?.match(LOOKBACK);
  return {
    page: "search",
    service: query.get("service") ?? "",
    operation: query.get("operation") ?? "",
    tags: { ...pairsOf(query.getAll("tag")), ...parseTags(query.get("tags")) },
    minDuration: length("minDuration"),
    maxDuration: length("maxDuration"),
    lookback: lookbackOf(query),
    start: custom ? start : "",
    end: custom ? end : "",
    limit: limit > 0 ? Math.min(limit, MOST_TRACES) : DEFAULT_LIMIT,
  };
}

function searchAddress(route, put) {
  put("service", route.service);
  put("operation", route.operation);
  if (Object.keys(route.tags ?? {}).length) put("tags", JSON.stringify(route.tags));
  put("minDuration", route.minDuration);
  put("maxDuration", route.maxDuration);
  if (route.start && route.end) {
    put("start", route.start);
    put("end", route.end);
  } else {
    put("lookback", route.lookback, DEFAULT_LOOKBACK);
  }
  put("limit", route.limit, DEFAULT_LIMIT);
}

/** Jaeger's older form: `tag=key:value`, as often as needed. */
function pairsOf(texts) {
  const pairs = texts.filter((text) => text.indexOf(":") > 0);
  return Object.fromEntries(pairs.map((text) => [text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 1)]));
}

function parseTags(text) {
  try {
    const tags = JSON.parse(text ?? "{}");
    if (!tags || typeof tags !== "object" || Array.isArray(tags)) return {};
    return Object.fromEntries(Object.entries(tags).map(([key, value]) => [key, String(value)]));
  } catch {
    return {};
  }
}

/** `/metrics` is what Prometheus reads; Jaeger calls this page Monitor. */
function metricsRoute(query) {
  const lookback = query.get("lookback") ?? "";
  return {
    page: "metrics",
    lookback: LOOKBACK.test(lookback) ? lookback : DEFAULT_METRICS_LOOKBACK,
    side: query.get("side") === "made" ? "made" : "served",
  };
}

function metricsAddress(route, put) {
  put("lookback", route.lookback, DEFAULT_METRICS_LOOKBACK);
  put("side", route.side, "served");
  return "/monitor";
}

function mapAddress(route, put) {
  put("lookback", route.lookback, DEFAULT_LOOKBACK);
  return "/map";
}

function logsRoute(query) {
  const severity = Number.parseInt(query.get("severityMin") ?? "", 10);
  const traceId = query.get("traceId") ?? "";
  const spanId = query.get("spanId") ?? "";
  return {
    page: "logs",
    service: query.get("service") ?? "",
    severity: severity >= 1 && severity <= 24 ? severity : 0,
    text: query.get("text") ?? "",
    traceId: TRACE_ID.test(traceId) ? padTraceId(traceId) : "",
    spanId: sentSpanId(padSpanId(spanId)),
    lookback: lookbackOf(query),
  };
}

function logsAddress(route, put) {
  put("service", route.service);
  put("severityMin", route.severity, 0);
  put("text", route.text);
  put("traceId", route.traceId);
  put("spanId", route.spanId);
  put("lookback", route.lookback, DEFAULT_LOOKBACK);
  return "/logs";
}

function lookbackOf(query) {
  const text = query.get("lookback") ?? "";
  return LOOKBACK.test(text) ? text : DEFAULT_LOOKBACK;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
