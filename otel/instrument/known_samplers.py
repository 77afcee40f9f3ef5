"""What the SDK's own samplers decide, without the objects that they answer with.

Only their exact classes are known here; any other sampler is asked, and so is one that has another inside. The private
names are held by tests/unit/instrument/test_sdk_seams.py.
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


Decisions = tuple[Decision | None, ...]


class KnownDecisions:
    """Remembers what the last sampler decides of each kind of parent; safe in any thread."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[object, Decisions] = (None, ())

    def of(self, sampler: Sampler, parent: SpanContext | None) -> Decision | None:
        """Return what `sampler` decides under a valid parent (None: at a root); None where it has to be asked.

        Such a sampler passes on its parent's trace state, and the attributes of what it does not drop, as they are.
        """
        known, decisions = self._known
        if known is not sampler:
            decisions = _decisions(sampler)
            self._known = (sampler, decisions)  # one assignment, so another thread sees a pair that belongs together
        if parent is None:
            return decisions[0]
        return decisions[(3 if parent.is_remote else 1) + (parent.trace_flags & 1)]


def _decisions(sampler: Any) -> Decisions:
    """What is decided at a root, then under a local parent that is not sampled or is, then under a remote one."""
    if type(sampler) not in _PARENT_BASED:
        return (_static(sampler),) * 5
    return (
        _static(sampler._root),
        _static(sampler._local_parent_not_sampled),
        _static(sampler._local_parent_sampled),
        _static(sampler._remote_parent_not_sampled),
        _static(sampler._remote_parent_sampled),
    )


def _static(sampler: Any) -> Decision | None:
    decision: Decision | None = sampler._decision if type(sampler) in _STATIC else None
    return decision
