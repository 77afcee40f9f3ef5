"""The proof and the diagnosis, on the example trace and on damaged copies of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from clients.discovery import probes
from otel.analysis.example import example_trace
from otel.analysis.model import LogRecord, SpanKind, Trace
from tracelab.demo import diagnosis as demo_diagnosis
from tracelab.demo.proof import ReadBack, prove
from tracelab.stack.log_files import count_log_lines

TRACE, LOGS = example_trace()


@pytest.fixture(name="log_file")
def _log_file(tmp_path: Path) -> Path:
    file = tmp_path / "user.log"
    lines = [json.dumps({"event": "x", "trace_id": TRACE.trace_id}) for _ in LOGS]
    file.write_text("\n".join([*lines, json.dumps({"trace_id": "other"}), "not json"]), encoding="utf-8")
    return file


def found(trace: Trace = TRACE, logs: tuple[LogRecord, ...] = tuple(LOGS)) -> ReadBack:
    return ReadBack((trace,), logs)


def test_one_whole_trace_with_equal_logs_is_a_full_proof(log_file: Path) -> None:
    proof = prove(found(), [log_file])
    assert (proof.verdict, proof.problems) == ("full", ())
    assert (proof.traces, proof.services) == (1, ("demo", "order", "report", "user"))
    assert proof.log_count == proof.logs_joined == proof.file_log_count == len(LOGS)


def test_without_the_files_the_proof_is_partial() -> None:
    assert prove(found(), None).verdict == "partial"


def test_a_second_trace_of_the_call_fails_the_proof(log_file: Path) -> None:
    proof = prove(ReadBack((TRACE, replace(TRACE, trace_id="f" * 32)), tuple(LOGS)), [log_file])
    assert proof.problems[0] == "the call made 2 traces, not 1"


def test_a_missing_span_leaves_orphans_and_fails_the_proof(log_file: Path) -> None:
    parents = {span.parent_span_id for span in TRACE.spans}
    middle = next(span for span in TRACE.spans if span.parent_span_id and span.span_id in parents)
    proof = prove(found(replace(TRACE, spans=tuple(span for span in TRACE.spans if span is not middle))), [log_file])
    assert proof.verdict == "failed"
    assert proof.orphan_span_count >= 1


@pytest.mark.parametrize(("code", "missing"), [("OK", 1), ("UNAVAILABLE", 0)])
def test_only_a_call_that_reached_a_server_needs_the_span_of_it(code: str, missing: int) -> None:
    by_id = {span.span_id: span for span in TRACE.spans}
    parents = {span.parent_span_id for span in TRACE.spans}
    answer = next(span for span in TRACE.spans if span.kind is SpanKind.SERVER and span.span_id not in parents)
    call = by_id[answer.parent_span_id]
    told = replace(call, attributes={**call.attributes, "rpc.response.status_code": code})
    spans = tuple(told if span is call else span for span in TRACE.spans if span is not answer)
    assert prove(found(replace(TRACE, spans=spans)), None).unanswered_call_count == missing


def test_a_log_line_that_was_lost_on_the_way_fails_the_proof(log_file: Path) -> None:
    proof = prove(found(logs=tuple(LOGS[1:])), [log_file])
    assert proof.problems == (f"{len(LOGS) - 1} log lines in the backend, {len(LOGS)} in the files",)


def test_a_log_line_of_a_span_that_does_not_exist_fails_the_proof(log_file: Path) -> None:
    stray = replace(LOGS[0], span_id="0" * 15 + "1")
    assert "1 log lines join no span" in prove(found(logs=(stray, *LOGS[1:])), [log_file]).problems


def test_rotated_log_files_count_and_their_namesakes_do_not(log_file: Path) -> None:
    line = json.dumps({"trace_id": TRACE.trace_id}) + "\n"
    log_file.with_name("user.log.1").write_text(line, encoding="utf-8")
    log_file.with_name("user.log.bak").write_text(line, encoding="utf-8")
    assert count_log_lines([log_file], TRACE.trace_id) == len(LOGS) + 1


@pytest.mark.parametrize(
    ("listens", "answers", "read", "said"),
    [
        pytest.param(False, True, ReadBack((), ()), "nothing listens at the exporter's endpoint", id="endpoint"),
        pytest.param(True, False, ReadBack((), ()), "the query API at http://q does not answer", id="query"),
        pytest.param(True, True, ReadBack((), ()), "has none of this call", id="another backend"),
        pytest.param(
            True,
            True,
            found(replace(TRACE, spans=tuple(span for span in TRACE.spans if span.service_name == "demo"))),
            "no span of order, report, user",
            id="exporters of services",
        ),
    ],
)
def test_the_diagnosis_names_the_hop_that_failed(
    monkeypatch: pytest.MonkeyPatch, listens: bool, answers: bool, read: ReadBack, said: str
) -> None:
    monkeypatch.setattr(probes, "accepts_connections", lambda _address: listens)
    monkeypatch.setattr(probes, "query_answers", lambda _url, **_tls: answers)
    message, hint = demo_diagnosis.failed_hop(read, "http://o", "http://q", 10.0)
    assert said in message
    assert hint


def test_a_full_disk_is_named_before_any_exporter_is_blamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probes, "accepts_connections", lambda _address: True)
    monkeypatch.setattr(probes, "query_answers", lambda _url, **_tls: True)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=4096))
    only_ours = found(replace(TRACE, spans=tuple(span for span in TRACE.spans if span.service_name == "demo")))
    message, hint = demo_diagnosis.failed_hop(only_ours, "http://o", "http://q", 10.0, tmp_path / "t.sqlite")
    assert f"the store {tmp_path / 't.sqlite'} cannot be written, no space left" in message
    assert "LAB_HOME" in hint


def test_a_hop_that_refuses_is_not_waited_for() -> None:
    assert not demo_diagnosis.is_reachable("http://127.0.0.1:1", "http://127.0.0.1:1")
    message, _ = demo_diagnosis.failed_hop(ReadBack((), ()), "http://127.0.0.1:1", "http://127.0.0.1:1", 0.0)
    assert message == (
        "the trace cannot be read back: nothing listens at the exporter's endpoint http://127.0.0.1:1, "
        "and no query API answers at http://127.0.0.1:1"
    )
