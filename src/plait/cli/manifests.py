"""Manifests named on a command line: `-f FILE|FOLDER|-`, several times; a folder's files are taken in order of name.

What makes one mesh of them takes one level, as `kubectl apply` does; what looks at each document by itself goes deeper.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from plait.resources import documents
from plait.resources.documents import Sourced

SUFFIXES = (".yaml", ".yml", ".json")


class Unreadable(click.ClickException):
    exit_code = 2


def unreadable(file: object, error: Exception) -> Unreadable:
    """Of an error of the operating system the reason alone: it names the file again, and a number."""
    return Unreadable(f"{file}: {error.strerror if isinstance(error, OSError) and error.strerror else error}")


def texts(names: Iterable[str], *, deep: bool = False) -> Iterator[tuple[str, str]]:
    """(source, text) of every file; Unreadable names the file that cannot be read."""
    for name in names:
        if name == "-":
            yield "standard input", sys.stdin.read()
            continue
        path = Path(name)
        files = [path]
        if path.is_dir():
            inside = path.rglob("*") if deep else path.iterdir()
            files = sorted(each for each in inside if each.suffix in SUFFIXES and each.is_file())
        if not files:
            raise Unreadable(f"{name}: no {', '.join(SUFFIXES)} file in this folder")
        for file in files:
            try:
                yield str(file), file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise unreadable(file, error) from error


def read(names: Iterable[str]) -> tuple[list[Sourced], list[str]]:
    """Every document, of folders one level deep, and a line for each that is broken."""
    found: list[Sourced] = []
    broken: list[str] = []
    for source, text in texts(names):
        good, problems = documents.read(text, source)
        found += good
        broken += [str(problem) for problem in problems]
    return found, broken
