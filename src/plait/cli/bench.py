"""`plait bench`: what this mesh costs on this machine, measured side by side in one run; with its spread."""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import click
import typer

from plait.cli import connect, output
from plait.cli.demo import samples_folder
from plait.cli.down import passing
from plait.cli.up import bring_up
from plait.local.layout import Layout
from plait.trial.scene import Scene

if TYPE_CHECKING:
    from plait.trial.bench_fuse.day2 import Done
    from plait.trial.bench_fuse.figures import Run
    from plait.trial.bench_fuse.run import Wanted
    from plait.trial.bench_fuse.worlds import State

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Measure it, side by side with no mesh."
)
T = TypeVar("T")
Quick = Annotated[bool, typer.Option("--quick", help="Fewer and shorter blocks.")]
Format = Annotated[str, output.option()]


@contextmanager
def mesh(nodes: int = 2, suffix: str = "") -> Iterator[Layout]:
    """A mesh for the length of one measurement; `suffix` parts those that run side by side."""
    name = f"bench-{os.getpid()}{suffix}"
    with passing(name, quiet=True):
        if bring_up(name, nodes, 0, detach=True, quiet=True):
            raise typer.Exit(1)
        yield Layout.of(name)


def _on(layout: Layout, work: Callable[[Scene], Awaitable[T]]) -> T:
    async def body() -> T:
        async with connect.connected(layout) as scene:
            return await work(scene)

    return asyncio.run(body())


def _progress(line: str) -> None:
    typer.echo(line, err=True)


@app.command("l4")
def l4(
    quick: Quick = False,
    form: Format = "table",
    rate: float = 1000.0,
    faults: Annotated[
        bool, typer.Option("--faults", help="Count lost requests while parts are killed and pods move.")
    ] = False,
    only: Annotated[str, typer.Option(help="With --faults: some of ends, cycles, starts, reuse, memory.")] = "",
    cycles: Annotated[int | None, typer.Option(help="With --faults: times out of the mesh and in again.")] = None,
    reuses: Annotated[int | None, typer.Option(help="With --faults: addresses that change hands.")] = None,
    starts: Annotated[int | None, typer.Option(help="With --faults: pods whose first act is a call.")] = None,
) -> int:
    """No mesh, a hand-written TLS proxy pair and L4: rate, latency, proxy CPU for 1 KB requests and a bulk stream."""
    if faults:
        return _faults(form, quick, only, {"cycles": cycles, "reuses": reuses, "starts": starts})
    from plait.trial import bench_l4

    blocks, seconds = (3, 2.0) if quick else (7, 5.0)
    with mesh() as layout:
        report = _on(
            layout,
            lambda scene: bench_l4.run(
                scene, samples_folder(), blocks=blocks, seconds=seconds, rate=rate, tell=_progress
            ),
        )
    print(output.render(list(report.summary()), form))
    if report.memory and form == "table":
        used = report.memory
        print(f"{used.proxies} proxies: {used.private / 1e6:.1f} MB private in all, {used.shared / 1e6:.0f} MB shared")
    return 0


def _faults(form: str, quick: bool, only: str, counts: dict[str, int | None]) -> int:
    from plait.trial import bench_faults
    from plait.trial.losses import QUICK, Wanted

    parts = tuple(only.replace(",", " ").split())
    if unknown := [part for part in parts if part not in bench_faults.PARTS]:
        raise typer.BadParameter(f"--only {unknown[0]}: say some of {', '.join(bench_faults.PARTS)}")
    said: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    wanted = replace(QUICK if quick else Wanted(), parts=parts, **said)
    with mesh() as layout:
        report = _on(layout, lambda scene: bench_faults.run(scene, samples_folder(), wanted, _progress))
    print(output.render(report.rows, form))
    return 0


@app.command("lazy")
def lazy(
    services: Annotated[int, typer.Option(help="Services in the mesh that the node never uses.")] = 5000,
    form: Format = "table",
) -> int:
    """What a large mesh costs a node with 20 busy destinations, and how long a first connection takes."""
    from plait.trial import bench_lazy

    wanted = bench_lazy.Wanted(services=services)
    with mesh() as layout:
        rows = _on(layout, lambda scene: bench_lazy.run(scene, samples_folder(), wanted, _progress))
    print(output.render(rows, form))
    return 0


@app.command("control")
def control(
    services: Annotated[int, typer.Option(min=1, help="Services, each with a VirtualService.")] = 1000,
    sidecars: Annotated[str, typer.Option(help="Numbers of connected sidecars, each measured.")] = "1,20,200",
    unnamed: Annotated[bool, typer.Option("--unnamed", help="Services do not say their protocol.")] = False,
    form: Format = "table",
) -> int:
    """What one edit costs the control plane in CPU, by the number of sidecars. In this process: no mesh, no root."""
    from plait.trial import bench_control

    counts = _numbers("--sidecars", sidecars, int) or ()
    if not counts or min(counts) < 1:
        raise typer.BadParameter("--sidecars are numbers above 0, as 1,20,200")
    wanted = bench_control.Wanted(services, counts, "unnamed" if unnamed else "http")
    print(output.render(list(bench_control.table(bench_control.run(wanted, _progress))), form))
    return 0


@app.command("up")
def start(rounds: int = 3, form: Format = "table") -> int:
    """`plait up` to the first request through mTLS; the first round is the coldest this machine offers."""
    from plait.trial import bench_start

    took: list[tuple[float, float]] = []
    for number in range(rounds):
        began = time.perf_counter()
        with mesh() as layout:
            ready = time.perf_counter() - began
            _on(layout, lambda scene: bench_start.first_request(scene, samples_folder()))
            took.append((ready, time.perf_counter() - began))
        _progress(f"round {number + 1}: ready {ready:.1f} s, first request {took[-1][1]:.1f} s")
    rows = [
        _figures("mesh ready", [a for a, _ in took], 1.0, "s"),
        _figures("first mTLS request", [b for _, b in took]),
    ]
    print(output.render(rows, form))
    return 0


@app.command("enrol")
def enrol(rounds: int = 10, form: Format = "table") -> int:
    """Label to verified capture of running pods."""
    from plait.trial import bench_start

    with mesh() as layout:
        took = _on(layout, lambda scene: bench_start.enrolments(scene, samples_folder(), rounds, _progress))
    print(output.render([_figures("label to verified capture", took, 1e-3, "ms")], form))
    return 0


@app.command("waypoint")
def waypoint(
    quick: Quick = False,
    form: Format = "table",
    rounds: Annotated[int, typer.Option(help="Cold starts, and attachments of a running waypoint.")] = 10,
    flips: Annotated[int, typer.Option(help="Times out of the waypoint and in again under load.")] = 20,
) -> int:
    """Starts, attachment under load, a weight split, and latency and CPU beside no mesh and L4."""
    from plait.trial import bench_waypoint

    rounds, flips = (3, 6) if quick else (rounds, flips)
    blocks, seconds = (2, 2.0) if quick else (5, 5.0)
    with mesh() as layout:
        report = _on(
            layout,
            lambda scene: bench_waypoint.run(
                scene,
                samples_folder(),
                rounds=rounds,
                flips=flips,
                blocks=blocks,
                seconds=seconds,
                tell=_progress,
            ),
        )
    for rows in (report.starts, report.stretches, report.rows, report.costs):
        print(output.render(rows, form))
    return 0


@app.command("propagation")
def propagation(
    services: Annotated[int, typer.Option(help="Services with a route each, all behind one waypoint.")] = 1000,
    changes: Annotated[int, typer.Option(help="Changes that are measured, one at a time.")] = 200,
    edits: Annotated[int, typer.Option(help="Changes while requests are counted.")] = 1000,
    kind: Annotated[str, typer.Option(help="Of the routes: HTTPRoute or VirtualService.")] = "HTTPRoute",
    form: Format = "table",
) -> int:
    """A written route to the first answer by it, and what is lost while routes are edited."""
    from plait.trial import bench_propagation

    found = bench_propagation.KINDS.get(kind)
    if found is None:
        raise click.UsageError(f"--kind {kind}: use {', '.join(bench_propagation.KINDS)}")
    with mesh() as layout:
        report = _on(
            layout,
            lambda scene: bench_propagation.run(scene, samples_folder(), found, services, changes, edits, _progress),
        )
    print(output.render(report.rows(), form))
    return 0


@app.command("switch")
def switch(
    quick: Annotated[bool, typer.Option("--quick", help="5 cycles.")] = False,
    cycles: Annotated[int | None, typer.Option(help="Times sidecar, L4, waypoint and back.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    connections: Annotated[int | None, typer.Option(help="Long TCP connections.")] = None,
    form: Format = "table",
) -> int:
    """Workloads through all modes under load: what is lost, is every request judged right? 1 when anything was not."""
    from plait.trial import bench_switch

    said: dict[str, Any] = {"cycles": cycles, "rate": rate, "connections": connections}
    wanted = bench_switch.QUICK if quick else bench_switch.Wanted()
    wanted = replace(wanted, **{name: each for name, each in said.items() if each is not None})
    with mesh() as layout:
        report = _on(layout, lambda scene: bench_switch.run(scene, wanted, _progress))
    print(output.render(report.rows(), form))
    return int(not report.held_true)


@app.command("migrate")
def migrate(
    quick: Annotated[bool, typer.Option("--quick", help="4,000 requests: there and back.")] = False,
    requests: Annotated[int | None, typer.Option(help="Migrations go on until so many are sent.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    form: Format = "table",
) -> int:
    """An app moves from sidecars to ambient and back under load: lost, judged differently? 1 when any request was."""
    from plait.trial import bench_migrate

    said: dict[str, Any] = {"requests": requests, "rate": rate}
    wanted = bench_migrate.QUICK if quick else bench_migrate.Wanted()
    wanted = replace(wanted, **{name: each for name, each in said.items() if each is not None})
    with mesh() as layout:
        report = _on(layout, lambda scene: bench_migrate.run(scene, wanted, _progress))
    print(output.render(report.rows(), form))
    return int(not report.held)


@app.command("fuse")
def fuse(
    out: Annotated[Path, typer.Option("--out", help="Folder for report.md, charts and raw data.")],
    quick: Annotated[bool, typer.Option("--quick", help="3 pods a node, 3 short blocks: does it run?")] = False,
    pods: Annotated[
        str, typer.Option(help="Pods per node; of several numbers, as 5,10,20, each is a run of its own.")
    ] = "",
    fractions: Annotated[str, typer.Option(help="Shares of services behind a waypoint, as 0.1,1.0.")] = "",
    blocks: Annotated[int | None, typer.Option(min=2, help="Blocks of each state and load.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a block.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second; by default 30 % of what state M1 carries.")
    ] = None,
    operations: Annotated[bool | None, typer.Option(help="The day-2 tasks too.")] = None,
) -> int:
    """The article's experiment: no mesh, sidecars, L4, waypoints and a mix, side by side, with a report of what holds.

    Every state is a mesh of its own with two nodes. The states take turns in blocks under the same open-loop load; CPU,
    memory and added latency are compared within one run, with the bounds of their confidence.
    """
    from plait.trial.bench_fuse import report, worlds
    from plait.trial.bench_fuse.run import QUICK, Wanted

    said: dict[str, Any] = {"blocks": blocks, "seconds": seconds, "rate": rate, "operations": operations}
    said |= {"pods": _numbers("--pods", pods, int), "shares": _numbers("--fractions", fractions, float)}
    wanted = replace(QUICK if quick else Wanted(), **{name: each for name, each in said.items() if each is not None})
    if not all(0 < each <= 1 for each in wanted.shares) or not all(each > 0 for each in wanted.pods):
        raise typer.BadParameter("--fractions are above 0 and at most 1, --pods above 0")
    states, runs = worlds.states(wanted.shares), []
    machine = f"{platform.node()}: {os.cpu_count()} cores, {platform.platform()}"
    for number, count in enumerate(wanted.pods):
        last = number == len(wanted.pods) - 1
        run, done = _fused(states, count, wanted, operations=wanted.operations and last)
        runs.append(run)
        page = report.write(out, states, runs, done, machine)  # after each: what was measured is kept
    print(page)
    return 0


def _fused(states: Sequence[State], pods: int, wanted: Wanted, *, operations: bool) -> tuple[Run, list[Done]]:
    """One run in meshes that are there for its length only."""
    from plait.trial.bench_fuse import run

    async def body(layouts: dict[str, Layout]) -> tuple[Run, list[Done]]:
        async with AsyncExitStack() as open_:
            scenes = {key: await open_.enter_async_context(connect.connected(each)) for key, each in layouts.items()}
            found = await run.measured(scenes, states, pods, wanted, _progress)
            return found, await run.operations(scenes, _progress) if operations else []

    with ExitStack() as up:
        layouts = {each.key: up.enter_context(mesh(suffix=f"-{n}")) for n, each in enumerate(states)}
        return asyncio.run(body(layouts))


def _numbers(option: str, text: str, kind: Callable[[str], T]) -> tuple[T, ...] | None:
    """A list with commas; None when nothing was said."""
    try:
        return tuple(kind(each) for each in text.split(",")) if text else None
    except ValueError:
        raise typer.BadParameter(f"{option} {text}: numbers with commas between them") from None


def _figures(what: str, values: list[float], unit: float = 1.0, name: str = "s") -> dict[str, object]:
    median, low, high = (round(f(values) / unit, 2) for f in (statistics.median, min, max))
    return {"what": what, "unit": name, "median": median, "min": low, "max": high, "rounds": len(values)}
