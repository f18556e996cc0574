"""`plait doctor`: is this machine fit for a mesh, and is the running mesh healthy?"""

from __future__ import annotations

from typing import Annotated

import typer

from plait.local import fabric, preflight
from plait.local.layout import Layout, home
from plait.local.record import load

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def doctor(name: Annotated[str, typer.Option(help="Name of the mesh to look at.")] = "default") -> int:
    """Check programs, privileges and limits, and look for remains of meshes that died.

    Exit code 0 when a mesh can run here, 1 when something must be mended first.
    """
    worst = 0
    for check in preflight.checks():
        mark = "ok  " if check.ok else ("FAIL" if check.fatal else "warn")
        print(f"{mark}  {check.name}: {check.detail}")
        if not check.ok:
            print(f"      mend it: {check.fix}")
            worst |= check.fatal
    return max(worst, _mesh(Layout.of(name)))


def _mesh(layout: Layout) -> int:
    try:
        record = load(layout)
    except ValueError as error:
        print(f"FAIL  mesh {layout.name}: {error}")
        return 1
    if record is None:
        left = fabric.remains(layout.name)
        if left:
            print(f"FAIL  mesh {layout.name}: no record, but namespaces {', '.join(path.name for path in left)}")
            print(f"      mend it: plait down --name {layout.name}")
        else:
            print(f"ok    mesh {layout.name}: not up (state would live in {home()})")
        return int(bool(left))
    if not record.supervisor.alive():
        print(f"FAIL  mesh {layout.name}: its supervisor (process {record.supervisor.pid}) died")
        print(f"      mend it: plait up --name {layout.name} goes on with its state, plait down removes it")
        return 1
    print(f"ok    mesh {layout.name}: up, {len(record.nodes)} nodes, 127.0.0.1:{record.port}")
    return 0
