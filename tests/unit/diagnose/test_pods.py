from __future__ import annotations

from kit import documents as d
from kit.evidence import AMBIENT, INJECTED, codes, deployment, said
from plait.diagnose.pods import both_modes, image_auto, reserved_ports, reserved_user, without_proxy

SIDECAR = {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}


def test_a_running_pod_without_its_sidecar_is_told() -> None:
    assert said(without_proxy, INJECTED, d.pod("web", "10.0.0.1")) == [("IST0103", "web", "spec.containers")]


def test_of_a_manifest_without_a_status_it_is_told_too() -> None:
    written = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
    assert codes(without_proxy, INJECTED, written) == ["IST0103"]
    istiod = {**written, "metadata": {**written["metadata"], "labels": {"istio": "pilot"}}}
    assert codes(without_proxy, INJECTED, istiod) == []


def test_who_has_one_or_shall_have_none_is_not() -> None:
    assert codes(without_proxy, INJECTED, d.pod("web", "10.0.0.1", spec=SIDECAR)) == []
    refused = d.pod("web", "10.0.0.1", labels={"sidecar.istio.io/inject": "false"})
    assert codes(without_proxy, INJECTED, refused) == []
    assert codes(without_proxy, INJECTED, d.pod("web", "10.0.0.1", spec={"hostNetwork": True})) == []
    assert codes(without_proxy, INJECTED, d.pod("web", "10.0.0.1", phase="Pending")) == []
    assert codes(without_proxy, AMBIENT, d.pod("web", "10.0.0.1")) == []


def test_an_application_as_the_proxy_s_user_is_told() -> None:
    user = {"runAsUser": 1337}
    assert said(reserved_user, INJECTED, deployment("web", securityContext=user)) == [
        ("IST0144", "web", "spec.template.spec.securityContext.runAsUser")
    ]
    own = {"containers": [{"name": "app", "securityContext": user}]}
    assert said(reserved_user, INJECTED, d.pod("web", "10.0.0.1", spec=own)) == [
        ("IST0144", "web", "spec.containers[0].securityContext.runAsUser")
    ]


def test_the_proxy_itself_other_users_and_istio_are_not() -> None:
    user = {"runAsUser": 1337}
    proxy = {"containers": [{"name": "istio-proxy", "securityContext": user}]}
    assert codes(reserved_user, INJECTED, d.pod("web", "10.0.0.1", spec=proxy)) == []
    assert codes(reserved_user, INJECTED, deployment("web", securityContext={"runAsUser": 1000})) == []
    istiod = d.pod("istiod", "10.0.0.1", labels={"istio": "pilot"}, spec={"securityContext": user})
    assert codes(reserved_user, istiod) == [], "a part of Istio"


def test_an_application_on_a_port_of_the_proxy_is_told_with_the_way_out() -> None:
    def listening(port: int, name: str = "app") -> d.Document:
        return d.pod("web", "10.0.0.1", spec={"containers": [{"name": name, "ports": [{"containerPort": port}]}]})

    path = "spec.containers[0].ports[0].containerPort"
    assert said(reserved_ports, INJECTED, listening(15001)) == [("PLT0021", "web", path)]
    assert said(reserved_ports, AMBIENT, listening(15006)) == [("PLT0021", "web", path)]
    assert said(reserved_ports, AMBIENT, listening(15053)) == [("PLT0021", "web", path)]
    assert codes(reserved_ports, AMBIENT, listening(15021)) == [], "a sidecar's readiness only"
    assert codes(reserved_ports, INJECTED, listening(15021, "istio-proxy")) == []
    outside = listening(15001)
    outside["metadata"]["annotations"] = {}
    assert codes(reserved_ports, outside) == []
    assert codes(reserved_ports, INJECTED, listening(8080)) == []


def test_image_auto_without_injection_is_told_by_who_made_the_pod() -> None:
    auto = {"containers": [{"name": "app", "image": "auto"}]}
    assert said(image_auto, deployment("edge", image="auto")) == [
        ("IST0146", "edge", "spec.template.spec.containers[0].image")
    ]
    assert codes(image_auto, d.pod("edge", "10.0.0.1", spec=auto)) == ["IST0147"]
    assert codes(image_auto, INJECTED, deployment("edge", image="auto")) == []


def test_a_pod_that_says_ambient_and_gets_a_sidecar_hears_which_wins() -> None:
    labels = {"istio.io/dataplane-mode": "ambient"}
    path = "metadata.labels[istio.io/dataplane-mode]"
    assert said(both_modes, INJECTED, d.pod("web", "10.0.0.1", labels=labels)) == [("PLT0020", "web", path)]
    asked = {**labels, "sidecar.istio.io/inject": "true"}
    assert codes(both_modes, AMBIENT, d.pod("web", "10.0.0.1", labels=asked)) == ["PLT0020"]
    assert codes(both_modes, AMBIENT, d.pod("web", "10.0.0.1", labels=labels)) == []
    only = {"sidecar.istio.io/inject": "true"}
    assert codes(both_modes, AMBIENT, d.pod("web", "10.0.0.1", labels=only)) == [], "the namespace's word gives way"
