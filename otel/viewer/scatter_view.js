// Duration over time: one point per trace. A circle is fine, a cross has errors. Points open their traces.

import { h, replace, s } from "./dom.js";
import { clock, count, day, duration, plain } from "./format.js";
import { roving } from "./keys.js";
import { serviceClass } from "./service_color.js";
import { scatter } from "./search_model.js";

const LEFT = 58;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 22;

/** Make the plot. `addressOf(trace)` gives a point its link; `hover(id)` tells which trace is pointed at, or "". */
export function createScatter({ addressOf, hover }) {
  const stage = h("div", { class: "sc-stage" });
  const element = h("section", { class: "scatter", "aria-label": "Duration of the traces over time" }, stage);
  const settle = roving(stage, ".sc-point", { next: ["ArrowRight", "ArrowDown"], previous: ["ArrowLeft", "ArrowUp"] });
  let shown = null;
  const observer = new ResizeObserver(() => shown && paint());
  observer.observe(stage);
  for (const [event, target] of [
    ["pointerover", true],
    ["focusin", true],
    ["pointerout", false],
    ["focusout", false],
  ]) {
    stage.addEventListener(event, (detail) =>
      hover(target ? (detail.target.closest(".sc-point")?.dataset.trace ?? "") : ""),
    );
  }

  function paint() {
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    if (width < 50) return;
    const plan = scatter(shown.found, shown.period);
    const x = (share) => LEFT + share * (width - LEFT - RIGHT);
    const y = (share) => height - BOTTOM - share * (height - TOP - BOTTOM);
    const far = shown.period.toMs - shown.period.fromMs > 20 * 3_600_000;
    const label = (ms) =>
      far
        ? day(BigInt(Math.round(ms)) * 1_000_000n).replace(/ \d{4}$/, "")
        : clock(BigInt(Math.round(ms)) * 1_000_000n).slice(
            0,
            shown.period.toMs - shown.period.fromMs > 600_000 ? 5 : 8,
          );
    const xTicks = width < 500 ? plan.xTicks.filter((_, index) => index % 2 === 0) : plan.xTicks;
    const yTicks = plan.yTicks.filter((_, index) => plan.yTicks.length <= 4 || index % 2 === 0);
    replace(
      stage,
      s(
        "svg",
        {
          width,
          height,
          viewBox: `0 0 ${width} ${height}`,
          role: "group",
          "aria-label": `${count(shown.found.length, "trace")}, duration over time`,
        },
        yTicks.map((tick) =>
          s(
            "g",
            { class: "sc-tick", "aria-hidden": "true" },
            s("line", { x1: LEFT, x2: width - RIGHT, y1: y(tick.at), y2: y(tick.at) }),
            s("text", { x: LEFT - 8, y: y(tick.at) + 4, "text-anchor": "end" }, tick.text),
          ),
        ),
        xTicks.map((tick) =>
          s(
            "g",
            { class: "sc-tick", "aria-hidden": "true" },
            s(
              "text",
              {
                x: x(tick.at),
                y: height - 6,
                "text-anchor": tick.at === 0 ? "start" : tick.at === 1 ? "end" : "middle",
              },
              label(tick.ms),
            ),
          ),
        ),
        [...plan.points].sort((a, b) => a.x - b.x).map((point) => mark(point, x(point.x), y(point.y), addressOf)),
      ),
    );
    settle();
  }

  return {
    element,
    update(found, period) {
      shown = { found, period };
      paint();
    },
    highlight(id) {
      for (const point of stage.querySelectorAll(".sc-point[data-on]")) delete point.dataset.on;
      const point = id && [...stage.querySelectorAll(".sc-point")].find((one) => one.dataset.trace === id);
      if (point) point.dataset.on = "true";
    },
    destroy: () => observer.disconnect(),
  };
}

function mark({ trace }, x, y, addressOf) {
  const failed = trace.errors > 0;
  const words = `${plain(trace.service, 60)} ${plain(trace.operation, 120)}, ${duration(trace.duration)}, ${clock(trace.start)}${failed ? `, ${trace.errors} failed` : ""}`;
  return s(
    "a",
    {
      class: `sc-point ${serviceClass(trace.service)}${failed ? " failed" : ""}`,
      href: addressOf(trace),
      tabindex: "-1",
      "aria-label": words,
      "data-trace": trace.id,
    },
    s("title", {}, words),
    s("circle", { class: "sc-hit", cx: x, cy: y, r: 11 }),
    failed
      ? s("path", { d: `M${x - 4} ${y - 4} l8 8 m0 -8 l-8 8` })
      : s("circle", { class: "sc-dot", cx: x, cy: y, r: 3.8 }),
  );
}
