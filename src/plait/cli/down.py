"""`plait down`: end a mesh and remove every trace of it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from plait.app import launch, teardown
from plait.local import fabric
from plait.local.layout import Layout
from plait.local.record import all_records, load

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def down(
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    every: Annotated[bool, typer.Option("--all", help="Every mesh of this user.")] = False,
) -> int:
    """Stop the mesh and remove its processes, namespaces, rules, mounts and files, also after a crash."""
    names = [record.name for record in all_records()] if every else [name]
    return max((take_down(each) for each in names), default=0)


@contextmanager
def passing(name: str, *, quiet: bool = False) -> Iterator[None]:
    """For a mesh of one demo or measurement: it goes with the block, whether that ends by itself, Ctrl-C or SIGTERM."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        take_down(name, quiet=quiet)
        signal.signal(signal.SIGTERM, before)


def take_down(name: str, *, quiet: bool = False) -> int:
    """The body of `plait down`."""
    layout = Layout.of(name)
    began = time.monotonic()
    try:
        with launch.exclusive(layout):
            record = load(layout)
            if record is None:
                _without_record(layout)
                if not quiet:
                    print(f"no mesh {name!r} is up")
                return 0
            teardown.remove(layout, record)
    except (launch.LaunchError, teardown.TeardownError, ValueError) as error:
        print(f"plait down: {error}", file=sys.stderr)
        return 1
    if not quiet:
        print(f"mesh {name!r} is gone ({time.monotonic() - began:.1f} s)")
    return 0


def _without_record(layout: Layout) -> None:
    """Somebody deleted mesh.json: namespaces of that name still tell what to clean."""
    from plait.base import netns
    from plait.local import processes

    if left := fabric.remains(layout.name):
        processes.kill_all(left)
        for path in left:
            netns.remove(path)
    teardown.erase(layout)
