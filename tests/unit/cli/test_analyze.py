"""`plait analyze`: exit codes, the shape of what is said, thresholds, suppression; and the samples are clean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import documents as d
from kit.evidence import istio, namespace
from plait.cli import main

SAMPLES = Path(__file__).parents[3] / "samples"
ROUTE = {"route": [{"destination": {"host": "nowhere"}}]}
BROKEN = istio("VirtualService", "web", hosts=["web"], http=[ROUTE])


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(*documents: d.Document) -> str:
        file = tmp_path / "m.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        return str(file)

    return write


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main.main(["analyze", *arguments, "-o", "json"])
    said = capsys.readouterr().out
    return code, json.loads(said) if said else None


def test_what_is_found_is_a_list_and_the_exit_code_says_how_bad(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    code, found = run(capsys, "-f", write(BROKEN))
    assert code == 1
    (problem,) = found
    assert set(problem) == {"code", "severity", "kind", "namespace", "name", "path", "message"}
    assert (problem["code"], problem["path"]) == ("IST0101", "spec.http[0].route[0].destination.host")
    code, found = run(capsys, "-f", write(namespace("shop")))
    assert (code, [each["code"] for each in found]) == (0, ["IST0102"]), "an info is no failure"
    assert run(capsys, "-f", write(namespace("shop")), "--failure-threshold", "info")[0] == 1
    assert run(capsys, "-f", write(BROKEN), "--failure-threshold", "error")[0] == 1
    assert run(capsys, "-f", write(d.service("web", "10.96.0.1"))) == (0, [])


def test_wrong_usage_and_unreadable_input_are_two(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    file = write(BROKEN)
    for wrong in (
        ["-f", "/nowhere.yaml"],
        ["-f", file, "--failure-threshold", "bad"],
        ["-f", file, "--suppress", "IST0101=VirtualService"],
        ["-f", file, "-n", "shop", "-A"],
        ["-f", file, "--mesh-config", "/nowhere.yaml"],
    ):
        assert main.main(["analyze", *wrong]) == 2, wrong
    assert main.main(["analyze", "-f", file, "-o", "xml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_only_what_is_asked_for_is_said(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    file = write(BROKEN, namespace("other"))
    assert [each["name"] for each in run(capsys, "-f", file, "-n", "other")[1]] == ["other"]
    assert run(capsys, "-f", file, "--suppress", "IST0101", "--suppress", "IST0102=Namespace *") == (0, [])


def test_a_deployment_without_pods_answers_for_them(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    server = {"port": {"number": 80, "name": "a", "protocol": "HTTP"}, "hosts": ["*"]}
    gateway = istio("Gateway", "edge", selector={"app": "edge"}, servers=[server])
    template = {"metadata": {"labels": {"app": "edge"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    deployment = d.document("apps/v1", "Deployment", "edge", spec={"template": template})
    service = d.document(
        "v1", "Service", "edge", spec={"selector": {"app": "edge"}, "ports": [{"port": 80, "name": "http"}]}
    )
    assert run(capsys, "-f", write(gateway, deployment, service)) == (0, [])
    assert [each["code"] for each in run(capsys, "-f", write(gateway))[1]] == ["IST0101"]


def test_of_files_the_usual_ingress_gateway_is_thought_to_be_there(
    capsys: pytest.CaptureFixture[str], write: Any
) -> None:
    def gateway(port: int) -> d.Document:
        server = {"port": {"number": port, "name": "a", "protocol": "HTTP"}, "hosts": ["*"]}
        return istio("Gateway", "edge", selector={"istio": "ingressgateway"}, servers=[server])

    assert run(capsys, "-f", write(gateway(80))) == (0, [])
    assert [each["code"] for each in run(capsys, "-f", write(gateway(8004)))[1]] == ["IST0162"]
    own = d.pod("edge", "10.0.0.1", labels={"istio": "ingressgateway"})
    assert [each["code"] for each in run(capsys, "-f", write(gateway(80), own))[1]] == ["IST0162"], "they bring one"


def test_a_mesh_configuration_counts(capsys: pytest.CaptureFixture[str], write: Any, tmp_path: Path) -> None:
    telemetry = d.document("telemetry.istio.io/v1", "Telemetry", "t", spec={"tracing": [{}]})
    config = tmp_path / "mesh.conf"
    config.write_text(
        "extensionProviders: [{name: z, zipkin: {service: z.shop, port: 9411}}]\ndefaultProviders: {tracing: [z]}\n"
    )
    file = write(telemetry)
    assert [each["code"] for each in run(capsys, "-f", file)[1]] == ["IST0157"]
    assert run(capsys, "-f", file, "--mesh-config", str(config)) == (0, [])


@pytest.mark.parametrize("folder", ["", "l7", "policies"])
def test_the_samples_have_nothing_to_mend(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    beside = ["-f", str(SAMPLES)] if folder == "policies" else []  # they are about what stands there
    code, found = run(capsys, "-f", str(SAMPLES / folder), *beside)
    assert (code, [each for each in found if each["severity"] != "info"]) == (0, [])
