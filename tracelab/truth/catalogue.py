"""All endings of both APIs, and their scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tracelab.truth.aio_endings import AIO_ENDINGS
from tracelab.truth.endings import Api, Ending, Scenario
from tracelab.truth.sync_endings import SYNC_ENDINGS

ALL_APIS: Final = tuple(Api)
_ENDINGS: Final = {Api.AIO: AIO_ENDINGS, Api.SYNC: SYNC_ENDINGS}


def endings_of(api: Api) -> tuple[Ending, ...]:
    """The endings of calls that a client of `api` makes, in order of the table."""
    return _ENDINGS[api]


def ending_names(apis: Iterable[Api] = ALL_APIS) -> tuple[str, ...]:
    """The names of all endings of `apis`, each once."""
    return tuple(dict.fromkeys(ending.name for api in apis for ending in endings_of(api)))


def scenarios(endings: tuple[Ending, ...], api: Api) -> Iterator[Scenario]:
    """Every call of these endings, in order of the table."""
    for ending in endings:
        for kind in ending.kinds:
            yield Scenario(kind, ending, api)
