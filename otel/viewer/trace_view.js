// The page of one trace: its headline, the strip of the critical path, four views and the panel beside them.

import { formatAddress, traceTo } from "./address.js";
import { h, replace, setAttribute } from "./dom.js";
import { count, day, clock, difference, duration, plain } from "./format.js";
import { createLogStream } from "./log_stream_view.js";
import { createOperations } from "./operations_view.js";
import { createOverview } from "./overview_view.js";
import { createSequence } from "./sequence_view.js";
import { serviceClass } from "./service_color.js";
import { createSpanPanel } from "./span_view.js";
import { ancestorsOf, findSpans, moved, nextAround, visibleRows, zoomed } from "./trace_model.js";
import { createWaterfall } from "./waterfall_view.js";

/** Where the style sheet lays the panel over the page. */
const NARROW = "(max-width: 760px)";

const VIEW_NAMES = [
  ["waterfall", "Waterfall"],
  ["sequence", "Sequence"],
  ["operations", "Operations"],
  ["logs", "Logs"],
];

/**
 * Make the page of `trace`. `ctx` is what the page around it offers: `go(route, {replace})`, `say(text)`, `copy(text, what)`, `base`
 * (null in an exported file), `addressOf(route)`, `exportAddress`, `jsonAddress`, `logsInPlace` (a kept cell). `memory` is what an
 * earlier view of the same trace, before it grew, remembered.
 */
export function createTraceView(trace, ctx, memory = undefined) {
  let route = traceTo(trace.id);
  let selectedLog = "";
  let matches = [];
  let matchedText = "";
  const collapsed = new Set(memory?.collapsed);
  const byRoute = (change) => ctx.go({ ...route, ...change }, { replace: true });

  const actions = {
    active: () => {},
    select: (span) => select(span),
    toggle(span) {
      if (collapsed.has(span.id)) collapsed.delete(span.id);
      else collapsed.add(span.id);
      paint();
    },
    openLog(log) {
      selectedLog = log.key;
      const span = trace.byId.get(log.spanId);
      if (span) select(span, { keepLog: true });
      else paint();
    },
    zoom: (zoom) => byRoute({ zoom }),
    close: () => closePanel(),
    copyLink: (span) => copyLink(span),
    find: (text) => byRoute({ view: "waterfall", find: text }),
  };
  const waterfall = createWaterfall(actions);
  const sequence = createSequence(actions);
  const operations = createOperations(actions);
  const stream = createLogStream(actions);
  const streamBeside = createLogStream(actions);
  const panel = createSpanPanel(actions, ctx.base);
  const overview = createOverview(actions);
  const tools = createTools();
  const tabs = createTabs();

  const views = {
    waterfall: waterfall.element,
    sequence: sequence.element,
    operations: operations.element,
    logs: stream.element,
  };
  const stage = h("div", { class: "tr-stage", role: "tabpanel", id: "trace-view" }, Object.values(views));
  const side = h(
    "aside",
    { class: "tr-side", "aria-label": "Span and log lines" },
    panel.element,
    h(
      "div",
      { class: "tr-stream" },
      h("h2", { class: "side-title" }, "Log lines ", h("span", { class: "dim" }, String(trace.logs.length))),
      streamBeside.element,
    ),
  );
  const element = h(
    "div",
    { class: "trace", data: { logs: trace.logs.length ? "some" : "none" } },
    headline(trace, ctx),
    overview.element,
    h("div", { class: "tr-bar" }, tabs.element, tools.element),
    h("div", { class: "tr-main" }, stage, side),
  );

  function select(span, { keepLog = false } = {}) {
    if (!keepLog) selectedLog = "";
    for (const ancestor of ancestorsOf(trace, span)) collapsed.delete(ancestor.id);
    if (route.span === span.id) paint({ reveal: span.id });
    else byRoute({ span: span.id });
    // On a narrow screen the panel lies over the lower half: what was chosen has to be above it.
    if (matchMedia(NARROW).matches) stage.scrollIntoView({ block: "start" });
  }

  function closePanel() {
    if (!route.span && !selectedLog) return;
    const hadFocus = side.contains(document.activeElement);
    selectedLog = "";
    byRoute({ span: "" });
    if (hadFocus) waterfall.focus();
  }

  function copyLink(span) {
    if (ctx.base === null) return;
    const address = formatAddress(traceTo(trace.id, { view: route.view, span: span?.id ?? "" }), ctx.base);
    ctx.copy(new URL(address, location.href).href, span ? `link of ${plain(span.operation, 80)}` : "link of the trace");
  }

  function step(spans, way, none) {
    const span = nextAround(spans, route.span, way, trace.byId);
    if (!span) return ctx.say(none);
    select(span);
    ctx.say(`${spans.indexOf(span) + 1} of ${spans.length}: ${plain(span.service, 60)} ${plain(span.operation, 80)}`);
  }

  function paint({ reveal = "" } = {}) {
    const zoom = route.zoom
      ? { from: Math.min(route.zoom.from, trace.duration - 1), to: Math.min(route.zoom.to, trace.duration) }
      : { from: 0, to: trace.duration };
    const rows = visibleRows(trace, { collapsed, logsInPlace: ctx.logsInPlace.get() });
    const span = trace.byId.get(route.span) ?? null;
    for (const [name, view] of Object.entries(views)) view.hidden = name !== route.view;
    setAttribute(element, "data-view", route.view);
    setAttribute(element, "data-panel", span ? "open" : null);
    panel.element.hidden = !span;
    panel.update(trace, span);
    if (route.view === "waterfall")
      waterfall.update({ trace, rows, selected: route.span, selectedLog, collapsed, zoom, matches });
    if (route.view === "sequence") sequence.update(trace, route.span);
    if (route.view === "operations") operations.update(trace);
    if (route.view === "logs") stream.update(trace, route.span, selectedLog);
    streamBeside.update(trace, route.span, selectedLog);
    overview.update({ trace, zoom: route.zoom });
    tabs.update();
    tools.update();
    if (reveal && route.view === "waterfall")
      waterfall.reveal(selectedLog && rows.some((row) => row.key === selectedLog) ? selectedLog : reveal);
  }

  function createTabs() {
    const buttons = VIEW_NAMES.map(([name, title]) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": "trace-view",
          data: { view: name },
          on: { click: () => byRoute({ view: name }) },
        },
        title,
        name === "logs" && h("span", { class: "dim" }, ` ${trace.logs.length}`),
      ),
    );
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of the trace" }, buttons);
    list.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const at = buttons.findIndex((button) => button.dataset.view === route.view);
      const next = buttons[(at + way + buttons.length) % buttons.length];
      byRoute({ view: next.dataset.view });
      next.focus();
    });
    return {
      element: list,
      update() {
        for (const button of buttons) {
          const mine = button.dataset.view === route.view;
          setAttribute(button, "aria-selected", String(mine));
          setAttribute(button, "tabindex", mine ? "0" : "-1");
        }
        setAttribute(stage, "aria-labelledby", `tab-${route.view}`);
      },
    };
  }

  function createTools() {
    const field = h("input", {
      type: "search",
      class: "find",
      placeholder: "Find in this trace",
      "aria-label": "Find spans by name, attribute, event or log line",
      spellcheck: "false",
      autocomplete: "off",
      on: {
        input: () => byRoute({ find: field.value }),
        keydown: (event) => {
          if (event.key === "Enter") step(matches, event.shiftKey ? -1 : 1, "nothing found");
          if (event.key === "Escape") waterfall.focus();
        },
      },
    });
    const found = h("span", { class: "found", "aria-live": "polite" });
    const logs = h(
      "button",
      { type: "button", class: "toggle", title: "Log lines under their spans (l)", on: { click: toggleLogs } },
      "Logs in place",
    );
    return {
      element: h("div", { class: "tools" }, logs, h("span", { class: "find-box" }, field, found)),
      field,
      update() {
        if (field.value !== route.find) field.value = route.find;
        const at = matches.findIndex((span) => span.id === route.span);
        found.textContent = route.find
          ? matches.length
            ? `${at >= 0 ? `${at + 1} of ` : ""}${matches.length}`
            : "none"
          : "";
        setAttribute(logs, "aria-pressed", String(ctx.logsInPlace.get()));
      },
    };
  }

  function toggleLogs() {
    ctx.logsInPlace.set(!ctx.logsInPlace.get());
    paint();
  }

  const zoomTo = (zoom) => byRoute({ zoom });
  const selectedSpan = () => trace.byId.get(route.span) ?? null;
  const middle = () => {
    const span = selectedSpan();
    return span?.hasTime ? (span.start + span.end) / 2 : undefined;
  };

  return {
    element,
    title: `${rootName(trace)} · ${duration(trace.duration)}`,
    update(next) {
      const first = !element.isConnected || route.span !== next.span;
      const view = route.view;
      route = next;
      if (next.find !== matchedText) {
        matchedText = next.find;
        matches = findSpans(trace, next.find);
      }
      paint({ reveal: !memory && (first || view !== next.view) ? next.span || matches[0]?.id : "" });
      if (memory) waterfall.scrollTo(memory.scrollTop);
      memory = undefined;
    },
    /** What the keys of the table do here. */
    keys: {
      find: () => tools.field.focus(),
      waterfall: () => byRoute({ view: "waterfall" }),
      sequence: () => byRoute({ view: "sequence" }),
      operations: () => byRoute({ view: "operations" }),
      stream: () => byRoute({ view: "logs" }),
      nextMatch: () => step(matches, 1, "nothing found; / goes to the find field"),
      previousMatch: () => step(matches, -1, "nothing found; / goes to the find field"),
      nextError: () => step(trace.errors, 1, "no span of this trace failed"),
      logsInPlace: toggleLogs,
      collapseAll() {
        for (const span of trace.spans) if (span.childCount) collapsed.add(span.id);
        paint();
      },
      expandAll() {
        collapsed.clear();
        paint();
      },
      zoomIn: () => zoomTo(zoomed(trace, route.zoom, 0.5, middle())),
      zoomOut: () => zoomTo(zoomed(trace, route.zoom, 2, middle())),
      zoomAll: () => zoomTo(null),
      earlier: () => zoomTo(moved(trace, route.zoom, -0.25)),
      later: () => zoomTo(moved(trace, route.zoom, 0.25)),
      copyLink: () => copyLink(selectedSpan()),
      clear: closePanel,
    },
    focus: () => waterfall.focus(),
    memory: () => ({ collapsed, scrollTop: waterfall.scrollTop() }),
    destroy: () => waterfall.destroy(),
  };
}

/** Service and operation of the trace's root, for headings. */
export function rootName(trace) {
  const { rootServiceName = "", rootOperation = "" } = trace.analysis;
  return `${plain(rootServiceName, 80)} ${plain(rootOperation, 160)}`.trim() || `trace ${trace.id.slice(0, 8)}`;
}

function headline(trace, ctx) {
  const { analysis } = trace;
  const start = analysis.startTimeUnixNano;
  return h(
    "header",
    { class: "tr-head" },
    h(
      "div",
      { class: "tr-name" },
      h(
        "h1",
        {},
        h(
          "span",
          { class: ["tr-root", serviceClass(analysis.rootServiceName ?? "")] },
          h("span", { class: "swatch", "aria-hidden": "true" }),
          h("bdi", {}, plain(analysis.rootServiceName ?? "", 80)),
        ),
        " ",
        h("bdi", {}, plain(analysis.rootOperation ?? "", 200)),
      ),
      h(
        "ul",
        { class: "tr-facts" },
        h("li", {}, h("b", {}, duration(trace.duration))),
        h("li", {}, count(trace.spans.length, "span")),
        h("li", {}, count((analysis.services ?? []).length, "service")),
        h("li", {}, count(trace.logs.length, "log line")),
        trace.errors.length > 0 && h("li", { class: "status bad" }, `✕ ${trace.errors.length} failed`),
        h("li", { class: "dim" }, trace.startUnixNano ? `${day(start)} ${clock(start)}` : "no time"),
        h("li", { class: "dim tr-id" }, h("code", {}, trace.id)),
      ),
    ),
    ctx.base !== null &&
      h(
        "div",
        { class: "tr-actions" },
        h(
          "button",
          {
            type: "button",
            class: "quiet",
            on: {
              click: () =>
                ctx.copy(new URL(formatAddress(traceTo(trace.id), ctx.base), location.href).href, "link of the trace"),
            },
          },
          "Copy link",
        ),
        h("a", { class: "quiet button", href: ctx.jsonAddress, target: "_blank", rel: "noopener" }, "JSON"),
        h("a", { class: "quiet button", href: ctx.addressOf({ page: "compare", a: trace.id, b: "" }) }, "Compare"),
        h(
          "a",
          {
            class: "button strong",
            href: ctx.exportAddress,
            download: `trace-${trace.id}.html`,
            title: "One HTML file that shows this trace offline",
          },
          "Save as HTML",
        ),
      ),
    analysis.summary && h("p", { class: "tr-summary" }, h("bdi", {}, plain(analysis.summary, 600))),
    warnings(trace),
  );
}

/** What a reader must know before trusting the picture. */
function warnings(trace) {
  const { clockSkew, orphanSpanIds = [], circleSpanIds = [] } = trace.analysis;
  const timeless = trace.spans.filter((span) => !span.hasTime).length;
  const shifts = clockSkew?.shifts ?? [];
  const most = shifts.reduce(
    (found, shift) => (Math.abs(Number(shift.shiftNano)) > Math.abs(found) ? Number(shift.shiftNano) : found),
    0,
  );
  return [
    shifts.length > 0 &&
      h(
        "p",
        { class: "tr-warning" },
        `Clocks disagree: ${count(shifts.length, "span")} moved by up to ${difference(most)}. ${plain(clockSkew.note ?? "", 300)}`,
      ),
    orphanSpanIds.length > 0 &&
      h(
        "p",
        { class: "tr-warning" },
        `${count(orphanSpanIds.length, "span")} came without a parent: the trace may be incomplete.`,
      ),
    circleSpanIds.length > 0 &&
      h(
        "p",
        { class: "tr-warning" },
        `Spans name each other as parents, in ${count(circleSpanIds.length, "circle")}: each is opened at its earliest span.`,
      ),
    timeless > 0 &&
      h(
        "p",
        { class: "tr-warning" },
        `${count(timeless, "span")} came without a time: no length is known, and the axis leaves such spans out.`,
      ),
  ];
}
