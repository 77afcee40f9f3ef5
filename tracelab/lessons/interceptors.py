"""Interceptors: in which order they run, and what each of them sees."""

from __future__ import annotations

from typing import Any

import grpc

from generated.user_pb2 import GetUserRequest, GetUserResponse, User
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.servicer_process import ServerProcess

TOKEN = ("authorization", "Bearer a-token")


class Note(grpc.aio.UnaryUnaryClientInterceptor):
    """Notes when it is passed on the way out and back, and whether the trace is on board yet."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Look, pass on, look again."""
        traced = any(key == "traceparent" for key, _ in details.metadata or ())
        self._notes.append(f"{self._name} sees {'a' if traced else 'no'} traceparent")
        call = await continuation(details, request)
        self._notes.append(f"{self._name} sees {(await call.code()).name}")
        return call


class RequireToken(grpc.aio.ServerInterceptor):
    """Refuses calls without a token. Sees the method and the metadata; the request has not been read yet."""

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        """Pass the call on to the handler, or answer in its place."""
        if TOKEN in [(key, value) for key, value in details.invocation_metadata]:
            return await continuation(details)

        async def refuse(_request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Users(UserServiceServicer):
    """Answers, and writes down that it was asked."""

    INTERCEPTORS = (RequireToken(),)  # the server's own; tracing stands before them

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetUser(self, request: GetUserRequest, context: Any) -> GetUserResponse:
        """Answer with the id that was asked for."""
        self._process.saw("entered", context)
        return GetUserResponse(user=User(user_id=request.user_id))


async def run(lab: Lab) -> Outcome:
    """Call with one interceptor before tracing and one after it, with a token and without."""
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.interceptors:Users", "user")
    notes: list[str] = []
    chain = [Note("first", notes), *lab.telemetry.client_interceptors(server.address), Note("last", notes)]
    async with grpc.aio.insecure_channel(server.address, interceptors=chain) as channel:
        stub = UserServiceStub(channel)
        with lab.span("with a token") as welcome:
            await stub.GetUser(GetUserRequest(user_id="u-1"), metadata=(TOKEN,), timeout=5)
        order = ", ".join(notes)
        with lab.span("without") as refused:
            try:
                await stub.GetUser(GetUserRequest(user_id="u-1"), timeout=5)
                code = "OK"
            except grpc.aio.AioRpcError as error:
                code = error.code().name

    answered = await lab.whole_trace(welcome)
    turned_away = await lab.whole_trace(refused, servers=1)
    (span,) = (span for span in turned_away.spans if span.kind is SpanKind.SERVER)
    asked = [line["traceparent"].split("-")[1] for line in server.witness()]
    facts = (
        equal(
            "the client's chain",
            "first sees no traceparent, last sees a traceparent, last sees OK, first sees OK",
            order,
        ),
        equal("without a token the client gets", "UNAUTHENTICATED", code),
        equal(
            "how often the handler was reached, with a token and without",
            (1, 0),
            (asked.count(welcome.trace_id), asked.count(refused.trace_id)),
        ),
        equal(
            "the refused call has a SERVER span all the same, with status",
            "UNAUTHENTICATED",
            status_code_name(span.attributes),
        ),
    )
    return Outcome(
        facts,
        (
            await lab.exhibit("with a token", answered),
            await lab.exhibit("without: refused before the handler", turned_away, mark),
        ),
    )


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER:
        return "tracing stands outermost, so it sees what an interceptor behind it refused"
    return None


LESSON = Lesson(
    slug="interceptors",
    chapter=Chapter.SHAPES_OF_WORK,
    number=8,
    question="A server has interceptors [tracing, auth]; auth refuses a call. Is there a SERVER span?",
    prediction=Prediction(
        (
            "no: the handler was never called",
            "yes: tracing was passed before auth",
            "yes, but it has no status: nobody answered",
        ),
        "b",
    ),
    run=run,
    notice="The first of the list is outermost: it sees the call first, and the answer last.",
    explain=(
        "Each interceptor wraps all that come after it. On the client, what stands before tracing sees the call "
        "without traceparent, and its own time is not in the CLIENT span; what stands after it sees what goes to the "
        "wire. On the server tracing should be first: then whatever refuses, maps errors or counts is inside the span, "
        "and so is its verdict. A server interceptor gets the method and the metadata; to see messages or the status "
        "it must wrap the handler that it hands back. Put logging inside tracing, or its lines have no ids."
    ),
    source="grpc.io guide: Interceptors",
    try_it=TryIt(
        task="Where would you put an interceptor that measures how long callers wait, tracing included? And a retrier?",
        hint="One must see everything; the other should make each attempt visible.",
        solution="The clock before tracing. A retrier before it, too, if each attempt shall have a span of its own.",
    ),
)
