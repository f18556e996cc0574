"""Structured logs for every process: one line an event, logfmt or JSON, key=value fields, never a secret."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


class Logger:
    """`log.info("pod captured", pod="ns/name", ms=12)`. Fields are keyword arguments; values are shown with str()."""

    __slots__ = ("_inner",)

    def __init__(self, inner: logging.Logger) -> None:
        self._inner = inner

    def debug(self, message: str, **fields: Any) -> None:
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._emit(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._emit(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._emit(logging.ERROR, message, fields)

    def _emit(self, level: int, message: str, fields: dict[str, Any]) -> None:
        if self._inner.isEnabledFor(level):
            exc_info = fields.pop("exc_info", None)
            self._inner.log(level, message, extra={"fields": fields}, exc_info=exc_info)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{k}={_shown(v)}" for k, v in getattr(record, "fields", {}).items())
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.name} {record.getMessage()}"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{line} {fields}{trace}" if fields else line + trace


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {k: str(v) for k, v in getattr(record, "fields", {}).items()}
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "scope": record.name,
            "msg": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text) if " " in text or '"' in text or not text else text


def logger(scope: str) -> Logger:
    """The logger of one scope, e.g. `logger("node")`."""
    return Logger(logging.getLogger(f"plait.{scope}"))


def setup(level: str = "info", *, as_json: bool = False) -> None:
    """Configure the process's logging once, to stderr. Called by the process entry points only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Text())
    root = logging.getLogger("plait")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
