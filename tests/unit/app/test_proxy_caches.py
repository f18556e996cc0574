from __future__ import annotations

import asyncio
import base64

import pytest

from kit import documents as d
from kit.pki import Authority
from kit.worlds import gateway, gateway_pod, objects, sidecar_pod, world
from plait.app import certificates
from plait.app.proxy_caches import ProxyCaches, UnknownProxy, named
from plait.envoy import names
from plait.model.mesh import Mesh


class Listening:
    """Stands for a stream that is open."""

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
