"""Our verdict on regular expressions, and the real Envoy's on the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.envoys import validate
from plait.base import regexes
from plait.envoy import bootstrap
from plait.envoy.pieces import any_of, extension

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
GOOD = r"""
/a.* | /(?P<n>x) | (?<n>x) | \pL+ | \p{Greek}\p{^Lu}\PN | (?i:ab)(?i-s:a)(?U:a)(?) | \Qa.b(\E+ | \Qab | a\z\A
\d+\w\s\b | \x{41}\x7F | []a] | [^]a-c] | [a-] | [a-b-c] | [\d-z] | [[:alpha:]_] | [[:^alpha:]] | [[:alpha]] | a{,5}
{ | a{1, | x{0} | (|a)() | ^* | \b+ | \_\< | \07\12 | [a-z]{1,200} | (a{2,}b?){10} | ((a{10}){10}){10} | (?s).*? | é+
(?m:^a$)
"""
BAD = r"""
(?=x) | (a)\1 | a++ | a{1001} | (a{1000}){2} | [z-a] | (a|b | \Z | \pX | (?i-:a)
"""
HUGE = f"[a-z]{{1,1000}}{'b' * (regexes.PROGRAM_SIZE + 10)}"


def words(text: str) -> list[str]:
    return [word for line in text.strip().splitlines() for word in line.split(" | ")]


DEEP = "(" * 5000 + ")" * 5000


def config(expressions: list[str]) -> dict[str, object]:
    """Routes of these, as an L7 proxy of ours would read them."""
    base = bootstrap.bootstrap(
        bootstrap.NodeBootstrap("test", "/tmp/plait-expressions-xds", "/tmp/plait-expressions-admin")
    )
    routes = [{"match": {"safe_regex": {"regex": each}}, "direct_response": {"status": 200}} for each in expressions]
    filters = "envoy.extensions.filters"
    manager = any_of(
        f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="x",
        route_config={"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": routes}]},
        http_filters=[extension("router", f"{filters}.http.router.v3.Router")],
    )
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    listener = {
        "name": "l",
        "address": address,
        "filter_chains": [{"filters": [{"name": "h", "typed_config": manager}]}],
    }
    return {"layered_runtime": base["layered_runtime"], "static_resources": {"listeners": [listener]}}


def test_envoy_takes_what_we_take(tmp_path: Path) -> None:
    assert {each: regexes.refused(each) for each in words(GOOD) if regexes.refused(each)} == {}
    assert regexes.refused(DEEP) == ""
    validate(config([*words(GOOD), DEEP]), tmp_path)


@pytest.mark.parametrize("expression", [*words(BAD), HUGE], ids=lambda text: text[:20])
def test_envoy_refuses_what_we_refuse(expression: str, tmp_path: Path) -> None:
    assert regexes.refused(expression)
    with pytest.raises(AssertionError, match=r"error initializing|max program size"):
        validate(config([expression]), tmp_path)
