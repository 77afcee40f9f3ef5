// The page's only door to the backend. Every question returns a promise of parsed JSON, or fails with an `ApiError`.

import { lookbackMillis, MOST_TRACES, padTraceId } from "./address.js";
import { rfc3339OfMillis } from "./format.js";

/** How long one question may take. */
const TIMEOUT_MS = 30_000;
/** Log lines asked for at once. */
export const LOG_PAGE_SIZE = 200;

/** What the backend refused or could not do; `message` is a sentence for the reader, `status` is 0 when nobody answered. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** Ask the backend whose routes begin with `base`. */
export function createApi(base) {
  const get = (path, query, signal) => getJson(base + path + queryText(query), signal);
  const trace = (id) => encodeURIComponent(id);
  const summaries = (search, signal) =>
    get("/api/v3/trace-summaries", summaryQuery(search), signal).then((answer) => answer.summaries ?? []);
  return {
    services: (signal) => get("/api/v3/services", {}, signal).then((answer) => (answer.services ?? []).sort()),
    operations: (service, signal) =>
      get("/api/v3/operations", { service }, signal).then((answer) => answer.operations ?? []),
    summaries,
    wholeTraceId: (start) => wholeTraceId(start, summaries),
    analysis: (id, signal) => get(`/api/lab/traces/${trace(id)}/analysis`, {}, signal),
    diff: (a, b, force, signal) => get("/api/lab/diff", { a, b, force: force || "" }, signal),
    logs: (query, signal) => get("/api/lab/logs", { limit: LOG_PAGE_SIZE, ...query }, signal),
    dependencies: (endMs, lookbackMs, signal) =>
      get("/api/dependencies", { endTs: endMs, lookback: lookbackMs }, signal),
    metrics: (name, query, signal) => get(`/api/metrics/${name}`, query, signal),
    storedMetrics: (signal) => get("/api/lab/metrics", {}, signal),
    metricOverTime: (query, signal) => get("/api/lab/metrics/query", query, signal),
    endpoints: (signal) => get("/api/lab/endpoints", {}, signal),
    exportAddress: (id) => `${base}/api/lab/traces/${trace(id)}/export`,
    jsonAddress: (id) => `${base}/api/v3/traces/${trace(id)}`,
    streamAddress: `${base}/api/lab/stream`,
  };
}

/** A place for one question at a time: a new one aborts the one before, whose promise then never settles. */
export function newestOnly() {
  let current = null;
  return {
    ask(question) {
      current?.abort();
      const mine = (current = new AbortController());
      return new Promise((resolve, reject) => {
        question(mine.signal).then(
          (answer) => mine === current && !mine.signal.aborted && resolve(answer),
          (error) => mine === current && !mine.signal.aborted && reject(error),
        );
      });
    },
    abort() {
      current?.abort();
      current = null;
    },
  };
}

/** The id of the one trace, of the newest, that begins with `start`, as the terminal takes it; else `start` filled with zeros. */
async function wholeTraceId(start, summaries) {
  const padded = padTraceId(start);
  if (start.length === padded.length) return padded;
  const newest = await summaries({ lookback: "7d", limit: MOST_TRACES, tags: {} });
  const found = newest.map((summary) => summary.traceId).filter((id) => id.startsWith(start.toLowerCase()));
  if (found.length > 1 && !newest.some((summary) => summary.traceId === padded))
    throw new ApiError(`${found.length} traces begin with ${start}`, 0);
  return found.length === 1 ? found[0] : padded;
}

function summaryQuery(search, nowMs = Date.now()) {
  const custom = search.start && search.end;
  return {
    "query.startTimeMin": rfc3339OfMillis(
      custom ? Number(search.start) / 1000 : nowMs - lookbackMillis(search.lookback),
    ),
    // A trace's clock may run a little ahead of the reader's.
    "query.startTimeMax": rfc3339OfMillis(custom ? Number(search.end) / 1000 : nowMs + 60_000),
    "query.serviceName": search.service,
    "query.operationName": search.operation,
    "query.durationMin": search.minDuration,
    "query.durationMax": search.maxDuration,
    "query.searchDepth": search.limit,
    "query.attributes": Object.keys(search.tags).length ? JSON.stringify(search.tags) : "",
  };
}

function queryText(query) {
  const filled = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(
    filled.flatMap(([name, value]) => [value].flat().map((one) => [name, one])),
  ).toString();
  return text ? `?${text}` : "";
}

async function getJson(address, signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let text;
  try {
    response = await fetch(address, {
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      headers: { accept: "application/json" },
    });
    text = await response.text();
  } catch (error) {
    if (timeout.aborted) throw new ApiError(`the backend took more than ${TIMEOUT_MS / 1000} s to answer`, 0);
    if (signal?.aborted) throw error;
    throw new ApiError("the backend does not answer; is it still running? (./lab status tells)", 0);
  }
  const body = parse(text);
  if (!response.ok) throw new ApiError(sentence(body) ?? `the backend answered ${response.status}`, response.status);
  if (body === undefined) throw new ApiError("the backend answered with something that is not JSON", response.status);
  return body;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The sentence in an error of any of the API's three shapes: ours, v3's, legacy's. */
function sentence(body) {
  return body?.detail ?? body?.error?.message ?? body?.errors?.[0]?.msg;
}
