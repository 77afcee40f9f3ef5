// One table of keys: what each does, where it works. `?` shows it, and the page listens by it.

/** `where`: anywhere, trace (any view of a trace), waterfall (while the tree has the focus). `keys` as `KeyboardEvent.key` names them. */
export const KEY_TABLE = [
  { action: "help", keys: ["?"], where: "anywhere", does: "show or close this table" },
  { action: "find", keys: ["/"], where: "anywhere", does: "go to the find or search field" },
  { action: "goSearch", keys: ["s"], where: "anywhere", does: "search traces" },
  { action: "goMap", keys: ["m"], where: "anywhere", does: "map of services" },
  { action: "goMetrics", keys: ["r"], where: "anywhere", does: "rates, errors and durations over time" },
  { action: "goLogs", keys: ["g"], where: "anywhere", does: "search and tail logs" },
  { action: "theme", keys: ["t"], where: "anywhere", does: "next theme: system, light, dark" },
  { action: "live", keys: ["p"], where: "anywhere", does: "pause or resume live updates" },
  { action: "waterfall", keys: ["1"], where: "trace", does: "waterfall" },
  { action: "sequence", keys: ["2"], where: "trace", does: "sequence diagram" },
  { action: "operations", keys: ["3"], where: "trace", does: "table of operations" },
  { action: "stream", keys: ["4"], where: "trace", does: "all log lines, in order of time" },
  { action: "nextMatch", keys: ["n"], where: "trace", does: "next span that was found" },
  { action: "previousMatch", keys: ["N"], where: "trace", does: "the one before" },
  { action: "nextError", keys: ["x"], where: "trace", does: "next span that failed" },
  { action: "logsInPlace", keys: ["l"], where: "trace", does: "show or hide log lines under their spans" },
  { action: "collapseAll", keys: ["c"], where: "trace", does: "collapse all spans" },
  { action: "expandAll", keys: ["e"], where: "trace", does: "expand all spans" },
  { action: "zoomIn", keys: ["+", "="], where: "trace", does: "zoom in on the selected span, or the middle" },
  { action: "zoomOut", keys: ["-"], where: "trace", does: "zoom out" },
  { action: "zoomAll", keys: ["0"], where: "trace", does: "show the whole time" },
  { action: "earlier", keys: ["["], where: "trace", does: "move a zoomed view to earlier" },
  { action: "later", keys: ["]"], where: "trace", does: "move a zoomed view to later" },
  { action: "copyLink", keys: ["y"], where: "trace", does: "copy the link of the span, or of the trace" },
  { action: "clear", keys: ["Escape"], where: "trace", does: "close the span's panel" },
  { action: "down", keys: ["ArrowDown", "j"], where: "waterfall", does: "next row" },
  { action: "up", keys: ["ArrowUp", "k"], where: "waterfall", does: "row above" },
  { action: "right", keys: ["ArrowRight"], where: "waterfall", does: "expand, then first child" },
  { action: "left", keys: ["ArrowLeft"], where: "waterfall", does: "collapse, then parent" },
  { action: "first", keys: ["Home"], where: "waterfall", does: "first row" },
  { action: "last", keys: ["End"], where: "waterfall", does: "last row" },
  { action: "pageDown", keys: ["PageDown"], where: "waterfall", does: "a screen down" },
  { action: "pageUp", keys: ["PageUp"], where: "waterfall", does: "a screen up" },
  { action: "open", keys: ["Enter", " "], where: "waterfall", does: "open the span's panel" },
];

const PLACES = { anywhere: "Anywhere", trace: "In a trace", waterfall: "In the waterfall" };
const SHOWN = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowRight: "→",
  ArrowLeft: "←",
  Escape: "Esc",
  " ": "Space",
  PageDown: "PgDn",
  PageUp: "PgUp",
};

/** The table by place, for showing: `[{place, rows: [{keys, does}]}]`. */
export function keysByPlace() {
  return Object.entries(PLACES).map(([where, place]) => ({
    place,
    rows: KEY_TABLE.filter((row) => row.where === where).map((row) => ({
      keys: row.keys.map((key) => SHOWN[key] ?? key),
      does: row.does,
    })),
  }));
}

/** The action that `event` asks for at one of `places`, or "". Chords with Ctrl, Alt or Meta belong to the browser. */
export function actionFor(event, places) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return "";
  return KEY_TABLE.find((row) => places.includes(row.where) && row.keys.includes(event.key))?.action ?? "";
}

/** Whether the reader is typing, so that letters are letters. */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "button", "submit", "range"].includes(target.type);
}

/**
 * Arrow keys among the elements of `container` that match `selector`, which are one stop for Tab together.
 * Call the returned function after the elements changed.
 */
export function roving(
  container,
  selector,
  { next = ["ArrowDown", "ArrowRight"], previous = ["ArrowUp", "ArrowLeft"] } = {},
) {
  const members = () => [...container.querySelectorAll(selector)];
  const settle = (chosen) => {
    const all = members();
    const current = chosen ?? all.find((member) => member.getAttribute("tabindex") === "0") ?? all[0];
    for (const member of all) member.setAttribute("tabindex", member === current ? "0" : "-1");
  };
  container.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = members();
    const at = all.indexOf(event.target.closest?.(selector));
    if (at < 0) return;
    const to =
      { Home: 0, End: all.length - 1 }[event.key] ??
      (next.includes(event.key) ? at + 1 : previous.includes(event.key) ? at - 1 : at);
    if (to === at || !all[to]) return;
    event.preventDefault();
    event.stopPropagation();
    settle(all[to]);
    all[to].focus();
  });
  container.addEventListener("focusin", (event) => {
    const member = event.target.closest?.(selector);
    if (member) settle(member);
  });
  settle();
  return settle;
}
