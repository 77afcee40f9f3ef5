// Two traces side by side: where the difference in time went, part by part, so that the parts add up to the whole.

import { isTraceId, traceTo } from "./address.js";
import { newestOnly } from "./api.js";
import { mainRows, readDiff } from "./compare_model.js";
import { differencesTable, logCountsTable, matchedTable } from "./compare_tables_view.js";
import { h, replace } from "./dom.js";
import { clock, day, difference, duration, percent, plain, unitFor } from "./format.js";
import { newestFirst, readSummary } from "./search_model.js";
import { serviceClass } from "./service_color.js";
import { defaultRoute } from "./shell_view.js";
import { failure, loading } from "./states_view.js";

/** Make the page. `ctx`: `api`, `go(route)`, `addressOf(route)`, `say(text)`. */
export function createComparePage(ctx) {
  const newest = newestOnly();
  const element = h("div", { class: "compare-page" });
  let route = null;
  let all = false;
  let byDelta = false;
  let shown = null;

  async function load(force = false) {
    if (!route.a || !route.b) return choose();
    replace(element, loading("Matching the two traces"));
    try {
      const [diff, a, b] = await newest.ask((signal) =>
        Promise.all([
          ctx.api.diff(route.a, route.b, force, signal),
          ctx.api.analysis(route.a, signal),
          ctx.api.analysis(route.b, signal),
        ]),
      );
      shown = { diff: readDiff(diff), a, b };
      paint();
    } catch (error) {
      replace(
        element,
        failure(error.message, error.status === 400 ? null : () => load(force), "h1"),
        h(
          "section",
          { class: "state cm-anyway" },
          h(
            "p",
            { class: "buttons" },
            error.status === 400 &&
              !force &&
              h("button", { type: "button", on: { click: () => load(true) } }, "Compare them all the same"),
            sideLink(route.a, "Open the first"),
            sideLink(route.b, "Open the second"),
          ),
        ),
      );
    }
  }

  /** One side is known, or none: a list of recent traces to choose the other from. */
  async function choose() {
    const known = route.a || route.b;
    const field = h("input", { type: "text", placeholder: "trace id", "aria-label": "Trace id", spellcheck: "false" });
    const list = h("ul", { class: "cm-recent" });
    const pick = (id) =>
      ctx.go(known ? { page: "compare", a: route.a || id, b: route.b || id } : { page: "compare", a: id, b: "" });
    replace(
      element,
      h(
        "section",
        { class: "state" },
        h("h1", {}, known ? "Compare with which trace?" : "Compare which traces?"),
        known && h("p", {}, "The one chosen: ", h("code", {}, known)),
        h(
          "form",
          {
            class: "cm-pick",
            on: {
              submit(event) {
                event.preventDefault();
                const typed = field.value.trim();
                if (!isTraceId(typed)) return ctx.say("a trace id is 1 to 32 hex digits");
                ctx.api.wholeTraceId(typed).then(pick, (error) => ctx.say(error.message));
              },
            },
          },
          field,
          h("button", { type: "submit" }, "Compare"),
        ),
        h("p", { class: "dim" }, "Or one of the newest:"),
        list,
      ),
    );
    const summaries = await newest
      .ask((signal) => ctx.api.summaries({ ...defaultRoute("search"), lookback: "1d", limit: 20 }, signal))
      .catch(() => []);
    replace(
      list,
      newestFirst(summaries.map(readSummary))
        .filter((trace) => trace.id !== known)
        .slice(0, 12)
        .map((trace) =>
          h(
            "li",
            {},
            h(
              "a",
              {
                class: serviceClass(trace.service),
                href: ctx.addressOf({ page: "compare", a: route.a || trace.id, b: route.a ? trace.id : route.b }),
              },
              h("span", { class: "swatch", "aria-hidden": "true" }),
              " ",
              h("bdi", {}, plain(`${trace.service} ${trace.operation}`, 90)),
              ` ${duration(trace.duration)}`,
            ),
            h("span", { class: "dim" }, ` ${clock(trace.start)}`),
          ),
        ),
    );
  }

  function sideLink(id, text) {
    return h("a", { class: "button", href: ctx.addressOf(traceTo(id)) }, text);
  }

  function paint() {
    const { diff, a, b } = shown;
    const rows = all ? diff.rows : mainRows(diff);
    const ordered = byDelta ? [...rows].sort((x, y) => Math.abs(y.delta) - Math.abs(x.delta)) : rows;
    const unit = unitFor(Math.max(diff.a.duration, diff.b.duration));
    const rest = diff.rows.filter((row) => !rows.includes(row));
    const share = diff.a.duration
      ? ` (${diff.delta >= 0 ? "+" : "−"}${percent(Math.abs(diff.delta) / diff.a.duration)})`
      : "";
    replace(
      element,
      h(
        "header",
        { class: "cm-head" },
        h("h1", {}, "Two traces, matched"),
        h(
          "div",
          { class: "cm-sides" },
          side("Before", a, diff.a),
          h(
            "div",
            { class: "cm-total" },
            h("b", {}, difference(diff.delta, unit)),
            h(
              "span",
              { class: "dim" },
              diff.delta === 0 ? "the same" : diff.delta > 0 ? `slower${share}` : `faster${share}`,
            ),
          ),
          side("After", b, diff.b),
          h("a", { class: "button", href: ctx.addressOf({ page: "compare", a: diff.b.id, b: diff.a.id }) }, "⇄ Swap"),
        ),
      ),
      h(
        "div",
        { class: "results-head" },
        h(
          "span",
          { class: "cm-sum" },
          "Critical self time, after less before. The rows add up to the whole difference.",
        ),
        h("span", { class: "gap" }),
        toggle("Largest first", byDelta, () => (byDelta = !byDelta)),
        toggle(`All ${diff.rows.length} rows`, all, () => (all = !all)),
      ),
      matchedTable({ rows: ordered, rest, diff, unit, flat: byDelta, addressOf: ctx.addressOf }),
      differencesTable(ordered),
      logCountsTable(diff.logs),
    );
  }

  function toggle(words, on, flip) {
    return h(
      "button",
      {
        type: "button",
        class: "toggle",
        "aria-pressed": String(on),
        on: {
          click() {
            flip();
            paint();
          },
        },
      },
      words,
    );
  }

  function side(title, analysis, half) {
    return h(
      "a",
      { class: ["cm-side", serviceClass(analysis.rootServiceName)], href: ctx.addressOf(traceTo(half.id)) },
      h("span", {}, title, " · ", day(analysis.startTimeUnixNano), " ", clock(analysis.startTimeUnixNano)),
      h("b", {}, duration(half.duration)),
      h("span", {}, h("bdi", {}, plain(`${analysis.rootServiceName} ${analysis.rootOperation}`, 160))),
      h(
        "span",
        { class: "dim" },
        `${analysis.spanCount} spans${analysis.errorSpanCount ? `, ✕ ${analysis.errorSpanCount} failed` : ""}`,
      ),
    );
  }

  return {
    element,
    title: "Compare",
    update(next) {
      route = next;
      load();
    },
    keys: {},
    destroy: () => newest.abort(),
  };
}
