// Two traces matched: the rows of the table, and what their differences add up to. No DOM.

/** Rows that changed less than this share of the longer trace are folded away, unless something else about them changed. */
const KEPT_SHARE = 0.01;

/** Read the body of `GET /api/lab/diff`. Times become numbers of nanoseconds; the traces are `a` (before) and `b` (after). */
export function readDiff(diff) {
  const side = (fold) => ({
    count: fold?.count ?? 0,
    spanIds: fold?.spanIds ?? [],
    duration: Number(fold?.durationNano ?? 0),
    self: Number(fold?.selfTimeNano ?? 0),
    critical: Number(fold?.criticalTimeNano ?? 0),
    median: Number(fold?.medianDurationNano ?? 0),
    status: fold?.worstStatus ?? "",
  });
  const rows = (diff.nodes ?? []).map((node, index) => ({
    index,
    depth: node.depth ?? 0,
    service: node.serviceName,
    operation: node.operation,
    kind: node.kind,
    change: node.change,
    moved: Boolean(node.moved),
    a: side(node.a),
    b: side(node.b),
    delta: Number(node.deltaNano ?? 0),
    pair: node.worstPair ?? null,
  }));
  return {
    a: { id: diff.a?.traceId ?? diff.aTraceId, duration: Number(diff.a?.durationNano ?? diff.aDurationNano ?? 0) },
    b: { id: diff.b?.traceId ?? diff.bTraceId, duration: Number(diff.b?.durationNano ?? diff.bDurationNano ?? 0) },
    delta: Number(diff.deltaNano ?? 0),
    rows,
    logs: diff.logCounts ?? [],
  };
}

/** The rows worth reading first: those that changed, and those above them so that the tree stays a tree. */
export function mainRows(diff) {
  const least = Math.max(diff.a.duration, diff.b.duration) * KEPT_SHARE;
  const kept = new Set();
  for (const row of diff.rows) {
    const status = row.change === "same" && row.a.status !== row.b.status;
    if (row.depth > 0 && Math.abs(row.delta) < least && row.a.count === row.b.count && !status) continue;
    kept.add(row);
    let depth = row.depth;
    for (let index = row.index - 1; index >= 0 && depth > 0; index -= 1) {
      if (diff.rows[index].depth < depth) {
        kept.add(diff.rows[index]);
        depth = diff.rows[index].depth;
      }
    }
  }
  return diff.rows.filter((row) => kept.has(row));
}

/** The widest change, so that bars share one scale; never 0. */
export function widest(rows) {
  return Math.max(...rows.map((row) => Math.abs(row.delta)), 1);
}

/** `x8 → x1` where the numbers of spans differ, else `x8`, else "". */
export function countWords(row) {
  if (row.a.count === row.b.count) return row.a.count > 1 ? `x${row.a.count}` : "";
  return `x${row.a.count} → x${row.b.count}`;
}
