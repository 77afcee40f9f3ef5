// What stands around every view: the bar with the places to go, the status line, the table of keys.

import { formatAddress, isTraceId, traceTo } from "./address.js";
import { h, replace, setAttribute } from "./dom.js";
import { keysByPlace } from "./keys.js";

const PLACES = [
  ["search", "Search"],
  ["map", "Map"],
  ["metrics", "Metrics"],
  ["logs", "Logs"],
];

/** How long a message stays in the status line. */
const MESSAGE_MS = 4000;

/**
 * Make the shell. `ctx`: `base`, `addressOf(route)`, `go(route)`, `live` and `shortcuts` (cells), `theme()` (goes to the next, returns it),
 * `themeName()`. `main` is where views go; in an exported file (`base` null) only what works there is shown.
 */
export function createShell(ctx) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const status = h("p", { class: "status-line", role: "status" });
  const dialog = helpDialog(ctx);
  const theme = h("button", { type: "button", class: "icon", title: "Theme (t)", on: { click: changeTheme } });
  const help = h(
    "button",
    { type: "button", class: "icon", "aria-label": "Keys", title: "Keys (?)", on: { click: () => dialog.toggle() } },
    "?",
  );
  const links = PLACES.map(([page, title]) =>
    h("a", { data: { page }, href: ctx.base === null ? null : formatAddress(defaultRoute(page), ctx.base) }, title),
  );
  const bar = h(
    "header",
    { class: "top" },
    ctx.base === null
      ? h("span", { class: "brand" }, brandMark(), "gRPC Trace Lab")
      : h(
          "a",
          {
            class: "brand",
            href: formatAddress(defaultRoute("search"), ctx.base),
            "aria-label": "gRPC Trace Lab, start",
          },
          brandMark(),
          h("span", { class: "brand-text" }, "gRPC Trace Lab"),
        ),
    ctx.base === null
      ? h("span", { class: "dim top-note" }, "exported trace, nothing is loaded from anywhere")
      : h("nav", { "aria-label": "Places" }, links),
    h("span", { class: "gap" }),
    ctx.base !== null && openById(ctx),
    ctx.base !== null && liveButton(ctx),
    theme,
    help,
  );
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main" }, "Skip to content"),
    bar,
    main,
    status,
    dialog.element,
  );
  let timer = 0;
  nameTheme();

  function nameTheme() {
    const name = ctx.themeName();
    replace(theme, { system: "◐", light: "○", dark: "●" }[name]);
    setAttribute(theme, "aria-label", `Theme: ${name}`);
  }

  function changeTheme() {
    const name = ctx.theme();
    nameTheme();
    say(`Theme: ${name}`);
  }

  function say(text) {
    clearTimeout(timer);
    status.textContent = text;
    setAttribute(status, "data-shown", "true");
    timer = setTimeout(() => setAttribute(status, "data-shown", null), MESSAGE_MS);
  }

  return {
    main,
    say,
    changeTheme,
    toggleHelp: () => dialog.toggle(),
    update(page) {
      for (const link of links) setAttribute(link, "aria-current", link.dataset.page === page ? "page" : null);
    },
  };
}

/** What a place shows when one goes there without asking for anything. */
export function defaultRoute(page) {
  if (page === "logs") return { page, service: "", severity: 0, text: "", traceId: "", spanId: "", lookback: "1h" };
  if (page === "map") return { page, lookback: "1h" };
  if (page === "metrics") return { page, lookback: "15m", side: "served" };
  if (page !== "search") throw new Error(`the page ${page} has no address`);
  return {
    page,
    service: "",
    operation: "",
    tags: {},
    minDuration: "",
    maxDuration: "",
    lookback: "1h",
    start: "",
    end: "",
    limit: 50,
  };
}

function brandMark() {
  return h("span", { class: "brand-mark", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
}

/** A field that takes a trace id or the start of one, or two with `...` between, as Jaeger's does. */
function openById(ctx) {
  const field = h("input", {
    type: "search",
    class: "open-id",
    placeholder: "Trace ID",
    "aria-label": "Open a trace by its id",
    spellcheck: "false",
    autocomplete: "off",
  });
  return h(
    "form",
    {
      class: "open-form",
      role: "search",
      on: {
        async submit(event) {
          event.preventDefault();
          const typed = field.value.trim().split("...");
          if (typed.length > 2 || !typed.every(isTraceId)) return ctx.say("a trace id is 1 to 32 hex digits");
          try {
            const [a, b] = await Promise.all(typed.map(ctx.api.wholeTraceId));
            ctx.go(b ? { page: "compare", a, b } : traceTo(a));
            field.value = "";
          } catch (error) {
            ctx.say(error.message);
          }
        },
      },
    },
    field,
  );
}

function liveButton(ctx) {
  const words = { live: "Live", paused: "Paused", waiting: "Connecting", lost: "Reconnecting" };
  const text = h("span", { class: "live-text" });
  const button = h(
    "button",
    { type: "button", class: "live", title: "Pause or resume live updates (p)", on: { click: ctx.toggleLive } },
    h("i", { class: "live-dot", "aria-hidden": "true" }),
    text,
  );
  const paint = (state) => {
    setAttribute(button, "data-state", state);
    text.textContent = words[state];
  };
  ctx.live.subscribe(paint);
  paint(ctx.live.get());
  return button;
}

function helpDialog(ctx) {
  const shortcuts = h("input", {
    type: "checkbox",
    id: "shortcuts",
    on: { change: () => ctx.shortcuts.set(shortcuts.checked) },
  });
  shortcuts.checked = ctx.shortcuts.get();
  const close = h(
    "button",
    { type: "button", class: "icon", "aria-label": "Close", on: { click: () => element.close() } },
    "✕",
  );
  const element = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("header", {}, h("h2", { id: "help-title" }, "Keys"), close),
    h(
      "div",
      { class: "help-columns" },
      keysByPlace().map(({ place, rows }) =>
        h(
          "section",
          {},
          h("h3", {}, place),
          h(
            "dl",
            {},
            rows.map((row) => [
              h(
                "dt",
                {},
                row.keys.map((key) => h("kbd", {}, key)),
              ),
              h("dd", {}, row.does),
            ]),
          ),
        ),
      ),
    ),
    h("label", { class: "check" }, shortcuts, " Single letters are shortcuts (they never are while you type)"),
  );
  element.addEventListener("click", (event) => event.target === element && element.close());
  return { element, toggle: () => (element.open ? element.close() : element.showModal()) };
}
