"""`plait validate`: are these manifests right, offline? Exit code 0 all valid, 1 some invalid, 2 unreadable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli import inputs, manifests, output
from plait.diagnose import patch_values
from plait.resources.documents import Sourced, entries
from plait.resources.problems import Problem
from plait.resources.validate import validate as check

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def validate(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, folder, or - for standard input.")],
    config: inputs.Config = None,
    root_namespace: inputs.RootNamespace = "",
    form: inputs.Form = "",
) -> int:
    """Check manifests without a cluster, each document by itself, and the mesh configuration where one is named."""
    form = inputs.form(form)
    found = [_verdict(entry) for source, text in manifests.texts(file, deep=True) for entry in entries(text, source)]
    if config is not None:
        found.append(_configured(config))
    print(output.render(found if form != "table" else _rows(found), form))
    return 0 if all(each["valid"] for each in found) else 1


def _verdict(entry: Any) -> dict[str, Any]:
    """What is said of one document."""
    document: dict[str, Any] = {}
    problems: Iterable[Problem]
    if isinstance(entry, Sourced):
        document = entry.document
        problems = (*check(document), *patch_values.of_document(document))
    else:
        problems = (entry.problem,)
    return _row(entry.source, entry.index, document, problems)


def _configured(file: Path) -> dict[str, Any]:
    """The same of the mesh configuration, which is a document without kind and name."""
    _, problems, _ = inputs.mesh_config(file)
    return _row(str(file), 0, {"kind": "MeshConfig"}, problems)


def _row(source: str, index: int, document: dict[str, Any], problems: Iterable[Problem]) -> dict[str, Any]:
    kind, metadata = document.get("kind"), document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    problems = tuple(problems)
    errors = [each for each in problems if each.severity == "error"]
    return {
        "source": source,
        "index": index,
        "kind": kind if isinstance(kind, str) else "",
        "namespace": str(metadata.get("namespace") or ""),
        "name": str(metadata.get("name") or metadata.get("generateName") or ""),
        "valid": not errors,
        "errors": [_told(each) for each in errors],
        "warnings": [_told(each) for each in problems if each.severity != "error"],
    }


def _told(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message, "code": problem.code}


def _rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{key: each[key] for key in ("source", "index", "kind", "namespace", "name")},
            "valid": "yes" if each["valid"] else "no",
            "problems": [f"{e['path']}: {e['message']}" for e in (*each["errors"], *each["warnings"])],
        }
        for each in found
    ]
