// The page Metrics: a card for each method with its rate, failures and durations over a chosen time, from stored metrics.

import { LOOKBACKS, lookbackMillis, lookbackWords, traceTo } from "./address.js";
import { newestOnly } from "./api.js";
import { h, replace, s, setAttribute } from "./dom.js";
import { count, digits, duration, grouped, percent, plain, rfc3339OfMillis, shortOperation } from "./format.js";
import { createHeatMap, heatLegend } from "./heat_view.js";
import {
  ATTEMPTS,
  CORE_METHOD,
  METHOD,
  nanoseconds,
  readCards,
  readCore,
  SENT,
  SIDES,
  STATUS,
  searchOf,
  stepSeconds,
} from "./metrics_model.js";
import { defaultRoute } from "./shell_view.js";
import { failure } from "./states_view.js";

/** How often the cards are asked for anew while the page is live. */
const AGAIN_MS = 5000;

/** Make the page. `ctx`: `api`, `go(route)`, `addressOf(route)`, `live` (a cell), `say(text)`. */
export function createMetricsPage(ctx) {
  const newest = newestOnly();
  let route = null;
  let asked = "";
  let maps = [];
  const lookback = h("select", { "aria-label": "Time", on: { change: () => go({ lookback: lookback.value }) } });
  const side = h(
    "select",
    { "aria-label": "Measured by", on: { change: () => go({ side: side.value }) } },
    h("option", { value: "served" }, "Calls as servers saw them"),
    h("option", { value: "made" }, "Calls as their callers saw them"),
  );
  const words = h("p", { class: "dim", role: "status" });
  const cards = h("div", { class: "mt-cards" });
  const legend = heatLegend();
  const instead = h("div", { class: "instead" });
  const element = h(
    "div",
    { class: "metrics-page" },
    h("div", { class: "mp-head" }, h("h1", {}, "Calls over time"), lookback, side, words),
    legend,
    cards,
    instead,
  );
  const timer = setInterval(() => {
    if (route && ctx.live.get() === "live" && !document.hidden && !isInUse()) load({ live: true });
  }, AGAIN_MS);

  function go(more) {
    ctx.go({ ...route, ...more });
  }

  /** Whether drawing anew would take something out of the reader's hands. */
  function isInUse() {
    return cards.contains(document.activeElement) || maps.some((map) => map.isInUse());
  }

  async function load({ live = false } = {}) {
    if (!live) setAttribute(element, "aria-busy", "true");
    if (!live) words.textContent = "Reading metrics…";
    try {
      const found = await newest.ask((signal) => ask(ctx.api, route.side, lookbackMillis(route.lookback), signal));
      if (live && isInUse()) return;
      if (!found?.length) return showInstead(nothing(route, found === null));
      showInstead(null);
      const made = found.map((card) => createCard(ctx, card, route.side));
      maps = made.map((one) => one.map);
      replace(cards, made.map((one) => one.element));
      words.textContent = `${count(found.length, "method")}, ${count(Math.round(sum(found)), "call")}`;
    } catch (error) {
      if (live) ctx.say(error.message);
      else showInstead(failure(error.message, load));
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  }

  function showInstead(what) {
    cards.hidden = legend.hidden = what !== null;
    instead.hidden = what === null;
    if (what) words.textContent = "";
    replace(instead, what);
  }

  return {
    element,
    title: "Metrics",
    update(next) {
      route = next;
      const all = [...new Set([...LOOKBACKS, route.lookback])];
      replace(
        lookback,
        all.map((time) =>
          h("option", { value: time }, `${lookbackWords(time)[0].toUpperCase()}${lookbackWords(time).slice(1)}`),
        ),
      );
      lookback.value = route.lookback;
      side.value = route.side;
      if (asked === `${route.lookback} ${route.side}`) return;
      asked = `${route.lookback} ${route.side}`;
      load();
    },
    keys: { find: () => lookback.focus() },
    destroy() {
      clearInterval(timer);
      newest.abort();
    },
  };
}

/** The cards of a side; null where what it measured is not stored. */
async function ask(api, side, windowMs, signal) {
  const { metrics } = await api.storedMetrics(signal);
  const stored = new Set(metrics.map((metric) => metric.name));
  const name = SIDES[side];
  if (!stored.has(name)) return null;
  const endMs = Date.now();
  const step = stepSeconds(windowMs);
  const times = { timeMin: rfc3339OfMillis(endMs - windowMs), timeMax: rfc3339OfMillis(endMs) };
  const whole = Math.ceil(windowMs / 1000);
  const query = (aggregate, by = METHOD, stepS = step) =>
    api.metricOverTime({ name, kind: "histogram", aggregate, by, step: `${stepS}s`, ...times }, signal);
  const core = (of, aggregate, by) =>
    stored.has(of) ? api.metricOverTime({ name: of, aggregate, by, step: `${whole}s`, ...times }, signal) : null;
  const [rates, heat, p50, p95, wholeP50, wholeP95, attempts, calls, wire, messages] = await Promise.all([
    query("rate", `${METHOD},${STATUS}`),
    query("heatmap"),
    query("p50"),
    query("p95"),
    query("p50", METHOD, whole),
    query("p95", METHOD, whole),
    core(ATTEMPTS, "sum", CORE_METHOD),
    stored.has(ATTEMPTS) ? core(SIDES.made, "rate", METHOD) : null,
    core(SENT[side].wire, "sum", CORE_METHOD),
    core(SENT[side].messages, "sum", METHOD),
  ]);
  return readCards({ rates, heat, p50, p95, wholeP50, wholeP95, core: readCore({ attempts, calls, wire, messages }) });
}

function createCard(ctx, card, side) {
  const name = plain(shortOperation(card.method) || "every call", 80);
  const map = createHeatMap(ctx, card);
  const whole = { ...defaultRoute("search"), ...searchOf(card, 0, card.startsMs.length - 1) };
  const element = h(
    "section",
    { class: "mt-card", "aria-label": name },
    h(
      "header",
      {},
      h("h2", {}, h("bdi", {}, name)),
      h("a", { class: "mt-search", href: ctx.addressOf(whole), "aria-label": `Search the traces of ${name}` }, "Traces"),
    ),
    h(
      "dl",
      { class: "mt-figures" },
      figure("Rate", rate(card.rate)),
      figure("Errors", card.errors > 0 ? h("span", { class: "status bad" }, `✕ ${percent(card.errors)}`) : "0 %"),
      figure("p50", length(card.p50)),
      figure("p95", length(card.p95)),
    ),
    coreLine(card.core, side),
    rateLine(card),
    map.element,
    card.slowest.length > 0 &&
      h(
        "p",
        { class: "mt-slowest" },
        h("span", { class: "dim" }, "Slow ones: "),
        card.slowest.map((one) =>
          h(
            "a",
            { href: ctx.addressOf(traceTo(one.traceId, { span: one.spanId })), "aria-label": `Trace of a call of ${length(one.value)}` },
            length(one.value),
          ),
        ),
      ),
  );
  return { element, map };
}

function figure(title, value) {
  return h("div", {}, h("dt", {}, title), h("dd", {}, value));
}

/** What gRPC's own core counted, of which no span tells: attempts against calls, the wire against messages. */
function coreLine(core, side) {
  if (!core) return null;
  const { attempts, calls, wireBytes, messageBytes } = core;
  const parts = [];
  if (attempts !== null && calls !== null)
    parts.push(
      h("span", { class: attempts > calls ? "mt-more" : "" }, `${count(attempts, "attempt")} of ${count(calls, "call")}`),
    );
  if (wireBytes !== null && messageBytes) {
    const what = side === "made" ? "requests" : "responses";
    parts.push(h("span", {}, `${what}: ${grouped(wireBytes)} B on the wire for ${grouped(messageBytes)} B of messages`));
  }
  return parts.length > 0 && h("p", { class: "mt-core", title: "Counted by gRPC's core" }, parts);
}

/** Calls by step as bars, what failed of them in front. */
function rateLine(card) {
  const most = Math.max(...card.rates.map((value) => value ?? 0), 1e-12);
  const bars = (values, name) =>
    values.map(
      (value, column) =>
        value > 0 &&
        s("rect", { class: name, x: column + 0.08, y: 1 - value / most, width: 0.84, height: value / most }),
    );
  return s(
    "svg",
    {
      class: "mt-rate",
      viewBox: `0 0 ${card.rates.length} 1`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `Calls over time, at most ${rate(most)}${card.errors > 0 ? `, ${percent(card.errors)} failed` : ""}`,
    },
    bars(card.rates, "mt-calls"),
    bars(card.failed, "mt-failed"),
  );
}

function length(seconds) {
  return seconds === null ? "–" : duration(nanoseconds(seconds));
}

/** Calls per second, or per minute or hour where that reads better. */
function rate(perSecond) {
  if (perSecond >= 1) return `${digits(perSecond)}/s`;
  return perSecond * 60 >= 1 ? `${digits(perSecond * 60)}/min` : `${digits(perSecond * 3600)}/h`;
}

function sum(cards) {
  return cards.reduce((all, card) => all + card.count, 0);
}

function nothing(route, isMissing) {
  return h(
    "section",
    { class: "state" },
    h("h2", {}, isMissing ? "No metrics yet" : "No call in this time"),
    h(
      "p",
      {},
      isMissing
        ? `Nothing has sent ${SIDES[route.side]}. Processes that lab starts send their metrics every 10 s, and when they stop.`
        : `Nothing was measured in the ${lookbackWords(route.lookback)}. A longer time may show more.`,
    ),
  );
}
