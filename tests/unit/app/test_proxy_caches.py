from __future__ import annotations

import pytest

from kit import documents as d
from kit.worlds import sidecar_pod, world
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
    caches = ProxyCaches(lambda: worlds[-1])
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
    caches = ProxyCaches(lambda: mesh)
    first = caches.cache("sidecar", "shop", "web")
    caches.changed()
    assert caches.cache("sidecar", "shop", "web") is not first
