// Services and the calls between them, from Jaeger's dependencies and metrics. Lays out the drawing; no DOM.

import { shortOperation } from "./format.js";

const BOX = { width: 198, height: 82, gapX: 128, gapY: 26, margin: 12 };

/**
 * Join the answers: `dependencies` (`[{parent, child, callCount}]`), and of the metrics `server` (by service) and `client` and
 * `served` (by service and operation), each a Map of `{rate, errors, p50, p95}` by `key`; `windowS` is how long that time was.
 * Calls within one service are left out. Without client spans a link has its count, but no errors.
 */
export function readMap({ dependencies, server, client, served, windowS }) {
  const links = dependencies.filter((link) => link.parent !== link.child);
  const names = [
    ...new Set([
      ...links.flatMap((link) => [link.parent, link.child]),
      ...[...server.values()].map((row) => row.service),
    ]),
  ].sort();
  const services = names.map((name) => ({
    name,
    ...(server.get(keyOf(name)) ?? { rate: null, errors: null, p50: null, p95: null }),
  }));
  const servers = new Map();
  for (const row of served.values()) servers.set(row.operation, [...(servers.get(row.operation) ?? []), row.service]);
  const calls = [...client.values()].map((row) => ({
    ...row,
    callee: calleeOf(row, servers.get(row.operation) ?? [], links),
    shortOperation: shortOperation(row.operation),
  }));
  calls.sort((a, b) => b.rate - a.rate);
  return {
    services,
    calls,
    links: links.map((link) => {
      const mine = calls.filter((call) => call.service === link.parent && call.callee === link.child);
      const rate = mine.reduce((sum, call) => sum + call.rate, 0);
      return {
        from: link.parent,
        to: link.child,
        count: link.callCount,
        rate: rate || link.callCount / windowS,
        errors: rate ? mine.reduce((sum, call) => sum + call.rate * call.errors, 0) / rate : null,
        calls: mine,
      };
    }),
  };
}

/** The key of a service, or of an operation of it. */
export function keyOf(service, operation = "") {
  return `${service}\u0001${operation}`;
}

/**
 * Join metric families of one grouping into rows by key. `families` has any of `calls`, `errors`, `p50` and `p95`; of each metric
 * the last point counts, latencies are milliseconds, errors a share.
 */
export function readMetrics(families) {
  const rows = new Map();
  for (const [field, family] of Object.entries(families)) {
    for (const metric of family?.metrics ?? []) {
      const label = (name) => metric.labels?.find((one) => one.name === name)?.value ?? "";
      const [service, operation] = [label("service_name"), label("operation")];
      const value = Number(metric.metricPoints?.at(-1)?.gaugeValue?.doubleValue);
      const row = rows.get(keyOf(service, operation)) ?? {
        service,
        operation,
        rate: 0,
        errors: 0,
        p50: null,
        p95: null,
      };
      if (Number.isFinite(value))
        row[field === "calls" ? "rate" : field] = field === "p50" || field === "p95" ? value * 1e6 : value;
      rows.set(keyOf(service, operation), row);
    }
  }
  for (const [key, row] of rows) if (row.rate === 0) rows.delete(key);
  return rows;
}

/** Who serves a client's call: the one service that has the operation, else the one of them that the caller is linked to. */
function calleeOf(row, candidates, links) {
  const linked = links.filter((link) => link.parent === row.service).map((link) => link.child);
  return (
    candidates.find((name) => name !== row.service && linked.includes(name)) ??
    candidates.find((name) => name !== row.service) ??
    ""
  );
}

/** Place the services in columns, callers left of callees: `{width, height, boxes, curves}`. */
export function layOutMap(map) {
  const column = columnsOf(
    map.services.map((service) => service.name),
    map.links,
  );
  const columns = [];
  for (const service of map.services) (columns[column.get(service.name)] ??= []).push(service);
  const tallest = Math.max(...columns.map((members) => members?.length ?? 0), 1);
  const height = tallest * (BOX.height + BOX.gapY) - BOX.gapY + 2 * BOX.margin;
  const boxes = new Map();
  columns.forEach((members, index) => {
    const ordered = orderedBy(members ?? [], map.links, boxes);
    const used = ordered.length * (BOX.height + BOX.gapY) - BOX.gapY;
    ordered.forEach((service, row) =>
      boxes.set(service.name, {
        service,
        x: BOX.margin + index * (BOX.width + BOX.gapX),
        y: (height - used) / 2 + row * (BOX.height + BOX.gapY),
        width: BOX.width,
        height: BOX.height,
      }),
    );
  });
  const busiest = Math.max(...map.links.map((link) => link.count), 1);
  const port = ports(map.links, boxes);
  const curves = map.links.map((link) =>
    curve(link, boxes.get(link.from), boxes.get(link.to), port(link), Math.log1p(link.count) / Math.log1p(busiest)),
  );
  return {
    width: columns.length * (BOX.width + BOX.gapX) - BOX.gapX + 2 * BOX.margin,
    height,
    boxes: [...boxes.values()],
    curves,
  };
}

/** How many calls lie before a service on the longest way to it; a circle is cut where it closes, seen from those that nobody calls. */
function columnsOf(names, links) {
  const called = new Set(links.map((link) => link.to));
  const ended = [];
  const state = new Map();
  const kept = [];
  const visit = (name) => {
    state.set(name, "open");
    for (const link of links) {
      if (link.from !== name || state.get(link.to) === "open") continue;
      kept.push(link);
      if (!state.has(link.to)) visit(link.to);
    }
    state.set(name, "ended");
    ended.unshift(name);
  };
  for (const name of [...names.filter((one) => !called.has(one)), ...names]) if (!state.has(name)) visit(name);
  const column = new Map(names.map((name) => [name, 0]));
  // Callers come before callees in `ended`, so one pass finds the longest ways.
  for (const name of ended)
    for (const link of kept)
      if (link.from === name) column.set(link.to, Math.max(column.get(link.to), column.get(name) + 1));
  return column;
}

function orderedBy(members, links, boxes) {
  const center = (service) => {
    const before = links
      .filter((link) => link.to === service.name && boxes.has(link.from))
      .map((link) => boxes.get(link.from).y);
    return before.length ? before.reduce((sum, y) => sum + y, 0) / before.length : 0;
  };
  return [...members].sort((a, b) => center(a) - center(b) || (a.name < b.name ? -1 : 1));
}

/** Links that share a box leave and reach it at places of their own, from top to bottom as the other ends stand. */
function ports(links, boxes) {
  const places = (end, other) => {
    const found = new Map();
    for (const name of new Set(links.map((link) => link[end]))) {
      const mine = links
        .filter((link) => link[end] === name)
        .sort((a, b) => boxes.get(a[other]).y - boxes.get(b[other]).y);
      mine.forEach((link, index) => found.set(link, (index + 1) / (mine.length + 1)));
    }
    return found;
  };
  const [leaving, arriving] = [places("from", "to"), places("to", "from")];
  return (link) => ({ out: leaving.get(link), in: arriving.get(link) });
}

function curve(link, from, to, port, weight) {
  const forward = to.x > from.x;
  const [x1, y1] = [
    forward ? from.x + from.width : from.x + from.width * port.out,
    forward ? from.y + from.height * port.out : from.y + from.height,
  ];
  const [x2, y2] = [
    forward ? to.x : to.x + to.width * port.in,
    forward ? to.y + to.height * port.in : to.y + to.height,
  ];
  const bend = forward ? Math.max((x2 - x1) / 2, 40) : 0;
  const path = forward
    ? `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 9} ${y2}`
    : `M${x1} ${y1} C${x1} ${y1 + 40} ${x2} ${y2 + 40} ${x2} ${y2 + 9}`;
  // A label near the callee: curves that leave one service together have come apart there.
  const at = forward
    ? { x: x2 - 14, y: y2 - 8, anchor: "end" }
    : { x: (x1 + x2) / 2, y: Math.max(y1, y2) + 36, anchor: "middle" };
  return { link, path, tip: { x: x2, y: y2, forward }, label: at, weight };
}
