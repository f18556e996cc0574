"""A patch's value is read as Envoy reads it; what does not fit is named from the value on."""

from __future__ import annotations

from typing import Any

import pytest

from plait.envoy.l7.patch_values import misfit

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def filtered(**config: Any) -> dict[str, Any]:
    return {"name": "a", "typedConfig": config}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("CLUSTER", {"connectTimeout": "5s", "lb_policy": "MAGLEV"}),
        ("HTTP_FILTER", filtered(**{"@type": LUA, "inlineCode": "x"})),
        ("HTTP_FILTER", {"name": "envoy.filters.http.lua"}),
        ("HTTP_FILTER", filtered(**{"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": LUA})),
        ("HTTP_ROUTE", {"route": {"timeout": "3s"}}),
    ],
)
def test_fitting(place: str, value: dict[str, Any]) -> None:
    assert misfit(place, value) is None


@pytest.mark.parametrize(
    ("place", "value", "path", "word"),
    [
        ("CLUSTER", {"connectTimeout": 5}, ".connect_timeout", "duration"),
        ("CLUSTER", {"lb_policy": "NOPE"}, ".lb_policy", "MAGLEV"),
        ("LISTENER", {"lb_policy": "MAGLEV"}, ".lb_policy", "no field"),
        ("HTTP_FILTER", filtered(**{"@type": LUA, "inlineCod": "x"}), ".typed_config.inlineCod", "no field"),
        ("HTTP_FILTER", filtered(**{"@type": LUA.replace("v3", "v2")}), ".typed_config", "v2.Lua"),
        ("HTTP_FILTER", filtered(inlineCode="x"), ".typed_config", "'@type'"),
        ("VIRTUAL_HOST", {"rateLimits": {}}, ".rate_limits", "list"),
        ("HTTP_ROUTE", {"redirect": {}, "route": {}}, ".route", "exclude"),
    ],
)
def test_not_fitting(place: str, value: dict[str, Any], path: str, word: str) -> None:
    found = misfit(place, value)
    assert found is not None and found.path == path and word in found.message
