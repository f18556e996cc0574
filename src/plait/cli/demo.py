"""`plait demo`: a mesh of its own, the samples, and a table of claims with evidence; exit code 1 if any fails."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from plait.cli.connect import connected
from plait.cli.down import passing
from plait.cli.up import bring_up
from plait.local.layout import Layout
from plait.local.record import FORMS
from plait.trial.evidence import Check, Evidence
from plait.trial.scene import Scene, SceneError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def samples_folder() -> Path:
    """samples/ of the working directory, else of the source checkout this package runs from."""
    for folder in (Path.cwd() / "samples", Path(__file__).resolve().parents[3] / "samples"):
        if (folder / "httpbin.yaml").is_file():
            return folder
    raise typer.BadParameter("no samples/ folder with httpbin.yaml here; give --samples")


@app.command()
def demo(
    name: Annotated[str, typer.Option(help="Name of the mesh; default: one of its own.")] = "",
    nodes: Annotated[int, typer.Option(min=2, help="Nodes, at least 2.")] = 2,
    samples: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of the sample manifests.")
    ] = None,
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
        story = _story(folder, evidence, fusion=fusion, waypoint=waypoint)
        code = asyncio.run(_told(name, story)) or int(bool(evidence.failed))
        print(f"\n{len(evidence.checks) - len(evidence.failed)} of {len(evidence.checks)} claims held", end="")
        print(f" ({time.monotonic() - began:.0f} s in all)")
    if keep:
        print(f"the mesh stays: plait status --name {name}; end it with plait down --name {name}")
    return code


def _story(folder: Path, evidence: Evidence, *, fusion: bool, waypoint: bool) -> Callable[[Scene], Awaitable[object]]:
    """What is told on the scene; imported only when it is."""
    if fusion:
        from plait.trial.fusion import story as pairs

        return lambda scene: pairs.tell(scene, evidence, lambda text: print(f"\n{text}"))
    if waypoint:
        from plait.trial.waypoint import story as sleeping

        return lambda scene: sleeping.tell(scene, evidence)
    from plait.trial import demo as enrolment

    return lambda scene: enrolment.tell(scene, folder, evidence)


async def _told(name: str, story: Callable[[Scene], Awaitable[object]]) -> int:
    """1 when the scene could not be set."""
    async with connected(Layout.of(name)) as scene:
        try:
            await story(scene)
        except SceneError as error:
            print(f"plait demo: {error}", file=sys.stderr)
            return 1
    return 0


def _print(check: Check) -> None:
    print(f"{'ok  ' if check.held else 'FAIL'}  {check.claim}\n        {check.evidence}", flush=True)
