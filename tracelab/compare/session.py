"""From a question to a run: start the lab, make the data, measure, and read back the traces behind the figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from otel.query.client import TraceQuery
from otel.tls.contexts import client_context
from tracelab.compare.explanation.prediction import Prediction, Question, predict
from tracelab.compare.explanation.trace_parts import TraceParts
from tracelab.compare.explanation.traces import WAIT_S, TraceReader
from tracelab.compare.measurement.block_design import Measurement, ProtocolSettings, StopReason, measure
from tracelab.compare.measurement.client_tracing import ClientTracing
from tracelab.compare.measurement.environment import load_average, record_environment
from tracelab.compare.measurement.restarts import joined
from tracelab.compare.measurement.rpc_variant import RpcVariant
from tracelab.compare.measurement.runs import MachineClock, Variant
from tracelab.compare.measurement.servers import Servers, Subject
from tracelab.compare.measurement.watcher import Watcher
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.method_call import MethodCall
from tracelab.compare.question.variant_options import CONTROL, VariantOptions
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.notes import notes_of
from tracelab.compare.statistics.outliers import find_outliers
from tracelab.compare.statistics.sample import OK, Entry, Role, of_entry

CONTROL_NAME = f"control ({CONTROL})"
UNTRACED_CONTROL = VariantOptions(rpc=CONTROL, instrumentation="off", users=1, orders_per_user=0)
"""The control beside servers that are not ours, whose backend shall not fill with it."""
RESTART_LOOKS = (20,)
_ROOT = Path(__file__).resolve().parents[2]
_WAIT_AFTER_INTERRUPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be compared, and how. The first variant is the baseline.

    `control` is the call that every run contains; None for the usual one, traced as the variants are.
    """

    variants: Mapping[str, Subject]
    settings: ProtocolSettings
    question: str
    command_line: str
    restarts: int = 1
    by_tail: bool = False
    what_if: tuple[Question, ...] = ()
    control: Subject | None = None


@dataclass(slots=True)
class Session:
    """Runs plans on one set of servers. Synchronous: it has an event loop of its own while it measures.

    Ctrl-C while measuring ends the measuring and keeps its whole blocks; at any other time it is a KeyboardInterrupt.
    """

    servers: Servers
    watcher: Watcher = field(default_factory=Watcher)

    def run(self, plan: Plan) -> ComparisonRun:
        """Answer a plan. Raises CompareError, StackError, LabError and QueryError."""
        environment = record_environment(_ROOT)
        started_time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        measurement = self._measurement(plan)
        run = ComparisonRun(
            question=plan.question,
            command_line=plan.command_line,
            started_time=started_time,
            environment=replace(environment, load_after=load_average()),
            settings=_settings_with_loads(plan),
            options=_words(plan),
            measurement=measurement,
            store_file=self.servers.store_file,
            by_tail=plan.by_tail,
        )
        run = self._explained(run, plan)
        return replace(run, notes=notes_of(run))

    def _measurement(self, plan: Plan) -> Measurement:
        if plan.restarts == 1:
            return asyncio.run(self._measured(plan, _settings_with_loads(plan)))
        share_s = plan.settings.max_seconds / plan.restarts
        settings = replace(_settings_with_loads(plan), looks=RESTART_LOOKS, max_seconds=share_s)
        made: list[Measurement] = []
        for number in range(1, plan.restarts + 1):
            self.watcher.stage(f"restart {number} of {plan.restarts}")
            made.append(asyncio.run(self._measured(plan, settings, number)))
            self.servers.stop_services()
            if made[-1].stop_reason is StopReason.INTERRUPTED:
                break
        return joined(made)

    async def _measured(self, plan: Plan, settings: ProtocolSettings, restart: int = 0) -> Measurement:
        tracings: dict[tuple[str, float | None], ClientTracing] = {}
        async with AsyncExitStack() as stack:
            variants: list[tuple[Entry, Variant]] = []
            for entry, subject in entries_of(plan):
                key = (subject.instrumentation, subject.sampling)
                tracing = tracings.setdefault(key, ClientTracing(*key, self.servers.otlp_endpoint))
                made = await self.servers.variant(entry.name, subject, tracing, restart, self.watcher.stage)
                variants.append((entry, await stack.enter_async_context(made)))
                await _refuse_wrong_requests(entry, subject, made)
            self.watcher.stage("warming up")
            measurement = await measure(variants, settings, MachineClock(), self.watcher.measuring)
        for tracing in tracings.values():
            await asyncio.to_thread(tracing.close)
        return measurement

    def _explained(self, run: ComparisonRun, plan: Plan) -> ComparisonRun:
        """The run with its traces, and with what they predict."""
        interrupted = run.measurement.stop_reason is StopReason.INTERRUPTED
        traces: dict[str, TraceParts] = {}
        predictions: list[Prediction] = []
        servers = self.servers
        tls = client_context(servers.query_tls)
        with TraceQuery(servers.query_url, token=servers.query_token, tls=tls) as query:
            reader = TraceReader(query, _WAIT_AFTER_INTERRUPT_S if interrupted else WAIT_S)
            self.watcher.stage("reading traces")
            for entry in run.measurement.entries:
                if entry.role in (Role.BASELINE, Role.VARIANT):
                    found = reader.read(_wanted_traces(run, entry), _newest_trace(run, entry), self.watcher.reading)
                    traces |= _side_by_side(found, plan.variants[entry.name])
                    predictions += _predictions(run, entry, reader, traces, plan.what_if)
        return replace(run, traces=traces, what_if=tuple(predictions))


def entries_of(plan: Plan) -> list[tuple[Entry, Subject]]:
    """What each block calls: the baseline, the variants, the baseline's hidden twin, and the control."""
    (first, subject), *others = plan.variants.items()
    entries = [(Entry(first, Role.BASELINE), subject)]
    entries += [(Entry(name, Role.VARIANT), other) for name, other in others]
    entries.append((Entry(f"{first} (twin)", Role.TWIN), subject))
    return [*entries, (Entry(CONTROL_NAME, Role.CONTROL), plan.control or control_of(plan))]


def control_of(plan: Plan) -> VariantOptions:
    """The usual control: the same RPC, on services that run anyway."""
    kinds = [subject.instrumentation for subject in plan.variants.values()]
    apis = [subject.api for subject in plan.variants.values() if isinstance(subject, VariantOptions)] or ["aio"]
    return VariantOptions(
        rpc=CONTROL,
        instrumentation="corrected" if "corrected" in kinds else kinds[0],
        api="aio" if "aio" in apis else apis[0],
    )


def _settings_with_loads(plan: Plan) -> ProtocolSettings:
    loads = {entry.name: options.load for entry, options in entries_of(plan)}
    return replace(plan.settings, loads=loads)


def _words(plan: Plan) -> Mapping[str, Mapping[str, str]]:
    return {entry.name: options.in_words() for entry, options in entries_of(plan)}


async def _refuse_wrong_requests(entry: Entry, subject: Subject, variant: RpcVariant) -> None:
    if not subject.is_tried or entry.role is Role.TWIN:
        return
    reason = await variant.refusal()
    if reason:
        raise UsageError(f"{entry.name}: {variant.name} refuses the call: {reason}")


def _side_by_side(traces: Mapping[str, TraceParts], subject: Subject) -> Mapping[str, TraceParts]:
    """The traces with one name for the service that was called, however each server calls itself."""
    if not isinstance(subject, MethodCall):
        return traces
    return {id_: parts.with_called_service(subject.operation, subject.service) for id_, parts in traces.items()}


def _wanted_traces(run: ComparisonRun, entry: Entry) -> Iterable[str]:
    """The traces of the calls that stand for an entry, of its quantiles, and of its worst outliers."""
    samples = of_entry(run.measurement.samples, entry.name)
    wanted = [sample.trace_id for sample in run.band(entry).samples]
    summary = run.analyse_entry(entry)
    wanted += [value.sample.trace_id for value in summary.quantiles if value.sample]
    wanted += [summary.slowest.trace_id] if summary.slowest else []
    outliers = find_outliers(samples)
    return wanted + [sample.trace_id for sample in outliers.worst] if outliers else wanted


def _newest_trace(run: ComparisonRun, entry: Entry) -> str:
    """The trace of an entry's last call, of those that succeeded if any did: a call that fails may reach no server."""
    traced = [sample for sample in of_entry(run.measurement.samples, entry.name) if sample.trace_id]
    succeeded = [sample for sample in traced if sample.code == OK]
    return next((sample.trace_id for sample in reversed(succeeded or traced)), "")


def _predictions(
    run: ComparisonRun,
    entry: Entry,
    reader: TraceReader,
    traces: Mapping[str, TraceParts],
    questions: Iterable[Question],
) -> list[Prediction]:
    readings = [
        (reader.readings[sample.trace_id], sample.latency_ns)
        for sample in run.band(entry).samples
        if sample.trace_id in reader.readings and traces[sample.trace_id].complete
    ]
    made = (predict(entry.name, readings, question) for question in questions if readings)
    return [prediction for prediction in made if prediction is not None]
