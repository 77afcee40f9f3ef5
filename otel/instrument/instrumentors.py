"""Traces every server and channel that a process makes from now on: the library's four instrumentors, corrected.

They have its names, arguments and entry points. While one is active, the library's of that name does nothing and a
tracing interceptor that the program adds itself gives way, so that no call has two spans, whichever comes first.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final
from weakref import WeakSet

import grpc
import grpc.aio
from opentelemetry.instrumentation import grpc as library
from opentelemetry.instrumentation.grpc import grpcext
from opentelemetry.instrumentation.grpc._aio_client import _BaseAioClientInterceptor
from opentelemetry.instrumentation.grpc._client import OpenTelemetryClientInterceptor
from opentelemetry.instrumentation.grpc._server import OpenTelemetryServerInterceptor
from opentelemetry.instrumentation.grpc.filters import all_of
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # the library is untyped

from otel.instrument import interceptors
from otel.instrument.aio.client_interceptors import Corrected as CorrectedAioClient
from otel.instrument.aio.server_interceptor import CorrectedAioServerInterceptor
from otel.instrument.sync.server_interceptor import CorrectedServerInterceptor

INSTRUMENTS: Final = ("grpcio >= 1.85.0, < 1.86",)
"""What the corrections were tried with: they hold on to private names of gRPC's. Another version is the library's."""
_ARGUMENTS: Final = ("tracer_provider", "meter_provider", "message_events", "log_exception")
_REPLACED: Final = "_is_traced_by_tracelab"
_HOOKS: Final = ("request_hook", "response_hook")

Filter = Callable[[Any], bool]
Made = Callable[..., Any]


class _Instrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped, as above
    """What the four have in common: a name in gRPC's module is replaced, and put back.

    One object per class, as the library has it. Belongs to a `main()`: nothing of it is safe in several threads.
    """

    _undo: ClassVar[list[Callable[[], None]]]

    def __init_subclass__(cls) -> None:
        cls._undo = []

    def __init__(self, filter_: Filter | None = None) -> None:
        self._filter = _without_excluded(filter_)

    def instrumentation_dependencies(self) -> Collection[str]:
        """Name the versions of gRPC that are traced."""
        return INSTRUMENTS

    def _uninstrument(self, **_kwargs: Any) -> None:
        while self._undo:
            self._undo.pop()()

    def _replace(self, api: Any, name: str, replacement: Made) -> None:
        original = getattr(api, name)
        if hasattr(original, _REPLACED):  # by `lab run`, or by another copy of this module
            return
        replaced = functools.wraps(original)(replacement)
        setattr(replaced, _REPLACED, True)
        setattr(api, name, replaced)
        self._undo.append(lambda: setattr(api, name, original))

    def _retire_stock(self) -> None:
        """Undo what the library's instrumentor of this name did, and let it do nothing until this one is undone."""
        stock = getattr(library, type(self).__name__)
        if stock._instance is not None and stock._instance.is_instrumented_by_opentelemetry:
            stock._instance.uninstrument()
        for name in ("instrument", "uninstrument"):
            self._replace(stock, name, lambda _stock, **_kwargs: None)


class GrpcInstrumentorServer(_Instrumentor):
    """Traces each `grpc.server` made from `instrument()` on.

    `instrument` takes `tracer_provider` and `meter_provider` (the global ones by default), `message_events` and
    `log_exception` as `server_interceptor` does.
    """

    def _instrument(self, **kwargs: Any) -> None:
        self._retire_stock()
        original, arguments = grpc.server, _given(kwargs, _ARGUMENTS)
        make = functools.partial(interceptors.server_interceptor, filter_=self._filter, **arguments)

        def server(*args: Any, **kwargs: Any) -> Any:
            bound = _bound(original, args, kwargs)
            bound["interceptors"] = _traced_once(bound, CorrectedServerInterceptor, lambda: [make()])
            return original(**bound)

        self._replace(grpc, "server", server)


class GrpcAioInstrumentorServer(_Instrumentor):
    """Traces each `grpc.aio.server` made from `instrument()` on; its arguments are `GrpcInstrumentorServer`'s."""

    def _instrument(self, **kwargs: Any) -> None:
        self._retire_stock()
        original, arguments = grpc.aio.server, _given(kwargs, _ARGUMENTS)
        make = functools.partial(interceptors.aio_server_interceptor, filter_=self._filter, **arguments)
        filter_ = self._filter

        def server(*args: Any, **kwargs: Any) -> Any:
            bound = _bound(original, args, kwargs)
            if not bound.get("interceptors"):
                handlers = bound.pop("handlers", None)
                made = interceptors.traced_server(original(**bound), filter_=filter_, **arguments)
                made.add_generic_rpc_handlers(handlers or ())
                return made
            bound["interceptors"] = _traced_once(bound, CorrectedAioServerInterceptor, lambda: [make()])
            return original(**bound)

        self._replace(grpc.aio, "server", server)


class GrpcInstrumentorClient(_Instrumentor):
    """Traces each channel of the synchronous API made from `instrument()` on.

    `instrument` takes `request_hook` and `response_hook`, `insecure_channel=False` or `secure_channel=False` to leave
    that kind out, and what `GrpcInstrumentorServer` takes.
    """

    def _instrument(self, **kwargs: Any) -> None:
        self._retire_stock()
        arguments, hooks = _given(kwargs, _ARGUMENTS), _given(kwargs, _HOOKS)
        traced: WeakSet[grpc.Channel] = WeakSet()
        for name in _channel_names(kwargs):
            self._replace(grpc, name, self._channel(getattr(grpc, name), arguments, hooks, traced))
        for api, name in ((grpc, "intercept_channel"), (grpcext, "intercept_channel")):
            self._replace(api, name, _intercept_once(getattr(api, name), traced))

    def _channel(
        self, original: Made, arguments: Mapping[str, Any], hooks: Mapping[str, Any], traced: WeakSet[grpc.Channel]
    ) -> Made:
        filter_, intercept = self._filter, grpc.intercept_channel

        def channel(*args: Any, **kwargs: Any) -> Any:
            made, target = original(*args, **kwargs), _bound(original, args, kwargs)["target"]
            if hooks:
                interceptor = interceptors.client_interceptor(filter_=filter_, target=target, **hooks, **arguments)
                made = intercept(made, interceptor)
            else:
                made = interceptors.traced_sync_channel(made, target, filter_=filter_, **arguments)
            traced.add(made)
            return made

        return channel


class GrpcAioInstrumentorClient(_Instrumentor):
    """Traces each channel of `grpc.aio` made from `instrument()` on; its arguments are `GrpcInstrumentorClient`'s."""

    def _instrument(self, **kwargs: Any) -> None:
        self._retire_stock()
        arguments, hooks = _given(kwargs, _ARGUMENTS), _given(kwargs, _HOOKS)
        for name in _channel_names(kwargs):
            self._replace(grpc.aio, name, self._channel(getattr(grpc.aio, name), arguments, hooks))

    def _channel(self, original: Made, arguments: Mapping[str, Any], hooks: Mapping[str, Any]) -> Made:
        filter_ = self._filter

        def channel(*args: Any, **kwargs: Any) -> Any:
            bound = _bound(original, args, kwargs)
            target = bound["target"]
            if not (hooks or bound.get("interceptors")):
                return interceptors.traced_channel(original(**bound), target, filter_=filter_, **arguments)

            def make() -> Sequence[Any]:
                options = {"filter_": filter_, "target": target, **hooks, **arguments}
                return interceptors.aio_client_interceptors(**options)

            bound["interceptors"] = _traced_once(bound, CorrectedAioClient, make)
            return original(**bound)

        return channel


def _traced_once(bound: Mapping[str, Any], corrected: type, make: Callable[[], Sequence[Any]]) -> list[Any]:
    """Return the program's interceptors with ours before them; corrected ones that it brought itself are enough."""
    given = list(bound.get("interceptors") or ())
    others = [each for each in given if isinstance(each, corrected) or not _traces(each)]
    return others if any(isinstance(each, corrected) for each in given) else [*make(), *others]


def _intercept_once(original: Made, traced: WeakSet[grpc.Channel]) -> Made:
    """Leave tracing interceptors out where a channel is traced already; further in there may be others."""

    def intercept_channel(channel: Any, *given: Any) -> Any:
        inner = channel
        while inner is not None and inner not in traced:
            inner = getattr(inner, "_channel", None)
        kept = given if inner is None else [each for each in given if not _traces(each)]
        return original(channel, *kept)

    return intercept_channel


def _traces(interceptor: Any) -> bool:
    return isinstance(
        interceptor, (OpenTelemetryServerInterceptor, OpenTelemetryClientInterceptor, _BaseAioClientInterceptor)
    )


def _without_excluded(filter_: Filter | None) -> Filter | None:
    """Add what `OTEL_PYTHON_GRPC_EXCLUDED_SERVICES` leaves out. The library traces what either lets through."""
    excluded: Filter | None = library._excluded_service_filter()
    if filter_ is None or excluded is None:
        return filter_ or excluded
    both: Filter = all_of(filter_, excluded)
    return both


def _channel_names(kwargs: Mapping[str, Any]) -> list[str]:
    if "channel_type" in kwargs:  # the library's older way to say it
        return ["secure_channel" if kwargs["channel_type"] == "secure" else "insecure_channel"]
    return [name for name in ("secure_channel", "insecure_channel") if kwargs.get(name, True)]


def _given(kwargs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: kwargs[name] for name in names if kwargs.get(name) is not None}


def _bound(function: Made, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
