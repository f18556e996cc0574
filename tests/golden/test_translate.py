"""`plait translate` on samples/ and a small world: the committed documents, the exit codes, what is said of mistakes.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_translate.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from plait.cli import main
from plait.envoy import names
from plait.envoy.wire import encode

HERE = Path(__file__).parent / "translate"
SAMPLES = Path(__file__).parents[2] / "samples"
FILES = [f"--filename={path}" for path in (SAMPLES, SAMPLES / "policies", HERE / "world.yaml")]


def run(capsys: pytest.CaptureFixture[str], *arguments: str, files: list[str] | None = None) -> tuple[int, Any, str]:
    """Exit code, the document, and what was said beside it."""
    code = main.main(["translate", *(FILES if files is None else files), *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


@pytest.mark.parametrize("proxy", ["node:n1", "node:n2", "wds", "status"], ids=["node-n1", "node-n2", "wds", "status"])
def test_the_samples_become_the_committed_document(capsys: pytest.CaptureFixture[str], proxy: str) -> None:
    code, found, _ = run(capsys, "--proxy", proxy)
    file = HERE / f"{proxy.replace(':', '-')}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())
    assert code == 0


def test_a_node_s_document_has_every_part_and_its_enrolled_pods_only(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, _ = run(capsys, "--proxy", "node:n1")
    assert {"problems", "clusters", "listeners", "routes", "endpoints", "secrets"} <= found.keys()
    pods = {each["name"].partition("|")[2] for each in found["listeners"]} - {""}
    assert pods == {"u-httpbin"}
    assert "spiffe://cluster.local/ns/demo/sa/httpbin" in {each["name"] for each in found["secrets"]}


def test_a_node_may_be_named_by_one_of_its_pods_also_one_that_runs_nowhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, by_node, _ = run(capsys, "--proxy", "node:n1")
    _, by_pod, _ = run(capsys, "--proxy", "node:demo/httpbin-1")
    assert by_pod["listeners"] == by_node["listeners"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": "duo"}, "spec": {}}
    pod["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient"}
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(pod))
    code, found, _ = run(capsys, "--proxy", "node:duo/new", files=[f"--filename={file}"])
    assert code == 0
    assert {each["name"].partition("|")[2] for each in found["listeners"]} - {""} == {"duo/new"}
    code, _, said = run(capsys, "--proxy", "node:duo/none", files=[f"--filename={file}"])
    assert code == 2 and "no pod duo/none whose node could be asked; there is: Pod duo/new" in said


def test_enrolled_pods_speak_hbone_and_others_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, _ = run(capsys, "--proxy", "wds")
    tunnels = {
        each["workload"]["name"]: each["workload"].get("tunnel_protocol")
        for each in found["addresses"]
        if "workload" in each
    }
    assert tunnels == {"httpbin-1": "HBONE", "sleep-1": "HBONE", "free-1": None}
    strict = next(each for each in found["authorizations"] if each["name"] == "istio_converted_static_strict")
    assert (strict["action"], strict["scope"]) == ("DENY", "WORKLOAD_SELECTOR")


def test_a_policy_that_l4_enforces_in_part_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, said = run(capsys, "--proxy", "status")
    conditions = {each["name"]: each["status"]["conditions"][0] for each in found["statuses"]}
    assert (conditions["only-sleep"]["type"], conditions["only-sleep"]["status"]) == ("ZtunnelAccepted", "True")
    assert conditions["no-posts"]["status"] == "False"
    assert "AuthorizationPolicy demo/no-posts" in said


def test_the_mesh_configuration_and_the_root_namespace_are_obeyed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("trustDomain: example.org\nrootNamespace: from-file\n")
    _, found, _ = run(capsys, "--proxy", "wds", "--mesh-config", str(file))
    assert {each["workload"]["trust_domain"] for each in found["addresses"] if "workload" in each} == {"example.org"}
    assert "from-file" in {each["namespace"] for each in found["authorizations"]}
    _, found, _ = run(capsys, "--proxy", "wds", "--mesh-config", str(file), "--root-namespace", "given")
    assert "given" in {each["namespace"] for each in found["authorizations"]}


def test_mistakes_have_their_exit_code_and_the_rest_is_still_translated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "--proxy", "node:nowhere")[0] == 1
    assert run(capsys, "--proxy", "sidecars")[0] == 2
    assert run(capsys, "--proxy", "wds", files=[f"-f{tmp_path / 'absent.yaml'}"])[0] == 2
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: x}\nspec: {ruls: []}\n"
    )
    code, found, said = run(capsys, "--proxy", "wds", files=[*FILES, f"-f{broken}"])
    assert code == 1 and "spec.ruls" in said
    assert any("workload" in each for each in found["addresses"])


@pytest.mark.parametrize(
    ("part", "url"), [("clusters", names.CLUSTER), ("listeners", names.LISTENER), ("routes", names.ROUTE)]
)
def test_what_a_node_is_told_fits_the_api_of_the_pinned_envoy(
    capsys: pytest.CaptureFixture[str], part: str, url: str
) -> None:
    _, found, _ = run(capsys, "--proxy", "node:n1")
    assert found[part] and all(encode(url, document) for document in found[part])
