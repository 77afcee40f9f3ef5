// The heat map of one method: steps across, durations upwards, a cell for the calls of both. Cells lead to traces.

import { traceTo } from "./address.js";
import { h, s, setAttribute, setCss } from "./dom.js";
import { clock, count, duration } from "./format.js";
import { bucketOf, heightOf, nanoseconds, neighbour, searchOf } from "./metrics_model.js";
import { defaultRoute } from "./shell_view.js";

/** A drag shorter than this is a click. */
const CLICK_PX = 5;

/** Make the map of `card`. `ctx`: `addressOf(route)`, `go(route)`. A range that is brushed becomes a search. */
export function createHeatMap(ctx, card) {
  const columns = card.startsMs.length;
  const rows = card.lastRow - card.firstRow + 1;
  const brush = h("div", { class: "ht-brush", hidden: true });
  const cells = card.cells.map((cell) => ({ cell, element: drawCell(ctx, card, cell, rows) }));
  const drawing = s(
    "svg",
    {
      class: "ht-svg",
      viewBox: `0 0 ${columns} ${rows}`,
      preserveAspectRatio: "none",
      role: "group",
      "aria-label": "Durations over time. Arrows move, Enter opens a trace, Shift with left or right chooses a time to search",
    },
    cells.map(({ element }) => element),
    [...line(card, card.p95s, "ht-p95", rows), ...line(card, card.p50s, "ht-p50", rows)],
  );
  const stage = h("div", { class: "ht-stage" }, drawing, brush);
  let range = null;
  settle(cells.at(-1)?.element);

  function settle(chosen) {
    for (const { element } of cells) setAttribute(element, "tabindex", element === chosen ? "0" : "-1");
  }

  function choose(from, to) {
    range = from === null ? null : [Math.min(from, to), Math.max(from, to)];
    brush.hidden = range === null;
    if (range) setCss(brush, { left: `${(range[0] / columns) * 100}%`, width: `${((range[1] - range[0] + 1) / columns) * 100}%` });
  }

  function search() {
    if (range) ctx.go({ ...defaultRoute("search"), ...searchOf(card, ...range) });
  }

  stage.addEventListener("keydown", (event) => {
    const current = cells.find(({ element }) => element === document.activeElement);
    if (!current || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape" && range) choose(null);
    else if (event.key === "Enter" && range) search();
    else if (event.shiftKey && step) {
      const [from, to] = range ?? [current.cell.column, current.cell.column];
      const moved = Math.min(columns - 1, Math.max(0, (step < 0 ? from : to) + step));
      choose(step < 0 ? moved : from, step < 0 ? to : moved);
    } else if (event.key.startsWith("Arrow")) {
      const next = neighbour(card.cells, current.cell, event.key);
      const found = cells.find(({ cell }) => cell === next).element;
      choose(null);
      settle(found);
      found.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const box = stage.getBoundingClientRect();
    const columnAt = (x) => Math.min(columns - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * columns)));
    const begin = event.clientX;
    let dragged = false;
    const move = (moved) => {
      if (Math.abs(moved.clientX - begin) < CLICK_PX && !dragged) return;
      dragged = true;
      choose(columnAt(begin), columnAt(moved.clientX));
    };
    const up = () => {
      window.removeEventListener("pointermove", move);
      if (!dragged) return;
      // The click that ends a drag is none on the cell under it.
      window.addEventListener("click", stop, { capture: true, once: true });
      setTimeout(() => window.removeEventListener("click", stop, { capture: true }), 0);
      search();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up, { once: true });
  });
  // A link that is dragged would be taken away as one.
  stage.addEventListener("dragstart", (event) => event.preventDefault());

  return { element: h("div", { class: "ht" }, scale(card), stage, times(card)), isInUse: () => range !== null };
}

function stop(event) {
  event.preventDefault();
  event.stopPropagation();
}

function drawCell(ctx, card, cell, rows) {
  const route = cell.exemplar
    ? traceTo(cell.exemplar.traceId, { span: cell.exemplar.spanId })
    : { ...defaultRoute("search"), ...searchOf(card, cell.column, cell.column, cell.row) };
  const words = `${bucketWords(card, cell.row)}, ${clockOf(card.startsMs[cell.column])}: ${callWords(cell.count)}. ${
    cell.exemplar ? `Open one that took ${duration(nanoseconds(cell.exemplar.value))}` : "Search them"
  }`;
  const y = rows - 1 - (cell.row - card.firstRow);
  return s(
    "a",
    { class: "ht-cell", href: ctx.addressOf(route), tabindex: "-1", "aria-label": words, draggable: "false" },
    s("title", {}, words),
    s("rect", {
      x: cell.column + 0.04,
      y: y + 0.04,
      width: 0.92,
      height: 0.92,
      "fill-opacity": (0.25 + 0.75 * Math.sqrt(cell.count / card.most)).toFixed(2),
    }),
    cell.exemplar && s("path", { class: "ht-mark", d: `M${cell.column + 0.5} ${y + 0.5} h0` }),
  );
}

/** A line that is seen on every shade: a lighter one lies under it. */
function line(card, values, name, rows) {
  let path = "";
  let pen = "M";
  for (const [column, seconds] of card.startsMs.map((_, index) => [index, values[index]])) {
    const height = heightOf(card, seconds);
    if (height === null) pen = "M";
    else {
      path += `${pen}${column + 0.5} ${((1 - height) * rows).toFixed(3)} h0`;
      pen = "L";
    }
  }
  return ["ht-halo", name].map((kind) => s("path", { class: `ht-line ${kind}`, d: path, "aria-hidden": "true" }));
}

/** The ends of the drawn durations, and one in the middle where there is room. */
function scale(card) {
  const rows = Array.from({ length: card.lastRow - card.firstRow + 1 }, (_, index) => card.lastRow - index);
  const every = Math.ceil(rows.length / 5);
  return h(
    "div",
    { class: "ht-scale", "aria-hidden": "true" },
    rows.map((row, index) => h("span", {}, index % every === 0 ? shortBucket(card, row) : "")),
  );
}

function times(card) {
  const last = card.startsMs.at(-1) + card.stepMs;
  return h(
    "div",
    { class: "ht-times", "aria-hidden": "true" },
    [card.startsMs[0], (card.startsMs[0] + last) / 2, last].map((ms) => h("span", {}, clockOf(ms))),
  );
}

function shortBucket(card, row) {
  const { low, high } = bucketOf(card.bounds, row);
  return high === null ? `> ${duration(nanoseconds(low))}` : `≤ ${duration(nanoseconds(high))}`;
}

function bucketWords(card, row) {
  const { low, high } = bucketOf(card.bounds, row);
  if (high === null) return `over ${duration(nanoseconds(low))}`;
  return low ? `${duration(nanoseconds(low))} to ${duration(nanoseconds(high))}` : `up to ${duration(nanoseconds(high))}`;
}

/** A count that was spread over steps may be a fraction. */
function callWords(number) {
  return number < 1 ? "less than 1 call" : count(Math.round(number), "call");
}

function clockOf(ms) {
  return clock(BigInt(Math.round(ms)) * 1_000_000n).slice(0, 8);
}

/** What the marks mean, once for all maps. */
export function heatLegend() {
  return h(
    "p",
    { class: "ht-legend dim" },
    h("i", { class: "ht-key ht-key-p50", "aria-hidden": "true" }),
    " p50 ",
    h("i", { class: "ht-key ht-key-p95", "aria-hidden": "true" }),
    " p95 ",
    h("i", { class: "ht-key ht-key-mark", "aria-hidden": "true" }),
    " a trace. A cell opens its trace; drag over a time to search it.",
  );
}
