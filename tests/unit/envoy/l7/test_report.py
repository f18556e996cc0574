"""What cannot be said to Envoy is refused by object and field, and never widens what is let through."""

from __future__ import annotations

import re

import pytest

from kit import l7
from kit.l7 import forward, route, to, upstream, virtual
from plait.envoy.l7 import routes
from plait.envoy.l7.context import Context
from plait.envoy.l7.matchers import sound
from plait.envoy.l7.options import DEFAULT
from plait.model.routes import (
    FieldMatch,
    HeaderChange,
    Match,
    PathMatch,
    Redirect,
    Rewrite,
    Route,
    TextMatch,
    VirtualHost,
)

WEB = upstream("web", "10.64.2.2")


def configured(*hosts: VirtualHost, port: int = 80, role: str = "gateway") -> tuple[list[dict[str, object]], list[str]]:
    ctx = Context(l7.proxy(role), l7.SETTINGS, DEFAULT, {WEB.key: WEB})
    document = routes.configuration(ctx, "http.80", hosts, port)
    return document["virtual_hosts"], [each.path for each in ctx.report.found]


@pytest.mark.parametrize(
    "match",
    [
        Match(path=PathMatch("regex", "a(?!b)")),
        Match(path=PathMatch("regex", "(")),
        Match(headers=(FieldMatch("x", TextMatch("regex", "[")),)),
        Match(query=(FieldMatch("q", TextMatch("exact", "1"), True),)),
        Match(path=PathMatch("segments", "/a?b")),
    ],
)
def test_a_match_that_envoy_cannot_make_matches_nothing_and_is_refused(match: Match) -> None:
    hosts, refused = configured(virtual("h", Route("r", (match,), forward("web"), source="VirtualService/shop/web")))
    assert hosts[0]["routes"] == []
    assert refused == ["r.match[0]"]


def test_a_domain_stands_once_and_the_first_host_keeps_it() -> None:
    first, second = virtual("a", domains=("x.example", "y.example")), virtual("b", domains=("X.example", "z.example"))
    hosts, refused = configured(first, second)
    assert [host["domains"] for host in hosts] == [["x.example", "y.example"], ["z.example"]]
    assert refused == ["http.80.b"]


def test_a_match_of_another_source_is_not_ours() -> None:
    other = (Match(source_labels=(("app", "other"),)), Match(source_namespace="elsewhere"))
    hosts, refused = configured(virtual("h", Route("r", other, forward("web"))))
    assert (hosts[0]["routes"], refused) == ([], [])


def test_a_waypoint_tells_callers_by_the_namespace_of_their_identity_but_not_by_labels() -> None:
    caller = Match(source_namespace="other")
    hosts, refused = configured(virtual("h", Route("r", (caller,), forward("web"))), role="waypoint")
    (test,) = hosts[0]["routes"][0]["match"]["filter_state"]  # type: ignore[index]
    assert test["key"] == "io.istio.peer_principal"
    pattern = test["string_match"]["safe_regex"]["regex"]
    assert re.fullmatch(pattern, "spiffe://cluster.local/ns/other/sa/default")
    assert not re.fullmatch(pattern, "spiffe://cluster.local/ns/another/sa/default")
    assert refused == []
    labels = Route("r", (Match(source_labels=(("app", "a"),)),), forward("web"), source="VirtualService/shop/web")
    hosts, refused = configured(virtual("h", labels), role="waypoint")
    assert (hosts[0]["routes"], refused) == ([], ["r.match[0].sourceLabels"])


def test_a_stray_percent_is_sent_as_text_and_pseudo_headers_are_refused() -> None:
    change = HeaderChange(set=(("x-a", "50%"), (":path", "/x"), ("x-b", "%REQ(x:y?z)%")))
    hosts, refused = configured(virtual("h", route("/", forward("web"), request=change)))
    added = {each["header"]["key"]: each["header"]["value"] for each in hosts[0]["routes"][0]["request_headers_to_add"]}  # type: ignore[index]
    assert added == {"x-a": "50%%", "x-b": "%REQ(x:y?z)%"}
    assert sorted(refused) == ["headers.request.:path", "headers.request.x-a"]


def test_a_broken_share_answers_with_the_status_of_its_route() -> None:
    action = forward(to("web", weight=1), to("none", weight=1, broken="no service"), missing_status=500)
    hosts, _ = configured(virtual("h", route("/", action)))
    made = hosts[0]["routes"][0]["route"]  # type: ignore[index]
    assert [each["name"] for each in made["weighted_clusters"]["clusters"]][1].startswith("broken|")
    assert made["cluster_not_found_response_code"] == "INTERNAL_SERVER_ERROR"


def test_strange_codes_and_rewrites_are_refused() -> None:
    found = (
        route("/a", Redirect(399)),
        route("/b", forward("web"), rewrite=Rewrite(regex="(", substitution="x")),
    )
    assert configured(virtual("h", *found))[1] == ["redirect.code", "rewrite.uriRegexRewrite"]


@pytest.mark.parametrize(("regex", "good"), [("a.*", True), (r"\pL+", True), (r"(a)\1", False), ("(?<=a)b", False)])
def test_expressions_are_those_of_re2(regex: str, good: bool) -> None:
    assert sound(regex) is good
