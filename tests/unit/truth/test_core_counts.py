"""What gRPC's core counted, as a witness of the matrix: which calls are asked for, and what the counts prove."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.truth.test_judge import RIGHT, evidence
from tracelab.fork_server import ProcessStarter
from tracelab.truth.catalogue import endings_of, scenarios
from tracelab.truth.core_counts import CoreCounts, counted, counts_from_json, counts_to_json
from tracelab.truth.core_run import COUNTING, CountedCalls, core_can_be_asked
from tracelab.truth.endings import ALL_KINDS, Api, Kind, SpanExpected
from tracelab.truth.judge import Evidence, judge
from tracelab.truth.plan import TruthError
from tracelab.truth.report import matrix_markdown

REFUSED = CoreCounts(1, {"RESOURCE_EXHAUSTED": 1}, 1, {"RESOURCE_EXHAUSTED": 1})
CUT_SHORT = CoreCounts(1, {"RESOURCE_EXHAUSTED": 1}, 1, {"OK": 1})


def happened(given: Evidence) -> str:
    return next(cell.happened for cell in judge("corrected", given) if cell.side == "server")


@pytest.mark.parametrize("api", list(Api))
def test_core_is_asked_of_every_call_of_which_a_server_cannot_know_the_end(api: Api) -> None:
    unknowable = {
        scenario.name
        for scenario in scenarios(endings_of(api), api)
        if scenario.ending.server_span is SpanExpected.UNKNOWABLE
    }
    assert unknowable
    assert unknowable <= set(counted(endings_of(api), ALL_KINDS, api))


@pytest.mark.parametrize("api", list(Api))
def test_a_counted_call_has_a_method_that_no_other_call_has(api: Api) -> None:
    asked = counted(endings_of(api), ALL_KINDS, api)
    methods = {scenario.method for scenario in asked.values()}
    assert len(methods) == len(asked)
    assert methods.isdisjoint(scenario.method for scenario in scenarios(endings_of(api), api))


def test_only_the_kinds_asked_for_are_counted() -> None:
    asked = counted(endings_of(Api.AIO), [Kind.UNARY_STREAM], Api.AIO)
    assert {scenario.kind for scenario in asked.values()} == {Kind.UNARY_STREAM}


def test_a_status_that_both_sides_counted_proves_who_refused() -> None:
    assert REFUSED.server == "1 call: RESOURCE_EXHAUSTED"
    assert "core counted 1 call refused with RESOURCE_EXHAUSTED, so the server refused" in REFUSED.proof


@pytest.mark.parametrize("server_status", ["OK", "UNIMPLEMENTED"])
def test_a_status_that_the_client_did_not_have_is_not_quoted(server_status: str) -> None:
    counts = replace(CUT_SHORT, served_statuses={server_status: 1})
    assert counts.server == "1 call, its status proves nothing"
    assert server_status not in counts.proof
    assert "1 call that came in" in counts.proof
    assert "1 attempt: RESOURCE_EXHAUSTED" in counts.proof


def test_the_attempts_of_a_retried_call_are_told_with_their_statuses() -> None:
    statuses = {"UNAVAILABLE": 2, "OK": 1}
    counts = CoreCounts(3, statuses, 3, statuses)
    assert counts.client == "3 attempts: 1 OK, 2 UNAVAILABLE"
    assert counts.server == "3 calls: 1 OK, 2 UNAVAILABLE"


def test_counts_come_back_from_their_json() -> None:
    counts = {"ok/unary-unary": REFUSED, "request too large/unary-unary": CUT_SHORT}
    assert counts_from_json(counts_to_json(counts)) == counts


def test_an_unknown_cell_says_what_core_proves_and_without_core_what_it_said() -> None:
    unknown = evidence("over the concurrency limit", "RESOURCE_EXHAUSTED", server_fails=False)
    plain = "refused before the servicer, for a reason that Python cannot see"
    assert happened(unknown) == plain
    assert happened(replace(unknown, core=REFUSED)) == f"{plain}; {REFUSED.proof}"


def test_a_cell_has_what_core_counted_on_its_side_and_the_same_verdict() -> None:
    before, after = tuple(judge("corrected", RIGHT)), tuple(judge("corrected", replace(RIGHT, core=CUT_SHORT)))
    assert [cell.core for cell in before] == ["", ""]
    assert [cell.core for cell in after] == ["1 attempt: RESOURCE_EXHAUSTED", "1 call, its status proves nothing"]
    assert [replace(cell, core="") for cell in after] == list(before)
    assert "| 1 attempt: RESOURCE_EXHAUSTED |" in matrix_markdown(after)


@pytest.mark.skipif(not core_can_be_asked(), reason="gRPC's core can be asked on Linux alone")
def test_a_process_of_counted_calls_that_fails_is_told_with_what_it_printed(tmp_path: Path) -> None:
    ending = next(ending for ending in endings_of(Api.AIO) if ending.name == "ok")
    broken = {"LAB_MESSAGE_EVENTS": "many"}
    with (
        ProcessStarter(broken, [COUNTING]) as starter,
        CountedCalls(starter, tmp_path, {Api.AIO: [ending]}, ALL_KINDS) as calls,
        pytest.raises(TruthError, match="LAB_MESSAGE_EVENTS: 'many'"),
    ):
        calls.counts()
