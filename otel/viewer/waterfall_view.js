// Paints a trace as a treegrid: names on the left, time on the right. Only the rows in sight are in the document.

import { h, replace, setAttribute, setCss } from "./dom.js";
import { count, duration, offset, plain } from "./format.js";
import { actionFor } from "./keys.js";
import { serviceClass } from "./service_color.js";
import { logFacts, spanNotes, spanSentence, statusWord } from "./span_words.js";
import { parentOf, place, ticks } from "./trace_model.js";

/** Rows kept ready above and below those in sight. */
const OVERSCAN = 12;
/** A bar is never thinner than this, or a short span could not be seen. */
const THINNEST_PX = 2;

/**
 * Make the waterfall. `actions`: `select(span, {open})`, `toggle(span)`, `openLog(log)`.
 * `update` takes `{trace, rows, selected, collapsed, zoom, matches}`; `reveal(key)` brings a row into sight.
 */
export function createWaterfall(actions) {
  const axis = h("div", { class: "wf-axis", "aria-hidden": "true" });
  const canvas = h("div", { class: "wf-canvas", role: "presentation" });
  const scroller = h(
    "div",
    {
      class: "wf-scroller",
      role: "treegrid",
      tabindex: "0",
      "aria-label": "Spans of the trace",
      "aria-colcount": "4",
      "aria-readonly": "true",
    },
    canvas,
  );
  const head = h(
    "div",
    { class: "wf-head", "aria-hidden": "true" },
    h("span", { class: "wf-head-name" }, "Span"),
    h("span", { class: "wf-head-call" }, "Call"),
    h("span", { class: "wf-head-duration" }, "Duration"),
    axis,
  );
  const element = h("div", { class: "waterfall" }, head, scroller);

  let shown = null;
  let tops = [0];
  let active = 0;
  let heights = { span: 26, log: 21 };
  const painted = new Map();

  function measure() {
    const style = getComputedStyle(element);
    heights = {
      span: Number.parseFloat(style.getPropertyValue("--row")) || 26,
      log: Number.parseFloat(style.getPropertyValue("--log-row")) || 21,
    };
    tops = new Array(shown.rows.length + 1);
    tops[0] = 0;
    shown.rows.forEach((row, index) => (tops[index + 1] = tops[index] + heights[row.kind]));
    setCss(canvas, { height: `${tops.at(-1)}px` });
  }

  function rowAt(y) {
    let [low, high] = [0, shown.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function paint() {
    if (!shown) return;
    const from = Math.max(rowAt(scroller.scrollTop) - OVERSCAN, 0);
    const to = Math.min(rowAt(scroller.scrollTop + scroller.clientHeight) + OVERSCAN, shown.rows.length - 1);
    const keep = new Set();
    for (let index = from; index <= to; index += 1) keep.add(shown.rows[index].key);
    if (shown.rows[active]) keep.add(shown.rows[active].key);
    for (const [key, entry] of painted) {
      if (keep.has(key)) continue;
      entry.element.remove();
      painted.delete(key);
    }
    for (let index = from; index <= to; index += 1) paintRow(index);
    if (shown.rows[active] && (active < from || active > to)) paintRow(active);
    const current = shown.rows[active];
    setAttribute(scroller, "aria-activedescendant", current ? rowId(current.key) : null);
  }

  function paintRow(index) {
    const row = shown.rows[index];
    let entry = painted.get(row.key);
    if (!entry || entry.version !== shown.version) {
      const made = row.kind === "span" ? spanRow(row, shown) : logRow(row, shown);
      if (entry) entry.element.replaceWith(made);
      else canvas.append(made);
      entry = { element: made, version: shown.version };
      painted.set(row.key, entry);
    }
    setCss(entry.element, { transform: `translateY(${tops[index]}px)`, height: `${heights[row.kind]}px` });
    setAttribute(entry.element, "aria-rowindex", index + 1);
    setAttribute(entry.element, "data-active", index === active ? "true" : null);
    setAttribute(
      entry.element,
      "aria-selected",
      String(row.kind === "span" ? row.span.id === shown.selected : row.log.key === shown.selectedLog),
    );
  }

  function moveTo(index, { select = true } = {}) {
    if (!shown?.rows.length) return;
    active = Math.min(Math.max(index, 0), shown.rows.length - 1);
    bringIntoSight(active);
    paint();
    if (select) actions.active(shown.rows[active]);
  }

  function bringIntoSight(index) {
    const margin = heights.span * 2;
    const [top, bottom] = [tops[index], tops[index + 1]];
    if (top - margin < scroller.scrollTop) scroller.scrollTop = Math.max(top - margin, 0);
    else if (bottom + margin > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = bottom + margin - scroller.clientHeight;
  }

  const page = () => Math.max(Math.floor(scroller.clientHeight / heights.span) - 1, 1);
  const moves = {
    down: () => moveTo(active + 1),
    up: () => moveTo(active - 1),
    first: () => moveTo(0),
    last: () => moveTo(shown.rows.length - 1),
    pageDown: () => moveTo(active + page()),
    pageUp: () => moveTo(active - page()),
    right() {
      const row = shown.rows[active];
      if (row.kind === "span" && row.span.childCount && shown.collapsed.has(row.span.id)) actions.toggle(row.span);
      else if (row.kind === "span" && row.span.childCount) moveTo(active + 1);
    },
    left() {
      const row = shown.rows[active];
      if (row.kind === "span" && row.span.childCount && !shown.collapsed.has(row.span.id))
        return actions.toggle(row.span);
      const parent = row.kind === "log" ? row.span : parentOf(shown.trace, row.span);
      if (parent) moveTo(shown.rows.findIndex((other) => other.key === parent.id));
    },
    open: () => openRow(shown.rows[active]),
  };

  function openRow(row) {
    if (!row) return;
    if (row.kind === "log") actions.openLog(row.log);
    else actions.select(row.span);
  }

  scroller.addEventListener("keydown", (event) => {
    const move = moves[actionFor(event, ["waterfall"])];
    if (!move || !shown?.rows.length) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  });
  scroller.addEventListener("click", (event) => {
    const key = event.target.closest("[role=row]")?.dataset.key;
    const index = shown.rows.findIndex((row) => row.key === key);
    if (index < 0) return;
    active = index;
    if (event.target.closest(".wf-twist") && shown.rows[index].kind === "span") actions.toggle(shown.rows[index].span);
    else openRow(shown.rows[index]);
    paint();
  });
  let frame = 0;
  const later = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
    });
  };
  scroller.addEventListener("scroll", later, { passive: true });
  const resize = new ResizeObserver(() => {
    if (!shown) return;
    measure();
    later();
  });
  resize.observe(scroller);

  return {
    element,
    update(next) {
      const activeKey = shown?.rows[active]?.key;
      shown = { ...next, version: (shown?.version ?? 0) + 1, matched: new Set(next.matches.map((span) => span.id)) };
      measure();
      const kept = shown.rows.findIndex((row) => row.key === activeKey);
      active = kept >= 0 ? kept : Math.min(active, Math.max(shown.rows.length - 1, 0));
      setAttribute(scroller, "aria-rowcount", shown.rows.length);
      paintAxis(axis, shown.zoom);
      paintGrid(canvas, shown.zoom);
      paint();
    },
    reveal(key) {
      const index = shown?.rows.findIndex((row) => row.key === key) ?? -1;
      if (index >= 0) moveTo(index, { select: false });
    },
    focus: () => scroller.focus({ preventScroll: true }),
    scrollTop: () => scroller.scrollTop,
    scrollTo(top) {
      scroller.scrollTop = top;
      paint();
    },
    activeRow: () => shown?.rows[active] ?? null,
    destroy: () => resize.disconnect(),
  };
}

function rowId(key) {
  return `row-${key}`;
}

function spanRow({ span }, shown) {
  const collapsed = shown.collapsed.has(span.id);
  const status = statusWord(span);
  const logs = shown.trace.logsBySpan.get(span.id) ?? [];
  const notes = spanNotes(span);
  return h(
    "div",
    {
      class: [
        "wf-row",
        serviceClass(span.service),
        span.error && "failed",
        shown.matched.has(span.id) && "matched",
        shown.matches.length && !shown.matched.has(span.id) && "unmatched",
      ],
      id: rowId(span.id),
      role: "row",
      "aria-level": span.depth + 1,
      "aria-expanded": span.childCount ? String(!collapsed) : null,
      data: { key: span.id, span: span.id },
    },
    h(
      "div",
      { class: "wf-name", role: "rowheader", css: { "--depth": Math.min(span.depth, 24) } },
      h(
        "span",
        { class: ["wf-twist", span.childCount === 0 && "leaf"], "aria-hidden": "true" },
        span.childCount ? (collapsed ? "▸" : "▾") : "",
      ),
      h("span", { class: "swatch", "aria-hidden": "true" }),
      h("bdi", { class: "wf-service" }, plain(span.service, 80)),
      h("bdi", { class: "wf-operation" }, plain(span.operation, 200)),
      collapsed && h("span", { class: "wf-hidden" }, `+${span.subtreeEnd - span.index - 1}`),
      logs.length > 0 && h("span", { class: "wf-log-count", title: count(logs.length, "log line") }, `≡${logs.length}`),
    ),
    h(
      "div",
      {
        class: "wf-call",
        role: "gridcell",
        title: [status, ...notes.map((note) => note.text)].filter(Boolean).join(", "),
      },
      status &&
        status !== "OK" &&
        h("span", { class: ["status", span.error ? "bad" : "fine"] }, span.error ? `✕ ${status}` : status),
      notes.map((note) => h("span", { class: note.tone, title: note.title }, note.text)),
    ),
    h("div", { class: "wf-duration", role: "gridcell" }, span.hasTime ? duration(span.duration) : "–"),
    h("div", { class: "wf-time", role: "gridcell", "aria-label": spanSentence(span) }, timeline(span, logs, shown)),
  );
}

/** The bar with all that is drawn on it; hidden from readers, who hear the cell's sentence. */
function timeline(span, logs, { zoom, trace }) {
  const parts = span.hasTime ? [bar(span, place(span.start, span.end, zoom), zoom)] : [];
  if (span.deadline !== null && span.raw.timeoutS !== null)
    parts.push(mark("wf-deadline", span.deadline, zoom, "deadline"));
  for (const attempt of span.attempts.slice(1)) {
    const server = trace.byId.get(attempt.spanId);
    if (server) parts.push(mark("wf-attempt", server.start, zoom, `attempt ${attempt.number}`));
  }
  for (const message of span.messages.slice(0, 200))
    parts.push(
      mark(`wf-message ${message.way}`, message.at, zoom, message.way === "in" ? "message received" : "message sent"),
    );
  for (const log of logs.slice(0, 200)) parts.push(mark(`wf-log-mark rank-${log.rank}`, log.at, zoom, ""));
  return h("div", { class: "wf-lane", "aria-hidden": "true" }, parts);
}

function bar(span, at, zoom) {
  const segments = span.segments
    .map(([from, to]) => place(from, to, zoom))
    .filter((part) => part.to > 0 && part.from < 1);
  const width = Math.max(at.to - at.from, 1e-9);
  return h(
    "div",
    { class: "wf-bar", css: { left: `${at.from * 100}%`, width: `max(${width * 100}%, ${THINNEST_PX}px)` } },
    segments.map((part) =>
      h("i", {
        class: "wf-critical",
        css: { left: `${((part.from - at.from) / width) * 100}%`, width: `${((part.to - part.from) / width) * 100}%` },
      }),
    ),
  );
}

function mark(name, moment, zoom, title) {
  const at = place(moment, moment, zoom).from;
  if (at < -0.001 || at > 1.001) return null;
  return h("i", { class: name, title: title || null, css: { left: `${at * 100}%` } });
}

function logRow({ span, log }, shown) {
  const at = place(log.at, log.at, shown.zoom).from;
  const facts = logFacts(log, span);
  return h(
    "div",
    {
      class: ["wf-row wf-log", serviceClass(span.service), `rank-${log.rank}`],
      id: rowId(log.key),
      role: "row",
      "aria-level": span.depth + 2,
      data: { key: log.key, log: log.index },
    },
    h(
      "div",
      {
        class: "wf-name",
        role: "rowheader",
        "aria-colspan": 2,
        title: facts || null,
        css: { "--depth": Math.min(span.depth + 1, 25) },
      },
      h("span", { class: ["severity", `rank-${log.rank}`] }, log.severity),
      h("bdi", { class: "wf-log-body" }, plain(log.body, 240)),
      facts && h("bdi", { class: "wf-log-facts" }, facts),
    ),
    h("div", { class: "wf-duration wf-log-at", role: "gridcell" }, offset(log.at)),
    h(
      "div",
      { class: "wf-time", role: "gridcell", "aria-label": "log line" },
      h(
        "div",
        { class: "wf-lane", "aria-hidden": "true" },
        at >= 0 && at <= 1 && h("i", { class: `wf-log-mark own rank-${log.rank}`, css: { left: `${at * 100}%` } }),
      ),
    ),
  );
}

function paintAxis(axis, zoom) {
  replace(
    axis,
    ticks(zoom).map((at) =>
      h("span", { css: { left: `${place(at, at, zoom).from * 100}%` } }, at === 0 ? "0" : duration(at)),
    ),
  );
}

/** Vertical lines behind all rows, once for the whole canvas. */
function paintGrid(canvas, zoom) {
  canvas.querySelector(".wf-grid")?.remove();
  const lines = ticks(zoom).map((at) => h("i", { css: { left: `${place(at, at, zoom).from * 100}%` } }));
  canvas.prepend(h("div", { class: "wf-grid", "aria-hidden": "true" }, h("div", {}, lines)));
}
