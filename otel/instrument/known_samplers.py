"""What the SDK's own samplers decide, without the objects that they answer with.

Only their exact classes are known here; any other sampler is asked, and so is one that has another inside. The private
names are held by tests/unit/instrument/test_seams.py.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import SpanContext

_STATIC: Final = frozenset({sampling.StaticSampler, sampling._AlwaysOn, sampling._AlwaysOff})
_PARENT_BASED: Final = frozenset(
    {
        sampling.ParentBased,
        sampling.ParentBasedTraceIdRatio,
        sampling._ParentBasedAlwaysOn,
        sampling._ParentBasedAlwaysOff,
    }
)


def known_decision(sampler: Sampler, parent: SpanContext | None, trace_id: int) -> Decision | None:
    """Return what `sampler` decides under a valid parent (None: at a root); None where it has to be asked.

    Such a sampler passes on its parent's trace state, and the attributes of what it does not drop, as they are.
    """
    known: Any = sampler
    kind = type(known)
    if kind in _PARENT_BASED:
        known = _delegate(known, parent)
        kind = type(known)
    if kind in _STATIC:
        decision: Decision = known._decision
        return decision
    if kind is sampling.TraceIdRatioBased:
        return Decision.RECORD_AND_SAMPLE if trace_id & known.TRACE_ID_LIMIT < known.bound else Decision.DROP
    return None


def _delegate(sampler: Any, parent: SpanContext | None) -> Any:
    if parent is None:
        return sampler._root
    if parent.is_remote:
        return sampler._remote_parent_sampled if parent.trace_flags.sampled else sampler._remote_parent_not_sampled
    return sampler._local_parent_sampled if parent.trace_flags.sampled else sampler._local_parent_not_sampled
