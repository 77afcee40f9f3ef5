"""Which signals mean which ending, apart from any server."""

from __future__ import annotations

import grpc
import pytest

from otel.instrument.endings import Ending, Failure, ServerSignals, client_ending, failure_ending, server_ending

CANCELLED = Ending(grpc.StatusCode.CANCELLED)
DEADLINE = Ending(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
OOPS = Failure(grpc.StatusCode.UNKNOWN, "Unexpected <class 'ValueError'>: oops")


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        pytest.param(ServerSignals(), Ending(grpc.StatusCode.OK), id="nothing but the end"),
        pytest.param(
            ServerSignals(is_known_method=False, is_reached=False),
            Ending(grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED", "Method not found!"),
            id="unknown method",
        ),
        pytest.param(ServerSignals(is_reached=False), Ending(None), id="never reached"),
        pytest.param(
            ServerSignals(is_reached=False, failure=OOPS),
            Ending(grpc.StatusCode.UNKNOWN, "UNKNOWN", "Unexpected <class 'ValueError'>: oops"),
            id="never reached, the request did not parse",
        ),
        pytest.param(
            ServerSignals(failure=OOPS, code=grpc.StatusCode.OK),
            Ending(grpc.StatusCode.UNKNOWN, "UNKNOWN", "Unexpected <class 'ValueError'>: oops"),
            id="OK set, then an exception",
        ),
        pytest.param(
            ServerSignals(code=grpc.StatusCode.NOT_FOUND, details="none", failure=OOPS, was_aborted=True),
            Ending(grpc.StatusCode.NOT_FOUND),
            id="abort",
        ),
        pytest.param(
            ServerSignals(code=grpc.StatusCode.NOT_FOUND, failure=OOPS, was_aborted=True, remaining_s=0.0),
            Ending(grpc.StatusCode.NOT_FOUND),
            id="abort whose status was sent at the last moment",
        ),
        pytest.param(ServerSignals(was_cancelled=True), CANCELLED, id="cancel without a deadline"),
        pytest.param(ServerSignals(was_cancelled=True, remaining_s=3.0), CANCELLED, id="cancel before the deadline"),
        pytest.param(ServerSignals(was_cancelled=True, remaining_s=0.01), DEADLINE, id="cancel at the deadline"),
        pytest.param(
            ServerSignals(was_cancelled=True, timeout_s=10.0, remaining_s=0.1),
            DEADLINE,
            id="cancel as early as a caller's deadline of 10 s, which core rounds up by 1 %",
        ),
        pytest.param(
            ServerSignals(was_cancelled=True, timeout_s=1.0, remaining_s=0.1),
            CANCELLED,
            id="cancel earlier than a caller's deadline of 1 s can be",
        ),
        pytest.param(
            ServerSignals(was_cancelled=True, remaining_s=0.0, cancelled_before_deadline=True),
            CANCELLED,
            id="cancel swallowed until past the deadline",
        ),
        pytest.param(
            ServerSignals(was_cancelled=True, awaited_request=True),
            Ending(None),
            id="cancel, or a request refused, while one was awaited",
        ),
        pytest.param(
            ServerSignals(was_cancelled=True, awaited_request=True, remaining_s=0.01),
            DEADLINE,
            id="deadline while a request was awaited",
        ),
        pytest.param(ServerSignals(awaited_request=True), Ending(grpc.StatusCode.OK), id="returned before the end"),
        pytest.param(ServerSignals(remaining_s=0.0), DEADLINE, id="returned after the deadline"),
        pytest.param(ServerSignals(remaining_s=0.01), Ending(grpc.StatusCode.OK), id="returned just in time"),
        pytest.param(
            ServerSignals(was_cancelled=True, is_stopping=True),
            Ending(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "Cancelling all calls"),
            id="cancelled by a stopping server",
        ),
        pytest.param(
            ServerSignals(was_cancelled=True, is_stopping=True, remaining_s=0.0), DEADLINE, id="deadline while stopping"
        ),
    ],
)
def test_signals_on_the_server(signals: ServerSignals, expected: Ending) -> None:
    assert server_ending(signals) == expected


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_but_ok_is_an_error_for_a_client(code: grpc.StatusCode) -> None:
    assert client_ending(code, "why") == Ending(code, code.name, "why")


def test_ok_is_no_error_and_says_nothing_more() -> None:
    assert client_ending(grpc.StatusCode.OK, "ignored") == Ending(grpc.StatusCode.OK)


def test_a_failure_without_a_status_names_the_exception() -> None:
    assert failure_ending(ValueError("oops")) == Ending(None, "ValueError", "oops")


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_the_conventions_six_codes_are_errors_on_a_server(code: grpc.StatusCode) -> None:
    is_error = code.name in {
        "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    }  # fmt: skip
    assert server_ending(ServerSignals(code=code)).is_error is is_error
