"""`plait logs`: what a container wrote."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from plait.cli import connect
from plait.resources.kinds import POD
from plait.store.api import ApiError
from plait.store.client import path as rest_path

app = typer.Typer(add_completion=False)


@app.command()
def logs(
    pod: Annotated[str, typer.Argument(help="Pod name.")],
    container: Annotated[str, typer.Option("-c", "--container", help="Container; the only one when left out.")] = "",
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow: print new lines as they come.")] = False,
    tail: Annotated[int, typer.Option(help="Only the last lines; -1 shows all.")] = -1,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="The log of the previous run, before the last restart.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Print a container's output."""
    query = {"container": container, "follow": "true" if follow else "", "previous": "true" if previous else ""}
    if tail >= 0:
        query["tailLines"] = str(tail)
    return asyncio.run(_logs(pod, namespace, {key: value for key, value in query.items() if value}, name, kubeconfig))


async def _logs(pod: str, namespace: str, query: dict[str, str], mesh: str, kubeconfig: Path | None) -> int:
    async with connect.api(mesh, kubeconfig) as api:
        try:
            async for chunk in api.text(rest_path(POD, namespace, pod, "log"), query=query):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except ApiError as error:
            raise connect.NoMesh(f"pod {namespace}/{pod}: {error.message}") from error
    return 0
