"""A whole comparison as a value: what was asked, what was measured, where, and the traces' parts behind it.

This is what is saved, exported and drawn. Every figure is computed from it, so a saved run shows the same ones again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tracelab.compare.explanation.decomposition import Band, Decomposition, decompose, tail_calls, typical_calls
from tracelab.compare.explanation.prediction import Prediction
from tracelab.compare.explanation.trace_parts import TraceParts
from tracelab.compare.measurement.block_design import Measurement, ProtocolSettings
from tracelab.compare.measurement.environment import Environment
from tracelab.compare.question.method_call import SERVER_KEY
from tracelab.compare.statistics.analysis import Analysis, Summary, analyse, compared, summarise
from tracelab.compare.statistics.sample import Entry, of_entry
from tracelab.compare.statistics.verdict import VerdictKind

SCHEMA_NAME = "tracelab.compare"
SCHEMA_VERSION = 1
_UNEXPLAINED = (VerdictKind.NOT_COMPARABLE, VerdictKind.COULD_NOT_KEEP_UP)


@dataclass(frozen=True)
class ComparisonRun:
    """One comparison. `options` has each variant's settings in words, by name; `started_time` is RFC 3339 in UTC.

    `traces` holds what was read back of the traces behind the samples, by trace id; empty with tracing off.
    `store_file` is where those traces are kept. `notes` are sentences for the reader that no figure says.
    `by_tail`: the breakdown is of the slowest calls.
    """

    question: str
    command_line: str
    started_time: str
    environment: Environment
    settings: ProtocolSettings
    options: Mapping[str, Mapping[str, str]]
    measurement: Measurement
    traces: Mapping[str, TraceParts] = field(default_factory=dict)
    store_file: str = ""
    notes: tuple[str, ...] = ()
    what_if: tuple[Prediction, ...] = ()
    by_tail: bool = False

    def analyse(self) -> Analysis:
        """What the samples say; computed once."""
        return self._analysis

    @cached_property
    def _analysis(self) -> Analysis:
        measurement = self.measurement
        return analyse(
            measurement.samples,
            measurement.entries,
            measurement.restart_blocks,
            self.settings.analysis,
            measurement.overloaded,
        )

    def analyse_entry(self, entry: Entry) -> Summary:
        """The figures of one entry alone."""
        samples = of_entry(self.measurement.samples, entry.name)
        return summarise(entry, samples, entry.name in self.measurement.overloaded)

    def decompositions(self) -> tuple[Decomposition, ...]:
        """Where the difference of each variant to the baseline went; none with tracing off or without a verdict."""
        return self._decompositions

    @cached_property
    def _decompositions(self) -> tuple[Decomposition, ...]:
        baseline, variants = compared(self.measurement.entries)
        excluded = {one.variant for one in self.analyse().headlines if one.verdict and one.verdict.kind in _UNEXPLAINED}
        found = (self._decomposition(baseline, entry) for entry in variants if entry.name not in excluded)
        return tuple(one for one in found if one is not None)

    def band(self, entry: Entry) -> Band:
        """The calls that stand for an entry in the breakdown."""
        samples = of_entry(self.measurement.samples, entry.name)
        return tail_calls(samples) if self.by_tail else typical_calls(samples)

    @cached_property
    def silent_servers(self) -> tuple[str, ...]:
        """The servers that are not ours whose calls are traced, and that sent no span of them."""
        compared_to, variants = compared(self.measurement.entries)
        theirs = [entry for entry in (compared_to, *variants) if SERVER_KEY in self.options.get(entry.name, {})]
        return tuple(entry.name for entry in theirs if self._is_silent(entry))

    def _is_silent(self, entry: Entry) -> bool:
        samples = of_entry(self.measurement.samples, entry.name)
        traces = [trace for sample in samples if (trace := self.traces.get(sample.trace_id)) is not None]
        return bool(traces) and not any(trace.reaches_a_server for trace in traces)

    def _decomposition(self, baseline: Entry, entry: Entry) -> Decomposition | None:
        if {baseline.name, entry.name} <= set(self.silent_servers):
            return None
        block_count = self.measurement.block_count
        seed = f"{self.settings.analysis.seed}:decomposition"
        return decompose(self.band(baseline), self.band(entry), self.traces, block_count=block_count, seed=seed)
