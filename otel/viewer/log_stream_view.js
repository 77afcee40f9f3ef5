// All log lines of a trace, oldest first. Each leads to its span; those of the selected span are marked.

import { h, replace, setAttribute } from "./dom.js";
import { count, offset, plain, valueText } from "./format.js";
import { roving } from "./keys.js";
import { serviceClass } from "./service_color.js";
import { attributeList } from "./span_view.js";

/** Lines painted at first, and more with each press of the button. */
const STEP = 500;

/** Make the stream. `actions`: `openLog(log)`. */
export function createLogStream(actions) {
  const list = h("ol", { class: "ls-list" });
  const more = h("button", { type: "button", class: "quiet" });
  const note = h("p", { class: "dim ls-empty" }, "No log lines belong to this trace.");
  const element = h(
    "section",
    { class: "log-stream", "aria-label": "Log lines of the trace, oldest first" },
    list,
    note,
    more,
  );
  const settle = roving(list, ".ls-line");
  let trace = null;
  let limit = STEP;
  more.addEventListener("click", () => {
    limit += STEP;
    paint();
  });

  function paint() {
    const lines = trace.logs.slice(0, limit);
    replace(
      list,
      lines.map((log) => line(log, trace, actions)),
    );
    note.hidden = trace.logs.length > 0;
    more.hidden = trace.logs.length <= limit;
    more.textContent = `Show more of ${count(trace.logs.length, "line")}`;
    settle();
  }

  return {
    element,
    update(next, selectedSpan, selectedLog) {
      if (next !== trace) {
        trace = next;
        limit = STEP;
        paint();
      }
      for (const item of list.children) {
        setAttribute(item, "data-own", selectedSpan && item.dataset.span === selectedSpan ? "true" : null);
        setAttribute(item, "data-chosen", selectedLog && item.dataset.key === selectedLog ? "true" : null);
        item.querySelector(".ls-attributes").hidden = item.dataset.key !== selectedLog;
      }
      list.querySelector("[data-chosen]")?.scrollIntoView({ block: "nearest" });
    },
    focus: () => list.querySelector(".ls-line[tabindex='0']")?.focus(),
  };
}

/** The first attributes in short, for where a line has room. */
function pairs(log) {
  const known = (log.raw.attributes ?? []).filter(({ key }) => key !== "log.record.uid").slice(0, 8);
  return h(
    "span",
    { class: "ls-pairs" },
    known.map(({ key, value }) => [
      " ",
      h("bdi", {}, h("span", { class: "dim" }, plain(key, 60), "="), plain(valueText(value), 80)),
    ]),
  );
}

function line(log, trace, actions) {
  const span = trace.byId.get(log.spanId);
  return h(
    "li",
    { class: serviceClass(log.service), data: { key: log.key, span: log.spanId } },
    h(
      "button",
      { type: "button", class: ["ls-line", `rank-${log.rank}`], on: { click: () => actions.openLog(log) } },
      h("span", { class: "at" }, offset(log.at)),
      h("span", { class: ["severity", `rank-${log.rank}`] }, log.severity),
      h("span", { class: "ls-text" }, h("bdi", { class: "ls-body" }, plain(log.body, 500)), pairs(log)),
      h(
        "span",
        { class: "ls-service" },
        h("span", { class: "swatch", "aria-hidden": "true" }),
        h("bdi", {}, plain(log.service, 60)),
      ),
      !span && h("span", { class: "dim ls-outside" }, "written outside the spans of this trace"),
    ),
    h("div", { class: "ls-attributes", hidden: true }, attributeList(log.raw.attributes ?? [])),
  );
}
