"""What every offline command takes: manifests, the mesh configuration, the root namespace, a form of output.

`options` are declared once here, so that each command spells and explains them alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click
import msgspec
import typer

from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE
from plait.cli import manifests, output
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.model.mesh import Settings
from plait.resources import documents, kinds
from plait.resources.mesh_config.mesh import MeshConfig, read
from plait.resources.problems import Problem
from plait.store.api import Document

Config = Annotated[Path | None, typer.Option("--mesh-config", help="MeshConfig, as in ConfigMap istio.")]
RootNamespace = Annotated[
    str, typer.Option(help="Namespace of mesh-wide policies; by default what the MeshConfig says.")
]
Form = Annotated[
    str, typer.Option("-o", "--output", help="table, json or yaml; unsaid, table in a terminal and json elsewhere.")
]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read: `problems` are those of reading, `config` is the text of the mesh configuration file or None."""

    documents: list[Document]
    settings: Settings
    problems: list[Problem]
    config: str | None


def load(files: Iterable[str], config: Path | None = None, root_namespace: str = "") -> Inputs:
    """Read it all. Unreadable for a file that is not there; a document that is broken becomes a problem."""
    found: list[Document] = []
    broken: list[Problem] = []
    for source, content in manifests.texts(files):
        good, wrong = documents.read(content, source)
        found += [each.document for each in good]
        broken += wrong
    mesh, problems, text = mesh_config(config)
    settings = Settings(mesh.trust_domain, root_namespace or mesh.root_namespace or DEFAULT_ROOT_NAMESPACE)
    if text is None:
        settings = _among(found, settings)
    return Inputs(found, settings, [*problems, *broken], text)


def mesh_config(file: Path | None) -> tuple[MeshConfig, tuple[Problem, ...], str | None]:
    """The mesh configuration, what is wrong with it, and its text: the defaults and None where no file is named.

    Unreadable where it cannot be read.
    """
    if file is None:
        return MeshConfig(), (), None
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise manifests.unreadable(file, error) from error
    return *read(text, str(file)), text


def form(asked: str) -> str:
    """The form of output: what was asked for, else a table for people and JSON for programs."""
    if not asked:
        return "table" if sys.stdout.isatty() else "json"
    if asked not in output.FORMATS:
        raise click.UsageError(f"no output format {asked!r}; use one of {', '.join(output.FORMATS)}")
    return asked


def _among(found: list[Document], settings: Settings) -> Settings:
    """With the trust domain of the mesh configuration among the manifests. What is wrong with it, compile says."""
    for each in found:
        metadata, data = each.get("metadata"), each.get("data")
        if kinds.by_document(each) != kinds.CONFIG_MAP or not isinstance(metadata, dict) or not isinstance(data, dict):
            continue
        wanted = metadata.get("name"), metadata.get("namespace")
        if wanted == (CONFIG_MAP, settings.root_namespace) and isinstance(data.get("mesh"), str):
            config, _ = read(data["mesh"])
            settings = msgspec.structs.replace(settings, trust_domain=config.trust_domain)
    return settings
