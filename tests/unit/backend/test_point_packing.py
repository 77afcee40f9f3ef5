"""Points as they lie in the store's file: small, whole, and readable for as long as the format lasts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

from otel.backend.stores.sqlite.point_packing import pack, unpack
from otel.instrument.semconv import CALL_DURATION_BUCKETS_S
from tests.contract.measurements import histogram

# As the first version with metrics wrote it: what is in people's files must stay readable.
PACKED_BY_THE_FIRST_VERSION = bytes.fromhex(
    "130406486ad1be5712920c33aec53600198acc50c768f66abce5dd67d0696f54c10415a277a2a07f780000"
)


def a_point() -> HistogramDataPoint:
    return histogram([2, 1, *[0] * 13], at_s=60, total=0.0123, bounds=CALL_DURATION_BUCKETS_S)


@given(st.binary(max_size=500))
def test_what_is_packed_comes_back(body: bytes) -> None:
    assert unpack(pack(body)) == body


def test_a_histogram_of_calls_is_packed_to_a_quarter() -> None:
    body = a_point().SerializeToString()
    assert len(pack(body)) < len(body) / 4


def test_what_the_first_version_wrote_is_read() -> None:
    assert HistogramDataPoint.FromString(unpack(PACKED_BY_THE_FIRST_VERSION)) == a_point()


def test_damaged_bytes_are_told() -> None:
    with pytest.raises(ValueError, match="a stored point is damaged"):
        unpack(b"\xff\xff\xff")
