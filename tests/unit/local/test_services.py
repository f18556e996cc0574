from __future__ import annotations

from typing import Any

from plait.local.addresses import AddressPlan
from plait.local.services import rules

PLAN = AddressPlan(64)


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec = {"clusterIP": "10.64.128.20", "ports": [{"name": "http", "port": 80}], **spec}
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


def endpoint(address: str, ready: bool | None = True, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready, **conditions}}


def slice_of(*endpoints: dict[str, Any], port: int = 8080) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def made(services: list[dict[str, Any]], *slices: dict[str, Any], node: int = 1) -> str:
    return rules(services, slices, node=node, plan=PLAN)


def test_every_ready_endpoint_has_the_same_chance() -> None:
    text = made([service()], slice_of(*(endpoint(f"10.64.1.{n}") for n in (2, 3, 4))))
    assert [line.split("--probability ")[1].split()[0] for line in text.splitlines() if "--probability" in line] == [
        "0.3333333333",
        "0.5000000000",
    ]
    assert [line.rsplit(" ", 1)[1] for line in text.splitlines() if "DNAT --to" in line] == [
        f"10.64.1.{n}:8080" for n in (2, 3, 4)
    ]


def test_an_unready_endpoint_gets_nothing() -> None:
    text = made([service()], slice_of(endpoint("10.64.1.2"), endpoint("10.64.1.3", ready=False)))
    assert "10.64.1.3" not in text


def test_endpoints_that_are_leaving_serve_while_nobody_else_does() -> None:
    leaving = endpoint("10.64.1.3", ready=False, serving=True, terminating=True)
    assert "--to-destination 10.64.1.3:8080" in made([service()], slice_of(leaving))
    assert "10.64.1.3" not in made([service()], slice_of(leaving, endpoint("10.64.1.2")))


def test_a_readiness_that_nobody_stated_means_ready() -> None:
    assert "--to-destination 10.64.1.2:8080" in made([service()], slice_of(endpoint("10.64.1.2", ready=None)))


def test_a_service_nobody_serves_refuses() -> None:
    text = made([service()], slice_of())
    assert "-A PLAIT-REJECT -d 10.64.128.20/32 -p tcp -m tcp --dport 80" in text
    assert "DNAT --to" not in text


def test_headless_and_external_name_services_have_no_rules() -> None:
    assert "shop/" not in made([service(clusterIP="None"), service(type="ExternalName", clusterIP="")])


def test_load_balancer_external_and_node_addresses_lead_to_the_same_pods() -> None:
    wide = service(type="LoadBalancer", externalIPs=["192.0.2.7"])
    wide["spec"]["ports"][0]["nodePort"] = 30080
    wide["status"] = {"loadBalancer": {"ingress": [{"ip": "10.64.192.9"}]}}
    text = made([wide], slice_of(endpoint("10.64.2.5")))
    [chain] = {line.rsplit(" ", 1)[1] for line in text.splitlines() if "192.0.2.7" in line or "10.64.192.9" in line}
    assert f"-A {chain} -p tcp -j DNAT --to-destination 10.64.2.5:8080" in text
    assert f'--dport 30080 -m comment --comment "shop/web:http" -j {chain}' in text


def test_a_local_policy_keeps_to_pods_of_this_node() -> None:
    near = service(internalTrafficPolicy="Local")
    both = slice_of(endpoint("10.64.1.2"), endpoint("10.64.2.2"))
    assert "10.64.2.2" not in made([near], both, node=1)
    assert "10.64.1.2" not in made([near], both, node=2)


def test_only_pods_of_this_node_need_the_hairpin() -> None:
    text = made([service()], slice_of(endpoint("10.64.1.2"), endpoint("10.64.2.2")))
    assert "-s 10.64.1.2/32 -d 10.64.1.2/32 -j MASQUERADE" in text
    assert "-s 10.64.2.2/32 -d 10.64.2.2/32" not in text


def test_affinity_remembers_each_client() -> None:
    sticky = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    text = made([sticky], slice_of(endpoint("10.64.1.2"), endpoint("10.64.1.3")))
    assert text.count("--rcheck --seconds 60") == text.count("--set -j DNAT") == 2


def test_equal_input_in_another_order_is_the_same_text() -> None:
    parts = [slice_of(endpoint("10.64.1.2")), {**slice_of(endpoint("10.64.1.3")), "x": 1}]
    services = [service("web"), service("api", clusterIP="10.64.128.21")]
    assert made(services, *parts) == made(services[::-1], *parts[::-1])


def test_no_chain_name_is_longer_than_the_kernel_allows() -> None:
    text = made([service(sessionAffinity="ClientIP")], slice_of(endpoint("10.64.1.2")))
    names = [line[1:].split()[0] for line in text.splitlines() if line.startswith(":")]
    assert max(map(len, names)) <= 28


def test_each_family_has_its_own_addresses_endpoints_and_words() -> None:
    both = service(clusterIPs=["10.64.128.20", "fd70:6c61:6974:4080::14"])
    six = {**slice_of(endpoint("fd70:6c61:6974:4001::2")), "addressType": "IPv6"}
    slices = [slice_of(endpoint("10.64.1.2")), six]
    text = rules(
        [both, service("empty", clusterIPs=["fd70:6c61:6974:4080::15"])], slices, node=1, plan=PLAN, family="IPv6"
    )
    assert "-d fd70:6c61:6974:4080::14/128 -p tcp -m tcp --dport 80" in text
    assert "--to-destination [fd70:6c61:6974:4001::2]:8080" in text
    assert "-d fd70:6c61:6974:4080::15/128" in text and "--reject-with icmp6-port-unreachable" in text
    assert "-s fd70:6c61:6974:4001::2/128 -d fd70:6c61:6974:4001::2/128 -j MASQUERADE" in text
    assert "10.64" not in text
    four = made([both], *slices)
    assert "fd70" not in four and "--to-destination 10.64.1.2:8080" in four
