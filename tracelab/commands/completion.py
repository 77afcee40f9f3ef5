"""`lab completion`: prints the completion script of a shell."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from typer import completion as shells

from clients.errors import WrongUsageError
from clients.word_completion import one_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SHELLS: Final = ("bash", "zsh", "fish", "powershell")


@app.command()
def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL",
            autocompletion=one_of(*SHELLS),
            help="bash, zsh, fish or powershell.",
        ),
    ],
) -> None:
    """Print what a shell has to load so that it completes the words of lab.

    \b
      eval "$(./lab completion bash)"
      ./lab completion fish > ~/.config/fish/completions/lab.fish
    """
    if shell not in SHELLS:
        raise WrongUsageError(f"{shell!r} is not one of {', '.join(SHELLS)}")
    script = shells.get_completion_script  # type: ignore[attr-defined]  # not listed, stable since Typer 0.1
    print(script(prog_name="lab", complete_var="_LAB_COMPLETE", shell=shell))
