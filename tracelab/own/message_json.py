"""Messages of any contract as JSON values, with the field names of the proto."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.text_format import MessageToString


def message_json(message: Message, pool: DescriptorPool) -> Any:
    """Write a message. One with an `Any` of a type that nobody described is `{"text": …}`, in protobuf's text form."""
    try:
        return MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=pool
        )
    except (TypeError, ValueError, DecodeError):
        return {"text": MessageToString(message, as_one_line=True)}


def json_text(value: Any, indent: int | None = None) -> str:
    """Write JSON values in which no character of a foreign answer acts on the terminal or turns its text round."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
