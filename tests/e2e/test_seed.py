"""The project's first document, sentence by sentence: each of its sentences, commands and outputs has one test here.

The document is in Portuguese; each test's docstring quotes it. What can only run on Windows is read, not run.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from generated import order_pb2, order_pb2_grpc, report_pb2, report_pb2_grpc, user_pb2, user_pb2_grpc
from otel.query.client import TraceQuery
from otel.query.values import TraceSearch
from tests.e2e.own_network import own_network, own_network_is_possible
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("user", "order", "report")
PORTS = {"user": 50051, "order": 50052, "report": 50053}
FOUR_LINES = """\
Users created: [Alice, Bob]
Report Alice: orders=2, total=75.0
Top: Alice | count=2 total=75.0
Top: Bob | count=1 total=80.0
"""

needs_own_network = pytest.mark.skipif(
    not own_network_is_possible(), reason="the documented ports are only used in a network of the test's own"
)


def environment(**extra: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **extra}


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports_of(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.fixture(name="stack", scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.start(StackOptions(home=tmp_path_factory.mktemp("stack"), ports="auto"), environment()) as stack:
        yield stack


@contextlib.contextmanager
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


def create_user(address: str, name: str) -> str:
    with channel(address) as opened:
        request = user_pb2.CreateUserRequest(name=name, email=f"{name.lower()}@example.org")
        return user_pb2_grpc.UserServiceStub(opened).CreateUser(request, timeout=10).user.user_id


def create_order(address: str, user_id: str, amount_minor_units: int) -> str:
    with channel(address) as opened:
        request = order_pb2.CreateOrderRequest(user_id=user_id, amount_minor_units=amount_minor_units)
        return order_pb2_grpc.OrderServiceStub(opened).CreateOrder(request, timeout=10).order.order_id


def called_services(stack: Stack, operation: str, wanted: set[str]) -> set[str]:
    """Name the services whose server spans are in the newest trace of `operation` once all `wanted` sent theirs."""
    with TraceQuery(stack.query_url) as query:

        def newest() -> set[str]:
            for summary in query.trace_summaries(TraceSearch()):
                trace = query.trace(summary.trace_id)
                if trace and any(span.name.endswith(operation) for span in trace.spans):
                    return {span.service_name for span in trace.spans}
            return set()

        return eventually(newest, until=lambda names: names >= wanted)


def test_the_repository_shows_the_documented_structure() -> None:
    """Estrutura do Projeto."""
    documented = [
        *(f"proto/{name}.proto" for name in NAMES),
        *(f"services/{name}_service.py" for name in NAMES),
        *(f"generated/{name}_pb2{kind}.py" for name in NAMES for kind in ("", "_grpc")),
        *("services/__init__.py", "clients/__init__.py", "clients/demo.py", "clients/cli.py"),
        *("build.ps1", "requirements.txt", "README.md"),
    ]
    assert [path for path in documented if not (ROOT / path).is_file()] == []


def test_the_technologies_are_the_documented_ones() -> None:
    """Tecnologias Utilizadas: Python 3.11+, gRPC, Protocol Buffers, grpcio-tools, PowerShell."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[=<>~\[ ]", dependency)[0] for dependency in project["dependencies"]}
    assert project["requires-python"] == ">=3.11"
    assert names >= {"grpcio", "protobuf", "grpcio-tools"}


def test_installing_the_requirements_gives_what_they_lock() -> None:
    """`pip install -r requirements.txt`: every entry has hashes, and this environment holds those versions."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    locked = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)( ;[^\\]*)?\s*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(locked) == len(re.findall(r"^[A-Za-z0-9]\S*==", text, re.MULTILINE))
    for name, version, marker in locked:
        if not marker.strip():
            assert importlib.metadata.version(name) == version


def test_the_build_script_for_windows_makes_stubs_and_then_shows_the_menu() -> None:
    r"""`.\build.ps1`: gera stubs e executa serviços. Read here, run only on Windows."""
    lines = [line.strip() for line in (ROOT / "build.ps1").read_text(encoding="utf-8").splitlines()]
    calls = [line for line in lines if line.startswith("& ")]
    assert calls == ["& $lab stubs", "& $lab @args"]


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_its_documented_port_by_default(name: str) -> None:
    """Tabela de opções: UserService 50051, OrderService 50052, ReportService 50053."""
    shown = subprocess.run(
        [sys.executable, "-m", f"services.{name}_service", "--help"],
        cwd=ROOT, env=environment(COLUMNS="100"), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert str(PORTS[name]) in shown.stdout


def test_users_can_be_created_read_updated_and_deleted(stack: Stack) -> None:
    """UserService: CRUD simples de usuários."""
    with channel(stack.address("user")) as opened:
        users = user_pb2_grpc.UserServiceStub(opened)
        user_id = create_user(stack.address("user"), "Carla")
        users.UpdateUser(user_pb2.UpdateUserRequest(user_id=user_id, name="Clara"), timeout=10)
        assert users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=10).user.name == "Clara"
        listed = users.ListUsers(user_pb2.ListUsersRequest(page_size=1000), timeout=10)
        assert user_id in {user.user_id for user in listed.users}
        users.DeleteUser(user_pb2.DeleteUserRequest(user_id=user_id), timeout=10)
        with pytest.raises(grpc.RpcError) as refused:
            users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=10)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_users_live_in_memory_and_are_gone_after_a_restart(tmp_path: Path) -> None:
    """UserService: (em memória)."""
    quiet = environment(OTEL_SDK_DISABLED="true")
    options = StackOptions(home=tmp_path, ports="auto", only=("user",))
    with Stack.start(options, quiet) as first:
        create_user(first.address("user"), "Alice")
    with Stack.start(options, quiet) as second, channel(second.address("user")) as opened:
        listed = user_pb2_grpc.UserServiceStub(opened).ListUsers(user_pb2.ListUsersRequest(), timeout=10)
    assert list(listed.users) == []


def test_orders_can_be_created_and_listed(stack: Stack) -> None:
    """OrderService: Cria e lista pedidos."""
    user_id = create_user(stack.address("user"), "Dora")
    order_id = create_order(stack.address("order"), user_id, 4000)
    with channel(stack.address("order")) as opened:
        request = order_pb2.ListOrdersRequest(user_ids=[user_id])
        listed = order_pb2_grpc.OrderServiceStub(opened).ListOrders(request, timeout=10)
    assert [(order.order_id, order.amount_minor_units) for order in listed.orders] == [(order_id, 4000)]


def test_an_order_consults_the_users_by_grpc(stack: Stack) -> None:
    """OrderService: Consulta usuários via gRPC (UserService)."""
    with pytest.raises(grpc.RpcError) as refused:
        create_order(stack.address("order"), "nobody", 100)
    assert refused.value.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}
    create_order(stack.address("order"), create_user(stack.address("user"), "Eva"), 100)
    assert called_services(stack, "OrderService/CreateOrder", {"order", "user"}) == {"order", "user"}


def test_a_report_combines_users_and_orders_asking_both_by_grpc(stack: Stack) -> None:
    """ReportService: Gera relatórios combinando usuários e pedidos. Consulta ambos via gRPC."""
    user_id = create_user(stack.address("user"), "Fabia")
    for amount in (4000, 3500):
        create_order(stack.address("order"), user_id, amount)
    with channel(stack.address("report")) as opened:
        request = report_pb2.GetUserReportRequest(user_id=user_id)
        report = report_pb2_grpc.ReportServiceStub(opened).GetUserReport(request, timeout=10).report
    assert (report.user_name, report.order_count, report.total_minor_units) == ("Fabia", 2, 7500)
    assert called_services(stack, "ReportService/GetUserReport", {"report", "order", "user"}) == {
        "report",
        "order",
        "user",
    }


def test_the_demo_prints_the_documented_lines_and_nothing_else(stack: Stack) -> None:
    """`python -m clients.demo` e sua saída esperada."""
    addresses = {f"{name.upper()}_ADDRESS": stack.address(name) for name in NAMES}
    shown = subprocess.run(
        [sys.executable, "-m", "clients.demo"],
        env=environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=stack.otlp_endpoint,
            LAB_QUERY_URL=stack.query_url,
            LAB_HOME=str(stack.options.home),
            **addresses,
        ),
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (shown.returncode, shown.stdout) == (0, FOUR_LINES), shown.stderr


@needs_own_network
def test_the_seeds_own_way_works_three_services_by_hand_then_the_demo(tmp_path: Path) -> None:
    """Cada serviço na sua porta, iniciado à mão, sem backend nenhum; depois `python -m clients.demo`."""
    environ = environment(LAB_HOME=str(tmp_path / "home"))  # not where a stack of the person's own is recorded
    with own_network() as inside, contextlib.ExitStack() as running:
        for name in NAMES:
            said = running.enter_context((tmp_path / f"{name}.said").open("w"))
            service = subprocess.Popen(
                [*inside, sys.executable, "-m", f"services.{name}_service", "--ready-file", tmp_path / name],
                cwd=ROOT, env=environ, stdout=said, stderr=said,
            )  # fmt: skip
            running.callback(service.wait, 20)
            running.callback(service.terminate)
        eventually(lambda: all((tmp_path / name).exists() for name in NAMES), within_s=30)
        demo = [*inside, sys.executable, "-m", "clients.demo"]
        shown = subprocess.run(demo, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stdout) == (0, FOUR_LINES), shown.stderr


class Terminal:
    """A program on a pseudo-terminal of its own, as a person would use it."""

    def __init__(self, words: list[str], home: Path) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment(LAB_HOME=str(home)), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._shown = ""

    def shown(self) -> str:
        """Return all that it has shown so far."""
        with contextlib.suppress(OSError):  # nothing new, or nobody writes any more
            self._shown += os.read(self._ours, 65536).decode().replace("\r\n", "\n")
        return self._shown

    def type(self, line: str) -> None:
        """Wait for the menu's question, then answer it."""
        eventually(self.shown, until=lambda text: "Choose" in text)
        os.write(self._ours, f"{line}\n".encode())

    def close(self) -> None:
        """End it, as a closed window would; what it started must end with it."""
        started = psutil.Process(self.process.pid).children() if self.process.poll() is None else []
        self.process.terminate()
        self.process.wait(30)
        os.close(self._ours)
        assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


@needs_own_network
def test_the_menu_offers_each_service_with_its_port_and_the_demo_and_starts_what_is_chosen(tmp_path: Path) -> None:
    """Escolha o serviço desejado: 1 UserService, 2 OrderService, 3 ReportService, 4 Cliente de demonstração."""
    with own_network() as inside, contextlib.ExitStack() as running:

        def choose(number: str) -> Terminal:
            terminal = Terminal([*inside, sys.executable, "-m", "clients.cli"], tmp_path)
            running.callback(terminal.close)
            terminal.type(number)
            return terminal

        for number, (name, port) in enumerate(PORTS.items(), start=1):
            menu = choose(str(number)).shown()
            assert re.search(rf"{number} +{name.capitalize()}Service +port {port}", menu)
            probe = [*inside, sys.executable, "-m", "services.healthcheck", f"127.0.0.1:{port}"]
            eventually(partial(exit_code, probe), until=lambda code: code == 0, within_s=30)
        demo = choose("4")
        assert re.search(r"4 +Demo client", demo.shown())
        assert FOUR_LINES in eventually(demo.shown, until=lambda text: "Top: Bob" in text, within_s=30)


def exit_code(words: list[str]) -> int:
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, timeout=20).returncode


def test_the_services_speak_grpc_only(stack: Stack) -> None:
    """Microserviços distribuídos que se comunicam somente via gRPC / Comunicação entre serviços via RPC."""
    create_order(stack.address("order"), create_user(stack.address("user"), "Gabi"), 100)
    grpc_ports = {int(stack.address(name).rpartition(":")[2]) for name in NAMES}
    otlp_port = int(stack.otlp_endpoint.rpartition(":")[2])
    for name in NAMES:
        own_port = int(stack.address(name).rpartition(":")[2])
        sockets = psutil.Process(stack.process(name).pid).net_connections(kind="inet")
        assert {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN} == {own_port}
        outward = {s.raddr.port for s in sockets if s.raddr and s.laddr.port != own_port}
        assert outward <= (grpc_ports - {own_port}) | {otlp_port}
    web_libraries = {"aiohttp", "flask", "http", "httpx", "requests", "starlette", "urllib"}
    foreign = {
        (path.name, module)
        for path in python_files("services")
        for module in imports_of(path)
        if module.split(".")[0] in web_libraries
    }
    assert foreign == set()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_service_offers_is_what_its_proto_says(stack: Stack, name: str, tmp_path: Path) -> None:
    """Contratos `.proto` como fonte única da verdade: reflection of the running service against the file itself."""
    written = tmp_path / "set"
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-Igenerated=proto", "--include_imports",
         f"--descriptor_set_out={written}", f"generated/{name}.proto"],
        cwd=ROOT, check=True, timeout=30,
    )  # fmt: skip
    described = descriptor_pb2.FileDescriptorSet.FromString(written.read_bytes()).file[-1]
    full_name = f"{described.package}.{described.service[0].name}"
    with channel(stack.address(name)) as opened:
        database = ProtoReflectionDescriptorDatabase(opened)
        own = [service for service in database.get_services() if service.startswith("tracelab.")]
        served = database.FindFileContainingSymbol(full_name)
    assert own == [full_name]
    assert [method.name for method in served.service[0].method] == [m.name for m in described.service[0].method]
    assert {message.name for message in served.message_type} == {message.name for message in described.message_type}


def test_each_domain_is_isolated_with_its_own_process_port_and_data(tmp_path: Path) -> None:
    """Desacoplamento e isolamento entre domínios: one service's end leaves the others serving what is theirs."""
    quiet = environment(OTEL_SDK_DISABLED="true")
    with Stack.start(StackOptions(home=tmp_path, ports="auto", only=NAMES), quiet) as stack:
        assert len({stack.process(name).pid for name in NAMES}) == len({stack.address(name) for name in NAMES}) == 3
        user_id = create_user(stack.address("user"), "Alice")
        order_id = create_order(stack.address("order"), user_id, 100)
        psutil.Process(stack.process("report").pid).kill()
        assert create_user(stack.address("user"), "Bob")
        psutil.Process(stack.process("user").pid).kill()
        with channel(stack.address("order")) as opened:
            orders = order_pb2_grpc.OrderServiceStub(opened)
            assert orders.GetOrder(order_pb2.GetOrderRequest(order_id=order_id), timeout=10).order.user_id == user_id
            with pytest.raises(grpc.RpcError) as refused:
                create_order(stack.address("order"), user_id, 100)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("name", NAMES)
def test_servicers_and_stubs_are_the_generated_ones(name: str) -> None:
    """Uso de *stubs* e *servicers* gerados automaticamente."""
    tree = ast.parse((ROOT / "services" / f"{name}_service.py").read_text(encoding="utf-8"))
    bases = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    assert any(base.endswith(f"{name.capitalize()}ServiceServicer") for base in bases)
    source = "".join(path.read_text(encoding="utf-8") for path in python_files("services", "clients"))
    assert f"{name}_pb2_grpc.{name.capitalize()}ServiceStub" in source


def test_nothing_imports_what_only_one_system_has() -> None:
    """Execução multiplataforma (Windows / Linux / macOS): modules of one system are imported only where asked for."""
    one_system = {"fcntl", "grp", "msvcrt", "pty", "pwd", "resource", "termios", "tty", "winreg"}
    at_import = {
        (str(path.relative_to(ROOT)), name.split(".")[0])
        for path in python_files("services", "clients", "tracelab", "otel")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if name.split(".")[0] in one_system
    }
    assert at_import == set()
    assert {"lab", "lab.ps1", "build.ps1"} <= {path.name for path in ROOT.iterdir()}


def test_the_documented_command_makes_the_stubs_again(tmp_path: Path) -> None:
    """`python -m grpc_tools.protoc -I proto --python_out=generated --grpc_python_out=generated proto/*.proto`."""
    protos = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "proto").glob("*.proto"))
    outputs = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "proto", *outputs, *protos]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert made.returncode == 0, made.stderr
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}_pb2{kind}.py" for n in NAMES for kind in ("", "_grpc")}


def test_generated_bytecode_can_be_removed_without_harm(tmp_path: Path) -> None:
    """`rm -rf generated/__pycache__`: what is left imports."""
    copy = tmp_path / "generated"
    copy.mkdir()
    for path in (ROOT / "generated").glob("*.py"):
        (copy / path.name).write_bytes(path.read_bytes())
    imported = subprocess.run(
        [sys.executable, "-c", "from generated import report_pb2_grpc"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
