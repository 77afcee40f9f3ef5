"""The options that name how any server is reached and what it offers, the same for each command that calls one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

MetadataOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--metadata", "-H", metavar="KEY=VALUE", help="Goes along; may be repeated.")
]
ProtoOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--proto", metavar="FILE", exists=True, dir_okay=False, help="Its contract, in place of reflection."),
]
ProtoPathOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--proto-path", metavar="DIR", exists=True, file_okay=False, help="Where imports are."),
]
ProtosetOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--protoset", metavar="FILE", exists=True, dir_okay=False, help="Its contract as a descriptor set."),
]
TlsOption: TypeAlias = Annotated[
    bool, typer.Option("--tls", help="Speak TLS; the options below imply it, and so does LAB_TLS_CA.")
]
PlaintextOption: TypeAlias = Annotated[
    bool, typer.Option("--plaintext", help="Speak no TLS, whatever LAB_TLS_CA says.")
]
CaOption: TypeAlias = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", exists=True, dir_okay=False, help="Whom to trust, PEM.")
]
CertOption: TypeAlias = Annotated[
    Path | None, typer.Option("--cert", metavar="FILE", exists=True, dir_okay=False, help="Our certificate, PEM.")
]
KeyOption: TypeAlias = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", exists=True, dir_okay=False, help="Its private key, PEM.")
]
ServerNameOption: TypeAlias = Annotated[
    str, typer.Option("--server-name", metavar="NAME", help="The name in the server's certificate.")
]
