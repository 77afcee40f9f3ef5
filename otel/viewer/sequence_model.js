// Lays out the sequence of a call: who stands where, which arrow on which line. No DOM, so it can be tested by itself.

import { plain } from "./format.js";

/** Height of a line by what happens on it. */
const LINE = { request: 30, response: 26, message: 24, cancel: 28, log: 22, note: 22 };
const HEAD = 44;
const GUTTER = 74;
const NARROWEST_LANE = 168;
/** On a small screen, where two lanes should be seen at once. */
const SMALL = { available: 600, lane: 128 };
const WIDEST_LANE = 330;
/** About the width of a character of the diagram's text. */
const CHARACTER = 6.4;
/** How far an activation that lies on another is moved aside. */
const NESTED = 5;

/**
 * Lay out the first `limit` steps of `sequence` (`{participants, steps}` of the analysis) in `available` pixels, or in more.
 * The answer has `width`, `height`, `lanes` (`{name, x}`), `arrows`, `lines` (logs and notes) and `activations`.
 */
export function layOut(sequence, startUnixNano, limit, available = 0) {
  const steps = sequence.steps.slice(0, limit);
  const gap = laneGap(steps, sequence.participants, available);
  const lanes = sequence.participants.map((name, index) => ({ name, x: GUTTER + gap / 2 + index * gap }));
  const laneOf = new Map(lanes.map((lane, index) => [lane.name, index]));
  let y = HEAD;
  const arrows = [];
  const lines = [];
  const open = [];
  const activations = [];
  for (const [index, step] of steps.entries()) {
    y += LINE[step.kind] ?? 24;
    const from = laneOf.get(step.fromService) ?? laneOf.get(step.toService) ?? 0;
    const to = laneOf.get(step.toService) ?? from;
    const item = {
      index,
      y,
      step,
      at: Number(BigInt(step.timeUnixNano) - startUnixNano),
      from,
      to,
      x1: lanes[from]?.x ?? GUTTER,
      x2: lanes[to]?.x ?? GUTTER,
    };
    if (step.kind === "log" || step.kind === "note") lines.push(item);
    else arrows.push(item);
    if (step.kind === "request")
      open.push({ lane: to, top: y, key: step.spanId, depth: open.filter((one) => one.lane === to).length });
    if (step.kind === "response") close(open, activations, item.from, step.spanId, y);
  }
  for (const one of open) activations.push({ ...one, bottom: y + 14, ended: false });
  const width = GUTTER + gap * Math.max(lanes.length, 1);
  return {
    width,
    height: y + 34,
    lanes,
    arrows,
    lines,
    activations: activations.map((one) => ({ ...one, x: lanes[one.lane].x + one.depth * NESTED })),
  };
}

/** The sentence that says what `step` is, for readers and for titles. */
export function stepSentence(step) {
  const label = plain(step.label, 300);
  const [from, to] = [plain(step.fromService, 60), plain(step.toService, 60)];
  switch (step.kind) {
    case "request":
      return `${from} calls ${to}: ${label}`;
    case "response":
      return `${from} answers ${to}: ${label}`;
    case "message":
      return `${from} sends a message to ${to}: ${label}`;
    case "cancel":
      return `${from} cancels: ${label}`;
    case "log":
      return `${from || to} logs: ${label}`;
    default:
      return label;
  }
}

/** A response closes the newest activation of its span on the lane that it leaves, else the newest on that lane. */
function close(open, activations, lane, key, y) {
  const mine = open.findLastIndex((one) => one.lane === lane && one.key === key);
  const at = mine >= 0 ? mine : open.findLastIndex((one) => one.lane === lane);
  if (at < 0) return;
  const [one] = open.splice(at, 1);
  activations.push({ ...one, bottom: y, ended: true });
}

/** How many characters fit on an arrow of `width` pixels. */
export function labelLength(width) {
  return Math.max(Math.floor((width - 22) / CHARACTER), 14);
}

/** Lanes stand as far apart as the longest label between neighbours needs, within limits and what is available. */
function laneGap(steps, participants, available) {
  const lengths = steps
    .filter((step) => step.kind !== "log" && step.kind !== "note")
    .map((step) => Math.min(step.label.length, 48));
  const names = participants.map((name) => Math.min(name.length, 40) + 4);
  const widest = Math.max(0, ...lengths, ...names) * CHARACTER + 40;
  const narrowest = available > 0 && available < SMALL.available ? SMALL.lane : NARROWEST_LANE;
  const fitting = Math.max((available - GUTTER) / Math.max(participants.length, 1), narrowest);
  return Math.min(Math.max(widest, narrowest), WIDEST_LANE, fitting);
}
