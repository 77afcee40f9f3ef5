// The filters of the search. Each change is a new address; what can't be asked says so beside its field.

import { DEFAULT_LIMIT, LOOKBACKS, lookbackWords } from "./address.js";
import { h, replace, setAttribute } from "./dom.js";
import { plain, shortOperation } from "./format.js";
import { durationProblem, readTags, tagsText } from "./search_model.js";

const LIMITS = [20, 50, 100, 200, 500, 1500];

/** Make the form. `change(part)` hears what the reader asks for; `operationsOf(service)` gives a promise of names. */
export function createSearchForm({ change, operationsOf }) {
  const service = select("Service", () => change({ service: service.value, operation: "" }));
  const operation = select("Operation", () => change({ operation: operation.value }));
  const lookback = select("Time", () => change({ lookback: lookback.value, start: "", end: "" }));
  const limit = select("At most", () => change({ limit: Number(limit.value) }));
  const tags = text(
    "Attributes",
    "rpc.response.status_code=NOT_FOUND",
    "key=value, several apart by spaces; also error=true, span.kind=server, resource.host.name=a",
    applyTags,
  );
  const shortest = text("Min", "100ms", "spans of at least this length, such as 1.5s or 250us", () =>
    applyDuration(shortest, "minDuration"),
  );
  const longest = text("Max", "1.5s", "spans of at most this length", () => applyDuration(longest, "maxDuration"));
  const failed = h(
    "button",
    { type: "button", class: "toggle", on: { click: () => change({ tags: withError(route.tags) }) } },
    "✕ Failed only",
  );
  const problem = h("p", { class: "problem", role: "alert" });
  const element = h(
    "form",
    { class: "filters", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } },
    labelled("Service", service),
    labelled("Operation", operation),
    labelled("Attributes", tags),
    labelled("Min", shortest),
    labelled("Max", longest),
    labelled("Time", lookback),
    labelled("At most", limit),
    failed,
    problem,
  );
  let route = null;
  let names = [];

  function applyTags() {
    const read = readTags(tags.value);
    show(tags, read.problem);
    if (read.tags) change({ tags: read.tags });
  }

  function applyDuration(field, key) {
    const value = field.value.trim();
    const wrong = durationProblem(value);
    show(field, wrong);
    if (!wrong) change({ [key]: value });
  }

  function show(field, text) {
    setAttribute(field, "aria-invalid", text ? "true" : null);
    problem.textContent = text ?? "";
  }

  function paintServices() {
    const all = route.service && !names.includes(route.service) ? [...names, route.service].sort() : names;
    options(service, [["", "All services"], ...all.map((name) => [name, plain(name, 60)])], route.service);
  }

  let operationsFor = null;
  async function paintOperations() {
    const known = (list) =>
      options(
        operation,
        [
          ["", route.service ? "All operations" : "Choose a service first"],
          ...list.map((name) => [name, plain(shortOperation(name), 80)]),
        ],
        route.operation,
      );
    operation.disabled = !route.service;
    if (operationsFor === route.service) {
      operation.value = route.operation;
      return;
    }
    operationsFor = route.service;
    known(route.operation ? [route.operation] : []);
    if (!route.service) return;
    const asked = route.service;
    const found = await operationsOf(asked).catch(() => []);
    if (asked === route.service) known([...new Set([...found, route.operation].filter(Boolean))].sort());
  }

  return {
    element,
    focus: () => tags.focus(),
    services(found) {
      if (found.join("\n") === names.join("\n")) return;
      names = found;
      paintServices();
    },
    update(next) {
      route = next;
      paintServices();
      paintOperations();
      const times = [...new Set([...LOOKBACKS, route.lookback])].map((one) => [one, capital(lookbackWords(one))]);
      options(lookback, route.start ? [["", "Chosen time"], ...times] : times, route.start ? "" : route.lookback);
      options(
        limit,
        [...new Set([...LIMITS, route.limit])].sort((a, b) => a - b).map((one) => [one, `${one} traces`]),
        route.limit ?? DEFAULT_LIMIT,
      );
      if (document.activeElement !== tags) tags.value = tagsText(route.tags);
      if (document.activeElement !== shortest) shortest.value = route.minDuration;
      if (document.activeElement !== longest) longest.value = route.maxDuration;
      setAttribute(failed, "aria-pressed", String(route.tags.error === "true"));
    },
  };
}

function withError(tags) {
  const { error, ...rest } = tags;
  return error === "true" ? rest : { ...rest, error: "true" };
}

function select(label, changed) {
  return h("select", { "aria-label": label, on: { change: changed } });
}

function text(label, placeholder, title, changed) {
  return h("input", {
    type: "text",
    "aria-label": label,
    placeholder,
    title,
    spellcheck: "false",
    autocomplete: "off",
    on: { change: changed },
  });
}

function labelled(name, field) {
  return h("label", { class: `field field-${name.toLowerCase().replace(/\W/g, "")}` }, h("span", {}, name), field);
}

function options(field, pairs, value) {
  replace(
    field,
    pairs.map(([key, title]) => h("option", { value: key }, title)),
  );
  field.value = String(value);
}

function capital(words) {
  return words[0].toUpperCase() + words.slice(1);
}
