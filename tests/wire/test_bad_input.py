"""Bad input costs nobody else anything: its own status says what is wrong and where, and the rest is told as before."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kit import apiserver, l7, worlds
from kit import documents as d
from kit.envoys import validate
from plait.app.asked import translated
from plait.app.control import Control
from plait.model.views.asking import proxy_of
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document
from wire.test_statuses import running, until

ISTIO, API = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"
GARBAGE = base64.b64encode(b"no certificate at all").decode()
PROMISED = 1.0
"""Seconds until the status says it, on a machine that has nothing else to do; here others may be at work too."""
PATIENCE = 5 * PROMISED


class World:
    """A sidecar and a gateway that see good services, and whatever else is written."""

    def __init__(self, cluster: apiserver.Cluster, control: Control) -> None:
        self._api, self._control = cluster.http, control

    async def write(self, kind: Kind, document: Document) -> None:
        await self._api.create(kind, document)

    async def pod(self, document: Document) -> None:
        document["spec"]["containers"] = [{"name": "c", "image": "x"}]
        written = await self._api.create(kinds.POD, document)
        await self._api.replace(kinds.POD, {**written, "status": document["status"]}, subresource="status")

    async def says(self, kind: Kind, name: str, *words: str) -> None:
        """Within the time its status has all these words."""

        async def ask() -> bool:
            status = str((await self._api.get(kind, name, "shop")).get("status"))
            return all(word in status for word in words)

        await until(ask, PATIENCE)

    def told(self, pod: str) -> Document | None:
        """All that this pod's proxy is told now."""
        mesh = self._control.pipeline.told
        proxy = proxy_of(mesh, f"{mesh.settings.cluster_id}//Pod/shop/{pod}")
        return translated(mesh, proxy)[0] if proxy is not None else None

    def good(self) -> list[Any]:
        """What the sidecar is told of service good, and the gateway of its plain listener."""
        found: list[Any] = []
        for pod, name in (("web", "good"), ("edge-1", "http")):
            documents = self.told(pod) or {}
            found += [each for each in documents.get("clusters", ()) if f"||{name}." in each["name"]]
            hosts = (host for route in documents.get("routes", ()) for host in route["virtual_hosts"])
            found += [host for host in hosts if "good" in str(host["domains"]) or "good.example" in str(host)]
        return found


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with running() as (cluster, control):
        made = World(cluster, control)
        for number, name in enumerate(("good", "b", "c"), 10):
            await made.write(kinds.SERVICE, service(name, f"10.75.64.{number}"))
        await made.write(kinds.VIRTUAL_SERVICE, virtual("good", ["good"], to("good"), timeout="7s"))
        await made.pod(worlds.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}))
        await made.pod(worlds.gateway_pod("edge-1", "10.0.0.2", "edge"))
        await made.write(kinds.SECRET, secret("cert"))
        tls = {"certificateRefs": [{"name": "cert"}]}
        listeners: list[Document] = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        listeners += [{"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls}]
        spec: Document = {"gatewayClassName": "istio", "listeners": listeners}
        await made.write(kinds.GATEWAY, d.document(API, "Gateway", "edge", spec=spec))
        await made.write(kinds.HTTP_ROUTE, route("good", "good.example", "good"))

        async def there() -> bool:
            return len(made.good()) >= 3

        await until(there)
        yield made


def service(name: str, address: str, **labels: str) -> Document:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return d.document("v1", "Service", name, labels=labels, spec={"ports": ports, "selector": {"app": name}})


def secret(name: str) -> Document:
    data = {"tls.crt": GARBAGE, "tls.key": GARBAGE}
    return {**d.document("v1", "Secret", name), "type": "kubernetes.io/tls", "data": data}


def to(host: str, **more: Any) -> list[Document]:
    return [{"destination": {"host": host, **more}}]


def virtual(name: str, hosts: list[str], route: list[Document], **rule: Any) -> Document:
    return d.document(ISTIO, "VirtualService", name, spec={"hosts": hosts, "http": [{"route": route, **rule}]})


def route(name: str, host: str, backend: str, **rule: Any) -> Document:
    rules = [{"backendRefs": [{"name": backend, "port": 80}], **rule}]
    return d.document(
        API, "HTTPRoute", name, spec={"parentRefs": [{"name": "edge"}], "hostnames": [host], "rules": rules}
    )


def delegating(name: str, target: str, *hosts: str) -> Document:
    rule = {"delegate": {"name": target, "namespace": "shop"}}
    return d.document(ISTIO, "VirtualService", name, spec={"hosts": list(hosts), "http": [rule]})


class Case:
    """What is written, one after the other; the last has a status, in which these words stand."""

    def __init__(self, written: Iterable[tuple[Kind, Document]], *words: str) -> None:
        self.written, self.words = tuple(written), words


VS, HR = kinds.VIRTUAL_SERVICE, kinds.HTTP_ROUTE
CASES = {
    "conflicting routes": Case(
        [(VS, virtual("first", ["b"], to("b"))), (VS, virtual("second", ["b"], to("c")))],
        *("IST0109", "spec.hosts", "already routed by the older shop/first"),
    ),
    "a missing subset": Case(
        [(VS, virtual("subset", ["c"], to("c", subset="v9")))],
        *("IST0101", "spec.http[0].route[0].destination", "subset v9 of c.shop"),
    ),
    "a reference to nothing": Case(
        [(VS, virtual("nowhere", ["x.example"], to("nowhere")))],
        *("IST0101", "spec.http[0].route[0].destination", "nowhere.shop.svc.cluster.local does not exist"),
    ),
    "a backend that is not there": Case(
        [(HR, route("lost", "lost.example", "lost"))],
        *("ResolvedRefs", "BackendNotFound", "Service lost does not exist"),
    ),
    "a loop of delegates": Case(
        [(VS, delegating("round", "round", "y.example"))], *("PLT0403", "spec.http[0].delegate", "break the loop")
    ),
    "a bad certificate": Case([], "InvalidCertificateRef", "no PEM certificate"),
    "a filter that Envoy refuses": Case(
        [
            (
                kinds.ENVOY_FILTER,
                d.document(
                    "networking.istio.io/v1alpha3",
                    "EnvoyFilter",
                    "bad",
                    spec={
                        "configPatches": [
                            {
                                "applyTo": "CLUSTER",
                                "patch": {"operation": "MERGE", "value": {"connect_timeout": "-1s"}},
                            }
                        ]
                    },
                ),
            )
        ],
        *("PLT0014", "spec.configPatches[0]", "Expected positive duration"),
    ),
}


@pytest.mark.reliability(number=26)
async def test_each_is_said_where_it_is_and_the_others_keep_what_they_have(tmp_path: Path) -> None:
    async with world() as made:
        before = made.good()
        for what, case in CASES.items():
            for kind, document in case.written:
                await made.write(kind, document)
            kind, name = (kind, document["metadata"]["name"]) if case.written else (kinds.GATEWAY, "edge")
            try:
                await made.says(kind, name, *case.words)
            except TimeoutError:
                raise AssertionError(f"{what}: {kind} {name} does not say {case.words}") from None
            assert made.good() == before, what
        for pod in ("web", "edge-1"):
            documents = made.told(pod)
            assert documents is not None
            await asyncio.to_thread(validate, l7.composed(documents), tmp_path)


MANY = [{"uri": {"prefix": f"/{'p' * 200}{number}"}} for number in range(9000)]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    ("kind", "document", "words"),
    [
        (VS, virtual("regex", ["b"], to("b"), match=[{"uri": {"regex": "(?=x)"}}]), "spec.http[0].match[0].uri.regex"),
        (VS, delegating("deeper", "other"), "a delegate cannot delegate again"),
        (
            VS,
            virtual("huge", ["b"], to("b"), match=[{"uri": {"prefix": f"/{'p' * 200}{n}"}} for n in range(9000)]),
            "1572864",
        ),
    ],
    ids=["an expression RE2 refuses", "a delegate that delegates", "a route of 2 MB"],
)
@pytest.mark.reliability(number=26)
async def test_what_can_be_refused_at_once_is_not_stored(kind: Kind, document: Document, words: str) -> None:
    async with apiserver.running() as cluster:
        await cluster.http.create(kinds.NAMESPACE, {"metadata": {"name": "shop"}})
        with pytest.raises(ApiError) as refused:
            await cluster.http.create(kind, document)
        assert words in str(refused.value) and refused.value.code in (413, 422)
        found, _ = await cluster.http.list(kind, "shop")
        assert found == []


async def test_of_two_waypoints_that_claim_a_service_its_own_word_counts_and_its_status_says_which() -> None:
    async with running() as (cluster, control):
        made, claim = World(cluster, control), {"metadata": {"labels": {"istio.io/use-waypoint": "of-all"}}}
        await cluster.http.patch(kinds.NAMESPACE, "shop", claim)
        for name in ("of-all", "of-one"):
            await made.write(kinds.GATEWAY, worlds.waypoint(name))
        await made.write(kinds.SERVICE, service("other", "10.75.64.10"))
        await made.write(kinds.SERVICE, service("claimed", "10.75.64.11", **{"istio.io/use-waypoint": "of-one"}))
        await made.says(kinds.SERVICE, "claimed", "istio.io/WaypointBound", "shop/of-one")
        await made.says(kinds.SERVICE, "other", "istio.io/WaypointBound", "shop/of-all")
