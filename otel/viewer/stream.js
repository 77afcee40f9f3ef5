// The doorbell: tells that new traces or log lines were stored. What they are is asked by the views, with their own filters.

/** Rings of one kind that come closer together than this become one. */
const QUIET_MS = 400;

/** When to try again after the backend refused to be listened to, as it does when too many pages listen. */
const REFUSED_MS = 10_000;

/**
 * Listen to the server-sent events at `address`. `state` is a cell that becomes live, waiting, lost or paused.
 * `on(kind, reader)` hears "traces" or "logs" with a test, `concerns(traceId)`: whether that trace may be among what was
 * stored; it returns how to stop. Whoever listens again after a gap is told that anything may have been stored.
 */
export function createStream(address, state) {
  const readers = { traces: new Set(), logs: new Set() };
  const timers = {};
  const waiting = { traces: [], logs: [] };
  let source = null;
  let missed = false;
  let retry = 0;

  /** `text` is what was stored, as it was sent; null when that is not known. */
  function ring(kind, text) {
    waiting[kind].push(text);
    timers[kind] ??= setTimeout(() => {
      timers[kind] = undefined;
      const sent = waiting[kind].splice(0);
      const concerns = (traceId) => sent.some((one) => one === null || one.includes(traceId));
      for (const reader of [...readers[kind]]) reader(concerns);
    }, QUIET_MS);
  }

  function ringBoth() {
    ring("traces", null);
    ring("logs", null);
  }

  function opened() {
    state.set("live");
    if (missed) ringBoth();
    missed = false;
  }

  function failed() {
    missed = true;
    state.set("lost");
    // The browser tries again by itself, but not where the answer was a refusal.
    if (source?.readyState !== EventSource.CLOSED) return;
    source = null;
    retry = setTimeout(open, REFUSED_MS);
  }

  function open() {
    clearTimeout(retry);
    if (source) return;
    state.set("waiting");
    source = new EventSource(address);
    source.addEventListener("open", opened);
    source.addEventListener("error", failed);
    source.addEventListener("trace", (event) => ring("traces", event.data));
    source.addEventListener("log", (event) => ring("logs", event.data));
    // The backend left events out because this page was too slow for them.
    source.addEventListener("dropped", ringBoth);
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
    missed = true;
    state.set("paused");
  }

  return {
    open,
    close,
    toggle: () => (state.get() === "paused" ? open() : close()),
    on(kind, reader) {
      readers[kind].add(reader);
      return () => readers[kind].delete(reader);
    },
  };
}
