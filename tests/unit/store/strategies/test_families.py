from __future__ import annotations

from typing import Any

import pytest

from plait.store.strategies import families

DUAL, SINGLE, SIX = ("IPv4", "IPv6"), ("IPv4",), ("IPv6",)


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"type": "ClusterIP", "selector": {"app": "web"}, **spec}}


def filled(offered: tuple[str, ...], old: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    made = service(**spec)
    families.default(made, old, offered)
    return made


def paths(made: dict[str, Any], offered: tuple[str, ...], old: dict[str, Any] | None = None) -> list[str]:
    return [path for path, _, _ in families.problems(made, old, offered)]


@pytest.mark.parametrize("offered", [SINGLE, DUAL])
def test_who_asks_for_nothing_gets_the_first_family(offered: tuple[str, ...]) -> None:
    spec = filled(offered)["spec"]
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"]) == ("SingleStack", ["IPv4"])


@pytest.mark.parametrize("policy", ["PreferDualStack", "RequireDualStack"])
def test_a_dual_policy_takes_both_with_the_named_one_first(policy: str) -> None:
    assert filled(DUAL, ipFamilyPolicy=policy)["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert filled(DUAL, ipFamilyPolicy=policy, ipFamilies=["IPv6"])["spec"]["ipFamilies"] == ["IPv6", "IPv4"]


def test_preferring_both_is_content_with_one_and_requiring_both_is_not() -> None:
    preferring = filled(SINGLE, ipFamilyPolicy="PreferDualStack")
    assert preferring["spec"]["ipFamilies"] == ["IPv4"] and paths(preferring, SINGLE) == []
    assert paths(filled(SINGLE, ipFamilyPolicy="RequireDualStack"), SINGLE) == ["spec.ipFamilyPolicy"]


def test_the_family_of_a_given_address_is_its_own() -> None:
    made = filled(DUAL, clusterIPs=["fd00::10"])
    assert made["spec"]["ipFamilies"] == ["IPv6"] and made["spec"]["clusterIP"] == "fd00::10"
    assert paths(filled(DUAL, clusterIP="fd00::10", ipFamilies=["IPv4"]), DUAL) == ["spec.clusterIPs[0]"]


def test_two_families_need_a_policy_that_says_so() -> None:
    assert paths(filled(DUAL, ipFamilies=["IPv4", "IPv6"]), DUAL) == ["spec.ipFamilyPolicy"]


def test_a_family_that_the_cluster_has_not_is_refused() -> None:
    assert paths(filled(SINGLE, ipFamilies=["IPv6"]), SINGLE) == ["spec.ipFamilies[0]"]
    assert paths(filled(SIX, ipFamilies=["IPv4"]), SIX) == ["spec.ipFamilies[0]"]
    assert filled(SIX, ipFamilyPolicy="PreferDualStack")["spec"]["ipFamilies"] == ["IPv6"]
    assert paths(filled(DUAL, ipFamilies=["IPv5"]), DUAL) == ["spec.ipFamilies[0]"]
    assert "spec.ipFamilyPolicy" in paths(filled(DUAL, ipFamilyPolicy="Both"), DUAL)


def test_a_service_goes_from_one_family_to_both_and_back_by_its_policy_alone() -> None:
    one = filled(DUAL, clusterIPs=["10.0.0.9"])
    both = filled(DUAL, one, **{**one["spec"], "ipFamilyPolicy": "PreferDualStack"})
    assert both["spec"]["ipFamilies"] == ["IPv4", "IPv6"] and paths(both, DUAL, one) == []
    both["spec"]["clusterIPs"] = ["10.0.0.9", "fd00::9"]  # what the server then gave
    back = filled(DUAL, both, **{**both["spec"], "ipFamilyPolicy": "SingleStack"})
    assert back["spec"]["ipFamilies"] == ["IPv4"] and back["spec"]["clusterIPs"] == ["10.0.0.9"]
    assert paths(back, DUAL, both) == []


def test_what_an_update_leaves_out_stays() -> None:
    both = filled(DUAL, ipFamilyPolicy="PreferDualStack", clusterIPs=["10.0.0.9", "fd00::9"])
    again = filled(DUAL, both)
    assert {key: again["spec"][key] for key in ("ipFamilies", "ipFamilyPolicy", "clusterIP", "clusterIPs")} == {
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "PreferDualStack",
        "clusterIP": "10.0.0.9",
        "clusterIPs": ["10.0.0.9", "fd00::9"],
    }


def test_the_first_family_is_for_life() -> None:
    assert paths(filled(DUAL, ipFamilies=["IPv6"]), DUAL, filled(DUAL)) == ["spec.ipFamilies[0]"]


def test_a_headless_service_without_selector_may_list_both() -> None:
    spec = filled(DUAL, clusterIP="None", selector=None)["spec"]
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"]) == ("RequireDualStack", ["IPv4", "IPv6"])
