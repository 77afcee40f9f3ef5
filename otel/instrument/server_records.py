"""Starts the record of a call on its server from what has arrived of it: the same in both APIs."""

from __future__ import annotations

from typing import Final

from opentelemetry import propagate
from opentelemetry.util.types import AttributeValue

from otel.instrument import semconv
from otel.instrument.call_record import CallRecord, CallRecorder
from otel.instrument.method_names import MethodAttributes, method_name
from otel.instrument.propagation import ContextReader, Metadata

PREVIOUS_ATTEMPTS_KEY: Final = "grpc-previous-rpc-attempts"


class ServerRecords:
    """Starts the records of one server's calls, as children of their callers; for the one thread that takes them in."""

    def __init__(self, recorder: CallRecorder) -> None:
        self._recorder = recorder
        self._reader = ContextReader(propagate.get_global_textmap())
        self._methods = MethodAttributes()

    def start(self, path: str, metadata: Metadata) -> CallRecord:
        """Start the record of a call of `path`; `metadata` is what came with it."""
        name, method_attributes = self._methods.of(path)
        attributes = method_attributes
        for key, value in metadata:
            if key == PREVIOUS_ATTEMPTS_KEY and value.isdigit():
                attributes = {**method_attributes, semconv.PREVIOUS_RPC_ATTEMPTS: int(value)}
        record = self._recorder.start(name, attributes, self._reader.extract(metadata))
        record.metric_attributes = method_attributes
        return record


def name_unknown_method(record: CallRecord, path: str) -> None:
    """Take back the name of a method that the server does not know: a caller could make up any number of them."""
    other: dict[str, AttributeValue] = {
        semconv.RPC_SYSTEM_NAME: semconv.RPC_SYSTEM_GRPC,
        semconv.RPC_METHOD: semconv.RPC_METHOD_OTHER,
    }
    record.metric_attributes = other
    if record.is_recording:
        record.span.update_name(semconv.RPC_SYSTEM_GRPC)
        record.span.set_attributes({**other, semconv.RPC_METHOD_ORIGINAL: method_name(path)})
