"""What a program has bound in structlog's context, for each line; apart, so that only telemetry needs structlog."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from structlog.contextvars import _CONTEXT_VARS, STRUCTLOG_KEY_PREFIX_LEN


def merge_bound(_logger: object, _method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what is bound, as structlog's `merge_contextvars` does, which looks at every variable of the context."""
    for key, variable in list(_CONTEXT_VARS.items()):  # a list, since another thread may bind a new one
        value = variable.get()
        if value is not Ellipsis:
            event_dict.setdefault(key[STRUCTLOG_KEY_PREFIX_LEN:], value)
    return event_dict
