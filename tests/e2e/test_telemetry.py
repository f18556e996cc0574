"""What both sides tell about a connection: the node's page of metrics, and who may put what into it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from functools import partial

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from kit import tunnel
from kit.asking import said
from kit.dataplane import DataPlane, identity, running, uid_of
from kit.envoys import until
from kit.netlab import echo
from plait.model.mesh import Membership, NetworkAddress, Port, Service
from plait.proxy.metrics import MetricsServer

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]

METRICS = ("connections_opened_total", "connections_closed_total", "sent_bytes_total", "received_bytes_total")


@pytest.fixture(scope="module")
def shared() -> Iterator[DataPlane]:
    with running() as plane:
        for pod in ("a1", "b1", "b2", "plain"):
            plane.lab.serve(pod, 8080, echo)
        yield plane


@pytest.fixture
def plane(shared: DataPlane) -> DataPlane:
    shared.reset()
    return shared


SERVERS: dict[tuple[int, str], MetricsServer] = {}


def page(plane: DataPlane, node: str) -> str:
    """The node agent's merged /metrics."""

    async def asked() -> str:
        return await asyncio.to_thread(plane.envoys[node].admin, "/stats/prometheus")

    server = SERVERS.setdefault((id(plane), node), MetricsServer(asked, CollectorRegistry()))
    return asyncio.run(server.page())


def series(plane: DataPlane, node: str, metric: str, **labels: str) -> dict[str, float]:
    """Value by labels of one of Istio's metrics on the page, where these labels hold."""
    found = {}
    for labelled, value in re.findall(rf"^istio_tcp_{metric}\{{(.*)\}} (\S+)$", page(plane, node), re.MULTILINE):
        have = dict(re.findall(r'(\w+)="([^"]*)"', labelled))
        if labels.items() <= have.items():
            found[labelled] = float(value)
    return found


def counted(plane: DataPlane, node: str, labels: dict[str, str], count: float) -> bool:
    return sum(series(plane, node, METRICS[0], **labels).values()) == count


def alternative(plane: DataPlane) -> Service:
    """A second service of b1, with an address of its own."""
    web = next(iter(plane.mesh.services.values()))
    address = NetworkAddress(f"10.{plane.lab.index}.128.11")
    return replace(web, name="alternative", hostname="alternative.example.com", addresses=(address,))


def join(plane: DataPlane, service: Service) -> None:
    b1 = plane.mesh.workloads[uid_of("b1")]
    member = Membership(service.key, (Port(80, 8080),))
    services = (*plane.mesh.services.values(), service)
    plane.change(services=services, workloads={"b1": {"services": (*b1.services, member)}})


@pytest.mark.parametrize("node,reporter", [("na", "source"), ("nb", "destination")])
def test_the_page_shows_a_connection_within_a_second_with_all_labels(
    plane: DataPlane, node: str, reporter: str
) -> None:
    client, text = plane.lab.address("a2"), b"x" * 333
    wanted = {
        "reporter": reporter,
        "source_workload": "a2-deployment",
        "source_workload_namespace": "default",
        "source_principal": identity("a2"),
        "source_app": "a2",
        "source_version": "v1",
        "source_canonical_service": "a2",
        "source_canonical_revision": "v1",
        "source_cluster": "Kubernetes",
        "destination_workload": "b1-deployment",
        "destination_workload_namespace": "default",
        "destination_principal": identity("b1"),
        "destination_app": "b1",
        "destination_version": "v1",
        "destination_canonical_service": "b1",
        "destination_canonical_revision": "v1",
        "destination_cluster": "Kubernetes",
        "destination_service": "alternative.example.com",
        "destination_service_name": "alternative",
        "destination_service_namespace": "default",
        "request_protocol": "tcp",
        "response_flags": "-",
        "connection_security_policy": "mutual_tls",
    }
    second = alternative(plane)
    join(plane, second)
    before = {m: sum(series(plane, node, m, **wanted).values()) for m in METRICS}

    def added(metric: str) -> float:
        return sum(series(plane, node, metric, **wanted).values()) - before[metric]

    with plane.lab.connect("a2", second.addresses[0].address, 80) as connection:
        assert said(connection)
        until(lambda: added("connections_opened_total") == 1, "the connection is counted while it lives", 1)
        connection.sendall(text)
        assert said(connection)
        assert added("connections_closed_total") == 0
    until(lambda: added("connections_closed_total") == 1, "its end is counted", 1)
    assert added("received_bytes_total") == len(text)
    assert added("sent_bytes_total") == len(text) + len(f"{client}\n")


def test_the_service_is_the_one_that_was_addressed(plane: DataPlane) -> None:
    second = alternative(plane)
    join(plane, second)
    for address, hostname in (
        (second.addresses[0].address, "alternative.example.com"),
        (plane.service_ip, "web.default.svc.cluster.local"),
    ):
        plane.change(workloads={"b2": {"services": ()}})
        labels = {"destination_service": hostname, "destination_workload": "b1-deployment"}
        before = {n: sum(series(plane, n, METRICS[0], **labels).values()) for n in ("na", "nb")}
        with plane.lab.connect("a1", address, 80) as connection:
            assert said(connection)
        for node, count in before.items():
            until(partial(counted, plane, node, labels, count + 1), f"{node} counts it for {hostname}", 1)


def test_a_client_cannot_name_its_own_principal_namespace_or_a_foreign_service(plane: DataPlane) -> None:
    tls = tunnel.context(plane.authority, plane.authority.issue(identity("a1")))
    plain = plane.lab.connect("plain", plane.lab.address("b1"), 15008)
    headers = {
        "baggage": "k8s.namespace.name=kube-system,k8s.deployment.name=liar,service.name=liar",
        "forwarded": "for=192.0.2.1;host=kubernetes.default.svc.cluster.local",
    }
    answer = tunnel.connect(plain, tls, f"{plane.lab.address('b1')}:8080", headers, wait_for_data=True)
    assert answer.status == "200"
    found = until(lambda: series(plane, "nb", "connections_closed_total", source_workload="liar"), "its series", 2)
    assert len(found) == 1
    labels = next(iter(found))
    assert f'source_principal="{identity("a1")}"' in labels
    assert 'source_workload_namespace="default"' in labels
    assert 'destination_service="web.default.svc.cluster.local"' in labels


def test_a_service_that_comes_or_goes_does_not_cut_the_connections_of_its_pods(plane: DataPlane) -> None:
    b1 = plane.lab.address("b1")
    with plane.lab.connect("a1", plane.service_ip, 80) as tunnelled, plane.lab.connect("plain", b1, 8080) as plain:
        assert said(tunnelled) and said(plain)
        newcomer = replace(alternative(plane), name="aaa", hostname="aaa.example.com", namespace="aaa")
        join(plane, newcomer)
        time.sleep(2.5)  # longer than the drain time here: a changed filter chain would have ended its connections
        for connection in (tunnelled, plain):
            connection.sendall(b"still here")
            assert said(connection) == b"still here"
        labels = {"destination_service": "aaa.example.com", "connection_security_policy": "none"}
        with plane.lab.connect("plain", b1, 8080) as another:
            assert said(another)
        until(partial(counted, plane, "nb", labels, 1), "new connections are for the newcomer")


@pytest.mark.parametrize(
    "client,node,labels",
    [
        (
            "a2",
            "na",
            {"reporter": "source", "source_workload": "a2-deployment", "connection_security_policy": "mutual_tls"},
        ),
        ("a2", "nb", {"reporter": "destination", "source_workload": "a2-deployment"}),
        ("plain", "nb", {"reporter": "destination", "connection_security_policy": "none"}),
    ],
)
def test_bytes_are_seen_while_a_connection_lives_and_counted_once(
    plane: DataPlane, client: str, node: str, labels: dict[str, str]
) -> None:
    before = {m: sum(series(plane, node, m, **labels).values()) for m in METRICS}

    def added(metric: str) -> float:
        return sum(series(plane, node, metric, **labels).values()) - before[metric]

    shown = [0.0]

    def received(least: float) -> bool:
        shown.append(added("received_bytes_total"))
        assert shown[-1] >= shown[-2], "a counter fell"
        return shown[-1] >= least

    with plane.lab.connect(client, plane.lab.address("b1"), 8080) as connection:
        greeting = said(connection)
        for number in range(1, 4):
            connection.sendall(b"x" * 1000)
            assert len(said(connection)) == 1000
            until(partial(received, 1000 * number), "bytes of a connection that lives", 5)
        assert added("connections_closed_total") == 0
        assert "istio_live" not in page(plane, node)
        connection.sendall(b"y" * 500)  # not seen yet when the connection ends
        assert len(said(connection)) == 500
    until(lambda: received(0) and added("connections_closed_total") == 1, "its end", 5)
    time.sleep(1.2)
    assert received(0)
    assert shown[-1] == 3500 and added("sent_bytes_total") == 3500 + len(greeting)


def test_a_short_connection_leaves_no_gauges(plane: DataPlane) -> None:
    def gauges() -> int:
        return plane.envoys["na"].admin("/stats/prometheus").count('istio_live{stream="')

    before = gauges()
    for _ in range(20):
        with plane.lab.connect("a1", plane.lab.address("b1"), 8080) as connection:
            assert said(connection)
    time.sleep(1.5)
    assert gauges() == before
