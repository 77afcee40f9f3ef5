"""Which series are meant, what they are called by, and how they are grouped. Pure, safe in any thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel.backend.codec.attribute_text import text_of
from otel.backend.metric_ports import MetricSeries

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a series must satisfy; texts are compared exactly, and "" lets everything through.

    A condition on an attribute is met by the points' attribute of that key, or else by the resource's.
    """

    name: str = ""
    service: str = ""
    unit: str = ""
    kind: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def takes(self, series: MetricSeries) -> bool:
        """Say whether a series satisfies every condition."""
        if self.name and series.metric.name != self.name:
            return False
        if self.service and series.service != self.service:
            return False
        if self.unit and series.metric.unit != self.unit:
            return False
        if self.kind and series.kind != self.kind:
            return False
        return all(attribute_of(series, key) == value for key, value in self.attributes.items())


def attribute_of(series: MetricSeries, key: str) -> str:
    """Return an attribute of a series' points as text, or else of its resource; "" where neither has it."""
    for pairs in (series.attributes, series.resource.attributes):
        for pair in pairs:
            if pair.key == key:
                return text_of(pair.value)
    return ""


def texts_of(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Return attributes as text."""
    return {pair.key: text_of(pair.value) for pair in pairs}


def grouped(series: Iterable[MetricSeries], by: Sequence[str]) -> dict[tuple[str, ...], list[MetricSeries]]:
    """Return series by their values of the attributes `by`, in order of these."""
    groups: dict[tuple[str, ...], list[MetricSeries]] = {}
    for each in series:
        groups.setdefault(tuple(attribute_of(each, key) for key in by), []).append(each)
    return dict(sorted(groups.items()))
