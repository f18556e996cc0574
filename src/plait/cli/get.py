"""`plait get`: objects of a kind, as a table, YAML or JSON; thin, kubectl shows more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli import connect, kinds, output
from plait.store.api import ApiError, Document
from plait.store.client import path as rest_path

app = typer.Typer(add_completion=False)


@app.command()
def get(
    kind: Annotated[str, typer.Argument(help="pods, svc, vs, authorizationpolicies, …")],
    names: Annotated[list[str] | None, typer.Argument(help="Names; all when left out.")] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    everywhere: Annotated[bool, typer.Option("-A", "--all-namespaces")] = False,
    labels: Annotated[str, typer.Option("-l", "--selector", help="Label selector.")] = "",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Show objects."""
    return asyncio.run(_get(kind, names or [], "" if everywhere else namespace, labels, form, name, kubeconfig))


async def _get(
    word: str, names: list[str], namespace: str, labels: str, form: str, mesh: str, kubeconfig: Path | None
) -> int:
    kind = kinds.meant(word)
    space = namespace if kind.namespaced else ""
    async with connect.api(mesh, kubeconfig) as api:
        try:
            if names:
                items = [await api.get(kind, each, space) for each in names]
            else:
                items, _ = await api.list(kind, space, labels=labels)
        except ApiError as error:
            raise connect.NoMesh(f"{rest_path(kind, space)}: {error.message}") from error
    if form == "table":
        print(output.render([_row(item, wide=not space and kind.namespaced) for item in items], "table"))
    else:
        shown: Any = items[0] if len(names) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
        print(output.render(shown, form))
    return 0


def _row(item: Document, *, wide: bool) -> dict[str, str]:
    meta = item["metadata"]
    row = {"namespace": meta.get("namespace", "")} if wide else {}
    row["name"] = meta["name"]
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
