"""The endings of both APIs, and how a person names one."""

from __future__ import annotations

import pytest

from clients.errors import WrongUsageError
from tracelab.commands.truth import endings_named
from tracelab.truth.catalogue import ending_names, endings_of, scenarios
from tracelab.truth.endings import Api, Server


@pytest.mark.parametrize("api", list(Api))
def test_a_scenario_has_a_name_of_its_own(api: Api) -> None:
    names = [scenario.name for scenario in scenarios(endings_of(api), api)]
    assert len(names) == len(set(names))


def test_both_apis_end_in_the_ways_that_they_have_in_common() -> None:
    aio, sync = ({ending.name for ending in endings_of(api)} for api in Api)
    only_aio = {"servicer writes", "plain function", "client writes", "client reads", "request that does not parse"}
    assert {name for name in aio - sync if "server" not in name} <= only_aio


@pytest.mark.parametrize("api", list(Api))
def test_each_api_calls_the_other(api: Api) -> None:
    assert any(ending.server is Server.OTHER_API for ending in endings_of(api))


def test_an_ending_is_found_by_name_in_each_api_that_has_it() -> None:
    assert list(endings_named("deadline")) == [Api.AIO, Api.SYNC]
    assert list(endings_named("stream dropped")) == [Api.SYNC]
    assert list(endings_named("client writes")) == [Api.AIO]
    assert [ending.name for ending in endings_named("rich", [Api.SYNC])[Api.SYNC]] == ["rich status"]


def test_an_ending_whose_kinds_end_differently_is_found_whole() -> None:
    found = endings_named("request too large")[Api.SYNC]
    assert len(found) == 2


def test_a_name_that_is_no_ending_is_told_the_nearest() -> None:
    with pytest.raises(WrongUsageError, match="is not an ending of a call"):
        endings_named("deadlin e", [Api.SYNC])
    assert "deadline" in ending_names()
