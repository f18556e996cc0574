"""What offline commands have in common: several -f, folders, --mesh-config, --root-namespace, -o."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import documents as d
from plait.cli import main

POD = d.pod("web", "10.0.0.9", labels={"app": "web"})
SERVICE = d.service("web", "10.96.0.1")
OFFLINE = {
    "validate": [],
    "analyze": [],
    "translate": ["--proxy", "wds"],
    "kube-inject": [],
    "explain": ["shop/web", "shop/web"],
    "migrate plan": ["shop", "--to", "sidecar"],
}


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main.main(list(arguments))
    return code, capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Manifests, some a level below the others, and a mesh configuration beside the folder."""
    inside = tmp_path / "manifests" / "below"
    inside.mkdir(parents=True)
    (inside.parent / "pod.yaml").write_text(yaml.safe_dump(POD))
    (inside / "service.yaml").write_text(yaml.safe_dump(SERVICE))
    (tmp_path / "mesh.yaml").write_text("trustDomain: example.org\n")
    (tmp_path / "wrong.yaml").write_text("trustDomian: example.org\n")
    return inside.parent


@pytest.mark.parametrize("command", OFFLINE)
def test_every_offline_command_takes_the_mesh_configuration_and_the_root_namespace(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str
) -> None:
    first, second = str(folder / "pod.yaml"), str(folder / "below")
    given = [*command.split(), *OFFLINE[command], "-f", first, "-f", second, "-o", "json"]
    code, said = ran(capsys, *given, "--mesh-config", str(folder.parent / "mesh.yaml"), "--root-namespace", "mesh")
    assert code in (0, 1)
    assert json.loads(said) is not None
    assert ran(capsys, *given, "--mesh-config", "/nowhere.yaml")[0] == 2


@pytest.mark.parametrize("command", ["validate", "analyze", "translate"])
def test_what_no_terminal_reads_is_json(capsys: pytest.CaptureFixture[str], folder: Path, command: str) -> None:
    given = [command, *OFFLINE[command], "-f", str(folder)]
    found = json.loads(ran(capsys, *given)[1])
    assert found is not None
    assert yaml.safe_load(ran(capsys, *given, "-o", "yaml")[1]) == found
    assert main.main([*given, "-o", "xml"]) == 2


def test_validation_goes_through_the_folders_of_a_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    found: list[dict[str, Any]] = json.loads(ran(capsys, "validate", "-f", str(folder))[1])
    assert [each["kind"] for each in found] == ["Service", "Pod"]


def test_the_mesh_configuration_is_validated_too(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, said = ran(capsys, "validate", "-f", str(folder), "--mesh-config", str(folder.parent / "wrong.yaml"))
    row = json.loads(said)[-1]
    assert (code, row["kind"], row["valid"]) == (1, "MeshConfig", False)
    assert row["errors"][0]["path"] == "trustDomian"


def test_a_translation_as_a_table_lists_what_there_is(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    said = ran(capsys, "translate", "-f", str(folder / "below"), "--proxy", "wds", "-o", "table")[1].splitlines()
    assert said[0].split() == ["SECTION", "NAME"]
    assert ["addresses", "shop/web"] in [line.split() for line in said]


def test_the_trust_domain_of_the_configuration_is_in_identities(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    config = str(folder.parent / "mesh.yaml")
    said = ran(capsys, "translate", "-f", str(folder), "--proxy", "wds", "--mesh-config", config)[1]
    workloads = [each["workload"] for each in json.loads(said)["addresses"] if "workload" in each]
    assert [each["trust_domain"] for each in workloads] == ["example.org"]
