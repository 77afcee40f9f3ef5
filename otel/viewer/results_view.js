// The traces that a search found, newest first. New ones slide in without moving what stands around the list, and wait while
// the reader points at a row or has the focus in one.

import { h, replace, setAttribute, setCss } from "./dom.js";
import { clock, count, day, duration, grouped, plain } from "./format.js";
import { serviceClass } from "./service_color.js";

/** Services named on a row; the rest are counted. */
const NAMED_SERVICES = 5;

/** Make the list. `addressOf(trace)` is a row's link, `hover(id)` tells which row is pointed at, `compare(ids)` the ticked ones, `held(count)` how many wait. */
export function createResults({ addressOf, hover, compare, held }) {
  const list = h("ol", { class: "results", "aria-label": "Traces, newest first" });
  const element = h("div", { class: "results-box" }, list);
  const rows = new Map();
  let ticked = [];
  let waiting = null;
  let pointed = false;

  const busy = () => pointed || list.contains(document.activeElement);
  list.addEventListener("pointerenter", () => (pointed = true));
  list.addEventListener("pointerleave", () => {
    pointed = false;
    release();
  });
  list.addEventListener("focusout", (event) => !list.contains(event.relatedTarget) && release());
  list.addEventListener("pointerover", (event) => hover(event.target.closest("li")?.dataset.trace ?? ""));
  list.addEventListener("focusin", (event) => hover(event.target.closest("li")?.dataset.trace ?? ""));
  list.addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    const links = [...list.querySelectorAll(".result-link")].sort(
      (a, b) => Number(a.dataset.index) - Number(b.dataset.index),
    );
    const at = links.indexOf(event.target);
    if (!way || at < 0 || !links[at + way]) return;
    event.preventDefault();
    links[at + way].focus();
  });

  function release() {
    if (!waiting || busy()) return;
    const next = waiting;
    waiting = null;
    held(0);
    paint(next);
  }

  function paint({ found, animate }) {
    const longest = Math.max(...found.map((trace) => trace.duration), 1);
    const keep = new Set(found.map((trace) => trace.id));
    for (const [id, row] of rows) {
      if (keep.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    ticked = ticked.filter((id) => keep.has(id));
    const today = found.length ? day(BigInt(Date.now()) * 1_000_000n) : "";
    found.forEach((trace, index) => {
      const version = `${trace.duration}/${trace.spans}/${trace.errors}/${trace.operation}`;
      let row = rows.get(trace.id);
      if (!row) {
        row = { element: h("li", { data: { trace: trace.id }, class: animate ? "new" : null }) };
        rows.set(trace.id, row);
      }
      if (row.version !== version) replace(row.element, rowOf(trace, today));
      row.version = version;
      setCss(row.element, { "--index": index, "--share": trace.duration / longest });
      setAttribute(row.element, "aria-posinset", index + 1);
      setAttribute(row.element, "aria-setsize", found.length);
      row.element.querySelector(".result-link").dataset.index = index;
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null);
    });
    setCss(list, { "--count": found.length });
  }

  function rowOf(trace, today) {
    const box = h("input", {
      type: "checkbox",
      "aria-label": `Compare ${plain(trace.service, 60)} ${plain(trace.operation, 120)} of ${clock(trace.start)}`,
      on: { change: () => tick(trace.id, box.checked) },
    });
    box.checked = ticked.includes(trace.id);
    const rest = trace.services.length - NAMED_SERVICES;
    const started = day(trace.start);
    return [
      h("label", { class: "result-tick", title: "Choose two to compare" }, box),
      h(
        "a",
        { class: ["result-link", trace.errors > 0 && "failed"], href: addressOf(trace) },
        h(
          "span",
          { class: "r-when" },
          trace.start > 0n && started !== today && h("span", { class: "r-day" }, `${started.replace(/ \d{4}$/, "")} `),
          trace.start > 0n ? clock(trace.start) : "no time",
        ),
        h(
          "span",
          { class: ["r-name", serviceClass(trace.service)] },
          h("span", { class: "swatch", "aria-hidden": "true" }),
          h("bdi", { class: "r-service" }, plain(trace.service || "root not received", 60)),
          " ",
          h("bdi", { class: "r-operation" }, plain(trace.operation, 160)),
        ),
        h("span", { class: "r-errors status bad" }, trace.errors > 0 ? `✕ ${trace.errors} failed` : ""),
        h(
          "span",
          { class: "r-services" },
          trace.services
            .slice(0, NAMED_SERVICES)
            .map((service) =>
              h(
                "span",
                { class: ["r-chip", serviceClass(service.name)] },
                h("span", { class: "swatch", "aria-hidden": "true" }),
                h("bdi", {}, plain(service.name, 30)),
                h("span", { class: "dim" }, ` ${service.spans}`),
              ),
            ),
          rest > 0 && h("span", { class: "dim" }, `+${rest}`),
        ),
        h(
          "span",
          { class: "r-spans" },
          grouped(trace.spans),
          h("span", { class: "dim" }, trace.spans === 1 ? " span" : " spans"),
        ),
        h(
          "span",
          { class: "r-duration" },
          h("span", {}, duration(trace.duration)),
          h("i", { class: ["r-bar", serviceClass(trace.service)], "aria-hidden": "true" }),
        ),
      ),
    ];
  }

  function tick(id, on) {
    ticked = on ? [...ticked, id].slice(-2) : ticked.filter((one) => one !== id);
    for (const [other, row] of rows) row.element.querySelector("input").checked = ticked.includes(other);
    compare(ticked);
  }

  return {
    element,
    /** Show `found`; with `live` it waits while the reader is busy with a row. */
    update(found, { live = false } = {}) {
      const fresh = found.filter((trace) => !rows.has(trace.id)).length;
      if (live && busy() && fresh) {
        waiting = { found, animate: true };
        held(fresh);
        return;
      }
      waiting = null;
      held(0);
      paint({ found, animate: live });
    },
    showHeld() {
      pointed = false;
      if (list.contains(document.activeElement)) document.activeElement.blur();
      release();
    },
    highlight(id) {
      for (const [other, row] of rows) setAttribute(row.element, "data-on", other === id ? "true" : null);
    },
    clearTicks() {
      ticked = [];
      for (const row of rows.values()) row.element.querySelector("input").checked = false;
      compare([]);
    },
    words: (number) => count(number, "new trace"),
  };
}
