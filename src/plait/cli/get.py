"""`plait get`: objects, as a table, names, YAML or JSON; thin, kubectl shows more."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli import connect, output, references
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document
from plait.store.client import HttpApi

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def get(
    kind: Annotated[
        str,
        typer.Argument(help="pods, svc, vs, authorizationpolicies, …; several as pods,svc, or all; also KIND/NAME."),
    ],
    names: Annotated[list[str] | None, typer.Argument(help="Names; all when left out.")] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    everywhere: Annotated[bool, typer.Option("-A", "--all-namespaces")] = False,
    labels: Annotated[str, typer.Option("-l", "--selector", help="Label selector.")] = "",
    form: Annotated[str, output.option("table", "wide", "name", "json", "yaml")] = "table",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Show objects."""
    return asyncio.run(_get(kind, names or [], "" if everywhere else namespace, labels, form, name, kubeconfig))


async def _get(
    word: str, names: list[str], namespace: str, labels: str, form: str, mesh: str, kubeconfig: Path | None
) -> int:
    wanted = references.objects(word, names)
    async with connect.api(mesh, kubeconfig) as api:
        found = [(kind, item) for kind, name in wanted for item in await _objects(api, kind, name, namespace, labels)]
    items = [item for _, item in found]
    several = len({kind for kind, _ in wanted}) > 1
    if form == "name":
        print("".join(f"{_called(kind, item)}\n" for kind, item in found), end="")
    elif form in ("table", "wide") and found:
        wide = not namespace and any(kind.namespaced for kind, _ in wanted)
        rows = [_row(item, _called(kind, item) if several else item["metadata"]["name"], wide) for kind, item in found]
        print(output.render(rows, "table"))
    elif form in ("table", "wide"):
        where = f" in namespace {namespace}; -A looks in all" if namespace and wanted[0][0].namespaced else ""
        print(f"plait: no {', '.join(dict.fromkeys(kind.plural for kind, _ in wanted))}{where}", file=sys.stderr)
    else:
        shown: Any = items[0] if len(wanted) == 1 and wanted[0][1] else _list(items)
        print(output.render(shown, form))
    return 0


async def _objects(api: HttpApi, kind: Kind, name: str, namespace: str, labels: str) -> list[Document]:
    space = namespace if kind.namespaced else ""
    try:
        return [await api.get(kind, name, space)] if name else (await api.list(kind, space, labels=labels))[0]
    except ApiError as error:
        raise connect.NoMesh(f"{error.message} in namespace {space}" if space else error.message) from error


def _called(kind: Kind, item: Document) -> str:
    return f"{kind.singular}/{item['metadata']['name']}"


def _list(items: list[Document]) -> Document:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _row(item: Document, name: str, wide: bool) -> dict[str, str]:
    """`wide`: with the namespace."""
    meta = item["metadata"]
    row = {"namespace": meta.get("namespace", "")} if wide else {}
    row["name"] = name
    status, spec = item.get("status") or {}, item.get("spec") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or () if isinstance(c, dict) and "type" in c}
    if item.get("kind") == "Pod":
        row |= {"ready": conditions.get("Ready", ""), "phase": status.get("phase", ""), "ip": status.get("podIP", "")}
        row["node"] = spec.get("nodeName", "")
    elif item.get("kind") == "Service":
        row |= {"type": spec.get("type", ""), "clusterIP": spec.get("clusterIP", "")}
        row["ports"] = ",".join(str(port.get("port")) for port in spec.get("ports") or ())
    elif conditions:
        row["conditions"] = " ".join(f"{key}={value}" for key, value in conditions.items())
    row["created"] = meta.get("creationTimestamp", "")
    return row
