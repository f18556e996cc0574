"""`plait waypoint`: make, list, scale and delete waypoints, with istioctl's words; each is a Gateway like any other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import typer

from plait.base.wellknown import (
    DATAPLANE_MODE,
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    HBONE_PORT,
    PLACEMENT,
    POOL_NAMESPACE,
    USE_WAYPOINT,
    WAYPOINT_FOR,
)
from plait.cli import connect, output, waypoint_rows
from plait.deploy import operation
from plait.deploy.operation import SCALE_TO_ZERO
from plait.resources import kinds
from plait.store.api import ApiError
from plait.store.client import HttpApi

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
Document = dict[str, Any]
Namespace = Annotated[str, typer.Option("-n", "--namespace")]
Mesh = Annotated[str, typer.Option("--mesh", help="Name of the mesh.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Another API server.")]
Name = Annotated[str, typer.Option("--name", help="Name of the waypoint.")]
For = Annotated[str, typer.Option("--for", help="Traffic it takes: service, workload, all or none.")]
Class = Annotated[str, typer.Option("--class", help="GatewayClass of the waypoint.")]
Placement = Annotated[str, typer.Option(help=f"Where its proxies run: {', '.join(operation.PLACEMENTS)}.")]
Sleep = Annotated[str, typer.Option("--scale-to-zero", help="Scale to zero after this time without use, as 60s.")]
Form = Annotated[str, output.option()]
_EVERYWHERE = typer.Option("-A", "--all-namespaces")
_TRAFFIC = ("", "service", "workload", "all", "none")
_LOOK = 0.2


@app.callback()
def waypoint() -> None:
    """L7 proxies before the services that ask for them."""


@app.command()
def generate(
    namespace: Namespace = "default",
    name: Name = "waypoint",
    traffic: For = "",
    class_name: Class = "istio-waypoint",
    sleep: Sleep = "",
    placement: Placement = "",
    form: Annotated[Literal["yaml", "json"], typer.Option("-o", "--output")] = "yaml",
) -> int:
    """Print the Gateway that `apply` would apply."""
    print(output.render(manifest(namespace, name, traffic, class_name, sleep, placement), form))
    return 0


@app.command()
def apply(
    namespace: Namespace = "default",
    name: Name = "waypoint",
    traffic: For = "",
    class_name: Class = "istio-waypoint",
    sleep: Sleep = "",
    placement: Placement = "",
    enroll: Annotated[bool, typer.Option("--enroll-namespace", help="Make the namespace use it.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do so even if the namespace uses another one.")
    ] = False,
    wait: Annotated[bool, typer.Option("-w", "--wait", help="Wait until its proxies serve.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 90.0,
    mesh: Mesh = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Create or change a waypoint."""
    document = manifest(namespace, name, traffic, class_name, sleep, placement)

    async def body() -> None:
        async with _api(mesh, kubeconfig) as api:
            if enroll:
                await _enrollable(api, namespace, name, overwrite)
            await api.patch(kinds.GATEWAY, name, document, namespace, type="apply", strict=True)
            print(f"waypoint {namespace}/{name} applied")
            if wait:
                await _programmed(api, namespace, name, timeout)
                print(f"waypoint {namespace}/{name} is ready")
            if enroll:
                labels = {"metadata": {"labels": {USE_WAYPOINT: name}}}
                await api.patch(kinds.NAMESPACE, namespace, labels)
                print(f"namespace {namespace} uses it ({USE_WAYPOINT}: {name})")

    asyncio.run(body())
    return 0


@app.command("list")
def list_(
    namespace: Namespace = "default",
    everywhere: Annotated[bool, _EVERYWHERE] = False,
    form: Form = "table",
    mesh: Mesh = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Waypoints, and whether they serve."""
    found, deployments = _running(mesh, kubeconfig, "" if everywhere else namespace)
    return _shown([waypoint_rows.row(each, deployments) for each in found], form)


@app.command()
def status(
    namespace: Namespace = "default",
    everywhere: Annotated[bool, _EVERYWHERE] = False,
    form: Form = "table",
    mesh: Mesh = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Every condition of every waypoint, and how many of its proxies are ready. 1 when one does not serve."""
    found, deployments = _running(mesh, kubeconfig, "" if everywhere else namespace)
    rows = [row for each in found for row in waypoint_rows.conditions(each, deployments)]
    return _shown(rows, form) or int(any(waypoint_rows.row(each, ())["programmed"] != "True" for each in found))


@app.command()
def scale(
    names: Annotated[list[str], typer.Argument(help="Names of waypoints.")],
    replicas: Annotated[int, typer.Option(min=0, help="Number of proxies of each.")],
    namespace: Namespace = "default",
    mesh: Mesh = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Run another number of proxies; the controller leaves it at that."""

    async def body() -> int:
        failed = 0
        async with _api(mesh, kubeconfig) as api:
            for name in names:
                found = await _deployments(api, namespace, name)
                for each in found:
                    wanted = {"spec": {"replicas": replicas}}
                    made = each["metadata"]
                    await api.patch(kinds.DEPLOYMENT, made["name"], wanted, made["namespace"], subresource="scale")
                    print(f"waypoint {namespace}/{name} scaled to {replicas}")
                if not found:
                    print(f"waypoint {namespace}/{name} has no Deployment; see plait waypoint status", file=sys.stderr)
                    failed += 1
        return int(failed > 0)

    return asyncio.run(body())


@app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of waypoints.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every waypoint of the namespace.")] = False,
    namespace: Namespace = "default",
    mesh: Mesh = "default",
    kubeconfig: Kubeconfig = None,
) -> int:
    """Delete waypoints. What they enforced is refused while something still asks for them."""
    if bool(names) == every:
        raise click.UsageError("name waypoints, or --all")

    async def body() -> int:
        failed = 0
        async with _api(mesh, kubeconfig) as api:
            there = {each["metadata"]["name"]: each for each in await _waypoints(api, namespace)}
            for name in names or there:
                if name not in there:
                    print(f"no waypoint {namespace}/{name}", file=sys.stderr)
                    failed += 1
                    continue
                await api.delete(kinds.GATEWAY, name, namespace, uid=there[name]["metadata"]["uid"])
                print(f"waypoint {namespace}/{name} deleted")
        return int(failed > 0)

    return asyncio.run(body())


def manifest(
    namespace: str, name: str, traffic: str, class_name: str, sleep: str = "", placement: str = ""
) -> Document:
    """The Gateway of a waypoint; UsageError when it could be none."""
    if name == "none":
        raise click.UsageError(f"'none' is what {USE_WAYPOINT} says for no waypoint; choose another name")
    if traffic not in _TRAFFIC:
        raise click.UsageError(f"--for {traffic}: use {', '.join(_TRAFFIC[1:])}")
    labels = {"labels": {WAYPOINT_FOR: traffic}} if traffic else {}
    listener = {"name": "mesh", "port": HBONE_PORT, "protocol": "HBONE"}
    wanted = {SCALE_TO_ZERO: ("--scale-to-zero", sleep), PLACEMENT: ("--placement", placement)}
    for annotation, (option, value) in wanted.items():
        if value and (wrong := operation.read({annotation: value}, {})[1]):
            raise click.UsageError(f"{option}: {wrong[0].message}")
    said = {annotation: value for annotation, (_, value) in wanted.items() if value}
    operated = {"infrastructure": {"annotations": said}} if said else {}
    return {
        "apiVersion": kinds.GATEWAY.api_version(),
        "kind": kinds.GATEWAY.kind,
        "metadata": {"name": name, "namespace": namespace, **labels},
        "spec": {"gatewayClassName": class_name, "listeners": [listener], **operated},
    }


@asynccontextmanager
async def _api(mesh: str, kubeconfig: Path | None) -> AsyncIterator[HttpApi]:
    """What the API server refuses ends the command with its words."""
    async with connect.api(mesh, kubeconfig) as api:
        try:
            yield api
        except ApiError as error:
            raise click.ClickException(error.message) from error


async def _enrollable(api: HttpApi, namespace: str, name: str, overwrite: bool) -> None:
    labels = (await api.get(kinds.NAMESPACE, namespace))["metadata"].get("labels") or {}
    used = labels.get(USE_WAYPOINT, name)
    if used != name and not overwrite:
        raise click.ClickException(f"namespace {namespace} uses waypoint {used}; --overwrite makes it use {name}")
    if labels.get(DATAPLANE_MODE) != "ambient":
        text = f"namespace {namespace} is not in the mesh: kubectl label namespace {namespace} {DATAPLANE_MODE}=ambient"
        print(text, file=sys.stderr)


async def _programmed(api: HttpApi, namespace: str, name: str, timeout: float) -> None:
    found: Document = {}
    try:
        async with asyncio.timeout(timeout):
            while True:
                found = await api.get(kinds.GATEWAY, name, namespace)
                if waypoint_rows.condition(found).get("status") == "True":
                    return
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        why = waypoint_rows.condition(found).get("message") or "nobody looked at it: is the control plane up?"
        raise click.ClickException(f"waypoint {namespace}/{name} does not serve after {timeout:g} s: {why}") from None


async def _waypoints(api: HttpApi, namespace: str) -> list[Document]:
    described, _ = await api.list(kinds.GATEWAY_CLASS)
    gateways, _ = await api.list(kinds.GATEWAY, namespace)
    return waypoint_rows.waypoints(gateways, described)


async def _deployments(api: HttpApi, namespace: str, name: str = "") -> list[Document]:
    """Of the Gateways of a namespace ("" all of them), those in the pool too where one may read there."""
    own = f"{GATEWAY_NAME}={name}" if name else GATEWAY_NAME
    found, _ = await api.list(kinds.DEPLOYMENT, namespace, labels=own)
    if namespace:
        try:
            found += (
                await api.list(kinds.DEPLOYMENT, POOL_NAMESPACE, labels=f"{own},{GATEWAY_NAMESPACE}={namespace}")
            )[0]
        except ApiError as error:
            if error.code != 403:
                raise
    return found


def _shown(rows: list[Document], form: str) -> int:
    if not rows and form == "table":
        print("no waypoints; make one with: plait waypoint apply", file=sys.stderr)
        return 0
    print(output.render(rows, form))
    return 0


def _running(mesh: str, kubeconfig: Path | None, namespace: str) -> tuple[list[Document], list[Document]]:
    """Waypoints of a namespace ("" all), and the Deployments that run them."""

    async def body() -> tuple[list[Document], list[Document]]:
        async with _api(mesh, kubeconfig) as api:
            return await _waypoints(api, namespace), await _deployments(api, namespace)

    return asyncio.run(body())
