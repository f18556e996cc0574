from __future__ import annotations

import asyncio
import base64

import pytest

from kit import documents as d
from kit.pki import Authority
from kit.worlds import (
    api,
    gateway,
    gateway_pod,
    namespace,
    objects,
    routes,
    rules,
    sidecar_pod,
    waypoint,
    world,
)
from plait.app import certificates, lingering
from plait.app.proxy_caches import ProxyCaches, UnknownProxy, named
from plait.envoy import names
from plait.envoy.l7.bundle import URLS
from plait.model.compile import compile
from plait.model.mesh import Mesh


class Listening:
    """Stands for a stream that is open."""

    name = "proxy"

    def __init__(self, answered: int = 1_000_000) -> None:
        self.answered = answered

    def statistics(self) -> object:
        return None


def service(name: str) -> d.Document:
    document = d.document("v1", "Service", name, "shop")
    return {**document, "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]}}


def test_a_node_id_tells_role_namespace_and_pod() -> None:
    assert named("router~10.0.0.1~edge.v2.shop~shop.svc.cluster.local") == ("gateway", "shop", "edge.v2")
    for wrong in ("", "ztunnel~1~a.b~c", "sidecar~1~nodot~c", "sidecar~1~a.b"):
        with pytest.raises(UnknownProxy, match="is not of the form"):
            named(wrong)


def test_connected_proxies_follow_the_mesh_and_others_are_forgotten() -> None:
    worlds: list[Mesh] = [world(sidecar_pod("web", "10.0.0.1"))[0]]
    caches = ProxyCaches(lambda: worlds[-1], lambda name: None)
    cache, news = caches.cache("sidecar", "shop", "web"), []
    cache.attach(Listening(), lambda: news.append(1))
    cluster = "outbound|80||cart.shop.svc.cluster.local"
    assert "virtualOutbound" in cache.of(names.LISTENER)
    assert cluster not in cache.of(names.CLUSTER)

    listeners = cache.of(names.LISTENER)
    caches.changed()
    assert news == [], "an equal view is not said again"
    worlds.append(world(sidecar_pod("web", "10.0.0.1"), service("cart"))[0])
    caches.changed()
    assert news == [1]
    assert cluster in cache.of(names.CLUSTER)
    assert cache.of(names.LISTENER) is not listeners
    assert caches.cache("sidecar", "shop", "web") is cache

    worlds.append(world(service("cart"))[0])
    caches.changed()
    assert cluster in cache.of(names.CLUSTER), "a pod that has gone keeps what it had until its stream ends"
    with pytest.raises(UnknownProxy, match="no pod shop/web"):
        caches.cache("sidecar", "shop", "web")


def test_who_is_not_connected_costs_nothing() -> None:
    mesh = world(sidecar_pod("web", "10.0.0.1"))[0]
    caches = ProxyCaches(lambda: mesh, lambda name: None)
    first = caches.cache("sidecar", "shop", "web")
    caches.changed()
    assert caches.cache("sidecar", "shop", "web") is not first


def certificate(authority: Authority, key: bytes | None = None) -> d.Document:
    leaf = authority.issue("spiffe://cluster.local/ns/shop/sa/edge")
    parts = {"tls.crt": leaf.certificate, "tls.key": key or leaf.key}
    data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    return d.document("v1", "Secret", "cert", "shop", type="kubernetes.io/tls", data=data)


def test_a_gateway_is_told_the_certificates_it_names_and_their_changes_and_a_sidecar_none() -> None:
    authority = Authority()
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]}
    edge = gateway("edge", "shop", {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls})
    pods = (gateway_pod("edge-0", "10.0.0.2", "edge"), sidecar_pod("web", "10.0.0.1"))
    now = [(edge, *pods, certificate(authority))]
    caches = ProxyCaches(lambda: world(*now[-1])[0], lambda name: certificates.served(name, objects(*now[-1])))
    told, other = caches.cache("gateway", "shop", "edge-0"), caches.cache("sidecar", "shop", "web")
    told.attach(Listening(), lambda: None)
    (first,) = told.of(names.SECRET).values()
    assert first.name == "kubernetes://shop/cert" and b"PRIVATE KEY" in first.value
    assert other.of(names.SECRET) == {}

    generation = told.generation
    caches.changed()
    assert told.generation == generation, "nothing new, nobody is woken"
    now.append((edge, *pods, certificate(authority)))
    caches.changed()
    (second,) = told.of(names.SECRET).values()
    assert second.version != first.version


async def test_a_pod_that_is_being_started_is_waited_for_and_no_longer_than_said() -> None:
    worlds = [world()[0]]
    caches = ProxyCaches(lambda: worlds[-1], lambda name: None)
    with pytest.raises(UnknownProxy, match="no pod shop/web"):
        await caches.connect("sidecar", "shop", "web", patience=0.01)
    waiting = asyncio.create_task(caches.connect("sidecar", "shop", "web"))
    await asyncio.sleep(0)
    caches.changed()
    await asyncio.sleep(0)
    assert not waiting.done()
    worlds.append(world(sidecar_pod("web", "10.0.0.1"))[0])
    caches.changed()
    assert "virtualOutbound" in (await waiting).of(names.LISTENER)


def behind(name: str, last: int) -> tuple[d.Document, d.Document]:
    return d.service(name, f"10.96.0.{last}"), d.pod(f"{name}-0", f"10.0.1.{last}", labels={"app": name})


async def test_after_each_change_a_waypoint_is_told_what_a_new_stream_would_be_told() -> None:
    """Projection and translation are incremental; nothing may differ for that, and little may be new."""
    shop = namespace("shop", **{"istio.io/use-waypoint": "waypoint"})
    klass = {"gateway.istio.io/managed": "istio.io-mesh-controller"}
    own = gateway_pod("waypoint-0", "10.0.0.9", "waypoint")
    own["metadata"]["labels"] |= klass
    now = {
        each["kind"] + each["metadata"]["name"]: each
        for each in (shop, waypoint(), own, *behind("cart", 1), *behind("user", 2), *behind("pay", 3))
    }

    def route(to: str, path: str) -> d.Document:
        forward = [{"name": to, "port": 80}]
        matches = [{"path": {"type": "PathPrefix", "value": path}}]
        parent = {"group": "", "kind": "Service", "name": "cart"}
        return api("HTTPRoute", "cart", parentRefs=[parent], rules=[{"matches": matches, "backendRefs": forward}])

    def policy(target: str) -> d.Document:
        reference = {"kind": "Service", "name": target}
        rule = {"to": [{"operation": {"methods": ["GET"]}}]}
        version = "security.istio.io/v1"
        spec = {"targetRefs": [reference], "action": "ALLOW", "rules": [rule]}
        return d.document(version, "AuthorizationPolicy", "only-get", spec=spec)

    steps: list[tuple[str, d.Document | None, int]] = [
        ("route", route("cart", "/a"), 1),
        ("route", route("user", "/a"), 1),
        ("route", route("missing", "/a"), 1),
        ("Podpay-0", d.pod("pay-0", "10.0.1.33", labels={"app": "pay"}), 1),
        ("Podpay-1", d.pod("pay-1", "10.0.1.34", labels={"app": "pay"}), 1),
        ("rule", rules("pay", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}), 1),
        ("missing", d.service("missing", "10.96.0.7"), 5),
        ("host", routes("user", [{"route": [{"destination": {"host": "pay"}}]}]), 1),
        ("route", None, 1),
        ("policy", policy("user"), 99),
        ("Podpay-1", None, 99),
        ("missing", None, 99),
        ("Serviceuser", None, 99),
    ]
    worlds: list[Mesh] = [compile(objects(*now.values()))[0]]
    clock = [0.0]
    caches = ProxyCaches(lambda: worlds[-1], lambda name: None, lambda: clock[0])
    told = caches.cache("waypoint", "shop", "waypoint-0")
    told.attach(Listening(), lambda: None)
    before = told.bundle
    known = objects(*now.values())
    for name, document, most in steps:
        now.pop(name, None)
        if document is not None:
            now[name] = document
        known = objects(*now.values()).sharing(known)
        worlds.append(compile(known, worlds[-1])[0])
        caches.changed()
        clock[0] += 60.0
        caches.changed()
        whole = compile(known)[0]
        fresh = ProxyCaches(lambda world=whole: world, lambda name: None).cache("waypoint", "shop", "waypoint-0")
        assert told.bundle == fresh.bundle, name
        new = [
            each.name
            for url, found in told.bundle.types.items()
            for each in found.values()
            if before.of(url).get(each.name) is not each
        ]
        assert 0 < len(new) <= most, (name, document, new)
        before = told.bundle


async def test_what_connections_of_a_draining_chain_use_stays_for_a_while() -> None:
    shop = namespace("shop", **{"istio.io/use-waypoint": "waypoint"})
    own = gateway_pod("waypoint-0", "10.0.0.9", "waypoint")
    own["metadata"]["labels"]["gateway.istio.io/managed"] = "istio.io-mesh-controller"
    attached = (shop, waypoint(), own, *behind("cart", 1))
    detached = (namespace("shop"), *attached[1:])
    worlds, clock = [world(*attached)[0]], [0.0]
    caches = ProxyCaches(lambda: worlds[-1], lambda name: None, lambda: clock[0])
    told = caches.cache("waypoint", "shop", "waypoint-0")
    proxy = Listening(0)
    told.attach(proxy, lambda: None)
    name = "inbound-vip|80|http|cart.shop.svc.cluster.local"

    def found() -> list[bool]:
        return [name in told.of(url) for url in (names.CLUSTER, URLS["endpoints"], names.ROUTE)]

    assert found() == [True, True, True]
    listener = told.of(names.LISTENER)["main_internal"]
    worlds.append(world(*detached)[0])
    caches.changed()
    assert found() == [True, True, True], "connections that live are still served"
    assert told.of(names.LISTENER)["main_internal"] != listener, "new ones find nothing"
    clock[0] = 1000.0
    caches.changed()
    assert found() == [True, True, True], "the proxy has not acknowledged it: it has not begun to drain"
    proxy.answered = told.generation
    told.on_answer()
    clock[0] += lingering.SECONDS - 0.1
    caches.changed()
    assert found() == [True, True, True], "what changes meanwhile does not begin it anew"
    clock[0] += 0.1
    caches.changed()
    assert found() == [False, False, False]
