"""A record between the moment it was made and its export, as what it is encoded from.

Apart, so that no exporter is imported for it. To encode a record where the rest of a call lies between this one and the
next costs over twice as much as in a row.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


class Deferred(tuple[Any, ...]):
    """A span or log record of which nothing changes any more: its resource, its scope or None, and what it is made of.

    The latter, `fields`, are for the encoder that made it, which has seen that each of them has a form. One object, as
    the garbage collector looks at each one that waits.
    """

    __slots__ = ()

    @property
    def resource(self) -> Resource:
        """Where in a request it belongs, first by this."""
        resource: Resource = self[0]
        return resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """Then by this."""
        scope: InstrumentationScope | None = self[1]
        return scope

    @property
    def fields(self) -> tuple[Any, ...]:
        """What it is encoded from."""
        return self[2:]
