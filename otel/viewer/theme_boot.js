// Puts the kept theme on the page before the first paint; `theme.js` changes it later. The address may ask for one.
(() => {
  let choice = new URLSearchParams(location.search).get("uiTheme");
  try {
    choice ??= localStorage.getItem("tracelab.theme");
  } catch {
    // Storage can be denied (a file opened from disk, a private window): the system's theme is shown then.
  }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
