"""What one `lab check` calls: the methods that may be called, each in its endings, and one that is not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from clients.errors import WrongUsageError
from tracelab.check.probing import Asked, Ending, Metadata, Probed, Prober, Traced
from tracelab.own.contract import Contract, service_and_method
from tracelab.own.failures import unreachable
from tracelab.own.reflected import reflected_contract
from tracelab.own.request_data import request_messages
from tracelab.own.session import reflection_failure
from tracelab.own.target import Target

CONNECT_BOUND_S: Final = 2.0
PLUMBING: Final = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")


@dataclass(frozen=True, slots=True)
class Named:
    """A method that a person allows to be called, as it was written, with the text of its request."""

    name: str
    request_text: str


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be checked. Without `contract` the server's reflection is asked."""

    target: Target
    named: tuple[Named, ...]
    timeout_s: float
    metadata: Metadata = ()
    contract: Contract | None = None

    async def probed(self, traced: Traced, interceptors: Sequence[grpc.aio.ClientInterceptor]) -> list[Probed]:
        """Make all calls; the last one is the first method's once more, so that its span is the last to come.

        Raises TargetError, ContractError, RequestDataError, and WrongUsageError where nothing may be called.
        """
        asked_channel = self.target.channel()
        channel = self.target.channel(interceptors)
        try:
            contract = self.contract or await self._reflected(asked_channel)
            callable_methods = self._callable(contract)
            await _connected(channel, self.timeout_s)
            prober = Prober(channel, traced, self.timeout_s, self.metadata)
            probed = []
            for asked in callable_methods:
                probed += await prober.method(asked)
                self._refuse_unreachable(probed)
            probed.append(await prober.unknown_method(callable_methods[0].method.full_name.partition("/")[0]))
            return [*probed, await prober.call(callable_methods[0], Ending.ANSWER)]
        except grpc.aio.AioRpcError as error:  # of reflection: what a probe meets is a value
            raise reflection_failure(error, self.target) from error
        finally:
            await channel.close()
            await asked_channel.close()

    async def _reflected(self, channel: grpc.aio.Channel) -> Contract:
        return await reflected_contract(channel, self.target.address, "", self.timeout_s, self.metadata)

    def _callable(self, contract: Contract) -> list[Asked]:
        found: dict[str, Asked] = {}
        for service in contract.service_names:
            for method in contract.methods_of(service):
                if method.has_no_side_effects and not service.startswith(PLUMBING):
                    found[method.full_name] = Asked(method, tuple(request_messages("{}", method, contract)))
        for named in self.named:
            method = contract.method(*service_and_method(named.name, contract.service_names))
            found[method.full_name] = Asked(method, tuple(request_messages(named.request_text, method, contract)))
        if not found:
            raise WrongUsageError(
                "no method may be called: none has idempotency_level = NO_SIDE_EFFECTS",
                "--method SERVICE/METHOD='{…}' names one that may be called some times",
            )
        return list(found.values())

    def _refuse_unreachable(self, probed: Sequence[Probed]) -> None:
        failure = unreachable(grpc.StatusCode[probed[0].code], probed[0].message, self.target)
        if failure:
            raise failure


async def _connected(channel: grpc.aio.Channel, timeout_s: float) -> None:
    """Connect before the first call, whose time would have it in; why that may fail, the call tells better."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(channel.channel_ready(), min(timeout_s, CONNECT_BOUND_S))
