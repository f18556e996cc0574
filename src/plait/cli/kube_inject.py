"""`plait kube-inject`: manifests with sidecars in them, offline. Exit code 0; 1 when one was refused; 2 unreadable.

For whoever does not want a webhook to change what was applied: what comes out is what would have been made. No mesh has
to run and no rights are needed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE
from plait.cli import inputs, manifests, output
from plait.inject import settings, templates
from plait.inject.injector import Config
from plait.inject.manifests import Injected, injected
from plait.local.layout import Layout
from plait.resources.problems import Problem

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def kube_inject(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, folder, or - for standard input.")],
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    injection: Annotated[
        Path | None,
        typer.Option("--inject-config", help="As key config of ConfigMap istio-sidecar-injector."),
    ] = None,
    form: Annotated[str, typer.Option("-o", "--output", help="yaml or json.")] = "yaml",
    revision: Annotated[
        str, typer.Option("-r", "--revision", help="Revision of the control plane, as in istio.io/rev.")
    ] = "default",
    proxies: Annotated[
        str, typer.Option(help="Where a node keeps the folders of its proxies; by default --name's.")
    ] = "",
    name: Annotated[str, typer.Option(help="The mesh in which they are to run.")] = "default",
) -> int:
    """Put sidecars into manifests."""
    if form not in ("json", "yaml"):
        raise click.UsageError(f"no output format {form!r}; use yaml or json")
    mesh, problems, _ = inputs.mesh_config(config)
    found, broken = manifests.read(file)
    folder = proxies or str(Layout.of(name).proxies)
    root = root_namespace or mesh.root_namespace or DEFAULT_ROOT_NAMESPACE
    made = injected(
        (each.document for each in found), Config(folder, revision, root, mesh.default_config, _own(injection))
    )
    _tell(made, problems, broken)
    if made.refused or broken:
        return 1
    print(_rendered(made, form))
    return 0


def _rendered(made: Injected, form: str) -> str:
    if form == "yaml":
        return "\n---\n".join(output.render(each, form) for each in made.documents)
    if len(made.documents) == 1:
        return output.render(made.documents[0], form)
    return output.render({"apiVersion": "v1", "kind": "List", "items": list(made.documents)}, form)


def _own(file: Path | None) -> settings.Settings:
    if file is None:
        return settings.Settings()
    try:
        return settings.read(file.read_text())
    except (OSError, UnicodeDecodeError, templates.BadTemplate) as error:
        raise manifests.unreadable(file, error) from error


def _tell(made: Injected, settings: tuple[Problem, ...], broken: list[str]) -> None:
    for problem in (*settings, *made.problems):
        where = "/".join(part for part in (problem.namespace, problem.name) if part)
        severity = "" if problem.severity == "error" else f"{problem.severity}: "
        print(f"plait: {severity}{problem.kind} {where}: {problem.path}: {problem.message}", file=sys.stderr)
    for line in broken:
        print(f"plait: {line}", file=sys.stderr)
    for line in made.left:
        print(f"plait: left as it was: {line}", file=sys.stderr)
