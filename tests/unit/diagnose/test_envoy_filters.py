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
    assert codes(operations, patched("MERGE", "CLUSTER", version="^1.2.*")) == ["IST0155"]
    assert codes(operations, patched("INSERT_BEFORE", priority=10)) == []
    assert codes(operations, patched("INSERT_FIRST")) == []


def test_operations_that_a_place_does_not_take_are_told() -> None:
    assert codes(operations, patched("REPLACE", "CLUSTER", priority=1)) == ["IST0152"]
    assert codes(operations, patched("ADD", "HTTP_ROUTE")) == ["IST0153"]
    assert codes(operations, patched("REMOVE", "ROUTE_CONFIGURATION", priority=1)) == ["IST0154"]
    assert codes(operations, patched("REPLACE", priority=1)) == []
    assert codes(operations, patched("ADD", "CLUSTER")) == []
