"""A record as bytes, between the moment it was made and its export; apart, so that no exporter is imported for it."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


class Encoded:
    """A span or log record that was encoded when it was made, and what decides where in a request it belongs.

    `content` is a field of its scope in the request, ready to be joined with others.
    """

    __slots__ = ("content", "instrumentation_scope", "resource")

    def __init__(self, content: bytes, resource: Resource, scope: InstrumentationScope | None) -> None:
        self.content = content
        self.resource = resource
        self.instrumentation_scope = scope
