// What a span says about its call, as short notes: status, deadline, attempts, messages. Words first, colour never alone.

import { duration, plain, valueText } from "./format.js";

/** Short notes on a span's row, most telling first: `[{text, tone, title}]`, tone "", "minor" (left out where there is little room) or "warn". */
export function spanNotes(span) {
  const raw = span.raw;
  return [
    !span.hasTime && {
      text: "no time",
      tone: "warn",
      title: "its start or its end was never set, so it has no length and no place on the axis",
    },
    span.attempts.length > 1 && {
      text: `${span.attempts.length} attempts`,
      tone: "warn",
      title: "the call was tried more than once",
    },
    span.attempt && { text: `attempt ${span.attempt}`, tone: "", title: "which try of its call this is" },
    raw.timeoutS !== null &&
      raw.timeoutS !== undefined && {
        text: `deadline ${seconds(raw.timeoutS)}`,
        tone: "minor",
        title: "the time that the caller allowed",
      },
    raw.timeRemainingS !== null &&
      raw.timeRemainingS !== undefined && {
        text: `${seconds(raw.timeRemainingS)} left`,
        tone: raw.timeRemainingS <= 0 ? "warn" : "minor",
        title: "what was left of the deadline when the call arrived",
      },
    messageNote(raw),
    raw.outlivesParentByNano && {
      text: `outlives parent +${duration(raw.outlivesParentByNano)}`,
      tone: "warn",
      title: "the parent did not wait for the end of this span",
    },
    raw.isOrphan && {
      text: "parent not received",
      tone: "warn",
      title: "the span that started this one is not in the trace",
    },
    raw.opensCircle && {
      text: "circle of parents",
      tone: "warn",
      title: "the parent that this span names stands below it: they name each other",
    },
  ].filter(Boolean);
}

/** The status to print: the gRPC status where there is one, `ERROR` for another failure, "" for nothing to say. */
export function statusWord(span) {
  if (span.status) return plain(span.status, 40);
  return span.error ? "ERROR" : "";
}

/** One sentence for a reader who does not see the bar. */
export function spanSentence(span) {
  const words = [
    `${plain(span.service, 60)} ${plain(span.operation, 120)}`,
    span.kind !== "unspecified" && span.kind,
    statusWord(span),
    span.hasTime && duration(span.duration),
    span.hasTime && `starts at ${duration(span.start)}`,
    span.criticalTime > 0 && `${duration(span.criticalTime)} on the critical path`,
    ...spanNotes(span).map((note) => note.text),
  ];
  return words.filter(Boolean).join(", ");
}

/** What joins a line to its trace, or repeats the event, is said elsewhere; the terminal hides the same. */
const HIDDEN_FACTS = new Set(["log.record.uid", "session.id", "event", "service.name", "trace_id", "span_id"]);

/** The facts of a log line as `key=value`, without those that the row of its span shows already. */
export function logFacts(log, span) {
  const repeats = ({ key, value }) =>
    (key === "rpc_method" && String(value).split(".").at(-1) === span.operation) ||
    (key === "status_code" && value === span.status);
  return (log.raw.attributes ?? [])
    .filter((one) => !HIDDEN_FACTS.has(one.key) && !one.key.startsWith("code.") && !repeats(one))
    .map(({ key, value }) => `${plain(key, 60)}=${plain(valueText(value), 64)}`)
    .join(" ");
}

/** Seconds (a number) as a length of time. */
export function seconds(value) {
  return value < 0 ? `−${duration(-value * 1e9)}` : duration(value * 1e9);
}

/** `↑3 ↓12` for a stream; one message each way is what every unary call has, so it goes without saying. */
function messageNote(raw) {
  const [sent, received] = [raw.sentMessageCount, raw.receivedMessageCount];
  const known = [sent, received].some((number) => number !== null && number !== undefined);
  if (!known || ((sent ?? 1) === 1 && (received ?? 1) === 1)) return null;
  return { text: `↑${sent ?? "?"} ↓${received ?? "?"}`, tone: "minor", title: "messages sent and received" };
}
