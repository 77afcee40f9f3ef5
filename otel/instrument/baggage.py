"""Allow-listed baggage as attributes: by a span processor, so that it works whatever made the span.

Baggage is what a caller says about itself. Only the keys of the settings are copied, never more than
`value_chars` of a value; the rest travels on and is recorded nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import baggage
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Span, SpanProcessor


class BaggageAttributes:
    """Reads the allowed keys out of a context; immutable, safe in any thread."""

    def __init__(self, keys: Sequence[str], value_chars: int) -> None:
        self._keys = tuple(keys)
        self._value_chars = value_chars

    def attributes(self, context: Context | None = None) -> dict[str, str]:
        """Return the allowed members of `context`'s baggage (None: the current one); mostly empty."""
        context = get_current() if context is None else context
        if _BAGGAGE_KEY not in context:
            return {}
        members = baggage.get_all(context)
        return {key: str(members[key])[: self._value_chars] for key in self._keys if key in members}


class BaggageSpanProcessor(SpanProcessor):
    """Copies allowed baggage of the context in which a span starts to the span's attributes."""

    def __init__(self, attributes: BaggageAttributes) -> None:
        self._attributes = attributes

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the attributes; called by the SDK in the thread or task that starts the span."""
        copied = self._attributes.attributes(parent_context)
        if copied:
            span.set_attributes(copied)

    def shutdown(self) -> None:
        """Do nothing: there is nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        """Say that nothing waits."""
        return True
