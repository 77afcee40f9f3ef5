// The search: filters, a scatter of duration over time, and the traces found. New traces come in while it is open.

import { lookbackMillis, traceTo } from "./address.js";
import { newestOnly } from "./api.js";
import { h, replace, setAttribute } from "./dom.js";
import { count } from "./format.js";
import { createResults } from "./results_view.js";
import { createScatter } from "./scatter_view.js";
import { createSearchForm } from "./search_form_view.js";
import { explain, foundWords, newestFirst, readSummary } from "./search_model.js";
import { defaultRoute } from "./shell_view.js";
import { emptySearch, failure, gettingStarted } from "./states_view.js";

/** Make the page. `ctx`: `api`, `go(route)`, `addressOf(route)`, `say(text)`, `stream`, `copy(text, what)`. */
export function createSearchPage(ctx) {
  const addressOf = (trace) => ctx.addressOf(traceTo(trace.id));
  const newest = newestOnly();
  let route = null;
  let asked = "";
  let ticked = [];
  const form = createSearchForm({ change: (part) => ctx.go({ ...route, ...part }), operationsOf: operationNames });
  const scatter = createScatter({ addressOf, hover: (id) => results.highlight(id) });
  const results = createResults({
    addressOf,
    hover: (id) => scatter.highlight(id),
    compare: paintCompare,
    held: paintHeld,
  });
  const sentence = h("h1", { class: "sentence" });
  const found = h("span", { class: "found-words", role: "status" });
  const held = h("button", { type: "button", class: "held", on: { click: () => results.showHeld() } });
  const compare = h(
    "button",
    {
      type: "button",
      class: "quiet compare-button",
      on: { click: () => ctx.go({ page: "compare", a: ticked[1], b: ticked[0] }) },
    },
    "Compare",
  );
  const instead = h("div", { class: "instead" });
  const body = h(
    "div",
    { class: "search-body" },
    scatter.element,
    h("div", { class: "results-head" }, found, held, h("span", { class: "gap" }), compare),
    results.element,
  );
  const element = h("div", { class: "search" }, form.element, sentence, body, instead);
  const stop = ctx.stream.on("traces", () => route && load({ live: true }));
  paintHeld(0);
  paintCompare([]);

  async function operationNames(service) {
    const operations = await ctx.api.operations(service);
    return operations.map((operation) => operation.name);
  }

  async function load({ live = false } = {}) {
    const search = route;
    if (!live) setAttribute(element, "aria-busy", "true");
    try {
      const [services, summaries] = await newest.ask((signal) =>
        Promise.all([ctx.api.services(signal), ctx.api.summaries(search, signal)]),
      );
      setAttribute(element, "aria-busy", null);
      form.services(services);
      show(newestFirst(summaries.map(readSummary)).slice(0, search.limit), services, live);
    } catch (error) {
      setAttribute(element, "aria-busy", null);
      if (!live) showInstead(failure(error.message, () => load()));
      else ctx.say(error.message);
    }
  }

  function show(traces, services, live) {
    found.textContent = foundWords(traces, route.limit);
    if (!traces.length) {
      results.update([]);
      const nothing = services.length === 0;
      return showInstead(
        nothing
          ? gettingStarted(ctx)
          : emptySearch(
              explain(route),
              () => ctx.go({ ...defaultRoute("search"), lookback: route.lookback }),
              () => ctx.go({ ...route, lookback: "7d", start: "", end: "" }),
            ),
      );
    }
    showInstead(null);
    const nowMs = Date.now();
    const period = route.start
      ? { fromMs: Number(route.start) / 1000, toMs: Number(route.end) / 1000 }
      : { fromMs: nowMs - lookbackMillis(route.lookback), toMs: nowMs };
    // A period that is mostly empty shows the part with traces in it.
    const oldest = traces.at(-1).startMs;
    const used = Math.max((period.toMs - oldest) * 1.06, 10_000);
    scatter.update(traces, { fromMs: Math.max(period.fromMs, period.toMs - used), toMs: period.toMs });
    results.update(traces, { live });
  }

  function showInstead(content) {
    body.hidden = content !== null;
    instead.hidden = content === null;
    replace(instead, content);
  }

  function paintHeld(number) {
    held.textContent = number ? `${count(number, "new trace")}, show` : "";
    setAttribute(held, "data-shown", number ? "true" : null);
    held.tabIndex = number ? 0 : -1;
    setAttribute(held, "aria-hidden", number ? null : "true");
  }

  function paintCompare(ids) {
    ticked = ids;
    compare.disabled = ids.length !== 2;
    compare.textContent =
      ids.length === 2 ? "Compare the two" : ids.length === 1 ? "Choose one more to compare" : "Choose two to compare";
  }

  return {
    element,
    title: "Search",
    update(next) {
      route = next;
      form.update(route);
      sentence.textContent = explain(route);
      const question = ctx.addressOf(route);
      if (question === asked) return;
      asked = question;
      load();
    },
    keys: { find: () => form.focus() },
    destroy() {
      stop();
      newest.abort();
      scatter.destroy();
    },
  };
}
