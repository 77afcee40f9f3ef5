"""What is passed on of a deadline: never more than is left, by the model of core's rounding and on the wire."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from generated import user_pb2, user_pb2_grpc
from services.deadlines import Deadline, passed_on_s
from tests.core_timeouts import header_reader, longest_sent_ms, written_ms

TIMEOUT_S = 20.0
LONGEST_S = 30 * 24 * 3_600.0


@given(left_s=st.floats(0.0, LONGEST_S), lost_ratio=st.floats(0.0, 1.0), rounding_ms=st.integers(0, 1))
def test_no_header_that_core_may_send_says_more_than_is_left(
    left_s: float, lost_ratio: float, rounding_ms: int
) -> None:
    timeout_s = passed_on_s(left_s)
    waited_s = timeout_s * lost_ratio  # for a connection, a busy loop, an attempt that failed
    remaining_ms = math.ceil((timeout_s - waited_s) * 1_000) + rounding_ms
    if timeout_s > waited_s:
        assert longest_sent_ms(remaining_ms) / 1_000 <= left_s - waited_s


@given(left_s=st.floats(0.1, LONGEST_S))
def test_what_is_passed_on_is_most_of_what_is_left(left_s: float) -> None:
    assert passed_on_s(left_s) >= left_s * 0.93


@pytest.mark.parametrize("left_s", [0.0, 0.001, 0.002])
def test_nothing_is_passed_on_of_a_deadline_that_has_all_but_passed(left_s: float) -> None:
    assert passed_on_s(left_s) == 0.0


@pytest.mark.parametrize("timeout_s", [0.5, 1.0, 9.996, 10.0, 99.98, 100.0, 600.0, 1000.0, 3600.0, 36000.0, 720000.0])
def test_the_model_of_core_s_rounding_is_what_stands_on_the_wire(timeout_s: float) -> None:
    with header_reader() as reader, grpc.insecure_channel(reader.address) as channel:
        begun_s = time.monotonic()
        call = user_pb2_grpc.UserServiceStub(channel).ListUsers.future(user_pb2.ListUsersRequest(), timeout=timeout_s)
        seen_ms = reader.timeout_ms(within_s=TIMEOUT_S)
        passed_ms = round((time.monotonic() - begun_s) * 1_000) + 1
        call.cancel()
    asked_ms = round(timeout_s * 1_000)
    assert seen_ms in {written_ms(asked_ms - early) for early in range(-2, passed_ms + 1)}


@dataclass
class Callee:
    """How a server is called, and the deadline that it was told of each call, as a moment on the monotonic clock."""

    call: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    told_monotonic_s: list[float]


@pytest.fixture(scope="module")
def callee() -> Iterator[Callee]:
    told_monotonic_s: list[float] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        told_monotonic_s.append(time.monotonic() + context.time_remaining())
        return request

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Callee", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Callee(channel.unary_unary("/test.Callee/Call"), told_monotonic_s)
        server.stop(None).wait()


@hypothesis_settings(max_examples=40)
@given(first_s=st.floats(2.0, 10_000.0), shrinkings=st.lists(st.floats(0.9, 1.0), min_size=1, max_size=10))
def test_a_callee_is_never_told_more_than_its_caller_has_left(
    callee: Callee, first_s: float, shrinkings: list[float]
) -> None:
    left_s = first_s
    for shrinking in [1.0, *shrinkings]:  # a little less each time: core then likes to send what it sent before
        left_s *= shrinking
        deadline = Deadline(time.monotonic() + left_s)
        callee.call(b"", timeout=deadline.timeout_s())
        assert callee.told_monotonic_s[-1] <= deadline.at_monotonic_s
