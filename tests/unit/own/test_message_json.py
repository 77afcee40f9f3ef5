"""Answers as JSON: whatever a server sends is shown, and nothing of it acts on the terminal."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from hypothesis import given
from hypothesis import strategies as st

from generated import order_pb2
from tracelab.own.message_json import json_text, message_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_the_text_means_the_same_and_every_character_of_it_can_be_shown(value: Any) -> None:
    for indent in (None, 2):
        text = json_text(value, indent)
        assert json.loads(text) == value
        assert all(character.isprintable() or character == "\n" for character in text)


def test_a_message_has_the_names_of_its_proto_and_all_its_fields() -> None:
    shown = message_json(order_pb2.Order(order_id="o1"), Default())
    assert (shown["order_id"], shown["amount_minor_units"]) == ("o1", "0")


def test_a_message_with_a_type_that_nobody_described_is_shown_as_text() -> None:
    unknown = AnyMessage(type_url="type.googleapis.com/acme.Oops", value=b"ab")
    assert message_json(unknown, Default()) == {"text": 'type_url: "type.googleapis.com/acme.Oops" value: "ab"'}
