"""Status codes: whose fault it was, and what an answer may say about it."""

from __future__ import annotations

from typing import Any

import grpc
import structlog
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from generated.user_pb2 import CreateUserRequest, GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.servicer_process import ServerProcess

SECRET = "password=hunter2"  # noqa: S105  nobody's
log = structlog.get_logger()


class Users(UserServiceServicer):
    """Has one bug, twice: bare in GetUser, caught at the edge in ListUsers."""

    def __init__(self, process: ServerProcess) -> None:
        pass

    async def GetUser(self, _request: GetUserRequest, _context: Any) -> GetUserResponse:
        """Fail as a handler does that nobody looks after."""
        raise ConnectionError(f"cannot connect to db with {SECRET}")

    async def ListUsers(self, request: ListUsersRequest, context: Any) -> ListUsersResponse:
        """Fail in the same way, but tell the log what happened and the caller only that something did."""
        try:
            await self.GetUser(GetUserRequest(user_id=str(request.page_size)), context)
        except ConnectionError:
            log.exception("user.list.failed")
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        return ListUsersResponse()


async def run(lab: Lab) -> Outcome:
    """Fail in five ways, and read which spans call it an error."""
    await lab.start("user")
    buggy = await lab.servicer("tracelab.lessons.status:Users", "user")
    users, bugs = UserServiceStub(lab.channel("user")), UserServiceStub(lab.channel(buggy.address))
    unheard: Any = lab.channel("user").unary_unary("/tracelab.user.v1.UserService/Unheard")
    with lab.span("five failures") as root:
        missing = await failure_of(users.GetUser(GetUserRequest(user_id="nobody"), timeout=5))
        invalid = await failure_of(users.CreateUser(CreateUserRequest(name="", email="not an address"), timeout=5))
        bare = await failure_of(bugs.GetUser(GetUserRequest(user_id="u"), timeout=5))
        edged = await failure_of(bugs.ListUsers(ListUsersRequest(), timeout=5))
        unknown = await failure_of(unheard(b"", timeout=5))
    trace = await lab.whole_trace(root, servers=5)
    logs = await lab.logs(root.trace_id)

    seen = ", ".join(error.code().name for error in (missing, invalid, bare, edged, unknown))
    reason = detail(missing, error_details_pb2.ErrorInfo).reason
    fields = [violation.field for violation in detail(invalid, error_details_pb2.BadRequest).field_violations]
    wanted = "INTERNAL, UNIMPLEMENTED, UNKNOWN"
    facts = (
        equal("codes, as received", "NOT_FOUND, INVALID_ARGUMENT, UNKNOWN, INTERNAL, UNIMPLEMENTED", seen),
        equal("NOT_FOUND has a reason for programs", "USER_NOT_FOUND", reason),
        equal("log lines with the same reason", 1, sum(line.attributes.get("reason") == reason for line in logs)),
        equal("INVALID_ARGUMENT names the fields", "email, name", ", ".join(sorted(fields))),
        equal("CLIENT spans that are errors", 5, len(failed(trace, SpanKind.CLIENT))),
        equal("SERVER spans that are errors", wanted, ", ".join(sorted(failed(trace, SpanKind.SERVER)))),
        equal("the bare exception's text reached the caller", True, SECRET in (bare.details() or "")),
        equal("the text of the one that was caught reached the caller", False, SECRET in (edged.details() or "")),
    )
    return Outcome(facts, (await lab.exhibit("five failures", trace, mark),))


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """Await a call that must fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was to fail")


def detail(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    """The detail of that kind in the error's rich status, or an empty one."""
    found = kind()
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        if packed.Is(kind.DESCRIPTOR):
            packed.Unpack(found)
    return found


def failed(trace: Trace, kind: SpanKind) -> list[str]:
    """The status codes of the spans of a kind that are errors."""
    return [status_code_name(span.attributes) for span in trace.spans if span.kind is kind and span.is_error]


def mark(span: Span) -> str | None:
    """What to look at."""
    code = status_code_name(span.attributes)
    if span.kind is SpanKind.SERVER and code == "NOT_FOUND":
        return "no error here: the server did its job, which was to say no"
    if span.kind is SpanKind.SERVER and code == "UNKNOWN":
        return "an error of the server, and its text, password and all, went to the caller"
    return None


LESSON = Lesson(
    slug="status",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=1,
    question="A client asks for a user who does not exist, and gets NOT_FOUND. Whose spans are errors?",
    prediction=Prediction(
        ("the client's and the server's: the call failed", "the client's alone", "neither: NOT_FOUND is an answer"), "b"
    ),
    run=run,
    notice="A NOT_FOUND is not an outage: only a code that blames the server makes the SERVER span an error.",
    explain=(
        "A code says who has to act. By OpenTelemetry's conventions UNKNOWN, INTERNAL, UNIMPLEMENTED, UNAVAILABLE, "
        "DATA_LOSS and DEADLINE_EXCEEDED say the server; NOT_FOUND, INVALID_ARGUMENT and the rest say somebody else, "
        "so the server's error rate must not rise. The client did not get what it asked for, so its span is an error "
        "for every code but OK. Programs decide by code and by ErrorInfo's reason, never by the message. An exception "
        "that leaves a handler becomes UNKNOWN with its text in the answer: catch it at the edge, log it, and tell "
        "the caller nothing of it."
    ),
    source="grpc.io guides: Status Codes, Error Handling; AIP-193; OpenTelemetry conventions for gRPC",
    try_it=TryIt(
        task="Which code would you give for an email that another user has already, and which for a full disk?",
        hint="The guide's table names both cases. Then ask which of the two OpenTelemetry counts against the server.",
        solution=(
            "ALREADY_EXISTS, and for the disk the guide says RESOURCE_EXHAUSTED, as for a caller's quota. By the "
            "conventions neither is an error of the server: so log the full disk as one, or nobody hears of it."
        ),
    ),
)
