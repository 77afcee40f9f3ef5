"""Which methods of a provider's span processors do anything: most inherit ones that do nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from otel.instrument.baggage import BaggageSpanProcessor

Hook = Callable[..., Any]
_DO_NOTHING: Final = frozenset(
    {
        *(kind.on_start for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)),
        *(kind._on_ending for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)),
        SpanProcessor.on_end,
    }
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The methods to call, in the processors' order."""

    on_start: tuple[Hook, ...]
    on_start_without_baggage: tuple[Hook, ...]
    on_ending: tuple[Hook, ...]
    on_end: tuple[Hook, ...]

    def on_start_in(self, context: Context) -> tuple[Hook, ...]:
        """Return the methods to call at a start under `context`, those left out that only look at its baggage."""
        return self.on_start if _BAGGAGE_KEY in context else self.on_start_without_baggage


class SpanHooks:
    """Finds the hooks of a processor, and finds them anew where processors were added; safe in any thread."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[object, Hooks] = (None, Hooks((), (), (), ()))

    def of(self, processor: Any) -> Hooks:
        """Return the hooks of a provider's processor as it is now."""
        is_sequential = type(processor) is SynchronousMultiSpanProcessor
        processors = processor._span_processors if is_sequential else processor
        known, hooks = self._known
        if known is not processors:
            hooks = _hooks(processors if is_sequential else (processor,))
            self._known = (processors, hooks)  # one assignment, so another thread sees a pair that belongs together
        return hooks


def _hooks(processors: Sequence[Any]) -> Hooks:
    on_start = _those_that_do([processor.on_start for processor in processors])
    of_baggage = BaggageSpanProcessor.on_start
    return Hooks(
        on_start,
        tuple(hook for hook in on_start if getattr(hook, "__func__", None) is not of_baggage),
        _those_that_do([processor._on_ending for processor in processors]),
        _those_that_do([processor.on_end for processor in processors]),
    )


def _those_that_do(methods: Sequence[Hook]) -> tuple[Hook, ...]:
    return tuple(method for method in methods if getattr(method, "__func__", None) not in _DO_NOTHING)
