from __future__ import annotations

import json

from kit import documents as d
from kit.evidence import INJECTED, codes, namespace, said
from plait.diagnose.images import outdated


def injector(revision: str = "", tag: str = "2") -> d.Document:
    values = {"global": {"hub": "hub", "tag": tag, "proxy": {"image": "proxyv2"}}}
    made = d.document("v1", "ConfigMap", f"istio-sidecar-injector{revision}", "istio-system")
    return {**made, "data": {"values": json.dumps(values)}}


def pod(image: str, field: str = "containers", **annotations: str) -> d.Document:
    spec = {"containers": [{"name": "app"}], field: [{"name": "app"}, {"name": "istio-proxy", "image": image}]}
    return d.pod("web", "10.0.0.1", spec=spec, annotations=annotations)


def test_proxies_of_another_image_than_the_injector_s_are_told_once_for_a_namespace() -> None:
    assert said(outdated, INJECTED, injector(), pod("hub/proxyv2:1")) == [("IST0158", "shop", "metadata.name")]
    assert codes(outdated, INJECTED, injector(), pod("hub/proxyv2:1", "initContainers")) == ["IST0158"]
    assert codes(outdated, INJECTED, injector(), pod("hub/proxyv2:2")) == []


def test_each_revision_has_its_image() -> None:
    revised = namespace("shop")
    revised["metadata"]["labels"]["istio.io/rev"] = "canary"
    assert codes(outdated, revised, injector(), pod("hub/proxyv2:1")) == [], "nobody describes that revision"
    assert codes(outdated, revised, injector("-canary", "1"), pod("hub/proxyv2:1")) == []
    assert codes(outdated, revised, injector("-canary", "3"), pod("hub/proxyv2:1")) == ["IST0158"]


def test_an_image_that_somebody_chose_and_a_variant_of_it_are_fine() -> None:
    chosen = {"sidecar.istio.io/proxyImage": "own"}
    assert codes(outdated, INJECTED, injector(), pod("own", **chosen)) == []
    config = {"proxy.istio.io/config": "image: {imageType: distroless}"}
    assert codes(outdated, INJECTED, injector(), pod("hub/proxyv2:2-distroless", **config)) == []
    assert codes(outdated, INJECTED, injector(), pod("hub/proxyv2:2-distroless")) == ["IST0158"]
    assert codes(outdated, namespace("shop"), injector(), pod("hub/proxyv2:1")) == [], "nobody injects there"
