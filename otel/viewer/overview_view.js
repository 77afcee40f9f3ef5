// The strip above a trace: the critical path from start to end, which also sets the zoom.

import { h, replace } from "./dom.js";
import { duration, percent, plain } from "./format.js";
import { serviceClass } from "./service_color.js";
import { place } from "./trace_model.js";

/** A drag shorter than this is a click. */
const SHORTEST_DRAG_PX = 4;
/** What the analysis calls time of a call that is neither the caller's nor the callee's. */
const WIRE = new Set(["wire and queues", "no server span"]);

/** Make the strip. `actions`: `zoom({from, to} | null)`, `select(span)`. */
export function createOverview(actions) {
  const strip = h("div", { class: "ov-strip" });
  const frame = h("div", { class: "ov-window" });
  const lane = h("div", { class: "ov-lane", "aria-hidden": "true" }, strip, frame);
  const legend = h("ul", { class: "ov-legend", "aria-label": "Critical path by service" });
  const reset = h(
    "button",
    { type: "button", class: "quiet ov-reset", on: { click: () => actions.zoom(null) } },
    "Show whole time",
  );
  const element = h(
    "section",
    { class: "overview", "aria-label": "Critical path" },
    lane,
    h("div", { class: "ov-foot" }, legend, reset),
  );
  let shown = null;
  let drag = null;

  const momentAt = (x) => {
    const box = lane.getBoundingClientRect();
    return Math.min(Math.max((x - box.left) / box.width, 0), 1) * shown.trace.duration;
  };
  lane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, from: momentAt(event.clientX) };
    lane.setPointerCapture(event.pointerId);
  });
  lane.addEventListener("pointermove", (event) => {
    if (drag && Math.abs(event.clientX - drag.x) >= SHORTEST_DRAG_PX)
      showWindow(ordered(drag.from, momentAt(event.clientX)));
  });
  lane.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const chosen = ordered(drag.from, momentAt(event.clientX));
    const moved = Math.abs(event.clientX - drag.x) >= SHORTEST_DRAG_PX;
    drag = null;
    if (moved && chosen.to - chosen.from >= 1) actions.zoom(chosen);
    else pick(event);
  });
  lane.addEventListener("pointercancel", () => {
    drag = null;
    showWindow(shown?.zoom);
  });

  function pick(event) {
    const at = momentAt(event.clientX);
    const step = shown.trace.path.find((one) => one.from <= at && at <= one.to);
    const span = step && shown.trace.byId.get(step.span);
    if (span) actions.select(span);
  }

  function showWindow(zoom) {
    frame.hidden = !zoom;
    reset.hidden = !shown?.zoom;
    if (!zoom) return;
    const at = place(zoom.from, zoom.to, { from: 0, to: shown.trace.duration });
    frame.style.setProperty("left", `${at.from * 100}%`);
    frame.style.setProperty("width", `${(at.to - at.from) * 100}%`);
  }

  return {
    element,
    update(next) {
      if (next.trace !== shown?.trace) {
        replace(
          strip,
          next.trace.path.map((step) => stepBox(step, next.trace)),
        );
        replace(legend, pathByOwner(next.trace).map(legendEntry));
      }
      shown = next;
      showWindow(next.zoom);
    },
  };
}

/** Time on the critical path by service, what is wire and queues apart, longest first: `[{name, wire, time, share}]`. */
export function pathByOwner(trace) {
  const owners = new Map();
  for (const step of trace.path) {
    const wire = WIRE.has(step.label);
    const name = wire ? step.label : (trace.byId.get(step.span)?.service ?? step.label);
    const owner = owners.get(name) ?? { name, wire, time: 0 };
    owner.time += step.to - step.from;
    owners.set(name, owner);
  }
  const all = [...owners.values()].sort((a, b) => b.time - a.time);
  const whole = all.reduce((sum, owner) => sum + owner.time, 0) || 1;
  return all.map((owner) => ({ ...owner, share: owner.time / whole }));
}

function stepBox(step, trace) {
  const at = place(step.from, step.to, { from: 0, to: trace.duration });
  const wire = WIRE.has(step.label);
  const service = trace.byId.get(step.span)?.service ?? "";
  return h("i", {
    class: ["ov-step", wire ? "wire" : serviceClass(service)],
    title: `${plain(wire ? `${service}: ${step.label}` : step.label, 120)}, ${duration(step.to - step.from)}`,
    css: { left: `${at.from * 100}%`, width: `${(at.to - at.from) * 100}%` },
  });
}

function legendEntry(owner) {
  return h(
    "li",
    { class: owner.wire ? "wire" : serviceClass(owner.name) },
    h("span", { class: "swatch", "aria-hidden": "true" }),
    h("bdi", {}, plain(owner.name, 60)),
    h("b", {}, duration(owner.time)),
    h("span", { class: "dim" }, percent(owner.share)),
  );
}

function ordered(a, b) {
  return { from: Math.round(Math.min(a, b)), to: Math.round(Math.max(a, b)) };
}
