// What the page knows right now, in small cells that tell their readers when they change.

/** A cell with one value. `set` with an equal value tells nobody; `subscribe` returns how to stop. */
export function cell(value) {
  const readers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const reader of [...readers]) reader(value);
    },
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
  };
}

/** A cell whose value outlives the page, where the browser lets it; otherwise it lives as long as the page. */
export function keptCell(name, fallback) {
  const key = `tracelab.${name}`;
  let start = fallback;
  try {
    start = JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    // Denied storage or a value of another version: the fallback it is.
  }
  const kept = cell(start);
  kept.subscribe((value) => {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // Denied storage: the choice ends with the page.
    }
  });
  return kept;
}
