"""`plait kube-inject` as a command: what comes out, what is refused, and that the webhook would make the same.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_kube_inject.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from plait.cli import main
from plait.inject import injector
from plait.inject.injector import Config
from plait.resources.mesh_config import mesh

FOLDER = Path(__file__).parent / "inject"
WORKLOADS, MESH = FOLDER / "workloads.yaml", FOLDER / "mesh.yaml"
ARGUMENTS = ("-f", str(WORKLOADS), "--mesh-config", str(MESH), "--proxies", "/proxies")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.main(["kube-inject", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_workloads_with_sidecars(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, told = run(capsys, *ARGUMENTS)
    golden = FOLDER / "injected.yaml"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        golden.write_text(text)
    assert (code, text) == (0, golden.read_text())
    assert told == "plait: left as it was: Pod quiet/still: namespace quiet has istio-injection=disabled\n"


def test_json_is_one_list_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, *ARGUMENTS)
    code, listed, _ = run(capsys, *ARGUMENTS, "-o", "json")
    assert code == 0
    assert json.loads(listed)["items"] == list(yaml.safe_load_all(text))


def test_the_webhook_makes_the_same_pod(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, *ARGUMENTS)
    made = next(each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")["spec"]["template"]
    written = next(each for each in yaml.safe_load_all(WORKLOADS.read_text()) if each["kind"] == "Deployment")
    pod: dict[str, Any] = written["spec"]["template"]
    pod["metadata"]["generateName"] = "web-"
    defaults = mesh.read(MESH.read_text())[0].default_config
    outcome = injector.inject(pod, "shop", {"istio-injection": "enabled"}, Config("/proxies", defaults=defaults))
    del outcome.document["metadata"]["generateName"]
    assert outcome.document == made


def test_injected_twice_is_injected_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, once, _ = run(capsys, *ARGUMENTS)
    (tmp_path / "once.yaml").write_text(once)
    code, twice, told = run(capsys, "-f", str(tmp_path))
    assert (code, twice) == (0, once)
    assert "Deployment shop/web: it has a proxy already" in told


def test_what_is_refused_is_told_with_its_field_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(WORKLOADS.read_text().replace("proxyCPU: 50m", "proxyCPU: some"))
    code, text, told = run(capsys, "-f", str(WORKLOADS), "-f", str(file))
    assert (code, text) == (1, "")
    path = "spec.template.metadata.annotations[sidecar.istio.io/proxyCPU]"
    assert f'plait: Deployment shop/web: {path}: "some" is no quantity' in told


def test_another_control_planes_pods_are_left(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n, labels: {istio.io/rev: canary}}, "
        "spec: {containers: [{name: a, image: x}]}}"
    )
    assert "istio-proxy" in run(capsys, "-f", str(file), "--revision", "canary")[1]


def test_no_such_file_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, told = run(capsys, "-f", "/nowhere.yaml")
    assert (code, text) == (2, "") and "/nowhere.yaml" in told
    assert run(capsys, "-f", str(WORKLOADS), "-o", "table")[0] == 2
