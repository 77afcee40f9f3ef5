"""The histogram of one side's call durations, recorded a few calls at a time.

What is done for one measurement costs over twice as much when it is done once a call, since everything else of a call
lies between, as when it is done for some in a row; and a series takes its locks once for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final
from weakref import WeakKeyDictionary

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.sdk.metrics._internal.instrument import _Histogram
from opentelemetry.util.types import AttributeValue

from otel.instrument import semconv
from otel.instrument.histogram_batches import MOST_SERIES, Attributes, HistogramBatches, Measured

MOST_WAITING: Final = 32

_Waiting = deque[Measured]
_Series = set[tuple[tuple[str, AttributeValue], ...]]
# A histogram is one for all channels and servers of a meter provider, and so is what waits for it.
_SHARED: Final[WeakKeyDictionary[Histogram, tuple[_Waiting, _Series]]] = WeakKeyDictionary()


class CallDurations:
    """Records durations in the histogram `name` of `meter`; safe in any thread, without a lock of its own.

    Up to `MOST_WAITING` wait; whoever collects the metrics gets these, too. The first with its attributes does not
    wait, since the SDK dates a series from then. A histogram that is not the SDK's is told of each at once.
    """

    __slots__ = ("_batches", "_by_identity", "_histogram", "_series", "_waiting")

    def __init__(self, meter: Meter, name: str, description: str) -> None:
        self._histogram = meter.create_histogram(
            name, "s", description, explicit_bucket_boundaries_advisory=semconv.CALL_DURATION_BUCKETS_S
        )
        self._by_identity: dict[tuple[int, int], tuple[Attributes, Attributes, Attributes]] = {}
        self._waiting: _Waiting | None = None
        self._batches: HistogramBatches | None = None
        self._series: _Series = set()
        if type(self._histogram) is _Histogram:
            self._batches = HistogramBatches(self._histogram)
            self._waiting, self._series = _SHARED.setdefault(self._histogram, (deque(), self._series))
            # Observes nothing, so that no reader sees it: it is asked before each collection. A second one is ignored.
            meter.create_observable_gauge(f"{name}.waiting", [self._before_collection])

    def record(
        self,
        duration_s: float,
        end_time_unix_nano: int,
        method: Mapping[str, AttributeValue],
        outcome: Mapping[str, AttributeValue],
        context: Context,
    ) -> None:
        """Record a duration of at least 0 as the SDK would; `context` holds the span of the exemplar.

        The attributes are those of the method and of the outcome: strings and numbers, which are not changed any more.
        """
        waiting = self._waiting
        if waiting is None:
            self._histogram.record(duration_s, {**method, **outcome}, context)
            return
        attributes, is_first = self._joined(method, outcome)
        waiting.append((duration_s, end_time_unix_nano, context, attributes))
        if is_first or len(waiting) >= MOST_WAITING:
            self._record_waiting()

    def _joined(
        self, method: Mapping[str, AttributeValue], outcome: Mapping[str, AttributeValue]
    ) -> tuple[Mapping[str, AttributeValue], bool]:
        """Return the attributes as one, and whether they are the first of their series; by identity where known."""
        known = self._by_identity.get((id(method), id(outcome)))
        if known is not None:
            return known[2], False
        attributes = {**method, **outcome}
        series = tuple(attributes.items())
        is_first = series not in self._series and len(self._series) < MOST_SERIES
        if is_first:
            self._series.add(series)
        if len(self._by_identity) >= MOST_SERIES:
            self._by_identity.clear()
        self._by_identity[id(method), id(outcome)] = (method, outcome, attributes)  # held, so that the ids stay theirs
        return attributes, is_first

    def _record_waiting(self) -> None:
        batches, waiting = self._batches, self._waiting
        if batches is None or waiting is None:
            return
        batch: list[Measured] = []
        try:
            while waiting:
                batch.append(waiting.popleft())
        except IndexError:  # another thread was faster
            pass
        batches.record(batch)

    def _before_collection(self, _options: CallbackOptions) -> Iterable[Observation]:
        self._record_waiting()
        return ()
