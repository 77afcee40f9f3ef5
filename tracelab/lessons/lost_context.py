"""The current span follows the task and not the work: three ways to hand work on, two of them wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, cast

from opentelemetry import trace as otel_trace

from generated.user_pb2 import GetUserRequest, GetUserResponse, User
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.exercise import answer_of
from tracelab.learn.lab import Lab, RootSpan
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.servicer_process import ServerProcess

WORK = "read the disk"
STARTER = '''\
"""Run blocking work in a thread. It must stay in the trace of the request that asked for it."""
import asyncio


async def run_blocking(work):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, work)
'''
SOLUTION = '''\
"""Run blocking work in a thread. It must stay in the trace of the request that asked for it."""
import asyncio


async def run_blocking(work):
    return await asyncio.to_thread(work)  # a copy of the context goes with it
'''


class Users(UserServiceServicer):
    """Hands the same work on in the way that the request names, and answers with the ids of the span that did it."""

    def __init__(self, process: ServerProcess) -> None:
        self._tracer = process.telemetry.tracer
        self._jobs: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    def work(self) -> str:
        """Do it in a span of its own; `trace id/span id` of that span."""
        with self._tracer.start_as_current_span(WORK) as span:
            identity = span.get_span_context()
            return f"{otel_trace.format_trace_id(identity.trace_id)}/{otel_trace.format_span_id(identity.span_id)}"

    async def GetUser(self, request: GetUserRequest, context: Any) -> GetUserResponse:
        """Do the work by an executor, by a thread with the context, or by a worker that the first request started."""
        if request.user_id == "run_in_executor":
            done_by = await asyncio.get_running_loop().run_in_executor(None, self.work)
        elif request.user_id == "to_thread":
            done_by = await asyncio.to_thread(self.work)
        else:
            self._worker = self._worker or asyncio.create_task(self._work_off())
            job = asyncio.get_running_loop().create_future()
            self._jobs.put_nowait(job)
            done_by = await job
        return GetUserResponse(user=User(user_id=request.user_id, name=done_by))

    async def _work_off(self) -> None:
        while True:
            (await self._jobs.get()).set_result(self.work())


async def run(lab: Lab) -> Outcome:
    """Let one server do the same work four times, and look in which trace it landed."""
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.lost_context:Users", "user")
    stub = UserServiceStub(lab.channel(server.address))

    async def ask(way: str) -> tuple[RootSpan, str, str]:
        with lab.span(f"request by {way}") as root:
            answer = await stub.GetUser(GetUserRequest(user_id=way), timeout=5)
        return root, *cast("tuple[str, str]", tuple(answer.user.name.split("/")))

    lost, lost_in, _ = await ask("run_in_executor")
    kept, kept_in, _ = await ask("to_thread")
    first, _, _ = await ask("queue, first")
    second, second_in, second_span = await ask("queue, second")
    bare = await lab.whole_trace(lost)
    stray = await lab.trace(lost_in)
    whole = await lab.trace(kept.trace_id, lambda trace: len(trace.spans) == 4)
    crowded = await lab.trace(first.trace_id, lambda trace: len(trace.spans) == 5)

    owners = {first.trace_id: "the first", second.trace_id: "the second"}
    facts = (
        equal("run_in_executor: spans of the work in the request's trace", 0, work_spans(bare)),
        equal("spans in the trace where the work is instead", 1, len(stray.spans)),
        equal("the work's parent there", "none", stray.spans[0].parent_span_id or "none"),
        equal("to_thread: the work's trace is the request's", kept.trace_id, kept_in),
        equal("and its parent is the handler's span, of kind", "SERVER", parent_kind(whole)),
        equal("queue: the second request's work is in the trace of", "the first", owners.get(second_in, "nobody")),
    )
    return Outcome(
        facts,
        (
            await lab.exhibit("run_in_executor: the request, without its work", bare, nothing_below),
            await lab.exhibit("run_in_executor: the work, alone", stray, lambda _: "whose work is this?"),
            await lab.exhibit("to_thread", whole, lambda span: "a child of the handler" if span.name == WORK else None),
            await lab.exhibit(
                "the queue's first request, with the second one's work",
                crowded,
                lambda span: (
                    "done for the second request, after this one's answer" if span.span_id == second_span else None
                ),
            ),
        ),
    )


def work_spans(trace: Trace) -> int:
    """How many spans of the work a trace has."""
    return sum(span.name == WORK for span in trace.spans)


def nothing_below(span: Span) -> str | None:
    """What to look at where the work is missing."""
    return "it waited for the work, and nothing hangs below it" if span.kind is SpanKind.SERVER else None


def parent_kind(trace: Trace) -> str:
    """The kind of the span that the work hangs under."""
    by_id: dict[str, Span] = {span.span_id: span for span in trace.spans}
    work = next(span for span in trace.spans if span.name == WORK)
    return by_id[work.parent_span_id].kind.name


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Run work by the learner's function, inside a request's span."""
    await lab.start("")
    done: list[tuple[str, bool]] = []

    def work() -> str:
        with lab.telemetry.tracer.start_as_current_span(WORK) as span:
            trace_id = otel_trace.format_trace_id(span.get_span_context().trace_id)
            done.append((trace_id, threading.current_thread() is threading.main_thread()))
        return "what was read"

    with lab.span("request") as root:
        answer = await answer_of(names, "run_blocking(work)", work)
    if len(done) != 1:
        return Outcome((equal("times that the work was done", 1, len(done)),))
    ((trace_id, in_loop),) = done
    trace = await lab.trace(trace_id, lambda trace: work_spans(trace) == 1)
    spans = [span for span in trace.spans if span.name == WORK]
    return Outcome(
        (
            equal("what run_blocking returned", "what was read", answer),
            equal(
                "the work ran in",
                "another thread",
                "the loop's own, which stands still" if in_loop else "another thread",
            ),
            equal(
                "the work's trace is",
                "the request's",
                "the request's" if trace_id == root.trace_id else "one of its own",
            ),
            equal("its parent is the request's span", root.span_id, spans[0].parent_span_id or "none"),
        )
    )


LESSON = Lesson(
    slug="lost-context",
    chapter=Chapter.READ_A_TRACE,
    number=4,
    question="A handler hands work to a thread by loop.run_in_executor. Where is the span of that work?",
    prediction=Prediction(
        (
            "under the handler's span: the handler waits for it",
            "nowhere: threads are not traced",
            "alone, in a trace of its own",
        ),
        "c",
    ),
    run=run,
    notice="Context follows the task, not the data: who starts the work decides where its span hangs.",
    explain=(
        "The current span lives in a context variable. create_task and asyncio.to_thread copy the context; "
        "run_in_executor copies nothing, and a pool's thread has an empty one, so a span made there is a root. A "
        "worker that reads a queue keeps the context in which it was started: here that of the first request, so it "
        "files everybody's work there. That is worse than losing it, because it looks right. Send the context along "
        "with the job, or begin a new trace with a link."
    ),
    source="Python: contextvars, asyncio.to_thread; OpenTelemetry: Context",
    try_it=TryIt(
        task="run_blocking in the file loses the trace. Make the work's span a child of the request's.",
        hint="asyncio.to_thread does what run_in_executor does, inside a copy of the context.",
        starter=STARTER,
        solution=SOLUTION,
        check=check,
    ),
)
