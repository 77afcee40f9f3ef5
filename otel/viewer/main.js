// Starts the page: reads the address, puts the right view there, and keeps both in step.

import { formatAddress, parseAddress } from "./address.js";
import { createApi } from "./api.js";
import { createComparePage } from "./compare_view.js";
import { replace } from "./dom.js";
import { actionFor, isTyping } from "./keys.js";
import { createLogsPage } from "./logs_view.js";
import { createMapPage } from "./map_view.js";
import { createMetricsPage } from "./metrics_view.js";
import { createSearchPage } from "./search_view.js";
import { createShell, defaultRoute } from "./shell_view.js";
import { cell, keptCell } from "./state.js";
import { failure } from "./states_view.js";
import { createStream } from "./stream.js";
import { nextTheme, themeChoice } from "./theme.js";
import { createTracePage } from "./trace_page.js";

const PAGES = {
  search: createSearchPage,
  trace: createTracePage,
  compare: createComparePage,
  map: createMapPage,
  metrics: createMetricsPage,
  logs: createLogsPage,
  missing: createMissingPage,
};

/** What comes before every path: this module is `{base}/static/main.js`. */
const base = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const live = cell("waiting");
const shortcuts = keptCell("shortcuts", true);
const api = createApi(base);
const stream = createStream(api.streamAddress, live);
let page = null;
let shownPage = "";

const ctx = {
  base,
  api,
  stream,
  live,
  shortcuts,
  go,
  logsInPlace: keptCell("logsInPlace", true),
  addressOf: (route) => formatAddress(route, base),
  say: (text) => shell.say(text),
  copy,
  setTitle,
  toggleLive: () => stream.toggle(),
  theme: nextTheme,
  themeName: themeChoice,
};
const shell = createShell(ctx);

function go(route, { replace: inPlace = false } = {}) {
  const address = formatAddress(route, base);
  if (address !== location.pathname + location.search)
    history[inPlace ? "replaceState" : "pushState"](null, "", address);
  show(route);
}

function show(route = parseAddress(location.pathname, location.search, base)) {
  if (route.page !== shownPage) {
    page?.destroy();
    page = PAGES[route.page](ctx);
    shownPage = route.page;
    replace(shell.main, page.element);
    document.body.dataset.page = route.page;
    shell.update(route.page);
    setTitle(page.title);
  }
  page.update(route);
}

function setTitle(title) {
  document.title = `${title} · gRPC Trace Lab`;
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    shell.say(`Copied the ${what}`);
  } catch {
    shell.say("The browser does not let this page write to the clipboard");
  }
}

function createMissingPage() {
  const element = document.createElement("div");
  return {
    element,
    title: "Not found",
    update: (route) =>
      replace(
        element,
        failure(
          `nothing is at ${route.path}; traces are at /trace/ID, the search at /search`,
          () => go(defaultRoute("search")),
          "h1",
          "Search traces",
        ),
      ),
    keys: {},
    destroy() {},
  };
}

const everywhere = {
  help: () => shell.toggleHelp(),
  theme: () => shell.changeTheme(),
  live: () => stream.toggle(),
  goSearch: () => go(defaultRoute("search")),
  goMap: () => go(defaultRoute("map")),
  goMetrics: () => go(defaultRoute("metrics")),
  goLogs: () => go(defaultRoute("logs")),
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (!shortcuts.get() && event.key.length === 1) return;
  const action = actionFor(event, shownPage === "trace" ? ["anywhere", "trace"] : ["anywhere"]);
  const act = page.keys[action] ?? everywhere[action];
  if (!act) return;
  event.preventDefault();
  act();
});

/** Links inside the page change the view without loading the page again. */
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (
    !link ||
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  if (link.getAttribute("target") || link.hasAttribute("download")) return;
  const address = new URL(link instanceof SVGElement ? link.href.baseVal : link.href, location.href);
  if (address.origin !== location.origin || address.hash || !address.pathname.startsWith(`${base}/`)) return;
  event.preventDefault();
  go(parseAddress(address.pathname, address.search, base));
  window.scrollTo(0, 0);
});

window.addEventListener("popstate", () => show());
/** A browser opens six connections to a host at most: a page that nobody sees gives its own back. */
let listensWhenSeen = true;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    listensWhenSeen = live.get() !== "paused";
    stream.close();
  } else if (listensWhenSeen) {
    stream.open();
  }
});
stream.open();
show();
