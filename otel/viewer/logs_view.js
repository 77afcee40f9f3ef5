// Search and tail of log lines, oldest on top, new ones at the end. Each line leads to its span.

import { DEFAULT_LOOKBACK, LOOKBACKS, lookbackMillis, lookbackWords, traceTo } from "./address.js";
import { newestOnly } from "./api.js";
import { h, replace, setAttribute } from "./dom.js";
import { clock, count, day, plain, rfc3339, rfc3339OfMillis, valueText } from "./format.js";
import { explainLogs, merge, readLines, SEVERITIES } from "./logs_model.js";
import { serviceClass } from "./service_color.js";
import { attributeList } from "./span_view.js";
import { failure, gettingStarted } from "./states_view.js";

/** Lines held at most; with more in the time, the newest are shown and the page says so. */
const MOST_LINES = 2000;
const PAGE = 1000;
/** Pages read for one search; the API gives the oldest first, so the newest come last. */
const MOST_PAGES = 20;
/** Records of different processes come a little out of order. */
const OVERLAP_NS = 15_000_000_000n;
/** How near to the end of the list counts as reading the tail. */
const TAIL_PX = 60;

/** Make the page. `ctx`: `api`, `go(route)`, `addressOf(route)`, `stream`, `say(text)`, `copy`. */
export function createLogsPage(ctx) {
  const newest = newestOnly();
  const service = h("select", { "aria-label": "Service", on: { change: () => change({ service: service.value }) } });
  const severity = h(
    "select",
    { "aria-label": "Severity", on: { change: () => change({ severity: Number(severity.value) }) } },
    SEVERITIES.map(([number, words]) => h("option", { value: number }, words)),
  );
  const lookback = h("select", { "aria-label": "Time", on: { change: () => change({ lookback: lookback.value }) } });
  const words = h("input", {
    type: "search",
    placeholder: "words in the line or its attributes",
    "aria-label": "Words",
    spellcheck: "false",
    autocomplete: "off",
    on: { change: () => change({ text: words.value.trim() }) },
  });
  const only = h("span", { class: "only" });
  const sentence = h("h1", { class: "sentence" });
  const found = h("span", { class: "found-words", role: "status" });
  const list = h("ol", { class: "lg-list", "aria-label": "Log lines, newest last" });
  const scroller = h("div", { class: "lg-scroller", tabindex: "0", role: "region", "aria-label": "Log lines" }, list);
  const toEnd = h("button", { type: "button", class: "quiet lg-end", on: { click: scrollToEnd } }, "Newest ↓");
  const instead = h("div", { class: "instead" });
  const element = h(
    "div",
    { class: "logs-page" },
    h(
      "form",
      { class: "filters lg-filters", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } },
      field("Service", service),
      field("Severity", severity),
      field("Words", words),
      field("Time", lookback),
      only,
    ),
    h("div", { class: "lg-head" }, sentence, h("span", { class: "gap" }), found, toEnd),
    scroller,
    instead,
  );
  let route = null;
  let asked = "";
  let lines = [];
  let truncated = false;
  let open = "";
  const stop = ctx.stream.on("logs", () => route && follow());

  const change = (part) => ctx.go({ ...route, ...part });
  const query = () => ({
    serviceName: route.service,
    severityMin: route.severity || "",
    text: route.text,
    traceId: route.traceId,
    spanId: route.spanId,
    timeMin: route.traceId || route.spanId ? "" : rfc3339OfMillis(Date.now() - lookbackMillis(route.lookback)),
    limit: PAGE,
  });

  async function load() {
    setAttribute(element, "aria-busy", "true");
    try {
      const [services, read] = await newest.ask((signal) =>
        Promise.all([ctx.api.services(signal), readAll(query(), signal)]),
      );
      lines = read.lines;
      truncated = read.truncated;
      paintServices(services);
      show(services);
      scrollToEnd();
    } catch (error) {
      showInstead(failure(error.message, load));
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  }

  async function readAll(question, signal) {
    let read = [];
    let cursor = "";
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const answer = await ctx.api.logs({ ...question, cursor }, signal);
      read = merge(read, readLines(answer.result), MOST_LINES);
      cursor = answer.nextCursor;
      if (!cursor) break;
    }
    return { lines: read, truncated: cursor !== "" || read.length === MOST_LINES };
  }

  async function follow() {
    const last = lines.at(-1);
    const question = last && !route.traceId ? { ...query(), timeMin: rfc3339(last.time - OVERLAP_NS) } : query();
    try {
      const read = await newest.ask((signal) => readAll(question, signal));
      const merged = merge(lines, read.lines, MOST_LINES);
      if (merged === lines) return;
      const tailing = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < TAIL_PX;
      lines = merged;
      show(["some"]);
      if (tailing) scrollToEnd();
    } catch (error) {
      ctx.say(error.message);
    }
  }

  function show(services) {
    found.textContent = lines.length ? `${truncated ? "newest " : ""}${count(lines.length, "line")}` : "no line";
    if (!lines.length) return showInstead(services.length ? nothing() : gettingStarted(ctx));
    showInstead(null);
    const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
    const wanted = lines.map((line) => old.get(line.key) ?? lineOf(line));
    const today = wanted.length === old.size && wanted.every((item, index) => item === list.children[index]);
    if (!today) replace(list, wanted);
  }

  function lineOf(line) {
    const toggle = h(
      "button",
      { type: "button", class: "lg-line", "aria-expanded": "false", on: { click: () => expand(line, item, toggle) } },
      h("span", { class: "lg-time" }, clock(line.time)),
      h("span", { class: ["severity", `rank-${line.rank}`] }, line.severity),
      h(
        "span",
        { class: "lg-service" },
        h("span", { class: "swatch", "aria-hidden": "true" }),
        h("bdi", {}, plain(line.service, 60)),
      ),
      h(
        "span",
        { class: "lg-text" },
        h("bdi", { class: "lg-body" }, plain(line.body, 600)),
        " ",
        line.attributes
          .filter(({ key }) => key !== "log.record.uid")
          .slice(0, 8)
          .map(({ key, value }) =>
            h(
              "bdi",
              { class: "lg-pair" },
              h("span", { class: "dim" }, plain(key, 60), "="),
              plain(valueText(value), 80),
              " ",
            ),
          ),
      ),
    );
    const item = h(
      "li",
      { class: serviceClass(line.service), data: { key: line.key } },
      h(
        "div",
        { class: "lg-row" },
        toggle,
        line.traceId
          ? h(
              "a",
              {
                class: "lg-span",
                href: ctx.addressOf(traceTo(line.traceId, { span: line.spanId })),
                "aria-label": `Its span ${line.spanId}`,
              },
              "span →",
            )
          : h("span", { class: "lg-span dim" }, "no span"),
      ),
    );
    return item;
  }

  function expand(line, item, toggle) {
    const was = open === line.key;
    for (const other of list.querySelectorAll(".lg-more")) {
      other.parentElement.querySelector(".lg-line").setAttribute("aria-expanded", "false");
      other.remove();
    }
    open = was ? "" : line.key;
    if (was) return;
    toggle.setAttribute("aria-expanded", "true");
    item.append(
      h(
        "div",
        { class: "lg-more" },
        attributeList([
          { key: "time", value: `${day(line.time)} ${rfc3339(line.time)}` },
          ...line.attributes,
          ...(line.traceId
            ? [
                { key: "trace", value: line.traceId },
                { key: "span", value: line.spanId },
              ]
            : []),
        ]),
        line.traceId &&
          h(
            "p",
            { class: "buttons" },
            h(
              "a",
              {
                class: "quiet button",
                href: ctx.addressOf({
                  ...route,
                  traceId: line.traceId,
                  spanId: "",
                  service: "",
                  severity: 0,
                  text: "",
                }),
              },
              "All lines of this trace",
            ),
            h(
              "a",
              { class: "quiet button", href: ctx.addressOf(traceTo(line.traceId, { span: line.spanId })) },
              "Open its span",
            ),
          ),
      ),
    );
  }

  function nothing() {
    return h(
      "section",
      { class: "state" },
      h("h2", {}, "No log line matches"),
      h("p", {}, plain(explainLogs(route), 300), "."),
      h(
        "p",
        { class: "buttons" },
        h(
          "button",
          {
            type: "button",
            on: { click: () => change({ service: "", severity: 0, text: "", traceId: "", spanId: "" }) },
          },
          "Clear the filters",
        ),
        h("button", { type: "button", on: { click: () => change({ lookback: "7d" }) } }, "Look back 7 days"),
      ),
    );
  }

  function showInstead(content) {
    scroller.hidden = content !== null;
    instead.hidden = content === null;
    replace(instead, content);
  }

  function scrollToEnd() {
    scroller.scrollTop = scroller.scrollHeight;
  }

  function paintServices(names) {
    const all = [...new Set([...names, route.service].filter(Boolean))].sort();
    replace(
      service,
      h("option", { value: "" }, "All services"),
      all.map((name) => h("option", { value: name }, plain(name, 60))),
    );
    service.value = route.service;
  }

  return {
    element,
    title: "Logs",
    update(next) {
      route = next;
      sentence.textContent = explainLogs(route);
      severity.value = String(SEVERITIES.findLast(([number]) => number <= route.severity)?.[0] ?? 0);
      const times = [...new Set([...LOOKBACKS, route.lookback ?? DEFAULT_LOOKBACK])];
      replace(
        lookback,
        times.map((time) =>
          h("option", { value: time }, `${lookbackWords(time)[0].toUpperCase()}${lookbackWords(time).slice(1)}`),
        ),
      );
      lookback.value = route.lookback;
      lookback.disabled = Boolean(route.traceId || route.spanId);
      if (document.activeElement !== words) words.value = route.text;
      paintServices([...service.options].map((option) => option.value).filter(Boolean));
      replace(
        only,
        route.traceId && [
          h(
            "a",
            { class: "button quiet", href: ctx.addressOf(traceTo(route.traceId, { span: route.spanId })) },
            route.spanId ? "Back to its span" : "Open the trace",
          ),
          h(
            "button",
            { type: "button", class: "quiet", on: { click: () => change({ traceId: "", spanId: "" }) } },
            "✕ Only this ",
            route.spanId ? "span" : "trace",
          ),
        ],
      );
      const question = ctx.addressOf(route);
      if (question === asked) return;
      asked = question;
      load();
    },
    keys: { find: () => words.focus() },
    destroy() {
      stop();
      newest.abort();
    },
  };
}

function field(name, control) {
  return h("label", { class: `field field-${name.toLowerCase()}` }, h("span", {}, name), control);
}
