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
from plait.cli import connect, inputs, output
from plait.diagnose.analysis import Suppression, suppression
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
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    suppress: Annotated[
        list[str] | None, typer.Option(help="CODE or 'CODE=Kind name.namespace', * for anything; several times.")
    ] = None,
    threshold: Annotated[
        str, typer.Option("--failure-threshold", help="Exit 1 from this severity on: error, warning or info.")
    ] = "warning",
    form: inputs.Form = "",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    kubeconfig: Annotated[Path | None, typer.Option(help="Another API server.")] = None,
) -> int:
    """Find what is wrong: dangling references, rules that never match, policies for nobody, ports without protocol."""
    form = inputs.form(form)
    if threshold not in SEVERITIES:
        raise click.UsageError(f"no severity {threshold!r}; use one of {', '.join(SEVERITIES)}")
    if namespace and everywhere:
        raise click.UsageError("-n and -A exclude each other; give one")
    read = inputs.load(file or (), config, root_namespace)
    found = read.documents
    if not file:
        found = asyncio.run(_running(name, kubeconfig))
        namespace = namespace or ("" if everywhere else "default")
    told = analysis.analyzed(
        found,
        read.settings,
        read.problems,
        config=read.config,
        suppressions=_suppressions(suppress or ()),
        installed=not file,
        now=aio.now(),
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
