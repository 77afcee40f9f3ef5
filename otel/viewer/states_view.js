// Empty, loading and failed: states that say what to do next.

import { h, replace } from "./dom.js";
import { plain } from "./format.js";

/** What to show where something failed. `again` is what the button called `way` does; `heading` is h1 where the page has no other. */
export function failure(sentence, again, heading = "h2", way = "Try again") {
  return h(
    "section",
    { class: "state failed", role: "alert" },
    h(heading, {}, "That did not work"),
    h("p", {}, plain(sentence, 600)),
    again && h("button", { type: "button", on: { click: again } }, way),
  );
}

/** What to show while an answer is on its way; it appears late, so that a quick answer does not flicker. */
export function loading(what) {
  return h(
    "section",
    { class: "state loading", "aria-busy": "true" },
    h("p", {}, h("i", { class: "spinner", "aria-hidden": "true" }), what),
  );
}

/** What to show when a search found nothing: what was asked, and two ways to ask for more. */
export function emptySearch(sentence, clear, wider) {
  return h(
    "section",
    { class: "state" },
    h("h2", {}, "No trace matches"),
    h("p", {}, plain(sentence, 400), "."),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", on: { click: clear } }, "Clear the filters"),
      h("button", { type: "button", on: { click: wider } }, "Look back 7 days"),
    ),
  );
}

/** What to show when nothing is stored yet: the command that makes a trace and where to send one's own. */
export function gettingStarted(ctx) {
  const host = location.hostname || "127.0.0.1";
  const bracketed = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const http = h("code", {}, `${location.protocol}//${bracketed}:4318`);
  const grpc = h("code", {}, `${bracketed}:4317`);
  ctx.api.endpoints().then(
    (endpoints) => {
      replace(http, `${location.protocol}//${endpoints.otlpHttp}`);
      replace(grpc, endpoints.otlpGrpc);
    },
    () => {
      // A backend that does not tell listens where every OTLP receiver does.
    },
  );
  return h(
    "section",
    { class: "state start" },
    h("h2", {}, "No trace yet"),
    h("p", {}, "Make one: three gRPC services start, a client calls them, and the call appears here as it happens."),
    command("./lab demo", ctx),
    h(
      "p",
      {},
      "Or send your own by OTLP, over HTTP to ",
      http,
      " or over gRPC to ",
      grpc,
      ". Most SDKs need one variable:",
    ),
    command(`OTEL_EXPORTER_OTLP_ENDPOINT=${location.protocol}//${bracketed}:4317`, ctx, grpc),
  );
}

function command(text, ctx, source) {
  const code = h("code", {}, text);
  if (source) {
    new MutationObserver(() => (code.textContent = `OTEL_EXPORTER_OTLP_ENDPOINT=${location.protocol}//${source.textContent}`)).observe(
      source,
      { childList: true },
    );
  }
  return h(
    "p",
    { class: "command" },
    code,
    h("button", { type: "button", class: "quiet", on: { click: () => ctx.copy(code.textContent, "command") } }, "Copy"),
  );
}
