from __future__ import annotations

from typing import Any

from kit import documents as d
from plait.diagnose.patch_values import of_document


def patched(*patches: tuple[str, str, Any]) -> d.Document:
    made = [{"applyTo": place, "patch": {"operation": does, "value": value}} for place, does, value in patches]
    return {**d.document("networking.istio.io/v1alpha3", "EnvoyFilter", "f"), "spec": {"configPatches": made}}


def test_every_patch_is_read_and_the_field_is_named() -> None:
    old = {"name": "a", "typed_config": {"@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua"}}
    found = list(
        of_document(
            patched(
                ("CLUSTER", "MERGE", {"connectTimeout": "1s"}),
                ("CLUSTER", "MERGE", {"connectTimeout": 1}),
                ("CLUSTER", "REMOVE", {"connectTimeout": 1}),
                ("HTTP_FILTER", "ADD", old),
            )
        )
    )
    told = [(each.severity, each.path, each.message.rpartition("; ")[2]) for each in found]
    assert told == [
        ("error", "spec.configPatches[1].patch.value.connect_timeout", "write it as Envoy's v3 API has it"),
        (
            "error",
            "spec.configPatches[3].patch.value.typed_config",
            "Envoy's v2 API is gone, write the type that v3 has for it",
        ),
    ]


def test_what_cannot_be_read_or_is_something_else_is_no_business_here() -> None:
    assert list(of_document({**patched(), "spec": {"configPatches": 1}})) == []
    assert list(of_document({"apiVersion": "v1", "kind": "Service"})) == []
