"""`plait ca`: the mesh's authority: what signs, and the change of the root while everything runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptography.x509 import random_serial_number

from plait.base import aio
from plait.identity import custody, trust
from plait.identity.trust import TrustError
from plait.local.layout import Layout
from plait.local.record import load

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
Name = Annotated[str, typer.Option(help="Name of the mesh.")]


@app.command()
def status(name: Name = "default") -> int:
    """What signs now, which roots are trusted, and how far a change of the root is."""
    folder = Layout.of(name).mesh_ca
    try:
        now = trust.load(folder)
    except TrustError as error:
        return _fail(str(error))
    certificate = now.signer.certificate
    print(f"signer   {custody.fingerprint(now)}  until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    print(f"roots    {len(now.roots)}")
    if (folder / custody.NEXT).exists():
        print("change   the next root is being told to the nodes; it signs when all have acknowledged it")
    elif (folder / custody.RETIRING).exists():
        print("change   the new root signs; the old one is trusted until the last certificate under it has ended")
    return 0


@app.command()
def rotate(
    name: Name = "default",
    plugged: Annotated[
        Path | None,
        typer.Option("--from", help="Folder with ca-cert.pem, ca-key.pem, root-cert.pem and perhaps cert-chain.pem."),
    ] = None,
) -> int:
    """Begin a change of the root: to a new self-signed one, or to the authority in a folder.

    Both roots are trusted meanwhile and no connection is lost: every node must have acknowledged the new root before it
    signs, and the old one stays trusted until the last certificate under it has ended. `plait ca status` tells how far.
    """
    layout = Layout.of(name)
    try:
        record = load(layout)
        if record is None:
            return _fail(f"no mesh {name!r} is up; start it with plait up")
        serial = random_serial_number()
        offered = custody.offer(layout.mesh_ca, record.trust_domain, aio.now(), serial, plugged)
    except (TrustError, ValueError, OSError) as error:
        return _fail(str(error))
    print(f"offered {custody.fingerprint(offered)}; see plait ca status")
    return 0


def _fail(reason: str) -> int:
    print(f"plait ca: {reason}", file=sys.stderr)
    return 1
