// Loads a trace for its view, says what is going on meanwhile, and takes in spans that arrive late.

import { newestOnly } from "./api.js";
import { h, replace } from "./dom.js";
import { readTrace } from "./trace_model.js";
import { createTraceView } from "./trace_view.js";
import { failure, loading } from "./states_view.js";

/** Make the page of any trace; `update(route)` says of which one. */
export function createTracePage(ctx) {
  const element = h("div", { class: "trace-page" });
  const newest = newestOnly();
  let route = null;
  let view = null;
  let shown = null;
  const stop = ctx.stream.on("traces", (concerns) => {
    if (route && concerns(route.traceId)) load({ again: true });
  });
  const stopLogs = ctx.stream.on("logs", (concerns) => {
    if (view && concerns(route.traceId)) load({ again: true });
  });

  async function load({ again = false } = {}) {
    const id = route.traceId;
    if (!again) replace(element, loading("Reading the trace"));
    try {
      const analysis = await newest.ask((signal) => ctx.api.analysis(id, signal));
      if (id === route.traceId && !same(analysis)) show(analysis);
    } catch (error) {
      if (view && again) return;
      if (error.status === 404) replace(element, notYet(id));
      else
        replace(
          element,
          failure(error.message, () => load(), "h1"),
        );
    }
  }

  /** A trace that grew is drawn again; the reader's folds and place stay. */
  function same(analysis) {
    const size = `${analysis.traceId} ${analysis.spans?.length} ${analysis.logs?.length} ${analysis.endTimeUnixNano}`;
    const grew = shown !== size;
    shown = size;
    return !grew && view !== null;
  }

  function show(analysis) {
    const memory = view?.memory();
    view?.destroy();
    const trace = readTrace(analysis);
    view = createTraceView(
      trace,
      {
        ...ctx,
        exportAddress: ctx.api.exportAddress(trace.id),
        jsonAddress: ctx.api.jsonAddress(trace.id),
      },
      memory,
    );
    replace(element, view.element);
    view.update(route);
    ctx.setTitle(view.title);
    if (!memory) view.focus();
  }

  return {
    element,
    title: "Trace",
    update(next) {
      const other = next.traceId !== route?.traceId;
      route = next;
      if (!other) return view?.update(route);
      view?.destroy();
      view = null;
      shown = null;
      load();
    },
    get keys() {
      return view?.keys ?? {};
    },
    destroy() {
      stop();
      stopLogs();
      newest.abort();
      view?.destroy();
    },
  };
}

function notYet(id) {
  return h(
    "section",
    { class: "state", role: "status" },
    h("h1", {}, "This trace is not here"),
    h("p", {}, h("code", {}, id)),
    h(
      "p",
      {},
      "It may still be on its way: the page opens it as soon as its first span arrives. Traces that are too old have been removed to make room.",
    ),
  );
}
