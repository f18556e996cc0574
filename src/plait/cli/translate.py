"""`plait translate`: what a proxy would be told by these manifests, offline. Exit code 0; 1 with errors; 2 unreadable.

No mesh has to run and no rights are needed. What is assumed about pods is said in `app/offline.py` and `standins.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, get_args

import click
import msgspec
import typer

from plait.app.asked import UnknownProxy
from plait.app.offline import Document, World, failed
from plait.cli import manifests, output
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.model.mesh import Settings
from plait.model.proxies import Role
from plait.resources import documents, kinds
from plait.resources.mesh_config import mesh as mesh_config
from plait.resources.problems import Problem

PROXIES = (
    "node:NS/POD (the proxy of that pod's node) or node:NODE, sidecar:NS/POD, waypoint:NS/GATEWAY, "
    "gateway:NS/GATEWAY, wds (any ztunnel), or status."
)
L7: tuple[Role, ...] = get_args(Role)
app = typer.Typer(add_completion=False)


@app.command()
def translate(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, folder, or - for standard input.")],
    proxy: Annotated[str, typer.Option(help=PROXIES)],
    config: Annotated[Path | None, typer.Option("--mesh-config", help="MeshConfig, as in ConfigMap istio.")] = None,
    root_namespace: Annotated[str, typer.Option(help="Where mesh-wide policies live.")] = "",
    form: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "json",
) -> int:
    """Show what a proxy would be told."""
    role, _, name = proxy.partition(":")
    namespace, _, bare = name.rpartition("/")
    if role not in ("node", "wds", "status", *L7) or bool(name) != (role not in ("wds", "status")):
        raise click.UsageError(f"no proxy {proxy!r}; use {PROXIES}")
    if role in L7 and not (namespace and bare):
        raise click.UsageError(f"{proxy!r} lacks a namespace or name; write {role}:NAMESPACE/NAME")
    if form not in ("json", "yaml"):
        raise click.UsageError(f"no output format {form!r}; use json or yaml")
    settings, problems, text = _settings(config, root_namespace)
    found = []
    for source, content in manifests.texts(file):
        good, broken = documents.read(content, source)
        found += [each.document for each in good]
        problems += broken
    if text is None:
        settings = _among(found, settings)
    world = World(found, settings, problems, text)
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
    print(output.render(document, form))
    for problem in document["problems"]:
        where = "/".join(part for part in (problem["namespace"], problem["name"]) if part)
        print(f"plait: {problem['kind']} {where}: {problem['path']}: {problem['message']}", file=sys.stderr)
    return 1 if failed(document) else 0


def _settings(config: Path | None, root_namespace: str) -> tuple[Settings, list[Problem], str | None]:
    """What all steps must know, what is wrong with the file, and its text (None: no file)."""
    found, problems, text = mesh_config.MeshConfig(), tuple[Problem, ...](), None
    if config is not None:
        try:
            text = config.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise manifests.Unreadable(f"{config}: {error}") from error
        found, problems = mesh_config.read(text, str(config))
    return Settings(found.trust_domain, root_namespace or found.root_namespace), list(problems), text


def _among(found: list[Document], settings: Settings) -> Settings:
    """With the trust domain of the mesh configuration among the manifests. What is wrong with it, compile says."""
    for each in found:
        metadata, data = each.get("metadata"), each.get("data")
        if kinds.by_document(each) != kinds.CONFIG_MAP or not isinstance(metadata, dict) or not isinstance(data, dict):
            continue
        wanted = metadata.get("name"), metadata.get("namespace")
        if wanted == (CONFIG_MAP, settings.root_namespace) and isinstance(data.get("mesh"), str):
            config, _ = mesh_config.read(data["mesh"])
            settings = msgspec.structs.replace(settings, trust_domain=config.trust_domain)
    return settings
