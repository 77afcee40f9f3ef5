"""Joining the records of many traces, each to its own."""

from __future__ import annotations

from dataclasses import replace

from otel.analysis.example import example_trace
from otel.analysis.proof import join_stored


def test_records_of_many_traces_are_each_joined_to_their_own() -> None:
    trace, logs = example_trace()
    stray = replace(logs[0], trace_id="f" * 32)
    outside = replace(logs[1], time_unix_nano=logs[1].time_unix_nano + 10**12)
    without_ids = replace(logs[0], trace_id="", span_id="")
    report = join_stored([*logs, stray, outside, without_ids], {trace.trace_id: trace}.get)
    assert report.without_span == (stray,)
    assert report.outside_span == (outside,)
    assert report.without_ids == (without_ids,)
    assert report.joined_count == len(logs) + 1
    assert not report.is_sound
    assert join_stored([*logs, without_ids], {trace.trace_id: trace}.get).is_sound
