"""How commands print data: JSON, YAML, or a table. `render` gives text; printing is the command's."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import orjson
import typer
import yaml
from rich.console import Console
from rich.table import Table

FORMATS = ("table", "json", "yaml")


def option(*forms: str, said: str = "") -> Any:
    """`-o FORM`, judged before the command does anything; `forms` beside or instead of the usual ones."""
    known = forms or FORMATS

    def checked(value: str) -> str:
        if value not in known:
            raise typer.BadParameter(f"no output format {value!r}; use one of {', '.join(filter(None, known))}")
        return value

    words = ", ".join(known[:-1]) + f" or {known[-1]}"
    return typer.Option("-o", "--output", callback=checked, help=said or f"{words}.")


def render(data: Any, form: str) -> str:
    """The data as text. A table wants a mapping or a list of mappings; its columns are the keys of all rows."""
    if form == "json":
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        return orjson.dumps(data, default=_plain, option=options).decode()
    plain = orjson.loads(orjson.dumps(data, default=_plain, option=orjson.OPT_NON_STR_KEYS))
    if form == "yaml":
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip("\n")
    if form == "table":
        return _table(plain)
    raise ValueError(f"no output format {form!r}; use one of {', '.join(FORMATS)}")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, frozenset | set | tuple) else str(value)


def _table(data: Any) -> str:
    rows = data if isinstance(data, list) else [data]
    columns = list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
    if not columns:
        return "\n".join(str(row) for row in rows)
    table = Table(box=None, pad_edge=False, header_style="")
    for column in columns:
        table.add_column(column.upper(), overflow="fold", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    text = io.StringIO()
    Console(file=text, width=4096, markup=False, highlight=False, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _cell(value: Any) -> Any:
    from rich.text import Text

    if isinstance(value, list):
        return Text("\n".join(str(item) for item in value))
    return Text("" if value is None else str(value))
