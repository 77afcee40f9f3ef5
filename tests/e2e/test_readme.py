"""Both READMEs do what they say: their commands run, in order, on the documented ports, and print what is shown.

The commands, the same in both, get a copy of the repository and a network of their own. Blocks marked `sh` are run line
by line; what cannot run here is named in NOT_RUN with its reason.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.own_network import own_network, own_network_is_possible
from tracelab.command_table import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.pt-BR.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_LANGUAGES = {"text", "mermaid"}
NOT_RUN_LANGUAGES = {"powershell": "Windows only; build.ps1 and lab.ps1 are read in test_seed.py"}
NOT_RUN = {
    "git clone": "the copy stands for the clone; .ci/run and lab bench start make real ones",
    "docker compose": "needs a container engine; test_compose.py and test_real_engines.py check the files",
    "./lab test": "would run this test again; .ci/run runs it",
}
SPAN_LINE = re.compile(r"^(\w+) +(\W*)([A-Z]\w+/\w+) +(client|server) +([A-Z_]+) ", re.MULTILINE)
SEED_HEADINGS = [
    "## Estrutura do Projeto",
    "## Tecnologias Utilizadas",
    "## Execução (Windows)",
    "### Clonar o repositório",
    "### Criar ambiente virtual",
    "### Rodar o script de build e execução",
    "## Serviços",
    "### UserService (porta 50051)",
    "### OrderService (porta 50052)",
    "### ReportService (porta 50053)",
    "## Cliente de Demonstração",
    "### Execução",
    "### Saída esperada (exemplo)",
    "## Com isso, conseguimos confirmar:",
    "## Manutenção",
]

pytestmark = pytest.mark.timeout(300)  # each README's commands are one fixture: two demos, a stack and three services


@dataclass(frozen=True)
class Ran:
    """One command of a README, and what came of it."""

    command: str
    exit_code: int
    stdout: str
    stderr: str


def blocks(readme: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((ROOT / readme).read_text(encoding="utf-8")) if kind == language]


def commands(readme: str) -> list[str]:
    return [line for block in blocks(readme, "sh") for line in block.splitlines() if line.strip()]


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


def copy_repository(target: Path) -> None:
    """Copy what git knows or would add, and give it an environment that lends its packages from the one in use."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    lent, venv = Path(sys.prefix), target / ".venv"
    venv.mkdir()
    for name in ("bin", "lib"):
        (venv / name).symlink_to(lent / name)
    shutil.copy(lent / "pyvenv.cfg", venv)
    shutil.copy(target / "requirements.txt", venv / "lab-requirements.txt")
    (venv / "lab-root").write_text(f"{target}\n")


def run_all(folder: Path, inside: list[str], running: contextlib.ExitStack) -> Iterator[Ran]:
    environment = {"PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    for command in filter(is_run, commands(READMES[0])):
        words = [*inside, *shlex.split(command.removesuffix("&"))]
        if command.endswith("&"):
            service = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            running.callback(service.wait, 20)
            running.callback(service.terminate)
            continue
        ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        yield Ran(command, ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(name="ran", scope="module")
def _ran(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    if not own_network_is_possible():
        pytest.skip("the documented ports are only used in a network of the test's own")
    folder = tmp_path_factory.mktemp("readme") / "grpc-trace-lab"
    copy_repository(folder)
    with own_network() as inside, contextlib.ExitStack() as running:
        return list(run_all(folder, inside, running))


def test_both_readmes_give_the_same_commands_in_the_same_order() -> None:
    first, second = map(commands, READMES)
    assert first == second


@pytest.mark.parametrize("readme", READMES)
def test_every_block_is_run_shown_or_named_with_the_reason_why_not(readme: str) -> None:
    languages = {kind for kind, _ in BLOCK.findall((ROOT / readme).read_text(encoding="utf-8"))}
    assert languages <= {"sh"} | SHOWN_LANGUAGES | NOT_RUN_LANGUAGES.keys()
    assert any(map(is_run, commands(readme)))


@pytest.mark.parametrize("readme", READMES)
def test_every_command_of_a_readme_succeeds(readme: str, ran: list[Ran]) -> None:
    assert [it for it in ran if it.exit_code != 0] == []
    foreground = [command for command in commands(readme) if is_run(command) and not command.endswith("&")]
    assert [it.command for it in ran] == foreground


@pytest.mark.parametrize("readme", READMES)
def test_the_demo_prints_the_four_lines_that_a_readme_shows(readme: str, ran: list[Ran]) -> None:
    four_lines = next(block for block in blocks(readme, "text") if block.startswith("Users created"))
    assert four_lines in next(it.stdout for it in ran if it.command == "./lab demo")
    assert next(it.stdout for it in ran if it.command == "python -m clients.demo") == four_lines


@pytest.mark.parametrize("readme", READMES)
def test_the_waterfall_that_a_readme_shows_is_the_one_that_comes_out(readme: str, ran: list[Ran]) -> None:
    shown = next(block for block in blocks(readme, "text") if "on the critical path" in block)
    printed = next(it.stdout for it in ran if it.command == "./lab demo")
    assert SPAN_LINE.findall(shown) == SPAN_LINE.findall(printed)
    assert len(SPAN_LINE.findall(shown)) == 6
    events = re.compile(r"• (\w+\.\w+)")
    assert sorted(events.findall(shown)) == sorted(events.findall(printed))
    assert re.search(r"^Report took [\d.]+ ms: ", shown, re.MULTILINE)
    assert re.search(r"^Report took [\d.]+ ms: ", printed, re.MULTILINE)


@pytest.mark.parametrize("readme", READMES)
def test_the_proof_that_a_readme_shows_is_the_one_that_comes_out(readme: str, ran: list[Ran]) -> None:
    proof = next(block for block in blocks(readme, "text") if block.startswith("Proof: "))
    assert proof in next(it.stdout for it in ran if it.command == "./lab demo")


def test_the_regenerated_stubs_are_the_committed_ones(ran: list[Ran]) -> None:
    assert {it.command.partition(" generated/")[0] for it in ran} >= {
        "./lab stubs",
        "python -m grpc_tools.protoc -Igenerated=proto --python_out=. --grpc_python_out=.",
    }


def test_the_commands_that_the_readme_lists_are_those_that_there_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Commands\n")[2].partition("\n## ")[0]
    rows = [row for line in table.splitlines() if line.startswith("| `") for row in line.split(" | ")[0].split(", ")]
    listed = [re.findall(r"`lab (\w+)", row)[0] for row in rows]
    assert len(listed) == len(set(listed))
    assert {command.name for command in COMMANDS if command.exists} <= set(listed) <= {it.name for it in COMMANDS}


def test_the_portuguese_readme_has_the_headings_of_the_first_document_in_their_order() -> None:
    headings = re.findall(r"^#+ .+$", (ROOT / "README.pt-BR.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [heading for heading in headings if heading in SEED_HEADINGS] == SEED_HEADINGS


def test_both_readmes_show_the_same_capture() -> None:
    first, second = (set(blocks(readme, "text")) for readme in READMES)
    # The lines, the waterfall, the proof, a comparison, a lesson; the two of a service of one's own.
    assert len(first & second) == 7
    assert all("(docs/images/demo.svg)" in (ROOT / readme).read_text(encoding="utf-8") for readme in READMES)


def test_the_picture_is_a_capture_of_the_demo_and_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")
    text = re.sub(r"&#160;", " ", picture)
    for line in next(block for block in blocks("README.md", "text") if block.startswith("Users")).splitlines():
        assert line in text
    assert re.findall(r"(?:url\(|href=)[\"']?https?:", picture) == []
