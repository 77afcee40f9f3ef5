from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.grpc_api.threads import ThreadApi
from tests.inprocess.services.shop import Shop, open_shop


@pytest.fixture(params=["aio", "sync"])
def api(request: pytest.FixtureRequest) -> Api:
    """Both APIs, one after the other: what a service promises holds for each."""
    return ThreadApi() if request.param == "sync" else AIO


@pytest.fixture
async def shop(api: Api) -> AsyncIterator[Shop]:
    async with open_shop(api=api) as opened:
        yield opened


@pytest.fixture
async def aio_shop() -> AsyncIterator[Shop]:
    """By grpc.aio alone: what its event loop does."""
    async with open_shop(api=AIO) as opened:
        yield opened
