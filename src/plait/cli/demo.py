"""`plait demo`: a mesh of its own, the samples, and a table of claims with evidence; exit code 1 if any fails."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from plait.cli.down import passing
from plait.cli.up import bring_up
from plait.local.layout import Layout
from plait.local.record import FORMS
from plait.trial.evidence import Check, Evidence

app = typer.Typer(add_completion=False)


def samples_folder() -> Path:
    """samples/ of the working directory, else of the source checkout this package runs from."""
    for folder in (Path.cwd() / "samples", Path(__file__).resolve().parents[3] / "samples"):
        if (folder / "httpbin.yaml").is_file():
            return folder
    raise typer.BadParameter("no samples/ folder with httpbin.yaml here; give --samples")


@app.command()
def demo(
    name: Annotated[str, typer.Option(help="Name of the mesh; default: one of its own.")] = "",
    nodes: Annotated[int, typer.Option(help="Nodes, at least 2.")] = 2,
    samples: Annotated[Path | None, typer.Option(help="Folder of the sample manifests.")] = None,
    capture: Annotated[str, typer.Option(help="Form of capture: in-pod or node (the classic ten steps).")] = FORMS[0],
    fusion: Annotated[bool, typer.Option("--fusion", help="The same requests in every pair of modes.")] = False,
    waypoint: Annotated[bool, typer.Option("--waypoint", help="A waypoint comes, acts, sleeps and goes.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the mesh running afterwards.")] = False,
) -> int:
    """Bring up a mesh, apply samples/, enrol a namespace under load, and prove each claim on the wire."""
    name = name or f"demo-{os.getpid()}"
    folder = samples or samples_folder()
    began = time.monotonic()
    with nullcontext() if keep else passing(name):
        if code := bring_up(name, nodes, 0, detach=True, capture=capture):
            return code
        print()
        evidence = Evidence(_print)
        told = _fusion(name, evidence) if fusion else _waypoint(name, evidence) if waypoint else None
        code = asyncio.run(told or _tell(name, folder, evidence))
        print(f"\n{len(evidence.checks) - len(evidence.failed)} of {len(evidence.checks)} claims held", end="")
        print(f" ({time.monotonic() - began:.0f} s in all)")
    if keep:
        print(f"the mesh stays: plait status --name {name}; end it with plait down --name {name}")
    return code


async def _tell(name: str, folder: Path, evidence: Evidence) -> int:
    from plait.cli.connect import connected
    from plait.trial import demo as story
    from plait.trial.scene import SceneError

    async with connected(Layout.of(name)) as scene:
        try:
            await story.tell(scene, folder, evidence)
        except SceneError as error:
            print(f"plait demo: {error}", file=sys.stderr)
            return 1
    return 1 if evidence.failed else 0


async def _fusion(name: str, evidence: Evidence) -> int:
    from plait.cli.connect import connected
    from plait.trial.fusion import story
    from plait.trial.scene import SceneError

    async with connected(Layout.of(name)) as scene:
        try:
            await story.tell(scene, evidence, lambda text: print(f"\n{text}"))
        except SceneError as error:
            print(f"plait demo: {error}", file=sys.stderr)
            return 1
    return 1 if evidence.failed else 0


async def _waypoint(name: str, evidence: Evidence) -> int:
    from plait.cli.connect import connected
    from plait.trial.scene import SceneError
    from plait.trial.waypoint import story

    async with connected(Layout.of(name)) as scene:
        try:
            await story.tell(scene, evidence)
        except SceneError as error:
            print(f"plait demo: {error}", file=sys.stderr)
            return 1
    return 1 if evidence.failed else 0


def _print(check: Check) -> None:
    print(f"{'ok  ' if check.held else 'FAIL'}  {check.claim}\n        {check.evidence}", flush=True)
