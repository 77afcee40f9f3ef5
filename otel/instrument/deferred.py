"""A record between the moment it was made and its export, as what it is encoded from.

Apart, so that no exporter is imported for it. To encode a record where the rest of a call lies between this one and the
next costs over twice as much as in a row.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


class Deferred:
    """A span or log record of which nothing changes any more, and what decides where in a request it belongs.

    `fields` are for the encoder that made it, which has seen that each of them has a form.
    """

    __slots__ = ("fields", "instrumentation_scope", "resource")

    def __init__(self, fields: tuple[Any, ...], resource: Resource, scope: InstrumentationScope | None) -> None:
        self.fields = fields
        self.resource = resource
        self.instrumentation_scope = scope
