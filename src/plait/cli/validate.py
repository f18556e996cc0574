"""`plait validate`: are these manifests right, offline? Exit code 0 all valid, 1 some invalid, 2 unreadable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.cli import output
from plait.resources.documents import Sourced, entries
from plait.resources.problems import Problem
from plait.resources.validate import validate as check

app = typer.Typer(add_completion=False)
_ENDINGS = (".yaml", ".yml", ".json")


@app.command()
def validate(
    file: Annotated[list[str], typer.Option("-f", "--filename", help="File, directory, or - for standard input.")],
    form: Annotated[str, typer.Option("-o", "--output", help="table, json or yaml.")] = "table",
) -> int:
    """Check manifests without a cluster."""
    if form not in output.FORMATS:
        print(f"plait: no output format {form!r}; use one of {', '.join(output.FORMATS)}", file=sys.stderr)
        return 2
    try:
        texts = [text for name in file for text in _texts(name)]
    except (OSError, UnicodeDecodeError) as error:
        print(f"plait: cannot read the manifests: {error}", file=sys.stderr)
        return 2
    found = [_verdict(entry) for source, text in texts for entry in entries(text, source)]
    print(output.render(found if form != "table" else _rows(found), form))
    return 0 if all(each["valid"] for each in found) else 1


def _texts(name: str) -> list[tuple[str, str]]:
    """(source, text) of a file, of every manifest below a directory, or of standard input."""
    if name == "-":
        return [("-", sys.stdin.read())]
    path = Path(name)
    if path.is_dir():
        inside = sorted(each for each in path.rglob("*") if each.is_file() and each.suffix in _ENDINGS)
        return [(str(each), each.read_text("utf-8")) for each in inside]
    return [(name, path.read_text("utf-8"))]


def _verdict(entry: Any) -> dict[str, Any]:
    """What is said of one document."""
    metadata: Any = {}
    problems: tuple[Problem, ...]
    kind: Any = ""
    if isinstance(entry, Sourced):
        problems = check(entry.document)
        kind, metadata = entry.document.get("kind"), entry.document.get("metadata")
    else:
        problems = (entry.problem,)
    metadata = metadata if isinstance(metadata, dict) else {}
    errors = [p for p in problems if p.severity == "error"]
    return {
        "source": entry.source,
        "index": entry.index,
        "kind": kind if isinstance(kind, str) else "",
        "namespace": str(metadata.get("namespace") or ""),
        "name": str(metadata.get("name") or metadata.get("generateName") or ""),
        "valid": not errors,
        "errors": [_told(p) for p in errors],
        "warnings": [_told(p) for p in problems if p.severity != "error"],
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
