"""`plait delete`: by kind and name, or everything a manifest names."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from plait.cli import connect, manifests, references
from plait.resources.kinds import Kind, by_document
from plait.store.api import ApiError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def delete(
    kind: Annotated[str, typer.Argument(help="Kind, or KIND/NAME, when no -f is given.")] = "",
    names: Annotated[list[str] | None, typer.Argument(help="Names.")] = None,
    filename: Annotated[list[str] | None, typer.Option("-f", "--filename", help="Manifest (repeatable).")] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    missing_ok: Annotated[bool, typer.Option("--ignore-not-found")] = False,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Delete objects; exit code 1 when one was not there (unless --ignore-not-found)."""
    targets = list(_targets(kind, names or [], filename or [], namespace))
    return asyncio.run(_delete(targets, missing_ok, name, kubeconfig))


def _targets(word: str, names: list[str], files: list[str], namespace: str) -> list[tuple[Kind, str, str]]:
    if not files and not (word and (names or "/" in word)):
        raise click.UsageError("say what: plait delete KIND NAME…, KIND/NAME…, or -f FILE")
    found = [(kind, each, namespace) for kind, each in references.objects(word, names)] if word else []
    for item in manifests.read(files)[0]:
        kind, meta = by_document(item.document), item.document.get("metadata") or {}
        if kind is not None and meta.get("name"):
            found.append((kind, meta["name"], meta.get("namespace") or namespace))
    return found


async def _delete(targets: list[tuple[Kind, str, str]], missing_ok: bool, mesh: str, kubeconfig: Path | None) -> int:
    failed = 0
    async with connect.api(mesh, kubeconfig) as api:
        for kind, name, namespace in targets:
            try:
                await api.delete(kind, name, namespace if kind.namespaced else "")
                print(f"{kind.kind}/{name} deleted")
            except ApiError as error:
                if error.code == 404 and missing_ok:
                    continue
                print(f"{kind.kind}/{name}: {error.message}", file=sys.stderr)
                failed += 1
    return int(failed > 0)
