"""How our own paths read their parameters: what is wrong or unknown is an error that names it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from otel.backend.errors import MalformedParameterError

T = TypeVar("T")


def read(query: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    """Read a parameter; `default` where it is missing or empty, MalformedParameterError where `parse` refuses it."""
    text = query.get(name, "")
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        raise MalformedParameterError(name, f"{name} {error}") from error


def refuse_unknown(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a parameter that is not `known`: a misspelt filter that was passed over would look like an answer."""
    for name in query:
        if name not in known:
            raise MalformedParameterError(name, f"'{name}' is not a parameter; there are {', '.join(known)}")
