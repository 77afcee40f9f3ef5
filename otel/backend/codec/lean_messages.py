"""Protobuf messages of our own over OTLP's bytes, with the same field numbers and only the fields that are looked at.

What is looked at seldom, or as a whole, is declared as bytes: protobuf then makes no object for what is in it.
Source: protobuf.dev/programming-guides/encoding (a field of bytes and a message are written alike).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

BYTES: Final = FieldDescriptorProto.TYPE_BYTES
TEXT: Final = FieldDescriptorProto.TYPE_STRING
TIME: Final = FieldDescriptorProto.TYPE_FIXED64
NUMBER: Final = FieldDescriptorProto.TYPE_INT32
ONE, MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED

# Name, number, type (a text names another message of the table), one or many.
Field = tuple[str, int, int | str, FieldDescriptorProto.Label.ValueType]


def message_classes(package: str, messages: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """Make a class for each message of a table, in a pool of their own."""
    file = FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3")
    for message, fields in messages.items():
        descriptor = file.message_type.add(name=message)
        for name, number, kind, label in fields:
            field = descriptor.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.ValueType(kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}
