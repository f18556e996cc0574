"""What Istio's injector reads and this one does not is told."""

from __future__ import annotations

import pytest

from plait.diagnose.annotation_table import ANNOTATIONS
from plait.inject.injector import Config, inject
from plait.inject.unread import _ANNOTATIONS, unread

CONFIG = "proxy.istio.io/config"


def test_what_is_read_is_not_told() -> None:
    text = "{concurrency: 2, holdApplicationUntilProxyStarts: true, proxyMetadata: {A: b}, interceptionMode: TPROXY}"
    notes = {CONFIG: text, "sidecar.istio.io/logLevel": "debug", "sidecar.istio.io/rewriteAppHTTPProbers": "true"}
    assert list(unread(notes)) == [] and list(unread({})) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sidecar.istio.io/proxyImage", "docker.io/istio/proxyv2:1.27", "mesh's own Envoy"),
        ("status.sidecar.istio.io/port", "15030", "15021"),
        ("istio.io/reroute-virtual-interfaces", "net1", "one interface"),
        (CONFIG, "tracing: {sampling: 10}", "Telemetry"),
        (CONFIG, "statusPort: 15030", "defaultConfig"),
    ],
)
def test_the_rest_is_with_its_way_out(name: str, value: str, words: str) -> None:
    ((path, message),) = unread({name: value})
    assert path.startswith(f"metadata.annotations[{name}]") and words in message


def test_a_pod_that_says_it_is_injected_all_the_same() -> None:
    pod = {
        "metadata": {"name": "web", "annotations": {"sidecar.istio.io/proxyImage": "x/y:z"}},
        "spec": {"containers": [{"name": "app", "image": "x"}]},
    }
    outcome = inject(pod, "shop", {"istio-injection": "enabled"}, Config("/proxies"))
    assert outcome.injected and [each.severity for each in outcome.problems] == ["warning"]


def test_analyze_knows_each_of_them_as_istios() -> None:
    assert set(_ANNOTATIONS) - set(ANNOTATIONS) == {
        "sidecar.istio.io/enableCoreDump",  # of older versions
        "sidecar.istio.io/capNetBindService",
    }
