from __future__ import annotations

from typing import Any

from kit import l7
from plait.envoy.l7.context import Context
from plait.envoy.l7.distinct import distinct
from plait.envoy.l7.options import DEFAULT
from plait.envoy.pieces import cidr


def kept(*matches: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """What is left of each chain's match, and how often something was said."""
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    made = [{"name": str(number), "filter_chain_match": match} for number, match in enumerate(matches)]
    found = distinct(ctx, made, "0.0.0.0_80")
    return [each["filter_chain_match"] for each in found], len(ctx.report.found)


def nets(*blocks: str) -> dict[str, Any]:
    return {"prefix_ranges": [cidr(block) for block in blocks]}


def test_chains_that_do_not_meet_stay_as_they_are() -> None:
    wanted = nets("10.7.0.0/16"), nets("10.7.1.0/24"), {"server_names": ["a"]}, {"server_names": ["b"]}, {}
    assert kept(*wanted) == (list(wanted), 0)


def test_a_repetition_in_one_chain_is_written_once_in_silence() -> None:
    assert kept(nets("10.7.0.0/16", "10.7.5.5/16", "10.8.0.0/16")) == ([nets("10.7.0.0/16", "10.8.0.0/16")], 0)


def test_the_first_chain_keeps_what_two_want_and_it_is_said() -> None:
    assert kept(nets("10.7.0.0/16"), nets("10.8.0.0/16", "10.7.0.0/16")) == (
        [nets("10.7.0.0/16"), nets("10.8.0.0/16")],
        1,
    )
    assert kept({"server_names": ["a.b", "c"]}, {"server_names": ["C", "d"]}) == (
        [{"server_names": ["a.b", "c"]}, {"server_names": ["d"]}],
        1,
    )


def test_a_chain_with_nothing_left_is_left_out() -> None:
    assert kept(nets("10.7.0.0/16", "10.8.0.0/16"), nets("10.8.0.0/16")) == ([nets("10.7.0.0/16", "10.8.0.0/16")], 1)
    assert kept({}, {}) == ([{}], 1)


def test_names_of_other_addresses_are_others() -> None:
    wanted = {**nets("10.7.0.0/16"), "server_names": ["a"]}, {**nets("10.8.0.0/16"), "server_names": ["a"]}
    assert kept(*wanted) == (list(wanted), 0)
