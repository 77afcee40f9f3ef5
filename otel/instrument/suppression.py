"""Whether a context suppresses instrumentation, as an exporter's own calls do; for a context that is at hand.

The library's `is_instrumentation_enabled` looks the current context up twice. The private names are held by
tests/unit/instrument/test_seams.py.
"""

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.instrumentation.utils import _SUPPRESS_INSTRUMENTATION_KEY_PLAIN


def is_suppressed(context: Context) -> bool:
    """Say whether nothing is to be recorded in `context`."""
    return bool(context) and bool(
        context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS_INSTRUMENTATION_KEY_PLAIN)
    )
