"""A comparison as JSON of schema `tracelab.compare/1`, and back: raw samples, trace parts, and figures from them.

Only what cannot be computed is read back; the figures in a file are for readers of JSON. Names carry their units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tracelab.compare.explanation.decomposition import Decomposition
from tracelab.compare.explanation.prediction import Prediction
from tracelab.compare.explanation.sentence import sentence
from tracelab.compare.explanation.trace_parts import Part, PartKey, TraceParts
from tracelab.compare.measurement.block_design import Measurement, ProtocolSettings, StopReason, WarmUp
from tracelab.compare.measurement.environment import Environment
from tracelab.compare.measurement.pace import Pace
from tracelab.compare.question.errors import SavedRunError
from tracelab.compare.question.variant_options import Load
from tracelab.compare.results.comparison_run import SCHEMA_NAME, SCHEMA_VERSION, ComparisonRun
from tracelab.compare.statistics.analysis import Analysis, AnalysisSettings, Comparison, Summary
from tracelab.compare.statistics.quantiles import QUANTILE_BY_LABEL, Interval
from tracelab.compare.statistics.sample import Entry, Role, Sample
from tracelab.compare.statistics.verdict import Criteria

JsonObject = dict[str, Any]


def run_to_json(run: ComparisonRun) -> JsonObject:
    """The whole run with all its figures."""
    analysis = run.analyse()
    measurement, settings = run.measurement, run.settings
    return {
        "schema": f"{SCHEMA_NAME}/{SCHEMA_VERSION}",
        "question": run.question,
        "command_line": run.command_line,
        "started_time": run.started_time,
        "seed": settings.analysis.seed,
        "environment": asdict(run.environment),
        "settings": {**_settings_to_json(settings), "by_tail": run.by_tail},
        "protocol": _protocol_to_json(measurement),
        "variants": [_variant_to_json(run, summary) for summary in analysis.summaries],
        "comparisons": [_comparison_to_json(comparison) for comparison in analysis.comparisons],
        "twin": None if analysis.twin is None else _interval_to_json(analysis.twin),
        "disturbed": analysis.disturbed,
        "decomposition": [_decomposition_to_json(one, analysis) for one in run.decompositions()],
        "notes": list(run.notes),
        "store_file": run.store_file,
        "samples": [asdict(sample) for sample in measurement.samples],
        "traces": [_parts_to_json(parts) for parts in run.traces.values()],
        "what_if": [asdict(one) for one in run.what_if],
    }


def run_from_json(document: object, name: str) -> ComparisonRun:
    """The run of a document; SavedRunError, naming `name`, if it is none, is damaged, or has a newer schema."""
    if not isinstance(document, dict):
        raise SavedRunError(f"{name} is not a saved comparison")
    family, _, version = str(document.get("schema", "")).partition("/")
    if family != SCHEMA_NAME or not version.isdecimal():
        raise SavedRunError(f"{name} is not a saved comparison: it has no schema {SCHEMA_NAME}/{SCHEMA_VERSION}")
    if int(version) > SCHEMA_VERSION:
        text = f"{name} was saved by a newer lab: schema {family}/{version}, this one reads up to {SCHEMA_VERSION}"
        raise SavedRunError(text, "update this lab, or measure again")
    try:
        return _run_from_json(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SavedRunError(f"{name} is damaged: {type(error).__name__} {error}", "measure again") from error


def _settings_to_json(settings: ProtocolSettings) -> JsonObject:
    analysis = settings.analysis
    return {
        "by": analysis.by.label,
        "draws": analysis.draws,
        **asdict(analysis.criteria),
        "max_seconds": settings.max_seconds,
        "slice_s": settings.slice_s,
        "max_in_flight": settings.max_in_flight,
        "looks": list(settings.looks),
        "warm_up_calls": settings.warm_up_calls,
        "loads": {name: asdict(load) for name, load in settings.loads.items()},
    }


def _protocol_to_json(measurement: Measurement) -> JsonObject:
    return {
        "block_count": measurement.block_count,
        "restart_blocks": list(measurement.restart_blocks),
        "run_calls": measurement.run_calls,
        "dropped_per_run": measurement.dropped_per_run,
        "looks": list(measurement.looks),
        "stop_reason": measurement.stop_reason.name.lower(),
        "duration_s": measurement.duration_s,
        "warm_up": asdict(measurement.warm_up),
        "pace": {name: asdict(pace) for name, pace in measurement.pace.items()},
    }


def _variant_to_json(run: ComparisonRun, summary: Summary) -> JsonObject:
    return {
        "name": summary.entry.name,
        "role": summary.entry.role.value,
        "options": dict(run.options.get(summary.entry.name, {})),
        "call_count": summary.call_count,
        "ok_count": summary.ok_count,
        "calls_by_code": dict(summary.code_counts),
        "min_ns": summary.min_ns,
        "max_ns": summary.max_ns,
        "mean_ns": summary.mean_ns,
        "service_median_ns": summary.service_median_ns,
        "quantiles": [
            {
                "quantile": value.quantile.label,
                "latency_ns": value.sample.latency_ns if value.sample else None,
                "trace_id": value.sample.trace_id if value.sample else "",
                "refusal": value.refusal,
            }
            for value in summary.quantiles
        ],
    }


def _interval_to_json(interval: Interval) -> JsonObject:
    return {
        "ratio": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "level": 1 - interval.error_rate,
        "half_width": interval.half_width,
    }


def _comparison_to_json(comparison: Comparison) -> JsonObject:
    return {
        "variant": comparison.variant,
        "baseline": comparison.baseline,
        "quantile": comparison.quantile.label,
        **(_interval_to_json(comparison.interval) if comparison.interval else {"ratio": None}),
        "verdict": comparison.verdict.kind.value if comparison.verdict else None,
        "text": comparison.verdict.text if comparison.verdict else "",
    }


def _decomposition_to_json(one: Decomposition, analysis: Analysis) -> JsonObject:
    return {
        "baseline": one.baseline,
        "variant": one.variant,
        "band": one.band_label,
        "baseline_calls": one.baseline_calls,
        "variant_calls": one.variant_calls,
        "incomplete_count": one.incomplete_count,
        "baseline_ns": float(one.baseline_ns),
        "variant_ns": float(one.variant_ns),
        "difference_ns": float(one.difference_ns),
        "sentence": sentence(one, analysis.finds_difference(one.variant)),
        "rows": [
            {
                **asdict(row.key),
                "baseline_ns": float(row.baseline_ns),
                "variant_ns": float(row.variant_ns),
                "difference_ns": float(row.difference_ns),
                "low_ns": row.low_ns,
                "high_ns": row.high_ns,
                "baseline_count": float(row.baseline_count),
                "variant_count": float(row.variant_count),
            }
            for row in one.rows
        ],
    }


def _parts_to_json(parts: TraceParts) -> JsonObject:
    return {
        "trace_id": parts.trace_id,
        "root_duration_ns": parts.root_duration_ns,
        "complete": parts.complete,
        "parts": [{**asdict(key), **asdict(part)} for key, part in parts.parts],
    }


def _run_from_json(document: Mapping[str, Any]) -> ComparisonRun:
    return ComparisonRun(
        question=document["question"],
        command_line=document["command_line"],
        started_time=document["started_time"],
        environment=Environment(**document["environment"]),
        settings=_settings_from_json(document),
        options={variant["name"]: variant["options"] for variant in document["variants"]},
        measurement=_measurement_from_json(document),
        traces={one["trace_id"]: _parts_from_json(one) for one in document["traces"]},
        store_file=document["store_file"],
        notes=tuple(document["notes"]),
        what_if=tuple(Prediction(**one) for one in document["what_if"]),
        by_tail=document["settings"]["by_tail"],
    )


def _settings_from_json(document: Mapping[str, Any]) -> ProtocolSettings:
    own = document["settings"]
    criteria = Criteria(own["floor"], own["margin"], own["precision"])
    return ProtocolSettings(
        analysis=AnalysisSettings(document["seed"], QUANTILE_BY_LABEL[own["by"]], criteria, own["draws"]),
        max_seconds=own["max_seconds"],
        slice_s=own["slice_s"],
        max_in_flight=own["max_in_flight"],
        looks=tuple(own["looks"]),
        warm_up_calls=own["warm_up_calls"],
        loads={name: Load(**load) for name, load in own["loads"].items()},
    )


def _measurement_from_json(document: Mapping[str, Any]) -> Measurement:
    own = document["protocol"]
    return Measurement(
        entries=tuple(Entry(variant["name"], Role(variant["role"])) for variant in document["variants"]),
        samples=tuple(Sample(**sample) for sample in document["samples"]),
        block_count=own["block_count"],
        run_calls=own["run_calls"],
        dropped_per_run=own["dropped_per_run"],
        warm_up=WarmUp(**own["warm_up"]),
        looks=tuple(own["looks"]),
        stop_reason=StopReason[own["stop_reason"].upper()],
        duration_s=own["duration_s"],
        pace={name: Pace(**pace) for name, pace in own["pace"].items()},
        restart_blocks=tuple(own["restart_blocks"]),
    )


def _parts_from_json(one: Mapping[str, Any]) -> TraceParts:
    parts = tuple(
        (
            PartKey(part["service_name"], part["operation"], part["kind"], part["part"]),
            Part(part["critical_ns"], part["span_count"]),
        )
        for part in one["parts"]
    )
    return TraceParts(one["trace_id"], one["root_duration_ns"], parts, one["complete"])
