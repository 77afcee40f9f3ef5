"""The raw samples as CSV: one line for each measured call, times in nanoseconds, names in the first line."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields

from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics.sample import Sample


def run_to_csv(run: ComparisonRun) -> str:
    """All samples, twin and control too, in the order of measuring."""
    stream = io.StringIO()
    names = [field.name for field in fields(Sample)]
    roles = {entry.name: entry.role.value for entry in run.measurement.entries}
    writer = csv.DictWriter(stream, ["role", *names], lineterminator="\n")
    writer.writeheader()
    for sample in run.measurement.samples:
        writer.writerow({"role": roles[sample.entry], **asdict(sample)})
    return stream.getvalue()
