// The panel of one span: what its call says, its attributes, events, links and log lines.

import { formatAddress, sentSpanId, traceTo } from "./address.js";
import { h, replace } from "./dom.js";
import { clock, count, duration, offset, percent, plain, plainLines, valueText } from "./format.js";
import { serviceClass } from "./service_color.js";
import { seconds, statusWord } from "./span_words.js";

/** Make the panel. `actions`: `close()`, `copyLink(span)`, `openLog(log)`, `select(span)`; `base` goes before addresses, null when they lead nowhere. */
export function createSpanPanel(actions, base) {
  const body = h("div", { class: "sp-body" });
  const element = h("section", { class: "span-panel", "aria-label": "Selected span" }, body);
  return {
    element,
    update(trace, span) {
      replace(body, span ? panel(trace, span, actions, base) : empty());
    },
  };
}

function empty() {
  return h("p", { class: "dim sp-empty" }, "Choose a span to see its attributes, events and log lines.");
}

function panel(trace, span, actions, base) {
  const raw = span.raw;
  const logs = trace.logsBySpan.get(span.id) ?? [];
  return [
    h(
      "header",
      { class: ["sp-head", serviceClass(span.service)] },
      h(
        "div",
        { class: "sp-title" },
        h("h2", {}, h("bdi", {}, plain(span.operation, 2000))),
        h(
          "p",
          { class: "sp-sub" },
          h("span", { class: "swatch", "aria-hidden": "true" }),
          h("bdi", {}, plain(span.service, 200)),
          " · ",
          span.kind,
          status(span),
        ),
      ),
      h(
        "button",
        {
          type: "button",
          class: "icon",
          "aria-label": "Close the span's panel",
          title: "Close (Esc)",
          on: { click: actions.close },
        },
        "✕",
      ),
    ),
    h(
      "div",
      { class: "sp-actions" },
      base !== null &&
        h(
          "button",
          { type: "button", class: "quiet", title: "Copy link (y)", on: { click: () => actions.copyLink(span) } },
          "Copy link",
        ),
      base !== null &&
        h(
          "a",
          {
            class: "quiet button",
            href: formatAddress({ page: "logs", traceId: trace.id, spanId: sentSpanId(span.id), lookback: "7d" }, base),
          },
          "Its log lines",
        ),
    ),
    raw.statusMessage &&
      h("p", { class: ["sp-message", span.error && "bad"] }, h("bdi", {}, plainLines(raw.statusMessage))),
    h(
      "dl",
      { class: "facts" },
      facts(trace, span).map(([name, value, note]) => [
        h("dt", {}, name),
        h("dd", {}, value, note && h("span", { class: "dim" }, ` ${note}`)),
      ]),
    ),
    logs.length > 0 &&
      section(
        count(logs.length, "log line"),
        true,
        h(
          "ol",
          { class: "sp-logs" },
          logs.map((log) => logLine(log, actions)),
        ),
      ),
    raw.attributes?.length > 0 &&
      section(count(raw.attributes.length, "attribute"), true, attributeList(raw.attributes)),
    raw.events?.length > 0 &&
      section(count(raw.events.length, "event"), raw.events.length <= 8, eventList(trace, raw.events)),
    raw.links?.length > 0 && section(count(raw.links.length, "link"), true, linkList(raw.links, base)),
    section(
      "Process",
      false,
      attributeList([{ key: "scope", value: raw.scopeName ?? "" }, ...(raw.resourceAttributes ?? [])]),
    ),
    h(
      "p",
      { class: "sp-ids" },
      h("span", {}, "span ", h("code", {}, span.id)),
      raw.parentSpanId && h("span", {}, " parent ", h("code", {}, raw.parentSpanId)),
    ),
  ];
}

function status(span) {
  const word = statusWord(span);
  return (
    word && [" · ", h("span", { class: ["status", span.error ? "bad" : "fine"] }, span.error ? `✕ ${word}` : word)]
  );
}

/** `[name, value, note]` of all that is known of the span's time and call. */
function facts(trace, span) {
  const raw = span.raw;
  const known = (value) => value !== null && value !== undefined;
  return [
    !span.hasTime && ["Starts", "no time", "its start or its end was never set"],
    span.hasTime && ["Starts", offset(span.start), clock(raw.startTimeUnixNano)],
    span.hasTime && [
      "Duration",
      duration(span.duration),
      span.duration < trace.duration ? `${percent(span.duration / trace.duration)} of the trace` : "",
    ],
    ["Self time", duration(span.selfTime), ""],
    [
      "On the critical path",
      duration(span.criticalTime),
      span.criticalTime ? percent(span.criticalTime / trace.duration) : "",
    ],
    known(raw.slackNano) && ["Slack", duration(raw.slackNano), "slower would cost nothing"],
    known(raw.outlivesParentByNano) && ["Outlives its parent by", duration(raw.outlivesParentByNano), ""],
    known(raw.timeoutS) && ["Deadline", seconds(raw.timeoutS), "allowed by the caller"],
    known(raw.timeRemainingS) && ["Left on arrival", seconds(raw.timeRemainingS), "of the deadline"],
    span.attempts.length > 1 && ["Attempts", String(span.attempts.length), waits(span.attempts)],
    span.attempt && ["Attempt", String(span.attempt), ""],
    known(raw.previousAttempts) &&
      raw.previousAttempts > 0 && ["Attempts before", String(raw.previousAttempts), "as the server was told"],
    known(raw.sentMessageCount) && ["Messages sent", String(raw.sentMessageCount), ""],
    known(raw.receivedMessageCount) && ["Messages received", String(raw.receivedMessageCount), ""],
    raw.errorType && ["Error type", plain(raw.errorType), ""],
  ].filter(Boolean);
}

function waits(attempts) {
  const between = attempts
    .slice(1)
    .map((attempt) => duration(attempt.waitNano))
    .join(", ");
  return between && `waited ${between}`;
}

function section(title, open, ...content) {
  return h("details", { class: "sp-section", open }, h("summary", {}, title), content);
}

/** Attributes as a list of terms; values keep their lines and wrap. */
export function attributeList(attributes) {
  return h(
    "dl",
    { class: "attributes" },
    attributes.map(({ key, value }) => [
      h("dt", {}, h("bdi", {}, plain(key, 500))),
      h("dd", { class: typeof value === "string" ? "text" : "value" }, h("bdi", {}, plainLines(valueText(value)))),
    ]),
  );
}

function eventList(trace, events) {
  const start = trace.startUnixNano;
  const ordered = [...events].sort((a, b) => (BigInt(a.timeUnixNano) < BigInt(b.timeUnixNano) ? -1 : 1));
  return h(
    "ol",
    { class: "sp-events" },
    ordered
      .slice(0, 500)
      .map((event) =>
        h(
          "li",
          {},
          h("span", { class: "at" }, eventTime(event, start)),
          h("bdi", { class: "sp-event-name" }, plain(event.name, 500)),
          event.attributes?.length > 0 && attributeList(event.attributes),
        ),
      ),
  );
}

function eventTime(event, start) {
  const at = BigInt(event.timeUnixNano);
  return at && start ? offset(Number(at - start)) : "no time";
}

function linkList(links, base) {
  return h(
    "ul",
    { class: "sp-links" },
    links.map((link) => {
      const text = `trace ${link.traceId.slice(0, 8)}… span ${link.spanId}`;
      return h(
        "li",
        {},
        base === null
          ? text
          : h("a", { href: formatAddress(traceTo(link.traceId, { span: link.spanId }), base) }, text),
        link.attributes?.length > 0 && attributeList(link.attributes),
      );
    }),
  );
}

function logLine(log, actions) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: "sp-log", on: { click: () => actions.openLog(log) } },
      h("span", { class: "at" }, offset(log.at)),
      h("span", { class: ["severity", `rank-${log.rank}`] }, log.severity),
      h("bdi", {}, plain(log.body, 400)),
    ),
  );
}
