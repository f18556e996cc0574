"""`plait apply`: server-side apply of manifests; thin, kubectl does the same."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from plait.cli import connect, manifests
from plait.resources.kinds import Kind, by_document
from plait.store.api import ApiError
from plait.store.client import HttpApi

app = typer.Typer(add_completion=False, rich_markup_mode=None)
Files = Annotated[list[str], typer.Option("-f", "--filename", help="Manifest file, folder, or - (repeatable).")]


@app.command()
def apply(
    filename: Files,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="Namespace of documents that name none.")
    ] = "default",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
    force: Annotated[bool, typer.Option("--force-conflicts", help="Take over fields owned by others.")] = False,
) -> int:
    """Create or change objects. Each document is applied on its own: a broken one never keeps the others back."""
    return asyncio.run(_apply(filename, namespace, name, kubeconfig, force))


async def _apply(files: list[str], namespace: str, name: str, kubeconfig: Path | None, force: bool) -> int:
    sourced, broken = manifests.read(files)
    for line in broken:
        print(line, file=sys.stderr)
    failed = len(broken)
    async with connect.api(name, kubeconfig) as api:
        for item in sourced:
            kind = by_document(item.document)
            what = f"{item.document.get('kind')}/{(item.document.get('metadata') or {}).get('name')}"
            if kind is None:
                print(f"{item.source}: {what}: no kind {item.document.get('apiVersion')} here", file=sys.stderr)
                failed += 1
                continue
            try:
                print(f"{what} {await _one(api, kind, item.document, namespace, force)}")
            except ApiError as error:
                print(f"{item.source}: {what}: {error.message}", file=sys.stderr)
                failed += 1
    return int(failed > 0)


async def _one(api: HttpApi, kind: Kind, document: dict[str, object], namespace: str, force: bool) -> str:
    meta = document.get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        raise ApiError(422, "Invalid", "metadata.name: required to apply")
    space = str(meta.get("namespace") or namespace) if kind.namespaced else ""
    try:
        before = (await api.get(kind, meta["name"], space))["metadata"]["resourceVersion"]
    except ApiError as error:
        if error.code != 404:
            raise
        before = ""
    after = await api.patch(kind, meta["name"], document, space, type="apply", force=force, strict=True)
    if not before:
        return "created"
    return "unchanged" if after["metadata"]["resourceVersion"] == before else "configured"
