// Starts an exported page: the same trace view, its trace read from the file itself. Nothing is asked of anybody.

import { formatAddress, parseAddress } from "./address.js";
import { replace } from "./dom.js";
import { actionFor, isTyping } from "./keys.js";
import { createShell } from "./shell_view.js";
import { cell, keptCell } from "./state.js";
import { nextTheme, themeChoice } from "./theme.js";
import { readTrace } from "./trace_model.js";
import { createTraceView } from "./trace_view.js";

const trace = readTrace(JSON.parse(document.getElementById("analysis").textContent));
const shortcuts = keptCell("shortcuts", true);

/** View, span, zoom and find stand behind `#`: a file has no paths, and a link into it works all the same. */
const read = () => parseAddress(`/trace/${trace.id}`, location.hash.slice(1));

function go(route) {
  const address = formatAddress(route);
  const query = address.includes("?") ? address.slice(address.indexOf("?") + 1) : "";
  history.replaceState(null, "", `#${query}`);
  view.update({ ...route, traceId: trace.id });
}

const ctx = {
  base: null,
  go,
  live: cell("paused"),
  shortcuts,
  logsInPlace: cell(true),
  addressOf: () => "#",
  say: (text) => shell.say(text),
  copy() {},
  theme: nextTheme,
  themeName: themeChoice,
};
const shell = createShell(ctx);
const view = createTraceView(trace, ctx);
document.title = `${view.title} · gRPC Trace Lab`;
document.body.dataset.page = "trace";
replace(shell.main, view.element);
view.update(read());
view.focus();

const everywhere = { help: () => shell.toggleHelp(), theme: () => shell.changeTheme() };
document.addEventListener("keydown", (event) => {
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (!shortcuts.get() && event.key.length === 1) return;
  const act = { ...everywhere, ...view.keys }[actionFor(event, ["anywhere", "trace"])];
  if (!act) return;
  event.preventDefault();
  act();
});
window.addEventListener("hashchange", () => view.update(read()));
