// The reader's choice of theme: the system's, light or dark. `theme_boot.js` puts it there before the first paint.

const CHOICES = ["system", "light", "dark"];
const KEY = "tracelab.theme";

/** The choice now. */
export function themeChoice() {
  return document.documentElement.dataset.theme ?? "system";
}

/** Go to the next choice, keep it, and return it. */
export function nextTheme() {
  const next = CHOICES[(CHOICES.indexOf(themeChoice()) + 1) % CHOICES.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Denied storage: the choice ends with the page.
  }
  return next;
}
