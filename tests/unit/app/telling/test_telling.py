"""A stage follows when every connected proxy has answered for the one before; whoever is silent is named."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from plait.app.telling.telling import FLIGHT, LONGEST, LOOK, WORKERS, Telling
from plait.base.bundle import Bundle
from plait.model.http_services import HttpService
from plait.model.l7 import L7
from plait.model.mesh import GatewayAddress, Mesh, Service
from plait.xds.cache import Cache

CART = "shop/cart"
THERE = GatewayAddress("shop/waypoint")


class Proxy:
    """Stands for a stream: answers for what it is said to have."""

    def __init__(self, cache: Cache, name: str) -> None:
        self.cache, self.name, self.answered = cache, name, -1
        cache.attach(self, lambda: None)

    def answer(self) -> None:
        self.answered = self.cache.generation

    def statistics(self) -> object:
        return None


def world(waypoint: str) -> Mesh:
    service = Service("cart", "shop", "cart", waypoint=THERE if waypoint else None)
    known = HttpService(CART, "cart", "shop", "Service", "cart", waypoint=waypoint)
    services = {CART: service, "shop/waypoint": Service("waypoint", "shop", "waypoint")}
    return structs.replace(Mesh(), services=services, l7=L7(services={CART: known}))


STRAIGHT, BEHIND = world(""), world("shop/waypoint")


class Stage:
    """Tells as the pipeline does."""

    def __init__(self) -> None:
        self.nodes, self.l7 = Cache(), [Cache(), Cache()]
        self.proxies = [Proxy(cache, name) for name, cache in zip("ab", self.l7, strict=True)]
        self.proxies.append(Proxy(self.nodes, "n"))
        self.telling = Telling(lambda: (self.nodes, *self.l7))
        self.told = Mesh()

    def tell(self, mesh: Mesh, now: float) -> tuple[str, tuple[str, ...]]:
        """What clients know then, and which waypoints serve besides."""
        self.told = self.telling.told(mesh, now)
        for cache in (self.nodes, *self.l7):
            cache.set(Bundle())
        self.telling.spoken(now)
        known = self.told.l7.services[CART]
        assert bool(known.waypoint) == (self.told.services[CART].waypoint is not None)
        return known.waypoint, known.optional_waypoints

    def answer(self, *names: str) -> None:
        for proxy in self.proxies:
            if proxy.name in names or not names:
                proxy.answer()


def begun() -> Stage:
    stage = Stage()
    assert stage.tell(STRAIGHT, 0.0) == ("", ())
    stage.answer()
    assert stage.telling.next(0.0) is None and not stage.telling.due(0.0)
    assert stage.tell(BEHIND, 10.0) == ("", ("shop/waypoint",))
    return stage


def test_a_stage_begins_when_every_proxy_has_answered_for_the_one_before() -> None:
    stage = begun()
    assert stage.telling.next(10.0) == 10.0 + LOOK
    stage.answer("a", "n")
    assert not stage.telling.due(11.0), "b has not heard"
    stage.answer("b")
    assert not stage.telling.due(12.0) and stage.telling.due(12.0 + WORKERS)
    assert stage.tell(BEHIND, 12.0 + WORKERS) == ("shop/waypoint", ("shop/waypoint",))
    assert not stage.telling.due(20.0), "nobody has answered for the second"
    stage.answer()
    assert not stage.telling.due(20.0) and stage.telling.due(20.0 + FLIGHT)
    assert stage.tell(BEHIND, 20.0 + FLIGHT) == ("shop/waypoint", ())
    assert stage.telling.next(30.0) is None and stage.telling.problems == ()


def test_what_is_told_beside_it_does_not_have_to_be_answered() -> None:
    stage = begun()
    stage.answer()
    assert stage.tell(world("shop/waypoint"), 10.01) == ("", ("shop/waypoint",))
    assert not stage.telling.due(10.02) and stage.telling.due(10.02 + WORKERS)


def test_statuses_say_from_where_while_not_everybody_knows() -> None:
    stage = begun()
    leaving = stage.telling.leaving
    assert leaving == {CART: ""}
    stage.tell(BEHIND, 10.01)
    assert stage.telling.leaving is leaving
    stage.tell(STRAIGHT, 10.02)
    assert stage.telling.leaving == {}


def test_a_proxy_that_is_silent_is_waited_for_so_long_and_named_until_it_answers() -> None:
    stage = begun()
    stage.answer("a", "n")
    assert not stage.telling.due(10.0 + LONGEST - 0.1) and stage.telling.problems == ()
    assert not stage.telling.due(10.0 + LONGEST) and stage.telling.due(10.0 + LONGEST + WORKERS)
    (problem,) = stage.telling.problems
    assert (problem.kind, problem.namespace, problem.name) == ("Service", "shop", "cart") and "b has not" in str(
        problem
    )
    assert stage.tell(BEHIND, 20.2)[0] == "shop/waypoint"
    stage.answer("a", "n")
    assert not stage.telling.due(20.3) and stage.telling.due(20.3 + FLIGHT), "it is waited for once"
    stage.answer()
    assert stage.telling.due(20.4) and stage.telling.problems == (), "said once more: it has answered"


def test_who_has_gone_is_not_waited_for_and_who_comes_is() -> None:
    stage = begun()
    stage.answer("a", "n")
    stage.l7[1].detach(stage.proxies[1])
    stage.telling.due(11.0)
    late = Cache()
    stage.l7.append(late)
    late.set(Bundle())
    new: Any = Proxy(late, "c")
    assert stage.telling.due(11.0 + WORKERS), "it was not there when the last one answered"
    assert stage.tell(BEHIND, 11.2)[0] == "shop/waypoint"
    stage.answer()
    assert not stage.telling.due(15.0), "c has not"
    new.answer()
    assert not stage.telling.due(15.0) and stage.telling.due(15.0 + FLIGHT)
