"""`plait up`: start a mesh on this machine, in the foreground or detached."""

from __future__ import annotations

import select
import signal
import sys
import time
from pathlib import Path
from typing import IO, Annotated

import typer

from plait.app import access, launch, teardown
from plait.base.wellknown import EAGER
from plait.local.addresses import FAMILIES
from plait.local.layout import Layout
from plait.local.record import FORMS, Record, load

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_TIMEOUT = 60.0


@app.command()
def up(
    name: Annotated[str, typer.Option(help="Name of the mesh; several may run side by side.")] = "default",
    nodes: Annotated[int, typer.Option(help="How many nodes (network namespaces with a proxy each).")] = 2,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready, leave it running.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the API server on 127.0.0.1; 0 takes 16443 or any free.")
    ] = 0,
    capture: Annotated[str, typer.Option(help="Form of capture: in-pod or node (the classic ten steps).")] = FORMS[0],
    certificate_lifetime: Annotated[
        float, typer.Option(help="Seconds a workload's certificate lives; it is renewed at half of them.")
    ] = launch.DAY,
    dataplane: Annotated[str, typer.Option(help="The node proxy: envoy, or ztunnel with --ztunnel.")] = "envoy",
    ztunnel: Annotated[str, typer.Option(help="Path of a ztunnel binary, for --dataplane ztunnel.")] = "",
    dns_capture: Annotated[
        bool,
        typer.Option(help="DNS of captured pods goes to the mesh's resolver, unless their annotation says otherwise."),
    ] = True,
    eager: Annotated[
        int,
        typer.Option(
            "--eager-services",
            min=0,
            help="Up to this many services, proxies get all clusters ahead; beyond, and with 0, on demand.",
        ),
    ] = EAGER,
    ip_families: Annotated[
        str, typer.Option(help="Families of pods, nodes and services: IPv4, IPv4,IPv6 for both, or IPv6.")
    ] = ",".join(FAMILIES[0]),
    merge: Annotated[
        bool, typer.Option("--merge-kubeconfig", help="Add this mesh to your own kubeconfig; plait down takes it out.")
    ] = False,
) -> int:
    """Start a mesh: nodes as network namespaces, a Kubernetes API, a control plane, one Envoy a node.

    It prints each step as it is done and ends with how to use it. Without --detach it stays until Ctrl-C
    and then removes everything; with --detach end it with `plait down`. Ctrl-C while it starts takes back what was
    started.

    After a crash the same command goes on: objects, keys and addresses stay. A mesh that is up is left alone
    (exit code 1). It runs as root, or as any user where the kernel allows user namespaces: see plait doctor.
    """
    if dataplane not in ("envoy", "ztunnel") or (dataplane == "ztunnel") != bool(ztunnel):
        print("plait up: say --dataplane envoy, or --dataplane ztunnel --ztunnel PATH", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return bring_up(
        name,
        nodes,
        port,
        detach=detach,
        capture=capture,
        certificate_lifetime=certificate_lifetime,
        ztunnel=str(Path(ztunnel).absolute()) if ztunnel else "",
        dns_capture=dns_capture,
        eager=eager,
        ip_families=tuple(ip_families.split(",")),
        merge=merge,
    )


def bring_up(
    name: str,
    nodes: int,
    port: int,
    *,
    detach: bool,
    quiet: bool = False,
    capture: str = FORMS[0],
    certificate_lifetime: float = launch.DAY,
    ztunnel: str = "",
    dns_capture: bool = True,
    eager: int = EAGER,
    ip_families: tuple[str, ...] = FAMILIES[0],
    merge: bool = False,
) -> int:
    """The body of `plait up`, also used by demo and bench; 0 when the mesh is ready."""
    layout = Layout.of(name)
    began = time.monotonic()
    try:
        with launch.exclusive(layout):
            before = load(layout)
            if before is not None and not before.supervisor.alive():
                _say(f"mesh {name!r} died or was stopped: cleaning up after it, its objects and keys stay", quiet)
            record = launch.prepare(
                layout,
                nodes,
                port,
                capture,
                certificate_lifetime=certificate_lifetime,
                ztunnel=ztunnel,
                dns_capture=dns_capture,
                eager=eager,
                ip_families=ip_families,
            )
            pipe = launch.start(layout, record)
            try:
                failure = follow(layout, pipe, began, quiet=quiet)
            except KeyboardInterrupt:
                _undo(layout, record, pipe, fresh=before is None)
                raise
    except (launch.LaunchError, teardown.TeardownError, ValueError) as error:
        print(f"plait up: {error}", file=sys.stderr)
        return 1
    if failure:
        print(f"plait up: {failure}; logs: {layout.logs}", file=sys.stderr)
        for line in _last_words(layout):
            print(f"  {line}", file=sys.stderr)
        if not detach:
            teardown.stop(layout, load(layout) or record)
        return 1
    if merge:
        try:
            _say(f"context plait-{name} is now in {access.merge(layout)}", quiet)
        except (OSError, ValueError) as error:
            print(f"plait up: the mesh is up, but your kubeconfig was not changed: {error}", file=sys.stderr)
    if not quiet:
        print(f"mesh {name!r} is ready after {time.monotonic() - began:.1f} s")
        print(f"  export KUBECONFIG={layout.kubeconfig}")
        named = "" if name == "default" else f" --name {name}"
        print("  " + "   ".join(f"plait {words}{named}" for words in ("apply -f samples/", "status", "down")))
    return 0 if detach else _stay(layout)


def follow(layout: Layout, pipe: IO[str], began: float, *, quiet: bool) -> str:
    """Print the supervisor's steps until it says it is ready; returns what went wrong, or ""."""
    while True:
        left = began + _TIMEOUT - time.monotonic()
        if left <= 0:
            return f"not ready after {_TIMEOUT:.0f} s"
        if not select.select([pipe], [], [], min(left, 0.5))[0]:
            current = load(layout)
            if current is None or not current.supervisor.alive():
                return "the supervisor ended"
            continue
        line = pipe.readline().strip()
        if line.startswith("error: ") or not line:
            return line.removeprefix("error: ") or "the supervisor ended"
        _say(f"  {time.monotonic() - began:5.1f} s  {line}", quiet)
        if line == "ready":
            return ""


def _undo(layout: Layout, record: Record, pipe: IO[str], *, fresh: bool) -> None:
    """Ctrl-C does not reach the supervisor, which is in a session of its own. What it is building is awaited first."""
    print("\ninterrupted: stopping what was started", file=sys.stderr, flush=True)
    follow(layout, pipe, time.monotonic(), quiet=True)
    (teardown.remove if fresh else teardown.stop)(layout, load(layout) or record)


def _last_words(layout: Layout, count: int = 3) -> list[str]:
    """The last errors and warnings of every part, so that the reason is on the screen and not only in a file."""
    found = []
    for log in sorted(layout.logs.glob("*.log")):
        try:
            lines = log.read_text(errors="replace").splitlines()
        except OSError:
            continue
        telling = [line for line in lines if " ERROR " in line or " WARNING " in line or "Error: " in line]
        found += [f"{log.name}: {line[:300]}" for line in telling[-count:]]
    return found


def _stay(layout: Layout) -> int:
    print("press Ctrl-C to end it", flush=True)
    try:
        while True:
            record = load(layout)
            if record is None or not record.supervisor.alive():
                break
            time.sleep(0.5)
    except KeyboardInterrupt:
        print("\nstopping")
    if record := load(layout):
        teardown.remove(layout, record)
    return 0


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, flush=True)
