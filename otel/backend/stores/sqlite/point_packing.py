"""Points as they lie in the file: deflated with what most of them have in common, which makes 320 bytes about 70.

Bounds are sent with every point, and most counts are 0. Pure, safe in any thread. Source: RFC 1951, zlib's `zdict`.
"""

from __future__ import annotations

import zlib

from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

RAW_WINDOW_BITS = -15
# The bounds that SDKs take by default, in milliseconds, and those of the conventions for calls, in seconds. They are
# part of the file's format: a change makes every stored point unreadable.
_SDK_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
_CALL_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def pack(point: bytes) -> bytes:
    """Pack the bytes of a point."""
    packer = zlib.compressobj(wbits=RAW_WINDOW_BITS, zdict=_DICTIONARY)
    return packer.compress(point) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """Return the bytes of a point; ValueError where they are damaged."""
    unpacker = zlib.decompressobj(RAW_WINDOW_BITS, _DICTIONARY)
    try:
        return unpacker.decompress(packed) + unpacker.flush()
    except zlib.error as error:
        raise ValueError("a stored point is damaged") from error


def _dictionary() -> bytes:
    parts = [
        HistogramDataPoint(bucket_counts=[0] * (len(bounds) + 1), explicit_bounds=bounds).SerializeToString()
        for bounds in (_SDK_BOUNDS, _CALL_BOUNDS_S)
    ]
    return b"".join(parts)


_DICTIONARY = _dictionary()
