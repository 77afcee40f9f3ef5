"""What one `lab call` does: finds the contract, lists it or makes the call, and says why nobody answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message

from tracelab.own.calling import CallOptions, CallOutcome, make_call
from tracelab.own.contract import Contract, Method, service_and_method
from tracelab.own.errors import TargetError
from tracelab.own.failures import unreachable
from tracelab.own.reflected import reflected_contract
from tracelab.own.request_data import request_messages
from tracelab.own.target import Target


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server offers: the methods of each service, by its name."""

    services: dict[str, tuple[Method, ...]]


@dataclass(frozen=True, slots=True)
class Called:
    """A call that was made, with the contract that reads what came back."""

    method: Method
    contract: Contract
    outcome: CallOutcome


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for. Without `contract` the server's reflection is asked; `name` is what the person wrote."""

    target: Target
    name: str
    request_text: str
    options: CallOptions
    contract: Contract | None = None

    async def answered(
        self,
        on_response: Callable[[Message, Contract, Method], None],
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> Listing | Called:
        """List, or call. Raises TargetError, ContractError and RequestDataError; a call that failed is an outcome."""
        channel = self.target.channel(interceptors)
        try:
            return await self._answered(channel, on_response)
        except grpc.aio.AioRpcError as error:
            raise reflection_failure(error, self.target) from error
        finally:
            await channel.close()

    async def _answered(
        self, channel: grpc.aio.Channel, on_response: Callable[[Message, Contract, Method], None]
    ) -> Listing | Called:
        contract = self.contract or await self._reflected(channel)
        if not self.name:
            return Listing({name: contract.methods_of(name) for name in contract.service_names})
        service, name = service_and_method(self.name, contract.service_names)
        if not name:
            return Listing({service: contract.methods_of(service)})
        method = contract.method(service, name)
        requests = request_messages(self.request_text, method, contract)
        outcome = await make_call(
            channel, method, requests, self.options, lambda message: on_response(message, contract, method)
        )
        if failure := unreachable(outcome.code, outcome.message, self.target):
            raise failure
        return Called(method, contract, outcome)

    async def _reflected(self, channel: grpc.aio.Channel) -> Contract:
        return await reflected_contract(
            channel, self.target.address, self.name, self.options.timeout_s, self.options.metadata
        )


def reflection_failure(error: grpc.aio.AioRpcError, target: Target) -> TargetError:
    """Explain why a server did not say what it offers."""
    code, message = error.code(), error.details() or ""
    if failure := unreachable(code, message, target):
        return failure
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TargetError(f"{target.address} did not answer in time", "--timeout gives it longer")
    hint = "--metadata KEY=VALUE goes along with it, too; --proto names the contract without asking"
    return TargetError(f"{target.address} refused to say what it offers: {code.name}: {message}", hint)
