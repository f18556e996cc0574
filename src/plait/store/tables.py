"""What does `kubectl get` print of a kind? meta.k8s.io/v1 Tables: columns and cells, wide columns included.

Columns of built-in kinds are functions in columns.py; those of custom kinds are JSONPaths (additionalPrinterColumns).
"""

from __future__ import annotations

from typing import Any

from plait.resources.kinds import Kind
from plait.store import columns as known
from plait.store.columns import Column, age, path_cell

Document = dict[str, Any]
_NAME = Column("Name", "string", lambda d, now: (d.get("metadata") or {}).get("name", ""), form="name")
_AGE = Column("Age", "string", lambda d, now: age((d.get("metadata") or {}).get("creationTimestamp"), now))


def table(
    kind: Kind,
    documents: list[Document],
    *,
    now: float,
    columns: list[Document] | None = None,
    include: str = "Metadata",
    list_meta: Document | None = None,
    include_object: str | None = None,
) -> Document:
    """A Table of documents. `columns`: a CRD's additionalPrinterColumns; `include`: None, Metadata or Object."""
    chosen = _columns(kind, columns)
    how = include_object or include
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_meta or {}),
        "columnDefinitions": [
            {"name": c.name, "type": c.type, "format": c.form, "description": c.name, "priority": c.priority}
            for c in chosen
        ],
        "rows": [_row(chosen, document, now, how) for document in documents],
    }


def _columns(kind: Kind, columns: list[Document] | None) -> list[Column]:
    if columns:
        custom = [
            Column(
                each["name"],
                each.get("type", "string"),
                path_cell(each["jsonPath"], each.get("type", "string")),
                priority=each.get("priority", 0),
                form=each.get("format", ""),
            )
            for each in columns
        ]
        return [_NAME, *custom]
    found = known.BY_KIND.get((kind.group, kind.kind))
    return [_NAME, *found] if found is not None else [_NAME, _AGE]


def _row(columns: list[Column], document: Document, now: float, include: str) -> Document:
    row: Document = {"cells": [_cell(each, document, now) for each in columns]}
    if include == "Object":
        row["object"] = document
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": document.get("metadata") or {},
        }
    return row


def _cell(column: Column, document: Document, now: float) -> Any:
    try:
        return column.cell(document, now)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return "<unknown>"  # a document this odd must not hide the rest of the list
