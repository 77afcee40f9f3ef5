"""Failed calls: counted by status code, never mixed into latencies, and reason enough to compare nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tracelab.compare.statistics.sample import DEADLINE_EXCEEDED, OK, Sample, codes

SHARE_POINTS = 0.01
"""Variants whose failing shares differ by more than this do not do the same work."""


def failing_share(samples: Sequence[Sample]) -> float:
    """The share of calls that did not end with OK; 0 where there is no call."""
    return sum(sample.code != OK for sample in samples) / len(samples) if samples else 0.0


def censored_from(samples: Sequence[Sample]) -> float:
    """The share of calls that were answered, of those that were answered or met their deadline; 1 without a call.

    No quantile above it is known: a call that met its deadline would have lasted longer, by how much nobody knows.
    """
    counts = codes(samples)
    known = counts[OK] + counts[DEADLINE_EXCEEDED]
    return counts[OK] / known if known else 1.0


def why_not_comparable(baseline: str, others: Sequence[Sample], variant: str, own: Sequence[Sample]) -> str:
    """Why failures forbid a verdict; "" if they do not."""
    if not own or not others:
        return f"{variant if not own else baseline} has no calls"
    for name, samples in ((variant, own), (baseline, others)):
        if failing_share(samples) == 1.0:
            return f"every call of {name} failed ({_worst_code(samples)})"
    if abs(failing_share(own) - failing_share(others)) <= SHARE_POINTS:
        return ""
    name, samples = max(((variant, own), (baseline, others)), key=lambda pair: failing_share(pair[1]))
    share = failing_share(samples) * 100
    return f"{share:.{0 if share >= 10 else 1}f} % of {name} failed ({_worst_code(samples)})"


def _worst_code(samples: Sequence[Sample]) -> str:
    failed = codes(sample for sample in samples if sample.code != OK)
    return min(failed, key=lambda code: (-failed[code], code))
