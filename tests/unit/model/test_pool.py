"""Who a proxy of the pool is, and whose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.base.wellknown import GATEWAY_NAME, GATEWAY_NAMESPACE, POOL_NAMESPACE
from plait.model import pool

LABEL = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
MINE = {GATEWAY_NAME: "waypoint", GATEWAY_NAMESPACE: "shop"}


@given(LABEL, NAME, LABEL, NAME)
def test_no_two_waypoints_share_an_account(one: str, first: str, other: str, second: str) -> None:
    same = pool.account(one, first) == pool.account(other, second)
    assert same == ((one, first) == (other, second))


@given(LABEL, NAME)
def test_an_account_is_a_name_that_pods_can_have_too(namespace: str, name: str) -> None:
    found = pool.account(namespace, name)
    assert len(found) <= 52
    assert found[-1].isalnum()


def test_a_short_name_is_readable() -> None:
    assert pool.account("shop", "waypoint") == "shop.waypoint"


def test_a_pod_of_the_pool_belongs_to_the_gateway_its_labels_and_account_name() -> None:
    assert pool.gateway_of(POOL_NAMESPACE, MINE, "shop.waypoint") == "shop/waypoint"


def test_a_label_without_the_account_is_not_believed() -> None:
    assert pool.gateway_of(POOL_NAMESPACE, MINE, "bank.waypoint") == ""


def test_nobody_claims_to_be_in_the_pool_from_outside() -> None:
    assert pool.gateway_of("bank", MINE, "shop.waypoint") == "bank/waypoint"
