// The tables of a comparison: matched spans with their share of the difference, what else differs, log lines by number.

import { traceTo } from "./address.js";
import { countWords, widest } from "./compare_model.js";
import { h } from "./dom.js";
import { count, difference, duration, plain } from "./format.js";
import { serviceClass } from "./service_color.js";

/**
 * Make the table of matched spans. `rows` are shown, `rest` is folded into one row; `flat` leaves the tree's indent away.
 * The last row is the sum of all of them, which is the whole difference.
 */
export function matchedTable({ rows, rest, diff, unit, flat, addressOf }) {
  const scale = Math.max(widest(diff.rows), Math.abs(diff.delta));
  const sum = (some) => some.reduce((whole, row) => whole + row.delta, 0);
  const link = (id, half) => (half.count ? spanLink(addressOf, id, half, unit) : "–");
  const body = rows.map((row) =>
    tableRow(
      [
        operationCell(row, flat),
        change(row),
        countWords(row),
        link(diff.a.id, row.a),
        link(diff.b.id, row.b),
        delta(row.delta, scale, unit),
      ],
      2,
    ),
  );
  const foot = [
    rest.length > 0 &&
      tableRow(
        [
          h("th", { scope: "row", class: "dim" }, `other, ${count(rest.length, "row")}`),
          "",
          "",
          "",
          "",
          delta(sum(rest), scale, unit),
        ],
        2,
      ),
    tableRow(
      [
        h("th", { scope: "row" }, "Sum"),
        "",
        "",
        duration(diff.a.duration, unit),
        duration(diff.b.duration, unit),
        delta(sum(rows) + sum(rest), scale, unit),
      ],
      2,
    ),
  ];
  return table("Matched spans", ["Operation", "Change", "Spans", "Before", "After", "Difference"], 2, body, foot, "matched");
}

/** What matched spans say differently: the pair with the greatest difference of each row; null where nothing differs. */
export function differencesTable(rows) {
  const telling = rows.filter((row) => row.pair?.differences?.length);
  if (!telling.length) return null;
  const body = telling.flatMap((row) =>
    row.pair.differences.map((one) => tableRow([operationCell(row, true), text(one.key), text(one.a), text(one.b)])),
  );
  return h(
    "section",
    { class: "cm-pairs" },
    h("h2", {}, "What else differs on matched spans"),
    table("Attributes that differ", ["Span", "Attribute", "Before", "After"], 9, body),
  );
}

/** Events whose log lines differ in number; null where none do. */
export function logCountsTable(counts) {
  if (!counts.length) return null;
  const body = counts.map((one) =>
    tableRow(
      [h("th", { scope: "row", class: "cm-name" }, h("code", {}, plain(one.name, 120))), `x${one.a}`, `x${one.b}`],
      1,
    ),
  );
  return h(
    "section",
    { class: "cm-logs" },
    h("h2", {}, "Log lines"),
    table("Log lines that differ in number", ["Event", "Before", "After"], 1, body),
  );
}

/** A table in a frame that scrolls; columns from `firstNumber` on are numbers; `kind` is a class of its frame. */
function table(label, titles, firstNumber, body, foot = [], kind = "") {
  const heads = titles.map((title, index) =>
    h("th", { scope: "col", class: index >= firstNumber ? "number cm-th" : "cm-th" }, title),
  );
  return h(
    "div",
    { class: ["cm-table", kind], tabindex: "0", role: "region", "aria-label": label },
    h("table", { class: "grid" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body), h("tfoot", {}, foot)),
  );
}

/** A row whose first member is its heading cell already. */
function tableRow([heading, ...cells], firstNumber = 9) {
  return h(
    "tr",
    {},
    heading,
    cells.map((cell, index) => h("td", { class: index + 1 >= firstNumber ? "number" : "cm-name" }, cell)),
  );
}

function operationCell(row, flat) {
  return h(
    "th",
    { scope: "row", class: ["cm-name", serviceClass(row.service)] },
    h("span", { class: "cm-indent", css: { "--depth": flat ? 0 : Math.min(row.depth, 20) } }),
    h("span", { class: "swatch", "aria-hidden": "true" }),
    h("bdi", { class: "dim" }, plain(row.service, 60)),
    " ",
    h("bdi", {}, plain(row.operation, 140)),
    h("span", { class: "dim" }, ` ${row.kind}`),
  );
}

function text(value) {
  return h("bdi", {}, plain(value === "" ? "–" : value, 160));
}

function spanLink(addressOf, id, half, unit) {
  const words = `in all ${duration(half.duration)}, median ${duration(half.median)}`;
  return h(
    "a",
    { href: addressOf(traceTo(id, { span: half.spanIds[0] ?? "" })), title: words },
    duration(half.critical, unit),
  );
}

function change(row) {
  const words = row.moved
    ? `${row.change}, moved`
    : row.change === "same"
      ? row.a.status !== row.b.status
        ? `${row.a.status} → ${row.b.status}`
        : ""
      : row.change;
  return h(
    "span",
    { class: ["cm-change", row.change] },
    row.change === "added" ? `+ ${words}` : row.change === "removed" ? `− ${words}` : words,
  );
}

/** A bar from the middle: to the right slower, to the left faster. */
function delta(value, scale, unit) {
  const width = `${(Math.min(Math.abs(value) / scale, 1) * 50).toFixed(2)}%`;
  return h(
    "span",
    { class: "cm-delta" },
    h("span", {}, difference(value, unit)),
    h(
      "span",
      { class: "cm-bar", "aria-hidden": "true" },
      value !== 0 && h("i", { class: value > 0 ? "slower" : "faster", css: { width } }),
    ),
  );
}
