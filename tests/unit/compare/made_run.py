"""A whole comparison made by hand: sequential and batch, with traces in parts, twin and control."""

from __future__ import annotations

import random
from dataclasses import replace

from tracelab.compare.explanation.trace_parts import Part, PartKey, TraceParts
from tracelab.compare.measurement.block_design import Measurement, ProtocolSettings, StopReason, WarmUp
from tracelab.compare.measurement.environment import Environment
from tracelab.compare.measurement.pace import Pace
from tracelab.compare.question.variant_options import VariantOptions
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics.analysis import AnalysisSettings
from tracelab.compare.statistics.sample import Entry, Role, Sample

TOP = PartKey("report", "ReportService/TopUsers", "server")
LIST_WIRE = PartKey("report", "OrderService/ListOrders", "client", "wire and queues")
LIST = PartKey("order", "OrderService/ListOrders", "server")
CONTROL = "control (UserService/GetUser)"
ENTRIES = (
    Entry("sequential", Role.BASELINE),
    Entry("batch", Role.VARIANT),
    Entry("sequential (twin)", Role.TWIN),
    Entry(CONTROL, Role.CONTROL),
)
BASE_NS = {"sequential": 40_000_000, "batch": 12_000_000, "sequential (twin)": 40_000_000, CONTROL: 1_000_000}
ENVIRONMENT = Environment("3.11.7", "1.85.1", "1.45.2", "0.1.0", "abc1234", "Linux 6", "A CPU", 2, 0.4, 0.9)


def made_run(seed: int = 1, scale: float = 1.0, blocks: int = 20, batch_scale: float = 1.0) -> ComparisonRun:
    """A run on a machine that is `scale` times as slow as usual."""
    noise = random.Random(f"made {seed}")
    samples: list[Sample] = []
    traces: dict[str, TraceParts] = {}
    for block in range(blocks):
        for place, entry in enumerate(ENTRIES):
            for index in range(1, 6):
                factor = scale * (batch_scale if entry.name == "batch" else 1.0)
                latency_ns = round(BASE_NS[entry.name] * factor * noise.lognormvariate(0, 0.1))
                trace_id = f"{len(traces):032x}"
                samples.append(
                    Sample(entry.name, block, place, index, block * 10**9, latency_ns, latency_ns, "OK", trace_id)
                )
                traces[trace_id] = parts(trace_id, latency_ns, entry.name)
    return ComparisonRun(
        question="batch against sequential",
        command_line="lab compare sequential batch",
        started_time="2026-11-23T21:00:00Z",
        environment=ENVIRONMENT,
        settings=ProtocolSettings(AnalysisSettings(seed, draws=400)),
        options={entry.name: VariantOptions("ReportService/TopUsers").in_words() for entry in ENTRIES},
        measurement=Measurement(
            entries=ENTRIES,
            samples=tuple(samples),
            block_count=blocks,
            run_calls=6,
            dropped_per_run=1,
            warm_up=WarmUp({entry.name: 100 for entry in ENTRIES}, True, 40_000_000, 2.0),
            looks=(20,),
            stop_reason=StopReason.PRECISE,
            duration_s=12.5,
            pace={entry.name: Pace(1.0, 0, 0.4, 0) for entry in ENTRIES},
            restart_blocks=(blocks,),
        ),
        traces=traces,
        store_file="/lab/runs/one/telemetry.sqlite",
        notes=("a note",),
    )


def parts(trace_id: str, latency_ns: int, name: str) -> TraceParts:
    """The parts of a call: 2 % of its latency lie outside the trace, the rest is three operations."""
    root_ns = latency_ns * 98 // 100
    calls = 20 if name.startswith("sequential") else 1
    wire_ns, list_ns = root_ns * 40 // 100, root_ns * 45 // 100
    return TraceParts(
        trace_id,
        root_ns,
        (
            (TOP, Part(root_ns - wire_ns - list_ns, 1)),
            (LIST_WIRE, Part(wire_ns, calls)),
            (LIST, Part(list_ns, calls)),
        ),
    )


def untraced(run: ComparisonRun) -> ComparisonRun:
    """The same run without traces."""
    samples = tuple(replace(sample, trace_id="") for sample in run.measurement.samples)
    return replace(run, traces={}, measurement=replace(run.measurement, samples=samples))
