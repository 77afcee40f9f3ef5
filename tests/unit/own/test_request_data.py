"""Requests as JSON: one message, several, and what is neither."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.struct_pb2 import ListValue, Value
from hypothesis import given
from hypothesis import strategies as st

from generated import order_pb2
from tracelab.own.contract import Contract, Method, RpcKind
from tracelab.own.errors import RequestDataError
from tracelab.own.request_data import request_messages, request_text

CONTRACT = Contract(Default(), ("tracelab.order.v1.OrderService",))
GET = CONTRACT.method("tracelab.order.v1.OrderService", "GetOrder")
TRACK = CONTRACT.method("tracelab.order.v1.OrderService", "TrackOrders")
IMPORT = CONTRACT.method("tracelab.order.v1.OrderService", "ImportOrders")


def ids(text: str, method: Method = GET) -> list[str]:
    return [message.order_id for message in request_messages(text, method, CONTRACT)]  # type: ignore[attr-defined]


def test_one_object_is_one_message_with_either_form_of_a_field_s_name() -> None:
    assert ids('{"order_id": "o1"}') == ids(' {"orderId": "o1"}\n') == ["o1"]


@pytest.mark.parametrize("text", ["{} {}", "{}\n{}\n", "[{}, {}]"], ids=["beside", "lines", "a list"])
def test_a_stream_takes_several(text: str) -> None:
    assert len(request_messages(text, TRACK, CONTRACT)) == 2
    assert request_messages("", IMPORT, CONTRACT) == request_messages("[]", IMPORT, CONTRACT) == []


def test_a_list_for_a_method_that_takes_lists_is_one_message() -> None:
    method = Method("p.S/M", RpcKind.CLIENT_STREAMING, ListValue, ListValue)
    (message,) = request_messages("[1, 2]", method, CONTRACT)
    assert message == ListValue(values=[Value(number_value=1), Value(number_value=2)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is unary and takes one message, 0 were given"),
        ("{} {}", "is unary and takes one message, 2 were given"),
        ('{"order_id": "o1"', "is not JSON: expecting ',' delimiter in line 1"),
        ('{}\n{"x"', "is not JSON: expecting ':' delimiter in line 2"),
        (
            '{"nothing": 1}',
            'is no tracelab.order.v1.GetOrderRequest: Message type "tracelab.order.v1.GetOrderRequest" has no field',
        ),
        ("[]", "is no tracelab.order.v1.GetOrderRequest: it is no JSON object"),
        ("5", "is no tracelab.order.v1.GetOrderRequest: it is no JSON object"),
        ("[" * 100_000, "nested too deep"),
        ('{"order_id": 7}', "is no tracelab.order.v1.GetOrderRequest: Failed to parse order_id field"),
    ],
    ids=["nothing", "two", "half", "line 2", "an unknown field", "a list", "a number", "deep", "a number for a text"],
)
def test_what_cannot_be_sent_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(RequestDataError) as caught:
        request_messages(text, GET, CONTRACT)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "GetOrderRequest" in caught.value.hint


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_request_or_refused(document: object) -> None:
    with contextlib.suppress(RequestDataError):
        request_messages(json.dumps(document), GET, CONTRACT)


def test_a_request_comes_from_the_line_a_file_or_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"order_id": "file"}', encoding="utf-8")
    assert ids(request_text(f"@{file}", io.StringIO())) == ["file"]
    assert ids(request_text("@-", io.StringIO('{"order_id": "piped"}'))) == ["piped"]
    with pytest.raises(FileNotFoundError):
        request_text(f"@{tmp_path}/none", io.StringIO())
    file.write_bytes(b"\xff")
    with pytest.raises(RequestDataError, match="is not UTF-8"):
        request_text(f"@{file}", io.StringIO())


def test_the_fields_of_a_status_are_the_generated_ones() -> None:
    assert GET.request_type is order_pb2.GetOrderRequest
