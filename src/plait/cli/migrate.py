"""`plait migrate`: move a namespace or one workload to another mode, step by step, with the way back kept open."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import click
import msgspec
import typer

from plait.app import reading
from plait.app.migration.outlook import Outlook, outlook
from plait.app.migration.plan import Scope
from plait.app.migration.run import Migration, Record, Refused, looking
from plait.app.migration.steps import steps
from plait.app.migration.work import Stuck
from plait.app.offline import World
from plait.cli import connect, inputs, manifests, output
from plait.model.modes import Mode
from plait.store.api import ApiError, Document

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
Subject = Annotated[str, typer.Argument(metavar="NS|NS/WORKLOAD", help="A namespace, or one workload of it.")]
To = Annotated[str, typer.Option("--to", help="ambient, sidecar or none.")]
Waypoint = Annotated[str, typer.Option(help="Name of the waypoint that is made where HTTP policies need one.")]
Name = Annotated[str, typer.Option(help="Name of the mesh.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Another API server.")]
Form = Annotated[str, output.option()]
Timeout = Annotated[float, typer.Option(help="Seconds a step may take.")]


@app.callback()
def migrate() -> None:
    """Move workloads between modes without a gap: plan, apply (again after a stop: it goes on), status, rollback.

    Nothing is done that would lose a policy: `plan` says what moves where, and is refused with the way out. Only
    sidecars make pods anew. The record of a migration is a ConfigMap of the namespace (plait-migration).
    """


@app.command("plan")
def show(
    subject: Subject,
    to: To,
    file: Annotated[list[str] | None, typer.Option("-f", "--filename", help="Offline: file, folder, or -.")] = None,
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    waypoint: Waypoint = "waypoint",
    form: Form = "table",
    name: Name = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """What would change, where each policy moves, what would be lost or judged differently (exit code 1), its cost."""
    scope, mode = _scope(subject), _mode(to)
    if file:
        read = _offline(file, config, root_namespace)
        objects, mesh = read.documents, World(read.documents, read.settings, config=read.config).described()
    else:
        objects = asyncio.run(_running(name, kubeconfig))
        mesh = reading.made(objects)
    seen = outlook(objects, mesh, scope, mode, waypoint)
    found = seen.plan
    if not found.moves:
        raise manifests.Unreadable(f"{scope} has no pods that could move")
    if form == "table":
        print(_page(seen))
    else:
        print(output.render(_document(seen), form))
    return 1 if found.lost or seen.differences or seen.obstacles else 0


@app.command()
def apply(
    subject: Subject,
    to: To,
    canary: Annotated[str, typer.Option(help="Stop when this share of the pods has been recreated, as 5%.")] = "",
    waypoint: Waypoint = "waypoint",
    accept: Annotated[
        bool,
        typer.Option("--accept-differences", help="Migrate even if policies would judge some requests differently."),
    ] = False,
    timeout: Timeout = 120.0,
    name: Name = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Do it, or go on with it. With --canary it stops when so many pods have moved: look, then apply without."""
    scope, mode, share = _scope(subject), _mode(to), _share(canary)

    async def run(migration: Migration) -> Record:
        return await migration.apply(mode, secrets.token_hex(4), canary=share, accepted=accept, timeout=timeout)

    return asyncio.run(_with(scope, waypoint, name, kubeconfig, run))


@app.command()
def status(subject: Subject, form: Form = "table", name: Name = "default", kubeconfig: Kubeconfig = None) -> int:
    """How far the last migration of this scope is."""
    scope = _scope(subject)

    async def run() -> Record | None:
        async with connect.api(name, kubeconfig) as api:
            return await Migration(api, scope, _never, print).record()

    record = asyncio.run(run())
    if record is None:
        print(f"plait migrate: there is no migration of {scope}", file=sys.stderr)
        return 1
    if form != "table":
        print(output.render(msgspec.to_builtins(record), form))
        return 0
    print(f"{scope}: {record.before} -> {record.to}: {record.phase}{': ' if record.reason else ''}{record.reason}")
    for number, step in enumerate(record.steps):
        print(f"{'done' if number < record.position else '    '}  {step.text}")
    return 0


@app.command()
def rollback(subject: Subject, timeout: Timeout = 120.0, name: Name = "default", kubeconfig: Kubeconfig = None) -> int:
    """Take everything back, from wherever it stands."""
    scope = _scope(subject)

    async def run(migration: Migration) -> Record:
        return await migration.rollback(timeout=timeout)

    return asyncio.run(_with(scope, "waypoint", name, kubeconfig, run))


async def _with(
    scope: Scope,
    waypoint: str,
    name: str,
    kubeconfig: Path | None,
    work: Callable[[Migration], Awaitable[Record]],
) -> int:
    async with connect.api(name, kubeconfig) as api:
        try:
            record = await work(Migration(api, scope, looking(api, scope, waypoint), print))
        except (Refused, Stuck, ApiError) as error:
            print(f"plait migrate: {error}", file=sys.stderr)
            return 1
    print(f"{scope}: {record.phase}, {record.position} of {len(record.steps)} steps")
    if record.reason:
        print(record.reason)
    return 0


async def _never(mode: Mode) -> Outlook:
    raise AssertionError("a record is read without a plan")


async def _running(name: str, kubeconfig: Path | None) -> list[Document]:
    async with connect.api(name, kubeconfig) as api:
        return await reading.documents(api)


def _offline(files: list[str], config: Path | None, root_namespace: str) -> inputs.Inputs:
    read = inputs.load(files, config, root_namespace)
    if read.problems:
        raise manifests.Unreadable(str(read.problems[0]))
    return read


def _scope(subject: str) -> Scope:
    namespace, _, workload = subject.partition("/")
    if not namespace or "/" in workload:
        raise click.UsageError(f"{subject!r} is no scope; write NAMESPACE or NAMESPACE/WORKLOAD")
    return Scope(namespace, workload)


def _mode(to: str) -> Mode:
    for mode in get_args(Mode):
        if mode == to:
            return mode  # type: ignore[no-any-return]
    raise click.UsageError(f"no mode {to!r}; use ambient, sidecar or none")


def _share(canary: str) -> float:
    if not canary:
        return 1.0
    number = canary.removesuffix("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise click.UsageError(f"--canary {canary}: write a share of the pods, such as 5%")
    return share


def _document(seen: Outlook) -> dict[str, Any]:
    found = seen.plan
    document: dict[str, Any] = msgspec.to_builtins(found)
    document["obstacles"] = list(seen.obstacles)
    document["lost"] = [msgspec.to_builtins(each) for each in found.lost]
    document["steps"] = [msgspec.to_builtins(each) for each in steps(found)]
    document["judged"] = {"requests": len(seen.now), "differing": [str(each) for each in seen.differences]}
    return document


def _page(seen: Outlook) -> str:
    found = seen.plan
    rows = [
        {"workload": move.name, "pods": move.pods, "now": move.mode, "made anew": "yes" if move.restarts else "no"}
        for move in found.moves
    ]
    lines = [f"{found.scope} -> {found.to}", "", output.render(rows, "table")]
    moved = [
        {
            "object": each.object,
            "of": each.about,
            "clients": each.client,
            "now": each.before,
            "then": each.after,
            "": "LOST: " + each.reason if each.lost else "",
        }
        for each in found.changes
    ]
    lines += ["", "what moves", output.render(moved, "table") if moved else "no policy or route acts elsewhere"]
    lines += ["", "steps", *(f"  {number}. {step.text}" for number, step in enumerate(steps(found), 1))]
    before, after = found.before, found.after
    lines += ["", f"proxies {before.proxies} -> {after.proxies}, private memory of them about"]
    lines[-1] += f" {before.megabytes} -> {after.megabytes} MB idle"
    lines += ["", f"judged beforehand: {len(seen.now)} requests, {len(seen.differences)} differently"]
    lines += [f"  {each}" for each in seen.differences[:10]]
    lines += ["", *(f"refused: {each}" for each in seen.obstacles)] if seen.obstacles else []
    if found.lost:
        lines += ["", f"refused: {len(found.lost)} would be lost; see the reasons above"]
    return "\n".join(lines)
