"""Pods that cannot be what their labels ask for: each hears why and what to do, and nobody beside them is the worse."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kit.mesh import ECHO, ONCE, Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
SERVER = (
    """
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: duo, labels: {LABELS}}
spec:
  terminationGracePeriodSeconds: 0
"""
    + ECHO
    + """\
---
"""
)
SPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: duo}
---
"""


def pod(name: str, port: int, labels: str = "") -> str:
    return SERVER.replace("NAME", name).replace("9000", str(port)).replace("LABELS", labels)


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"odds{os.getpid()}") as running:
        running.up("--nodes", "1")
        running.apply(SPACE + pod("hard", 15001) + pod("near", 9000) + pod("client", 9000))
        running.ready("duo", "hard", "near", "client")
        yield running


def told(mine: Mesh, name: str, reason: str) -> list[str]:
    """Messages of the events of a pod with this reason."""
    found = mine.ask(lambda api: api.list(kinds.EVENT, "duo"))[0]
    return [each["message"] for each in found if each["involvedObject"]["name"] == name and each["reason"] == reason]


def test_an_application_on_15001_stays_out_and_says_why_and_its_neighbours_come_in(mine: Mesh) -> None:
    """A pod that runs already, so that its application has the port before the proxy wants it."""
    mine.enrol("duo")
    mine.captured("duo", "near", "client")
    until(lambda: any("15001" in each for each in told(mine, "hard", "ConfigurationRefused")), "hard hears of its port")
    (first, *_) = [each for each in told(mine, "hard", "ConfigurationRefused") if "15001" in each]
    assert "listen on another port" in first, first
    mine.captured("duo", "hard", value=False)
    near, hard = mine.address("near"), mine.address("hard")
    for _ in range(5):
        mine.inside("client", ONCE, near, "9000")
        mine.inside("client", ONCE, hard, "15001")
        mine.inside("hard", ONCE, near, "9000")


def test_labels_at_odds_make_a_sidecar_and_analyze_says_so_of_namespace_and_pod(mine: Mesh) -> None:
    mine.ask(lambda api: api.patch(kinds.NAMESPACE, "duo", {"metadata": {"labels": {"istio-injection": "enabled"}}}))
    mine.apply(pod("both", 9000, "istio.io/dataplane-mode: ambient"))
    mine.ready("duo", "both")
    notes = mine.get(kinds.POD, "both", "duo")["metadata"]["annotations"]
    assert "sidecar.istio.io/status" in notes and notes.get("ambient.istio.io/redirection") != "enabled"
    mine.inside("both", ONCE, mine.address("near"), "9000")
    mine.inside("client", ONCE, mine.address("both"), "9000")
    said = mine.plait("analyze", "-A", "--failure-threshold", "error").stdout
    assert (
        "PLT0020" in said
        and "IST0123" in said
        and "sidecars are injected and istio.io/dataplane-mode is ambient" in said
    ), said
