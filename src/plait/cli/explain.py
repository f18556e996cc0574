"""`plait explain`: which proxies a request passes, and at which single one each policy and route acts.

Of a running mesh (any API server), or offline of manifests with -f. It reads what is written, not what proxies do: see
`plait status` and `trace-path` for that.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
import typer

from plait.app.offline import World
from plait.app.reading import read
from plait.cli import connect, inputs, manifests, output
from plait.diagnose import naming
from plait.diagnose.explain import Explanation, explain
from plait.diagnose.requests import Request
from plait.model.mesh import Mesh
from plait.store.api import ApiError

_HELP = """Explain what happens to requests of CLIENT (NS/POD, or NS/DEPLOYMENT: its first pod) to SERVER
(NS/SERVICE[:PORT], or NS/POD:PORT for the pod's own address, pod/NS/POD:PORT where a service is called the same).

JSON: one object for each mode the server's pods are in, with client, client_mode, server, server_mode, pods; path
(proxy, name, note: why it may not do its part); enforcement, in the order of a request (kind, namespace, name, detail;
as: what the planner takes it for; point: the one proxy that applies it, or nowhere; guard: who refuses what did not
pass the point; reason: why nowhere, and what to do); around: policies of these pods that this way does not pass, so
that it is refused. With --request also route (the one that takes it) and verdict (allowed: true, false, or null where
it depends on what nobody said; point; because)."""
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=_HELP)
def main(
    client: Annotated[str, typer.Argument(metavar="CLIENT")],
    server: Annotated[str, typer.Argument(metavar="SERVER")],
    file: Annotated[list[str] | None, typer.Option("-f", "--filename", help="Offline: file, folder, or -.")] = None,
    request: Annotated[tuple[str, str], typer.Option(metavar="METHOD PATH", help="Judge this request.")] = ("", ""),
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", help="A header of the request: 'name: value'.")
    ] = None,
    host: Annotated[str, typer.Option(help="Host of the request; by default the service's name.")] = "",
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    inputs.form(form)
    mesh = _offline(file, config, root_namespace) if file else asyncio.run(_running(name, kubeconfig))
    try:
        caller, called = naming.pod(mesh, client), naming.called(mesh, server)
    except naming.Unknown as unknown:
        raise manifests.Unreadable(str(unknown)) from unknown
    asked = None
    if any(request):
        asked = Request(request[0].upper(), request[1], host or _host(called[0]), headers=_headers(header or ()))
    found = explain(mesh, caller, called, asked)
    if form == "table":
        print("\n\n".join(map(_page, found)))
    else:
        print(output.render([msgspec.to_builtins(each) for each in found], form))
    return 0


def _offline(files: list[str], config: Path | None, root_namespace: str) -> Mesh:
    read = inputs.load(files, config, root_namespace)
    if read.problems:
        raise manifests.Unreadable(str(read.problems[0]))
    return World(read.documents, read.settings, config=read.config).described()


async def _running(name: str, kubeconfig: Path | None) -> Mesh:
    async with connect.api(name, kubeconfig) as api:
        try:
            return await read(api)
        except ApiError as error:
            raise connect.NoMesh(error.message) from error


def _host(called: Any) -> str:
    return called.service.hostname if called.service is not None else next(iter(called.workload.addresses), "")


def _headers(given: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for each in given:
        key, colon, value = each.partition(":")
        if not colon:
            raise click.UsageError(f"{each!r} is no header; write 'name: value'")
        pairs.append((key.strip().lower(), value.strip()))
    return tuple(pairs)


def _page(found: Explanation) -> str:
    lines = [f"{found.client} ({found.client_mode}) -> {found.server} ({found.server_mode}): {', '.join(found.pods)}"]
    lines += ["", "path"]
    lines.append(output.render([msgspec.to_builtins(hop) for hop in found.path], "table") if found.path else "no proxy")
    lines += ["", "enforcement"]
    rows = [
        {
            "object": f"{each.kind} {each.namespace}/{each.name}".removesuffix(" /"),
            "detail": each.detail,
            "as": each.taken_for,
            "point": each.point,
            "guard": each.guard,
            "reason": each.reason,
        }
        for each in found.enforcement
    ]
    lines.append(output.render(rows, "table") if rows else "nothing is written about it")
    if found.around:
        lines += ["", f"refused: this way does not pass {', '.join(found.around)}"]
    if found.verdict is not None:
        word = {True: "allowed", False: "refused", None: "it depends"}[found.verdict.allowed]
        where = f" at the {found.verdict.point}" if found.verdict.point else ""
        lines += ["", f"route: {found.route or 'straight to the service'}"]
        lines += [f"verdict: {word}{where}: {found.verdict.because}"]
    return "\n".join(lines)
