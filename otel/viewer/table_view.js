// A table whose columns sort: one header button each, `aria-sort` for those who do not see the arrow.

import { h, replace, setAttribute } from "./dom.js";

/**
 * Make a table. A column is `{key, title, number, value(row), cell(row), hint}`; numbers sort from large to small first.
 * `start` is the key that sorts at first ("" leaves the order of the rows).
 */
export function createTable({ label, columns, start = "" }) {
  const head = h("tr");
  const body = h("tbody");
  const element = h(
    "div",
    { class: "table-scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", { class: "grid" }, h("thead", {}, head), body),
  );
  let rows = [];
  let order = { key: start, down: columns.find((column) => column.key === start)?.number ?? false };

  replace(
    head,
    columns.map((column) =>
      h(
        "th",
        { scope: "col", class: column.number ? "number" : "", data: { key: column.key } },
        h(
          "button",
          { type: "button", title: column.hint ?? null, on: { click: () => sortBy(column) } },
          column.title,
          h("span", { class: "sort", "aria-hidden": "true" }),
        ),
      ),
    ),
  );

  function sortBy(column) {
    order =
      order.key === column.key
        ? { key: column.key, down: !order.down }
        : { key: column.key, down: Boolean(column.number) };
    paint();
  }

  function paint() {
    const column = columns.find((one) => one.key === order.key);
    const sorted = column
      ? [...rows].sort((a, b) => compare(column.value(a), column.value(b)) * (order.down ? -1 : 1))
      : rows;
    for (const cell of head.children) {
      const mine = cell.dataset.key === order.key;
      setAttribute(cell, "aria-sort", mine ? (order.down ? "descending" : "ascending") : null);
      cell.querySelector(".sort").textContent = mine ? (order.down ? "↓" : "↑") : "";
    }
    replace(
      body,
      sorted.map((row) =>
        h(
          "tr",
          {},
          columns.map((one, index) =>
            h(
              index === 0 ? "th" : "td",
              { scope: index === 0 ? "row" : null, class: one.number ? "number" : "" },
              one.cell(row),
            ),
          ),
        ),
      ),
    );
  }

  return {
    element,
    update(next) {
      rows = next;
      paint();
    },
  };
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}
