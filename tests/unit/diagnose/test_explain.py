"""What plait explain says: the planner's points, the way, who gets around, and who would refuse a request."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from kit import cells
from kit import documents as d
from kit import worlds as l7
from plait.diagnose import naming
from plait.diagnose.explain import Explanation, explain
from plait.diagnose.requests import Request
from plait.model.enforcement import ClientMode, ServerMode, decide
from plait.model.mesh import Mesh

CLIENTS: tuple[ClientMode, ...] = ("none", "ambient", "ambient+waypoint", "sidecar")
SERVERS: tuple[ServerMode, ...] = tuple(mode for mode in get_args(ServerMode) if mode != "gateway")
TARGETS = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
NO_POSTS = d.allow("no-posts", [{"to": [{"operation": {"methods": ["POST"]}}]}], action="DENY", spec=TARGETS)
GET, POST = Request("GET", "/"), Request("POST", "/")


def said(mesh: Mesh, server: str = "shop/web:80", request: Request | None = None) -> Explanation:
    (found,) = explain(mesh, naming.pod(mesh, "shop/client-1"), naming.called(mesh, server), request)
    return found


def with_waypoint(client: ClientMode, server: ServerMode, *more: d.Document) -> Mesh:
    return cells.world(client, server, cells.waypoint_service(), *more)


def test_every_object_has_the_point_that_the_planner_gives_it_and_the_path_has_that_proxy() -> None:
    for client, server in product(CLIENTS, SERVERS):
        found = said(with_waypoint(client, server, NO_POSTS, l7.rules("web")))
        assert (found.client_mode, found.server_mode) == (client, server)
        kinds = {each.name: each.taken_for for each in found.enforcement}
        assert kinds == {"no-posts": "waypoint-policy", "web": "balancing"}, (client, server)
        for each in found.enforcement:
            decision = decide(client, server, each.taken_for)
            assert (each.point, each.guard, each.reason) == (decision.point, decision.guard, decision.reason)
            proxies = {hop.proxy for hop in found.path}
            assert {each.point, each.guard} - {"nowhere", ""} <= proxies, (client, server, each)


def test_a_deny_is_never_skipped_where_the_server_is_in_the_mesh() -> None:
    for client, server in product(CLIENTS, SERVERS):
        mesh, decision = with_waypoint(client, server, NO_POSTS), decide(client, server, "waypoint-policy")
        verdict = said(mesh, request=POST).verdict
        assert verdict is not None
        refused = decision.point != "nowhere" or decision.guard != ""
        assert verdict.allowed is not refused, (client, server, verdict)
        if refused:
            wanted = decision.guard if decision.point == "nowhere" else decision.point
            assert verdict.point == wanted, (client, server, verdict)


@pytest.mark.parametrize("client", ["ambient", "sidecar"])
def test_what_no_policy_denies_passes_with_its_route(client: ClientMode) -> None:
    sent = l7.routes("web", [{"name": "all", "route": [{"destination": {"host": "web"}}]}])
    found = said(with_waypoint(client, "ambient+waypoint", NO_POSTS, sent), request=GET)
    assert found.verdict is not None and found.verdict.allowed is True
    assert found.route == "VirtualService/shop/web all"


def test_the_pod_s_own_address_gets_around_and_is_refused() -> None:
    found = said(with_waypoint("ambient", "ambient+waypoint", NO_POSTS), "shop/web-1:8080", GET)
    assert found.server_mode == "ambient"
    assert found.around == ("AuthorizationPolicy/shop/no-posts",)
    assert found.verdict is not None
    assert (found.verdict.allowed, found.verdict.point) == (False, "server node proxy")


@pytest.mark.parametrize(("method", "allowed"), [("POST", False), ("GET", True)])
def test_whom_nobody_can_be_asked_about_is_refused_and_no_other(method: str, allowed: bool) -> None:
    rule = {"to": [{"operation": {"methods": ["POST"]}}]}
    asking = d.allow("ask", [rule], action="CUSTOM", spec={**TARGETS, "provider": {"name": "nobody"}})
    found = said(with_waypoint("ambient", "ambient+waypoint", asking), request=Request(method, "/"))
    assert found.verdict is not None and found.verdict.allowed is allowed


def test_a_token_nobody_showed_is_what_it_depends_on() -> None:
    claim = {"when": [{"key": "request.auth.claims[group]", "values": ["a"]}]}
    asked = d.allow("group", [claim], spec=TARGETS)
    found = said(with_waypoint("ambient", "ambient+waypoint", asked), request=GET)
    assert found.verdict is not None and found.verdict.allowed is None
    assert "shop/group" in found.verdict.because


def test_a_waypoint_that_cannot_do_its_part_is_noted() -> None:
    notes = {hop.proxy: hop.note for hop in said(cells.world("ambient", "ambient+waypoint")).path}
    assert "no address" in notes["waypoint"]
    gone = said(with_waypoint("ambient", "ambient+waypoint", NO_POSTS))
    assert [hop.note for hop in gone.path] == ["", "", ""]


def test_pods_of_several_modes_are_told_apart() -> None:
    mesh = with_waypoint("ambient", "ambient", l7.sidecar_pod("web-2", "10.0.0.9", labels={"app": "web"}), NO_POSTS)
    found = explain(mesh, naming.pod(mesh, "shop/client-1"), naming.called(mesh, "shop/web:80"), POST)
    assert {each.server_mode: each.pods for each in found} == {"ambient": ("shop/web-1",), "sidecar": ("shop/web-2",)}


def test_a_pod_that_is_called_as_a_service_is_meant_by_saying_so() -> None:
    mesh = cells.world("ambient", "ambient", d.service("web-1", "10.9.0.6", spec={"selector": {"app": "web"}}))
    assert said(mesh, "shop/web-1:80").server == "Service shop/web-1:80"
    assert said(mesh, "pod/shop/web-1:8080").server == "Pod shop/web-1:8080"


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ("shop/web", "80, 81"),
        ("shop/web:9", "80, 81"),
        ("shop/nobody", "web"),
        ("shop/nobody:80", "web-1"),
        ("shop/web:http", "no port number"),
    ],
)
def test_a_name_that_means_nothing_says_what_there_is(server: str, text: str) -> None:
    mesh = cells.world("ambient", "ambient")
    with pytest.raises(naming.Unknown, match=text):
        naming.called(mesh, server)
    with pytest.raises(naming.Unknown, match="client-1"):
        naming.pod(mesh, "shop/nobody")
    with pytest.raises(naming.Unknown, match=r"did you mean shop/client-1\?"):
        naming.pod(mesh, "client-1")
    with pytest.raises(naming.Unknown, match=r"did you mean shop/web\?"):
        naming.called(mesh, "default/web")
