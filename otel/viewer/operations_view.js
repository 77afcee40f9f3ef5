// The spans of a trace grouped by operation: how many, how long, how much of the critical path.

import { h } from "./dom.js";
import { duration, grouped, percent, plain, unitFor } from "./format.js";
import { serviceClass } from "./service_color.js";
import { createTable } from "./table_view.js";

/** Make the table. `actions`: `find(text)`, which shows an operation's spans in the waterfall. */
export function createOperations(actions) {
  let unit = [1e6, "ms"];
  let whole = 1;
  const time = (key) => ({ number: true, value: (row) => row[key], cell: (row) => duration(row[key], unit) });
  const table = createTable({
    label: "Operations of the trace",
    start: "criticalTime",
    columns: [
      { key: "operation", title: "Operation", value: (row) => row.operation, cell: (row) => name(row, actions) },
      { key: "kind", title: "Kind", value: (row) => row.kind, cell: (row) => row.kind },
      { key: "count", title: "Spans", number: true, value: (row) => row.count, cell: (row) => grouped(row.count) },
      {
        key: "errors",
        title: "Failed",
        number: true,
        value: (row) => row.errors,
        cell: (row) => (row.errors ? h("span", { class: "status bad" }, `✕ ${row.errors}`) : "0"),
      },
      { key: "duration", title: "Duration", hint: "sum over the spans", ...time("duration") },
      { key: "selfTime", title: "Self", hint: "time not spent in children", ...time("selfTime") },
      {
        key: "criticalTime",
        title: "Critical",
        hint: "self time on the critical path; adds up to the trace's duration",
        ...time("criticalTime"),
      },
      {
        key: "share",
        title: "Share",
        number: true,
        value: (row) => row.criticalTime,
        cell: (row) => share(row.criticalTime / whole),
      },
    ],
  });
  return {
    element: h("section", { class: "operations", "aria-label": "Operations" }, table.element),
    update(trace) {
      whole = trace.duration;
      unit = unitFor(trace.duration);
      table.update(
        (trace.analysis.operations ?? []).map((row) => ({
          service: row.serviceName,
          operation: row.operation,
          kind: row.kind,
          count: row.count,
          errors: row.errorCount,
          duration: Number(row.durationNano),
          selfTime: Number(row.selfTimeNano),
          criticalTime: Number(row.criticalTimeNano),
        })),
      );
    },
  };
}

function name(row, actions) {
  return h(
    "button",
    {
      type: "button",
      class: ["op-name", serviceClass(row.service)],
      title: "Find its spans in the waterfall",
      on: { click: () => actions.find(row.operation) },
    },
    h("span", { class: "swatch", "aria-hidden": "true" }),
    h("bdi", { class: "dim" }, plain(row.service, 60)),
    " ",
    h("bdi", {}, plain(row.operation, 160)),
  );
}

function share(part) {
  return h(
    "span",
    { class: "share" },
    h("i", { "aria-hidden": "true", css: { width: `${Math.min(part, 1) * 100}%` } }),
    h("span", {}, percent(part)),
  );
}
