"""`plait translate`: what a proxy would be told by these manifests, offline. Exit code 0; 1 with errors; 2 unreadable.

No mesh has to run and no rights are needed. What is assumed about pods is said in `app/offline.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from plait.app.offline import World, failed
from plait.cli import manifests, output
from plait.model.mesh import Settings
from plait.resources import documents
from plait.resources.mesh_config import mesh as mesh_config
from plait.resources.problems import Problem

app = typer.Typer(add_completion=False)


@app.command()
def translate(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, folder, or - for standard input.")],
    proxy: Annotated[str, typer.Option(help="node:NAME (its Envoy), wds (any ztunnel), or status.")],
    config: Annotated[Path | None, typer.Option("--mesh-config", help="MeshConfig, as in ConfigMap istio.")] = None,
    root_namespace: Annotated[str, typer.Option(help="Where mesh-wide policies live.")] = "",
    form: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "json",
) -> int:
    """Show what a proxy would be told."""
    role, _, name = proxy.partition(":")
    if role not in ("node", "wds", "status") or bool(name) != (role == "node"):
        raise click.UsageError(f"no proxy {proxy!r}; use node:NAME, wds or status")
    if form not in ("json", "yaml"):
        raise click.UsageError(f"no output format {form!r}; use json or yaml")
    settings, problems = _settings(config, root_namespace)
    found = []
    for source, text in manifests.texts(file):
        good, broken = documents.read(text, source)
        found += [each.document for each in good]
        problems += broken
    world = World(found, settings, problems)
    document = world.node(name) if role == "node" else world.wds() if role == "wds" else world.status()
    print(output.render(document, form))
    for problem in document["problems"]:
        where = "/".join(part for part in (problem["namespace"], problem["name"]) if part)
        print(f"plait: {problem['kind']} {where}: {problem['path']}: {problem['message']}", file=sys.stderr)
    return 1 if failed(document) else 0


def _settings(config: Path | None, root_namespace: str) -> tuple[Settings, list[Problem]]:
    found = mesh_config.MeshConfig()
    problems: tuple[Problem, ...] = ()
    if config is not None:
        try:
            found, problems = mesh_config.read(config.read_text(), str(config))
        except (OSError, UnicodeDecodeError) as error:
            raise manifests.Unreadable(f"{config}: {error}") from error
    return Settings(found.trust_domain, root_namespace or found.root_namespace), list(problems)
