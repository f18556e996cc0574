"""`plait analyze`: what is wrong with manifests, or with the objects of a running mesh, and how to mend it.

Exit code 0 nothing of the threshold's severity, 1 something, 2 wrong usage or input that cannot be read.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import click
import typer

from plait.app import analysis
from plait.base import aio
from plait.cli import connect, manifests, output
from plait.diagnose.analysis import Suppression, suppression
from plait.model.mesh import Settings
from plait.resources import documents
from plait.resources.mesh_config import mesh as mesh_config
from plait.resources.problems import Problem
from plait.store.api import ApiError

SEVERITIES = ("error", "warning", "info")
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Every message has a code: IST… as Istio has it (istio.io/latest/docs/reference/config/analysis), PLT… our "
    "own. An object keeps a message to itself with the annotation galley.istio.io/analyze-suppress: CODE,CODE or '*'. "
    "Examples: plait analyze -f samples/ · plait analyze -A · plait analyze -f app.yaml --suppress 'IST0118=Service *'"
)
def analyze(
    file: Annotated[
        list[str] | None, typer.Option("-f", "--filename", help="File, folder or -; without it, a running mesh.")
    ] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Only messages about this namespace.")] = "",
    everywhere: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="About all namespaces (with -f this is the default).")
    ] = False,
    config: Annotated[Path | None, typer.Option("--mesh-config", help="MeshConfig, as in ConfigMap istio.")] = None,
    root_namespace: Annotated[str, typer.Option(help="Where mesh-wide policies live.")] = "",
    suppress: Annotated[
        list[str] | None, typer.Option(help="CODE or 'CODE=Kind name.namespace', * for anything; several times.")
    ] = None,
    threshold: Annotated[
        str, typer.Option("--failure-threshold", help="Exit 1 from this severity on: error, warning or info.")
    ] = "warning",
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Find what is wrong: dangling references, rules that never match, policies for nobody, ports without protocol."""
    if form not in output.FORMATS:
        raise click.UsageError(f"no output format {form!r}; use one of {', '.join(output.FORMATS)}")
    if threshold not in SEVERITIES:
        raise click.UsageError(f"no severity {threshold!r}; use one of {', '.join(SEVERITIES)}")
    if namespace and everywhere:
        raise click.UsageError("-n and -A exclude each other; give one")
    settings, problems, text = _settings(config, root_namespace)
    found = []
    if file:
        for source, content in manifests.texts(file):
            good, broken = documents.read(content, source)
            found += [each.document for each in good]
            problems += broken
    else:
        found = asyncio.run(_running(name, kubeconfig))
        namespace = namespace or ("" if everywhere else "default")
    asked = _suppressions(suppress or ())
    told = analysis.analyzed(
        found, settings, problems, config=text, suppressions=asked, installed=not file, now=aio.now()
    )
    told = tuple(each for each in told if not namespace or namespace in (each.namespace, _space(each)))
    if told or form != "table":
        print(output.render([_shown(each) for each in told], form))
    else:
        print("plait: nothing found" + (f" in namespace {namespace}" if namespace else ""), file=sys.stderr)
    least = SEVERITIES.index(threshold)
    return 1 if any(SEVERITIES.index(each.severity) <= least for each in told) else 0


async def _running(name: str, kubeconfig: Path | None) -> list[dict[str, Any]]:
    async with connect.api(name, kubeconfig) as api:
        try:
            return await analysis.listed(api)
        except (ApiError, ConnectionError) as error:
            raise connect.NoMesh(f"the API server does not list its objects: {error}") from error


def _settings(config: Path | None, root_namespace: str) -> tuple[Settings, list[Problem], str | None]:
    if config is None:
        return Settings(root_namespace=root_namespace) if root_namespace else Settings(), [], None
    try:
        text = config.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise manifests.Unreadable(f"{config}: {error}") from error
    found, problems = mesh_config.read(text, str(config))
    return Settings(found.trust_domain, root_namespace or found.root_namespace), list(problems), text


def _suppressions(written: Any) -> list[Suppression]:
    try:
        return [suppression(each) for each in written]
    except ValueError as error:
        raise click.UsageError(f"--suppress: {error}") from error


def _space(problem: Problem) -> str:
    """A Namespace is about itself."""
    return problem.name if problem.kind == "Namespace" else problem.namespace


def _shown(problem: Problem) -> dict[str, str]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "kind": problem.kind,
        "namespace": problem.namespace,
        "name": problem.name,
        "path": problem.path,
        "message": problem.message,
    }
