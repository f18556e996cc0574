"""How a pod's proxy is to run: the narrower word wins, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.injector import Config, inject
from plait.inject.proxying import ANNOTATION, Proxying, proxying
from plait.resources.mesh_config.proxy import ProxyConfig

CLASSIC = {"sidecar.istio.io/nativeSidecar": "false"}


@pytest.mark.parametrize(
    ("notes", "defaults", "wanted"),
    [
        ({}, ProxyConfig(), Proxying()),
        ({}, ProxyConfig(concurrency=3), Proxying(threads=3)),
        ({ANNOTATION: "concurrency: 1"}, ProxyConfig(concurrency=3), Proxying(threads=1)),
        ({ANNOTATION: "concurrency: 0"}, ProxyConfig(concurrency=3), Proxying(threads=0)),
        ({ANNOTATION: "drainDuration: 4s"}, ProxyConfig(concurrency=3), Proxying(threads=3)),
        ({ANNOTATION: "hold_application_until_proxy_starts: false"}, ProxyConfig(), Proxying(hold=False)),
        ({}, ProxyConfig(interception_mode="TPROXY"), Proxying(interception="TPROXY")),
        (
            {"sidecar.istio.io/interceptionMode": "REDIRECT", ANNOTATION: "interceptionMode: TPROXY"},
            ProxyConfig(interception_mode="TPROXY"),
            Proxying(interception="REDIRECT"),
        ),
        ({ANNOTATION: "terminationDrainDuration: 9s", **CLASSIC}, ProxyConfig(), Proxying(False, drain_seconds=9.0)),
    ],
)
def test_proxying(notes: dict[str, str], defaults: ProxyConfig, wanted: Proxying) -> None:
    assert proxying(notes, defaults) == wanted


def test_what_cannot_be_read_is_told_with_its_field() -> None:
    ((path, message),) = proxying({ANNOTATION: "interceptionMode: MAGIC"}, ProxyConfig()).wrong
    assert path == "metadata.annotations[proxy.istio.io/config].interceptionMode" and "TPROXY" in message


def made(notes: dict[str, str], defaults: ProxyConfig | None = None) -> dict[str, Any]:
    pod = {"metadata": {"name": "p", "annotations": notes}, "spec": {"containers": [{"name": "app", "image": "x"}]}}
    outcome = inject(pod, "shop", {"istio-injection": "enabled"}, Config("/f", defaults=defaults or ProxyConfig()))
    assert outcome.injected, outcome.problems
    return outcome.document


def test_an_application_that_need_not_wait_starts_beside_a_classic_proxy() -> None:
    for hold in (True, False):
        notes = {**CLASSIC, ANNOTATION: f"holdApplicationUntilProxyStarts: {str(hold).lower()}"}
        (proxy, _) = made(notes)["spec"]["containers"]
        assert ("postStart" in proxy["lifecycle"]) is hold


def test_interception_of_the_mesh_is_written_into_the_pod_for_whoever_captures_it() -> None:
    pod = made({}, ProxyConfig(interception_mode="TPROXY"))
    assert pod["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] == "TPROXY"
    (proxy,) = pod["spec"]["initContainers"]
    assert (proxy["securityContext"]["runAsUser"], proxy["securityContext"]["runAsGroup"]) == (0, 1337)
    assert proxy["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert "sidecar.istio.io/interceptionMode" not in made({})["metadata"]["annotations"]
