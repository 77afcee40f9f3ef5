"""The little language of faults: what parses, what is refused, and that text and fault are two forms of one thing."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated import order_pb2, report_pb2, user_pb2
from services.fault_text import Condition, Fault, UnknownFaultError, methods_of, parse_faults

METHODS = methods_of([user_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR, report_pb2.DESCRIPTOR])


def test_the_design_s_example_means_what_it_says() -> None:
    text = "UserService/GetUser:delay=80ms|OrderService/ListOrders:status=UNAVAILABLE:times=2:when=user_ids=u-1"
    assert parse_faults(text, METHODS) == (
        Fault("UserService/GetUser", delay_s=0.08),
        Fault(
            "OrderService/ListOrders",
            status=grpc.StatusCode.UNAVAILABLE,
            times=2,
            when=Condition("user_ids", "u-1"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no method"),
        ("UserService", "'UserService' is no method"),
        ("UserService/GetUser", "needs an action"),
        ("UserService/GetUser:times=2", "needs an action"),
        ("UserService/GetUser:delay", "'delay' is not one of"),
        ("UserService/GetUser:delay=80", "'80' is no time"),
        ("UserService/GetUser:delay=-1ms", "'-1ms' is no time"),
        ("UserService/GetUser:delay=61s", "at most 60s"),
        ("UserService/GetUser:delay=1ms:delay=2ms", "'delay' is set twice"),
        ("UserService/GetUser:status=OK", "'OK' is no failing status code"),
        ("UserService/GetUser:status=UNAVAILABEL", "did you mean UNAVAILABLE"),
        ("UserService/GetUser:abort_after=-1", "no whole number from 0"),
        ("UserService/GetUser:delay=1ms:times=0", "no whole number from 1"),
        ("UserService/GetUser:delay=1ms:when=nothing=1", "'nothing' is no plain field"),
        ("UserService/GetUser:delay=1ms:when=user_id", "no plain field"),
        ("OrderService/TrackOrders:delay=1ms:when=subscribe=1", "'subscribe' is no plain field"),
        ("UserService/GetUser:delay=1ms|", "'' is no method"),
        ("|".join(["UserService/GetUser:delay=1ms"] * 17), "at most 16 faults, is 17"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UnknownFaultError) as caught:
        parse_faults(text, METHODS)
    assert problem in str(caught.value)


def test_a_refusal_never_quotes_a_condition_s_value() -> None:
    with pytest.raises(UnknownFaultError) as caught:
        parse_faults("UserService/CreateUser:delay=1ms:when=nome=Zebedee", METHODS)
    assert "Zebedee" not in str(caught.value)


plain_fields = {
    name: sorted(field.name for field in method.input_type.fields if field.message_type is None)
    for name, method in METHODS.items()
}


@st.composite
def some_faults(draw: st.DrawFn) -> Fault:
    method = draw(st.sampled_from(sorted(METHODS)))
    delay_us = draw(st.none() | st.integers(0, 60_000_000))
    status = draw(st.none() | st.sampled_from([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]))
    abort_after = draw(st.none() | st.integers(0, 1_000_000))
    if delay_us is None and status is None and abort_after is None:
        delay_us = 1
    fields = plain_fields[method]
    when = draw(
        st.none()
        | st.builds(Condition, st.sampled_from(fields), st.text(st.characters(codec="utf-8", exclude_characters=":|")))
        if fields
        else st.none()
    )
    return Fault(
        method,
        None if delay_us is None else delay_us * 1e-6,
        status,
        abort_after,
        draw(st.none() | st.integers(1, 1_000_000)),
        when if when is None or when.value == when.value.strip() else None,
    )


@given(st.lists(some_faults(), min_size=1, max_size=16))
def test_a_fault_written_as_text_parses_to_itself(faults: list[Fault]) -> None:
    parsed = parse_faults("|".join(map(str, faults)), METHODS)
    assert [str(each) for each in parsed] == [str(each) for each in faults]
    for one, other in zip(parsed, faults, strict=True):
        assert one.delay_s == pytest.approx(other.delay_s)
        assert (one.method, one.status, one.abort_after_count, one.times, one.when) == (
            other.method,
            other.status,
            other.abort_after_count,
            other.times,
            other.when,
        )


@given(st.text() | st.text("UserServic/GtOdL:|=delaystu1msUNAVB,").map(lambda text: f"UserService/GetUser:{text}"))
def test_any_text_parses_or_is_refused_with_a_short_sentence(text: str) -> None:
    assert len(refusal_of(text)) < 400


def refusal_of(text: str) -> str:
    """Return why a text is refused, or "" if it parses."""
    try:
        parse_faults(text, METHODS)
    except UnknownFaultError as error:
        return str(error)
    return ""
