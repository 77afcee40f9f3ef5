"""What `lab check` calls: what has no side effects or was named, each so that its ending is known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from clients.errors import WrongUsageError
from tests.inprocess.services.shop import Shop, open_shop
from tracelab.check.probing import UNKNOWN_METHOD, Ending, Probed
from tracelab.check.session import Check, Named
from tracelab.own.contract import Contract
from tracelab.own.errors import ContractError, TargetError
from tracelab.own.target import Target

ORDER = "tracelab.order.v1.OrderService"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


@contextmanager
def traced(name: str) -> Iterator[str]:
    yield name


async def probed(shop: Shop, *named: Named, contract: Contract | None = None) -> list[Probed]:
    return await Check(Target(shop.servers["order"].address), named, 5.0, contract=contract).probed(traced, [])


async def test_only_methods_without_side_effects_are_called_unless_one_is_named(shop: Shop) -> None:
    made = await probed(shop)

    names = {each.method.full_name for each in made}
    assert names == {f"{ORDER}/{name}" for name in ("GetOrder", "ListOrders", "StreamOrders", UNKNOWN_METHOD)}
    assert made[-1].method == made[0].method, "the last call is the first one's again"
    unknown = next(each for each in made if each.ending is Ending.UNKNOWN_METHOD)
    assert unknown.code == "UNIMPLEMENTED"


async def test_a_stream_of_requests_that_stays_open_is_cut_by_its_deadline_and_by_a_cancel(shop: Shop) -> None:
    made = await probed(shop, Named("OrderService/TrackOrders", '{"subscribe": {"order_ids": ["o1"]}}'))

    tracked = {each.ending: each for each in made if each.method.full_name.endswith("/TrackOrders")}
    assert {ending: each.code for ending, each in tracked.items() if ending is not Ending.ANSWER} == {
        Ending.DEADLINE: "DEADLINE_EXCEEDED",
        Ending.CANCEL: "CANCELLED",
    }
    assert all(each.keeps_open for ending, each in tracked.items() if ending is not Ending.ANSWER)


async def test_what_answers_too_soon_to_be_cut_is_not_tried(shop: Shop) -> None:
    made = await probed(shop)

    cut = [each for each in made if each.method.full_name == f"{ORDER}/ListOrders" and each.ending is Ending.CANCEL]
    assert all(each.skipped or each.cut_s for each in cut)
    assert len(cut) == 1


async def test_a_server_that_offers_nothing_harmless_is_not_called(shop: Shop) -> None:
    contract = Contract((await _contract(shop)).pool, ())

    with pytest.raises(WrongUsageError, match="no method may be called"):
        await probed(shop, contract=contract)


async def test_a_method_that_is_not_there_and_a_server_that_is_not_there_are_said(shop: Shop) -> None:
    with pytest.raises(ContractError, match="has no method 'GetOrdre'"):
        await probed(shop, Named("OrderService/GetOrdre", "{}"))
    with pytest.raises(TargetError, match="nothing listens there"):
        await Check(Target("127.0.0.1:1"), (), 1.0).probed(traced, [])


async def _contract(shop: Shop) -> Contract:
    from tracelab.own.reflected import reflected_contract

    channel = Target(shop.servers["order"].address).channel()
    try:
        return await reflected_contract(channel, "here", "", 5.0)
    finally:
        await channel.close()
