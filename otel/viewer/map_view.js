// The map: services as boxes, calls as curves, and every call in a table below; from the spans stored in a chosen window.

import { LOOKBACKS, lookbackMillis, lookbackWords } from "./address.js";
import { newestOnly } from "./api.js";
import { h, replace, s, setAttribute } from "./dom.js";
import { count, digits, duration, percent, plain } from "./format.js";
import { layOutMap, readMap, readMetrics } from "./map_model.js";
import { serviceClass } from "./service_color.js";
import { defaultRoute } from "./shell_view.js";
import { failure, gettingStarted } from "./states_view.js";
import { createTable } from "./table_view.js";

/** Make the page. `ctx`: `api`, `go(route)`, `addressOf(route)`, `stream`, `say(text)`. */
export function createMapPage(ctx) {
  const newest = newestOnly();
  let route = null;
  let asked = "";
  const lookback = h("select", {
    "aria-label": "Time",
    on: { change: () => ctx.go({ ...route, lookback: lookback.value }) },
  });
  const words = h("p", { class: "dim", role: "status" });
  const drawing = h("div", { class: "mp-drawing", tabindex: "0", role: "region", "aria-label": "Map of services" });
  const table = createTable({ label: "Calls between services", start: "rate", columns: columns(ctx) });
  const content = h(
    "div",
    { class: "mp-content" },
    drawing,
    h("h2", { class: "side-title" }, "Calls, as their callers saw them"),
    table.element,
  );
  const instead = h("div", { class: "instead" });
  const element = h(
    "div",
    { class: "map-page" },
    h("div", { class: "mp-head" }, h("h1", {}, "Services and calls"), lookback, words),
    content,
    instead,
  );
  const stop = ctx.stream.on("traces", () => route && load({ live: true }));

  async function load({ live = false } = {}) {
    if (!live) setAttribute(element, "aria-busy", "true");
    if (!live) words.textContent = "Counting calls…";
    try {
      const { map, services } = await newest.ask((signal) => ask(ctx.api, lookbackMillis(route.lookback), signal));
      if (!map.services.length) return showInstead(services.length ? nothing(route) : gettingStarted(ctx));
      showInstead(null);
      replace(drawing, picture(map, ctx));
      table.update(map.calls);
      words.textContent = `${count(map.services.length, "service")}, ${count(map.links.length, "link")}`;
    } catch (error) {
      if (live) ctx.say(error.message);
      else showInstead(failure(error.message, load));
    } finally {
      setAttribute(element, "aria-busy", null);
    }
  }

  function showInstead(what) {
    content.hidden = what !== null;
    instead.hidden = what === null;
    if (what) words.textContent = "";
    replace(instead, what);
  }

  return {
    element,
    title: "Map",
    update(next) {
      route = next;
      const times = [...new Set([...LOOKBACKS, route.lookback])];
      replace(
        lookback,
        times.map((time) =>
          h("option", { value: time }, `${lookbackWords(time)[0].toUpperCase()}${lookbackWords(time).slice(1)}`),
        ),
      );
      lookback.value = route.lookback;
      if (asked === route.lookback) return;
      asked = route.lookback;
      load();
    },
    keys: { find: () => lookback.focus() },
    destroy() {
      stop();
      newest.abort();
    },
  };
}

/** One point for the whole window: the rate over it, ended now. */
async function ask(api, windowMs, signal) {
  const endTs = Date.now();
  const services = await api.services(signal);
  if (!services.length) return { map: { services: [], links: [], calls: [] }, services };
  const metric = (name, spanKind, groupByOperation, more = {}) =>
    api.metrics(
      name,
      {
        service: services,
        endTs,
        lookback: windowMs,
        step: windowMs,
        ratePer: windowMs,
        spanKind,
        groupByOperation,
        ...more,
      },
      signal,
    );
  const four = (spanKind, grouped) => [
    metric("calls", spanKind, grouped),
    metric("errors", spanKind, grouped),
    metric("latencies", spanKind, grouped, { quantile: 0.5 }),
    metric("latencies", spanKind, grouped, { quantile: 0.95 }),
  ];
  const [dependencies, served, ...answers] = await Promise.all([
    api.dependencies(endTs, windowMs, signal),
    metric("calls", "server", true),
    ...four("server", false),
    ...four("client", true),
  ]);
  const rows = (from) =>
    readMetrics({ calls: answers[from], errors: answers[from + 1], p50: answers[from + 2], p95: answers[from + 3] });
  return {
    services,
    map: readMap({
      windowS: windowMs / 1000,
      dependencies: dependencies.data ?? [],
      server: rows(0),
      client: rows(4),
      served: readMetrics({ calls: served }),
    }),
  };
}

function columns(ctx) {
  const time = (key, title) => ({
    key,
    title,
    number: true,
    value: (row) => row[key] ?? -1,
    cell: (row) => (row[key] === null ? "–" : duration(row[key])),
  });
  return [
    { key: "service", title: "Caller", value: (row) => row.service, cell: (row) => name(row.service) },
    {
      key: "callee",
      title: "Callee",
      value: (row) => row.callee,
      cell: (row) => (row.callee ? name(row.callee) : h("span", { class: "dim" }, "no server span")),
    },
    {
      key: "operation",
      title: "Operation",
      value: (row) => row.shortOperation,
      cell: (row) =>
        h(
          "a",
          { href: ctx.addressOf({ ...defaultRoute("search"), service: row.service, operation: row.operation }) },
          h("bdi", {}, plain(row.shortOperation, 100)),
        ),
    },
    { key: "rate", title: "Rate", number: true, value: (row) => row.rate, cell: (row) => rate(row.rate) },
    { key: "errors", title: "Errors", number: true, value: (row) => row.errors, cell: (row) => errors(row.errors) },
    time("p50", "p50"),
    time("p95", "p95"),
  ];
}

function name(service) {
  return h(
    "span",
    { class: ["mp-name", serviceClass(service)] },
    h("span", { class: "swatch", "aria-hidden": "true" }),
    h("bdi", {}, plain(service, 60)),
  );
}

/** Calls per second, or per minute or hour where that reads better. */
function rate(perSecond) {
  if (perSecond >= 1) return `${digits(perSecond)}/s`;
  return perSecond * 60 >= 1 ? `${digits(perSecond * 60)}/min` : `${digits(perSecond * 3600)}/h`;
}

function errors(share) {
  return share > 0 ? h("span", { class: "status bad" }, `✕ ${percent(share)}`) : "0 %";
}

function picture(map, ctx) {
  const plan = layOutMap(map);
  return s(
    "svg",
    {
      width: plan.width,
      height: plan.height + 30,
      viewBox: `0 0 ${plan.width} ${plan.height + 30}`,
      role: "group",
      "aria-label": "Services and the calls between them",
    },
    plan.curves.map((curve) => arrow(curve)),
    // After all curves, so that none is drawn across a label.
    plan.curves.map((curve) => figures(curve)),
    plan.boxes.map((box) => card(box, ctx)),
  );
}

function arrow({ link, path, tip, weight }) {
  const failed = link.errors > 0;
  const words = `${plain(link.from, 60)} calls ${plain(link.to, 60)}: ${count(link.count, "call")}, ${rate(link.rate)}${failed ? `, ${percent(link.errors)} failed` : ""}`;
  return s(
    "g",
    { class: `mp-link${failed ? " failed" : ""}`, role: "img", "aria-label": words },
    s("title", {}, words),
    s("path", { class: "mp-line", d: path, "stroke-width": 1.2 + weight * 2.6 }),
    s("path", {
      class: "mp-tip",
      d: tip.forward
        ? `M${tip.x - 9} ${tip.y - 5} L${tip.x} ${tip.y} L${tip.x - 9} ${tip.y + 5} Z`
        : `M${tip.x - 5} ${tip.y + 9} L${tip.x} ${tip.y} L${tip.x + 5} ${tip.y + 9} Z`,
    }),
  );
}

/** A link's rate and failures; its arrow says them to who does not see. */
function figures({ link, label }) {
  const failed = link.errors > 0;
  return s(
    "text",
    {
      class: `mp-figures${failed ? " failed" : ""}`,
      x: label.x,
      y: label.y,
      "text-anchor": label.anchor,
      "aria-hidden": "true",
    },
    `${rate(link.rate)}${failed ? ` · ✕ ${percent(link.errors)}` : ""}`,
  );
}

function card({ service, x, y, width, height }, ctx) {
  const failed = service.errors > 0;
  const lines =
    service.rate === null
      ? ["calls others", "serves nothing here"]
      : [
          `${rate(service.rate)} · ${failed ? `✕ ${percent(service.errors)} failed` : "no errors"}`,
          `p50 ${service.p50 === null ? "–" : duration(service.p50)} · p95 ${service.p95 === null ? "–" : duration(service.p95)}`,
        ];
  return s(
    "a",
    {
      class: `mp-box ${serviceClass(service.name)}${failed ? " failed" : ""}`,
      href: ctx.addressOf({ ...defaultRoute("search"), service: service.name }),
      "aria-label": `${plain(service.name, 60)}: ${lines.join(", ")}. Search its traces`,
      "data-service": service.name,
    },
    s("rect", { class: "mp-card", x, y, width, height, rx: 9 }),
    s("rect", { class: "mp-edge", x, y: y + 12, width: 4, height: height - 24, rx: 2 }),
    s("text", { class: "mp-title", x: x + 16, y: y + 27 }, plain(service.name, 16)),
    lines.map((line, index) =>
      s(
        "text",
        { class: index === 0 && failed ? "mp-small bad" : "mp-small", x: x + 16, y: y + 48 + index * 18 },
        line,
      ),
    ),
  );
}

function nothing(route) {
  return h(
    "section",
    { class: "state" },
    h("h2", {}, "No span in this time"),
    h("p", {}, `Nothing was stored in the ${lookbackWords(route.lookback)}. A longer time may show more.`),
  );
}
