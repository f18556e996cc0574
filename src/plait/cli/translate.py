"""`plait translate`: what a proxy would be told by these manifests, offline. Exit code 0; 1 with errors; 2 unreadable.

No mesh has to run and no rights are needed. What is assumed about pods is said in `app/offline.py` and `standins.py`.
"""

from __future__ import annotations

import sys
from typing import Annotated, get_args

import click
import typer

from plait.app.asked import UnknownProxy
from plait.app.offline import Document, World, failed
from plait.cli import inputs, manifests, output
from plait.model.proxies import Role

PROXIES = (
    "node:NS/POD (the proxy of that pod's node) or node:NODE, sidecar:NS/POD, waypoint:NS/GATEWAY, "
    "gateway:NS/GATEWAY, wds (any ztunnel), or status."
)
L7: tuple[Role, ...] = get_args(Role)
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def translate(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, folder, or - for standard input.")],
    proxy: Annotated[str, typer.Option(help=PROXIES)],
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    form: Annotated[str, typer.Option("-o", "--output", help="json, yaml, or a table of what there is.")] = "json",
) -> int:
    """Show what a proxy would be told."""
    role, _, name = proxy.partition(":")
    namespace, _, bare = name.rpartition("/")
    if role not in ("node", "wds", "status", *L7) or bool(name) != (role not in ("wds", "status")):
        raise click.UsageError(f"no proxy {proxy!r}; use {PROXIES}")
    if role in L7 and not (namespace and bare):
        raise click.UsageError(f"{proxy!r} lacks a namespace or name; write {role}:NAMESPACE/NAME")
    inputs.form(form)
    read = inputs.load(file, config, root_namespace)
    world = World(read.documents, read.settings, read.problems, read.config)
    known = next((each for each in L7 if each == role), None)
    try:
        document = (
            world.l7(known, namespace, bare)
            if known is not None
            else world.node_of(namespace, bare)
            if role == "node" and namespace
            else world.node(name)
            if role == "node"
            else world.wds()
            if role == "wds"
            else world.status()
        )
    except UnknownProxy as unknown:
        raise manifests.Unreadable(str(unknown)) from unknown
    print(_table(document) if form == "table" else output.render(document, form))
    for problem in document["problems"]:
        where = "/".join(part for part in (problem["namespace"], problem["name"]) if part)
        print(f"plait: {problem['kind']} {where}: {problem['path']}: {problem['message']}", file=sys.stderr)
    return 1 if failed(document) else 0


def _table(document: Document) -> str:
    """A line for each thing: which section it is of, and what it is called there."""
    rows = [
        {"section": section, "name": _name(each)}
        for section, things in document.items()
        if section != "problems" and isinstance(things, list)
        for each in things
    ]
    return output.render(rows, "table")


def _name(thing: Document) -> str:
    """An object by kind, namespace and name, a resource by its own; a message that only holds another is that one."""
    if len(thing) == 1 and isinstance(inner := next(iter(thing.values())), dict):
        return _name(inner)
    for key in ("uid", "cluster_name"):
        if thing.get(key):
            return str(thing[key])
    return "/".join(str(thing[key]) for key in ("kind", "namespace", "name") if thing.get(key))
