"""`plait translate` for a gateway, a waypoint and a sidecar, and the statuses, out of samples/l7 and pods by kubectl.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_translate_l7.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kit import l7
from kit.envoys import validate
from plait.cli import main

HERE = Path(__file__).parent / "translate" / "l7"
SAMPLES = Path(__file__).parents[2] / "samples"
FILES = [f"--filename={path}" for path in (SAMPLES / "l7", HERE / "world.yaml")]
PROXIES = {
    "gateway": "gateway:shop/edge",
    "waypoint": "waypoint:shop/waypoint",
    "sidecar": "sidecar:shop/order-5d9c7b6f4-abcde",
}


def run(capsys: pytest.CaptureFixture[str], proxy: str, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, the document, and what was said beside it."""
    code = main.main(["translate", *(arguments or FILES), "--proxy", proxy])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


@pytest.mark.parametrize("story", [*PROXIES, "status"])
def test_the_samples_become_the_committed_document(capsys: pytest.CaptureFixture[str], story: str) -> None:
    code, found, _ = run(capsys, PROXIES.get(story, story))
    file = HERE / f"{story}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())
    assert code == 0


@pytest.mark.parametrize("story", PROXIES)
def test_nothing_is_wrong_with_the_samples_and_what_is_assumed_is_said(
    capsys: pytest.CaptureFixture[str], story: str
) -> None:
    _, found, said = run(capsys, PROXIES[story])
    assert {each["severity"] for each in found["problems"]} == {"info"}
    assert "Service shop/dispatch-v1: spec.clusterIP" in said
    assert {"problems", "clusters", "listeners", "routes", "endpoints", "secrets"} <= found.keys()


@pytest.mark.envoy
@pytest.mark.parametrize("story", PROXIES)
def test_envoy_accepts_the_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path, story: str) -> None:
    _, found, _ = run(capsys, PROXIES[story])
    validate(l7.composed(found), tmp_path)


def weights(document: Any) -> list[tuple[str, int]]:
    return [
        (each["name"], each["weight"]) for held in l7.find(document, "weighted_clusters") for each in held["clusters"]
    ]


def test_the_waypoint_splits_ninety_to_ten(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, _ = run(capsys, PROXIES["waypoint"])
    assert sorted(weight for _, weight in weights(found["routes"])) == [10, 90]
    ends = {each["cluster_name"]: json.dumps(each) for each in found["endpoints"]}
    for name, weight in weights(found["routes"]):
        assert ("10.64.2.2:8080" if weight == 90 else "10.64.2.3:8080") in ends[name]


def test_the_sidecar_has_the_timeout_the_retries_and_the_fault(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, _ = run(capsys, PROXIES["sidecar"])
    text = json.dumps(found["routes"])
    assert '"timeout": "2s"' in text and '"num_retries": 2' in text and "HTTPFault" in text


def test_a_deployment_stands_for_its_missing_pods(capsys: pytest.CaptureFixture[str]) -> None:
    shop = f"--filename={SAMPLES / 'shop.yaml'}"
    for name in ("order", "order-66f7-xyz"):
        code, found, said = run(capsys, f"sidecar:shop/{name}", shop)
        assert code == 0 and found["listeners"]
        assert "Deployment shop/order: spec.template" in said
        assert "10.0.0." in json.dumps(found["endpoints"])


@pytest.mark.parametrize("name", ["sidecar:shop/nobody", "waypoint:shop/edge", "gateway:shop/waypoint"])
def test_a_name_that_is_no_such_proxy_exits_2_and_says_what_there_is(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, found, said = run(capsys, name)
    assert (code, found) == (2, None)
    assert {"sidecar": "order-5d9c7b6f4-abcde", "waypoint": "shop/waypoint", "gateway": "shop/edge"}[
        name.partition(":")[0]
    ] in said
    assert run(capsys, "sidecar:shop")[0] == 2


def test_the_mesh_configuration_reaches_the_proxies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\nconnectTimeout: 7s\ntrustDomain: x.org\nwrong: 1\n")
    code, found, said = run(capsys, PROXIES["sidecar"], *FILES, f"--mesh-config={file}")
    assert code == 1 and said.count("wrong: unknown field") == 1 and str(file) in said
    assert {each["connect_timeout"] for each in found["clusters"] if each.get("type") == "EDS"} == {"7s"}
    assert "spiffe://x.org/" in json.dumps(found["clusters"])
    assert found != run(capsys, PROXIES["sidecar"])[1]


def test_the_mesh_configuration_may_be_among_the_manifests(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    metadata = "metadata: {name: istio, namespace: istio-system}\n"
    text = 'data: {mesh: "trustDomain: y.org\\nconnectTimeout: 3s"}\n'
    file.write_text(f"apiVersion: v1\nkind: ConfigMap\n{metadata}{text}")
    _, found, _ = run(capsys, PROXIES["sidecar"], *FILES, f"-f{file}")
    assert {each["connect_timeout"] for each in found["clusters"] if each.get("type") == "EDS"} == {"3s"}
    assert "spiffe://y.org/" in json.dumps(found["clusters"])


def test_routes_are_refused_by_their_name_in_the_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    route = tmp_path / "route.yaml"
    route.write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        "metadata: {name: lost, namespace: shop, generation: 3}\n"
        "spec: {parentRefs: [{name: edge, sectionName: none}], rules: [{backendRefs: [{name: order, port: 80}]}]}\n"
    )
    _, found, _ = run(capsys, "status", *FILES, f"-f{route}")
    lost = next(each for each in found["statuses"] if each["name"] == "lost")["status"]["parents"][0]
    accepted = next(each for each in lost["conditions"] if each["type"] == "Accepted")
    assert (accepted["status"], accepted["observedGeneration"]) == ("False", 3)
    assert lost["parentRef"]["sectionName"] == "none" and lost["controllerName"] == "plait.dev/gateway-controller"
