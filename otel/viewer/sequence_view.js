// Paints a call as a sequence diagram in SVG: one lifeline per service, arrows in order of time, log lines where they were written.

import { h, replace, s, setAttribute } from "./dom.js";
import { count, duration, offset, plain } from "./format.js";
import { roving } from "./keys.js";
import { labelLength, layOut, stepSentence } from "./sequence_model.js";
import { serviceClass } from "./service_color.js";

/** Steps painted at first, and more with each press of the button. */
const STEP = 400;
/** Characters of a text that stands free. */
const LABEL = 60;

/** Make the diagram. `actions`: `select(span)` and `openLog(log)`. */
export function createSequence(actions) {
  const heads = h("div", { class: "sq-heads", "aria-hidden": "true" });
  const stage = h("div", { class: "sq-stage" });
  const more = h("button", { type: "button", class: "quiet sq-more" });
  const element = h(
    "section",
    { class: "sequence", "aria-label": "Sequence diagram" },
    h("div", { class: "sq-scroll", tabindex: "-1" }, heads, stage, more),
  );
  let trace = null;
  let limit = STEP;
  more.addEventListener("click", () => {
    limit += STEP;
    paint();
  });
  const settle = roving(stage, ".sq-step");
  stage.addEventListener("click", (event) => open(event.target.closest(".sq-step")));
  stage.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open(event.target.closest(".sq-step"));
  });

  function open(step) {
    const span = trace?.byId.get(step?.dataset.span);
    if (span) actions.select(span);
  }

  function paint() {
    const sequence = trace.analysis.sequence ?? { participants: [], steps: [] };
    const plan = layOut(sequence, trace.startUnixNano, limit, Math.max(element.clientWidth - 20, 0));
    heads.style.setProperty("width", `${plan.width}px`);
    replace(
      heads,
      plan.lanes.map((lane) =>
        h(
          "span",
          { class: ["sq-head", serviceClass(lane.name)], css: { left: `${lane.x}px` } },
          h("span", { class: "swatch" }),
          h("bdi", {}, plain(lane.name, 40)),
        ),
      ),
    );
    replace(stage, sequence.steps.length ? drawing(plan) : h("p", { class: "dim" }, "No step of this trace is known."));
    more.hidden = sequence.steps.length <= limit;
    more.textContent = `Show more of ${count(sequence.steps.length, "step")}`;
    settle();
  }

  return {
    element,
    update(next, selected) {
      if (next !== trace) {
        trace = next;
        limit = STEP;
        paint();
      }
      for (const step of stage.querySelectorAll(".sq-step"))
        setAttribute(step, "data-own", selected && step.dataset.span === selected ? "true" : null);
    },
    focus: () => stage.querySelector(".sq-step[tabindex='0']")?.focus(),
  };
}

function drawing(plan) {
  const items = [
    ...plan.arrows.map((arrow) => [arrow.index, arrowOf(arrow)]),
    ...plan.lines.map((line) => [line.index, lineOf(line)]),
  ];
  items.sort((a, b) => a[0] - b[0]);
  return s(
    "svg",
    {
      width: plan.width,
      height: plan.height,
      viewBox: `0 0 ${plan.width} ${plan.height}`,
      role: "group",
      "aria-label": "Steps in order of time",
    },
    plan.lanes.map((lane) => s("line", { class: "sq-life", x1: lane.x, x2: lane.x, y1: 8, y2: plan.height - 8 })),
    plan.activations.map((one) =>
      s("rect", {
        class: `sq-active ${serviceClass(plan.lanes[one.lane].name)}${one.ended ? "" : " unended"}`,
        x: one.x - 4,
        width: 8,
        y: one.top,
        height: Math.max(one.bottom - one.top, 4),
        rx: 1.5,
      }),
    ),
    items.map(([, item]) => item),
  );
}

function step(item, ...content) {
  const { step: what } = item;
  const sentence = `${offset(item.at)}, ${stepSentence(what)}${what.error ? ", failed" : ""}`;
  return s(
    "g",
    {
      class: `sq-step ${what.kind}${what.error ? " failed" : ""}`,
      role: "button",
      tabindex: "-1",
      "aria-label": sentence,
      "data-span": what.spanId,
    },
    s("title", {}, sentence),
    s("rect", { class: "sq-hit", x: 0, width: "100%", y: item.y - 17, height: 24 }),
    s("text", { class: "sq-time", x: 66, y: item.y + 4, "text-anchor": "end" }, item.at <= 0 ? "0" : duration(item.at)),
    content,
  );
}

function arrowOf(item) {
  const { step: what, x1, x2, y } = item;
  if (item.from === item.to) return step(item, selfArrow(x1, y, what));
  const way = x2 > x1 ? 1 : -1;
  const [from, to] = [x1 + way * 5, x2 - way * 5];
  const middle = (x1 + x2) / 2;
  return step(
    item,
    s("line", { class: "sq-line", x1: from, x2: what.kind === "cancel" ? to - way * 4 : to, y1: y, y2: y }),
    what.kind === "cancel" ? cross(to - way * 2, y) : head(to, y, way, what.kind === "request"),
    s(
      "text",
      { class: "sq-label", x: middle, y: y - 5, "text-anchor": "middle" },
      label(what, labelLength(Math.abs(x2 - x1))),
    ),
  );
}

function selfArrow(x, y, what) {
  return [
    s("path", { class: "sq-line", d: `M${x + 5} ${y - 8} h26 v10 h-24`, fill: "none" }),
    what.kind === "cancel" ? cross(x + 8, y + 2) : head(x + 6, y + 2, -1, what.kind === "request"),
    s("text", { class: "sq-label", x: x + 38, y: y + 1 }, label(what, LABEL)),
  ];
}

function lineOf(item) {
  const { step: what, x2, y } = item;
  return step(
    item,
    s("circle", { class: "sq-dot", cx: x2, cy: y - 1, r: 3 }),
    s("text", { class: "sq-said", x: x2 + 12, y: y + 3 }, plain(what.label, LABEL)),
  );
}

function label(what, most) {
  return `${what.error ? "✕ " : ""}${plain(what.label, most)}`;
}

function head(x, y, way, full) {
  const back = x - way * 7;
  return s("path", {
    class: full ? "sq-tip full" : "sq-tip",
    d: `M${back} ${y - 3.5} L${x} ${y} L${back} ${y + 3.5}${full ? " Z" : ""}`,
  });
}

function cross(x, y) {
  return s("path", { class: "sq-tip", d: `M${x - 4} ${y - 4} l8 8 m0 -8 l-8 8` });
}
