from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, istio, said
from plait.diagnose.virtual_services import unreachable

ROUTE = {"route": [{"destination": {"host": "web"}}]}


def rule(*matches: d.Document, **rest: Any) -> d.Document:
    return {**({"match": list(matches)} if matches else {}), **ROUTE, **rest}


def routes(*rules: d.Document, **spec: Any) -> d.Document:
    return istio("VirtualService", "web", hosts=["web"], http=list(rules), **spec)


def path(prefix: str, **rest: Any) -> d.Document:
    return {"uri": {"prefix": prefix}, **rest}


def test_rules_after_one_that_takes_everything_are_told() -> None:
    assert said(unreachable, routes(rule(), rule(path("/a")))) == [("IST0130", "web", "spec.http[1]")]
    assert codes(unreachable, routes(rule(path("/")), rule(path("/a")))) == ["IST0131", "IST0130"]
    assert codes(unreachable, routes(rule(path("/a")), rule())) == []
    assert codes(unreachable, routes(rule(path("/", port=80)), rule(path("/a")))) == []


def test_matches_that_stand_earlier_are_told() -> None:
    again = routes(rule(path("/a")), rule(path("/a", name="again")))
    assert said(unreachable, again) == [
        ("IST0131", "web", "spec.http[1].match[0]"),
        ("IST0130", "web", "spec.http[1]"),
    ]
    twice = routes(rule(path("/a")), rule(path("/a"), path("/b")))
    assert said(unreachable, twice) == [("IST0131", "web", "spec.http[1].match[0]")]
    assert codes(unreachable, routes(rule(path("/a")), rule(path("/b")))) == []


def test_a_longer_prefix_that_asks_no_less_is_inside_a_shorter_one() -> None:
    get, post = {"method": {"exact": "GET"}}, {"method": {"exact": "POST"}}
    one, two = {"headers": {"a": {"exact": "1"}}}, {"headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}}
    for first, second in (
        (path("/a"), path("/ab")),
        (path("/a"), path("/ab", **get)),
        (path("/a", **one), path("/ab", **two)),
    ):
        assert codes(unreachable, routes(rule(first), rule(second))) == ["IST0131"], "a rule may still match otherwise"
        assert codes(unreachable, routes(rule(first, second))) == ["IST0131"]
    for first, second in (
        (path("/a", **get), path("/ab", **post)),
        (path("/a", **get), path("/ab")),
        (path("/a", **two), path("/ab", **one)),
        (path("/ab"), path("/a")),
        (path("/a"), {"uri": {"exact": "/a"}, **get}),
        (path("/a", ignoreUriCase=True), path("/ab")),
    ):
        assert codes(unreachable, routes(rule(first), rule(second))) == []


def test_tcp_and_tls_rules_are_judged_alike() -> None:
    sni = {"match": [{"sniHosts": ["a.example"]}], **ROUTE}
    assert codes(unreachable, istio("VirtualService", "web", hosts=["a.example"], tls=[sni, sni])) == [
        "IST0131",
        "IST0130",
    ]
    tcp = [ROUTE, {"match": [{"port": 80}], **ROUTE}]
    assert codes(unreachable, istio("VirtualService", "web", hosts=["web"], tcp=tcp)) == ["IST0130"]
    assert codes(unreachable, istio("VirtualService", "web", hosts=["web"], tcp=tcp[::-1])) == []
