// Log lines of the log API as the views need them. No DOM.

import { lookbackWords } from "./address.js";
import { bodyText, severityName, severityRank } from "./trace_model.js";

/** Severities to filter by: `[number, words]`. */
export const SEVERITIES = [
  [0, "All severities"],
  [5, "Debug and up"],
  [9, "Info and up"],
  [13, "Warnings and up"],
  [17, "Errors only"],
];

/** Read `{"resourceLogs": […]}` (OTLP/JSON) into lines, in the order in which they stand there. */
export function readLines(result) {
  const lines = [];
  for (const resourceLogs of result?.resourceLogs ?? []) {
    const service =
      attributesOf(resourceLogs.resource?.attributes).find(({ key }) => key === "service.name")?.value ?? "";
    for (const scopeLogs of resourceLogs.scopeLogs ?? []) {
      for (const record of scopeLogs.logRecords ?? []) lines.push(readLine(record, String(service)));
    }
  }
  return lines;
}

function readLine(record, service) {
  const body = record.body ? valueOf(record.body) : null;
  const attributes = attributesOf(record.attributes);
  const time = BigInt(
    record.timeUnixNano && record.timeUnixNano !== "0" ? record.timeUnixNano : (record.observedTimeUnixNano ?? 0),
  );
  const line = {
    time,
    service,
    severity: severityName(record.severityNumber ?? 0, record.severityText),
    rank: severityRank(record.severityNumber ?? 0),
    body: bodyText({ body, eventName: record.eventName }),
    attributes,
    traceId: record.traceId ?? "",
    spanId: record.spanId ?? "",
  };
  const uid = attributes.find(({ key }) => key === "log.record.uid")?.value;
  return {
    ...line,
    key: uid ? String(uid) : [time, service, line.spanId, line.body, JSON.stringify(attributes)].join("\u0001"),
  };
}

/** Put `more` among `lines`, by time, each line once; the newest `most` stay. */
export function merge(lines, more, most) {
  const known = new Set(lines.map((line) => line.key));
  const fresh = more.filter((line) => !known.has(line.key) && known.add(line.key));
  if (!fresh.length) return lines;
  return [...lines, ...fresh].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).slice(-most);
}

/** What a search of log lines means, as a sentence. */
export function explainLogs(route) {
  const severity = SEVERITIES.find(([number]) => number === route.severity)?.[1] ?? `severity ${route.severity} and up`;
  const whole = route.traceId || route.spanId;
  const parts = [
    route.severity ? `${severity[0].toUpperCase()}${severity.slice(1)}` : "Log lines",
    route.service ? `of ${route.service}` : "of all services",
    route.text && `with the words '${route.text}'`,
    route.spanId ? `of span ${route.spanId}` : route.traceId && `of trace ${route.traceId.slice(0, 8)}…`,
  ].filter(Boolean);
  return `${parts.join(" ")}${whole ? "" : `, in the ${lookbackWords(route.lookback)}`}`;
}

/** A value of OTLP/JSON as plain JSON; integers stay text, so that none is rounded. */
export function valueOf(value) {
  if (!value) return null;
  if ("stringValue" in value) return value.stringValue;
  if ("boolValue" in value) return value.boolValue;
  if ("intValue" in value)
    return Number.isSafeInteger(Number(value.intValue)) ? Number(value.intValue) : String(value.intValue);
  if ("doubleValue" in value) return value.doubleValue;
  if ("bytesValue" in value) return value.bytesValue;
  if ("arrayValue" in value) return (value.arrayValue.values ?? []).map(valueOf);
  if ("kvlistValue" in value)
    return Object.fromEntries((value.kvlistValue.values ?? []).map(({ key, value: inner }) => [key, valueOf(inner)]));
  return null;
}

function attributesOf(attributes) {
  return (attributes ?? []).map(({ key, value }) => ({ key, value: valueOf(value) }));
}
