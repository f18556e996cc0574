"""`plait logs`: what a container wrote."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from plait.cli import connect, references
from plait.resources.kinds import POD
from plait.store.api import ApiError
from plait.store.client import path as rest_path

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def logs(
    pod: Annotated[str, typer.Argument(help="Pod, or what has it: deployment/NAME, service/NAME.")] = "",
    container: Annotated[str, typer.Option("-c", "--container", help="Container; the only one when left out.")] = "",
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    labels: Annotated[
        str, typer.Option("-l", "--selector", help="All pods with these labels, one after another.")
    ] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow: print new lines as they come.")] = False,
    tail: Annotated[int, typer.Option(help="Only the last lines; -1 shows all.")] = -1,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="The log of the previous run, before the last restart.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Print a container's output."""
    if bool(pod) == bool(labels):
        raise click.UsageError("name a pod, or labels with -l")
    if labels and follow:
        raise click.UsageError("-f follows one pod; name it instead of -l")
    query = {"container": container, "follow": "true" if follow else "", "previous": "true" if previous else ""}
    if tail >= 0:
        query["tailLines"] = str(tail)
    return asyncio.run(
        _logs(pod, labels, namespace, {k: value for k, value in query.items() if value}, name, kubeconfig)
    )


async def _logs(
    word: str, labels: str, namespace: str, query: dict[str, str], mesh: str, kubeconfig: Path | None
) -> int:
    async with connect.api(mesh, kubeconfig) as api:
        found = await references.pods(api, namespace, word, labels)
        for pod in found if labels else found[:1]:
            try:
                async for chunk in api.text(rest_path(POD, namespace, pod, "log"), query=query):
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.buffer.flush()
            except ApiError as error:
                raise connect.NoMesh(f"pod {namespace}/{pod}: {error.message}") from error
    return 0
