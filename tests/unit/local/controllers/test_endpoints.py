from __future__ import annotations

from typing import Any

from plait.local.controllers.endpoints import desired_endpoints, desired_slices


def service(**spec: Any) -> dict[str, Any]:
    spec = {"clusterIP": "10.64.128.9", "ports": [{"name": "http", "port": 80, "targetPort": "web"}], **spec}
    return {"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec}


def pod(number: int, port: int = 8080, *, ready: bool = True, leaving: bool = False, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"p{number}", "namespace": "shop", "uid": f"u{number}"}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    named = {"name": "c", "ports": [{"name": "web", "containerPort": port}]}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n1", "containers": [named], **spec},
        "status": {
            "phase": "Running",
            "podIP": f"10.64.1.{number}",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def conditions(*pods: dict[str, Any], **spec: Any) -> list[tuple[bool, bool, bool]]:
    [one] = desired_slices(service(**spec), pods)
    return [tuple(e["conditions"][c] for c in ("ready", "serving", "terminating")) for e in one["endpoints"]]  # type: ignore[misc]


def test_a_leaving_pod_still_serves_but_is_not_ready() -> None:
    assert conditions(pod(2), pod(3, ready=False), pod(4, leaving=True)) == [
        (True, True, False),
        (False, False, False),
        (False, True, True),
    ]


def test_unready_addresses_are_published_when_the_service_says_so() -> None:
    assert conditions(pod(3, ready=False), publishNotReadyAddresses=True) == [(True, True, False)]


def test_pods_that_name_different_ports_are_in_different_slices() -> None:
    slices = desired_slices(service(), [pod(2), pod(3, 9090)])
    assert sorted((s["ports"][0]["port"], s["endpoints"][0]["addresses"][0]) for s in slices) == [
        (8080, "10.64.1.2"),
        (9090, "10.64.1.3"),
    ]


def test_a_named_port_is_found_in_a_restartable_init_container_but_not_in_a_plain_one() -> None:
    ports = [{"name": "web", "containerPort": 15021}]
    for policy, want in (({"restartPolicy": "Always"}, [15021]), ({}, [])):
        found = pod(2, containers=[{"name": "c"}], initContainers=[{"name": "i", "ports": ports, **policy}])
        [one] = desired_slices(service(), [found])
        assert [port["port"] for port in one["ports"]] == want


def test_finished_pods_and_pods_without_an_address_are_left_out() -> None:
    finished, waiting = pod(2), pod(3)
    finished["status"]["phase"] = "Succeeded"
    del waiting["status"]["podIP"]
    assert conditions(finished, waiting) == []


def test_a_pod_has_a_name_under_its_headless_subdomain() -> None:
    [one] = desired_slices(service(clusterIP="None"), [pod(2, hostname="first", subdomain="web")])
    assert one["endpoints"][0]["hostname"] == "first"
    assert "service.kubernetes.io/headless" in one["metadata"]["labels"]


def test_a_slice_holds_at_most_a_hundred_and_names_stay_the_same() -> None:
    pods = [pod(n) for n in range(2, 200)]
    slices = desired_slices(service(), pods)
    assert [len(s["endpoints"]) for s in slices] == [100, 98]
    assert slices == desired_slices(service(), pods[::-1])


def test_the_old_form_parts_ready_from_unready_and_drops_the_leaving() -> None:
    [subset] = desired_endpoints(service(), [pod(2), pod(3, ready=False), pod(4, leaving=True)])["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["10.64.1.2"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.64.1.3"]
    assert subset["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
