"""ServiceEntry hosts at L4: they get addresses and are reached by name through the node proxy; others are unharmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kit.mesh import ECHO, ONCE, PAIR, Mesh, mesh, until
from plait.resources import kinds

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

OUTSIDE = (
    """
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: outside, labels: {app: server}}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  terminationGracePeriodSeconds: 0
"""
    + ECHO
    + """\
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: outside}
spec: {clusterIP: None, selector: {app: server}, ports: [{port: 9000}]}
"""
)


def entry(name: str, host: str, resolution: str, endpoint: str = "", addresses: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: duo}}
spec:
  hosts: ["{host}"]
  {f"addresses: [{addresses}]" if addresses else ""}
  ports: [{{number: 80, targetPort: 9000, name: tcp, protocol: TCP}}]
  resolution: {resolution}
  {f"endpoints: [{{address: {endpoint}}}]" if endpoint else ""}
"""


@pytest.fixture(scope="module")
def duo() -> Iterator[Mesh]:
    with mesh("entries") as mine:
        mine.up()
        mine.apply(PAIR + "---" + OUTSIDE)
        mine.ready("duo", "client", "echo")
        mine.ready("outside", "server")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo")
        yield mine


def addresses(mesh: Mesh, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = mesh.get(kinds.SERVICE_ENTRY, name, "duo").get("status", {}).get("addresses", [])
    return found


RESOLVE = "import json, socket, sys; print(json.dumps(socket.gethostbyname_ex(sys.argv[1])[2]))"


def resolved(mesh: Mesh, name: str, pod: str = "client", namespace: str = "duo") -> list[str]:
    """By the pod's own resolver, inside its container."""
    words = ("exec", "-n", namespace, "--name", mesh.name, pod, "--", "/usr/bin/python3", "-c", RESOLVE, name)
    done = mesh.plait(*words)
    found: list[str] = json.loads(done.stdout) if done.returncode == 0 else []
    return found


def works(mesh: Mesh, name: str) -> bool:
    found = resolved(mesh, name)
    return bool(found) and mesh.works("client", ONCE, found[0], "80")


@pytest.mark.parametrize("resolution", ["STATIC", "DNS"])
def test_a_host_gets_an_address_and_is_reached_by_its_name_through_the_proxy(duo: Mesh, resolution: str) -> None:
    name = resolution.lower()
    host = f"{name}.example.test"
    there = duo.address("server", "outside")
    duo.apply(entry(name, host, resolution, there if resolution == "STATIC" else "server.outside.svc.cluster.local"))
    until(lambda: bool(addresses(duo, name)), "an address in its status", 10)
    (given,) = addresses(duo, name)
    assert given["host"] == host and given["value"].startswith("240.240.")
    until(lambda: works(duo, host), "the host is reached", 20)
    assert resolved(duo, host) == [given["value"]]

    def logged() -> list[dict[str, Any]]:
        text = (duo.layout.node("node-1") / "access.log").read_text()
        return [line for line in map(json.loads, text.splitlines()) if line["dst.service"] == host]

    until(lambda: bool(logged()), "the proxy's log names the host", 10)
    assert logged()[0]["dst.endpoint"] == f"{there}:9000"


def test_a_host_without_endpoints_is_looked_up_itself(duo: Mesh) -> None:
    duo.apply(entry("itself", "server.outside.svc.cluster.local", "DNS"))
    until(lambda: bool(addresses(duo, "itself")), "an address", 10)
    value = addresses(duo, "itself")[0]["value"]
    until(lambda: duo.works("client", ONCE, value, "80"), "the name behind the address is looked up", 20)


def test_a_wildcard_covers_every_name_below_it(duo: Mesh) -> None:
    duo.apply(entry("wild", "*.wild.test", "STATIC", duo.address("server", "outside")))
    until(lambda: works(duo, "a.wild.test") and works(duo, "b.c.wild.test"), "both names are reached", 20)


def test_an_address_that_is_stated_outside_the_meshs_ranges_is_looked_up_too(duo: Mesh) -> None:
    duo.apply(entry("stated", "stated.test", "STATIC", duo.address("server", "outside"), "198.51.100.9"))
    until(lambda: duo.works("client", ONCE, "198.51.100.9", "80"), "the stated address leads to the endpoint", 20)
    assert resolved(duo, "stated.test") == ["198.51.100.9"]
    assert not addresses(duo, "stated")


def test_two_entries_never_share_an_address_and_keep_theirs(duo: Mesh) -> None:
    for number in range(5):
        duo.apply(entry(f"many{number}", f"many{number}.test", "STATIC", "192.0.2.1"))
    until(lambda: all(addresses(duo, f"many{number}") for number in range(5)), "addresses", 10)
    before = [addresses(duo, f"many{number}")[0]["value"] for number in range(5)]
    assert len(set(before)) == 5
    duo.kill(duo.pid("control"))
    # The older one keeps an address; of those made in one second, the one that comes first by name.
    taken = {"status": {"addresses": [{"value": before[1], "host": "newcomer.test"}]}}

    async def steal(api: Any) -> None:
        await api.patch(kinds.SERVICE_ENTRY, "newcomer", taken, "duo", subresource="status")

    duo.apply(entry("newcomer", "newcomer.test", "STATIC", "192.0.2.1"))
    duo.ask(steal)
    until(
        lambda: bool(addresses(duo, "newcomer")) and addresses(duo, "newcomer")[0]["value"] != before[1],
        "another address",
        20,
    )
    assert [addresses(duo, f"many{number}")[0]["value"] for number in range(5)] == before


def test_a_pod_outside_the_mesh_is_not_sent_to_an_address_that_leads_nowhere(duo: Mesh) -> None:
    duo.apply(entry("shadow", "shadow.test", "STATIC", "192.0.2.1"))
    until(lambda: bool(resolved(duo, "shadow.test")), "captured pods know it", 10)
    assert resolved(duo, "shadow.test", "server", "outside") == []
