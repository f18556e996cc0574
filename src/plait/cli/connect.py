"""How commands reach a mesh: the local one by its name, or any API server by a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from plait.local.layout import Layout
from plait.local.record import Record, all_records, load
from plait.store.client import HttpApi
from plait.trial.scene import Scene


class NoMesh(click.ClickException):
    exit_code = 1


def running(layout: Layout) -> Record:
    """The record of a mesh that is up; NoMesh says how to start one."""
    try:
        record = load(layout)
    except ValueError as error:
        raise NoMesh(str(error)) from error
    if record is None:
        up = ", ".join(each.name for each in all_records() if each.supervisor.alive())
        others = f" (there is {up}: say --name, for waypoint --mesh)" if up else ""
        raise NoMesh(f"no mesh {layout.name!r} is up{others}; start it with: plait up --detach --name {layout.name}")
    if not record.supervisor.alive():
        raise NoMesh(f"mesh {layout.name!r} died; plait up --name {layout.name} goes on with its state")
    return record


@asynccontextmanager
async def connected(layout: Layout) -> AsyncIterator[Scene]:
    """A running local mesh with its API, through its unix socket."""
    record = running(layout)
    holder = record.holder.pid if record.holder else 0
    async with HttpApi.from_kubeconfig(layout.kubeconfig, socket=layout.api_socket) as api:
        yield Scene(layout, record, api, holder)


@asynccontextmanager
async def api(name: str = "default", kubeconfig: Path | None = None) -> AsyncIterator[HttpApi]:
    """An API server: --kubeconfig, else the local mesh `name`, else $KUBECONFIG."""
    layout = Layout.of(name)
    configured = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if kubeconfig is None and layout.kubeconfig.exists():
        running(layout)
        client = HttpApi.from_kubeconfig(layout.kubeconfig, socket=layout.api_socket)
    elif kubeconfig or configured:
        client = HttpApi.from_kubeconfig(kubeconfig or Path(configured))
    else:
        running(layout)  # raises with the way out
        raise NoMesh(f"{layout.kubeconfig} is missing")
    try:
        yield client
    finally:
        await client.close()
