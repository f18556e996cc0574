from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes
from plait.diagnose.envoy_filters import operations


def patched(operation: str, place: str = "HTTP_FILTER", version: str = "", **spec: Any) -> d.Document:
    match = {"match": {"proxy": {"proxyVersion": version}}} if version else {}
    one = {"applyTo": place, "patch": {"operation": operation, "value": {"name": "a"}}, **match}
    document = d.document("networking.istio.io/v1alpha3", "EnvoyFilter", "f")
    return {**document, "spec": {"configPatches": [one], **spec}}


def test_relative_operations_need_a_priority() -> None:
    assert codes(operations, patched("INSERT_BEFORE")) == ["IST0151"]
    assert codes(operations, patched("REMOVE", "CLUSTER")) == ["IST0151"]
    assert codes(operations, patched("MERGE", "CLUSTER")) == [], "it adds to whatever is there"
    assert codes(operations, patched("INSERT_BEFORE", priority=10)) == []
    assert codes(operations, patched("INSERT_FIRST")) == []


def test_one_filter_of_which_a_patch_is_for_one_version_is_told_as_such() -> None:
    first = patched("INSERT_BEFORE", version="^1.2.*")
    second = {**patched("INSERT_BEFORE"), "metadata": {"name": "g", "namespace": "shop"}}
    assert codes(operations, first, second) == ["IST0151", "IST0155"]


def test_operations_that_a_place_does_not_take_are_told() -> None:
    assert codes(operations, patched("REPLACE", "CLUSTER", priority=1)) == ["IST0152"]
    assert codes(operations, patched("ADD", "HTTP_ROUTE")) == ["IST0153"]
    assert codes(operations, patched("REMOVE", "ROUTE_CONFIGURATION", priority=1)) == ["IST0154"]
    assert codes(operations, patched("REPLACE", priority=1)) == []
    assert codes(operations, patched("ADD", "CLUSTER")) == []
