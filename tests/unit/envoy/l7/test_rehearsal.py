"""What of an EnvoyFilter a spare Envoy is asked, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from plait.envoy.l7.rehearsal import configuration
from plait.model.patches import Patch

FILTERS = "type.googleapis.com/envoy.extensions.filters"


def patch(apply_to: str, operation: str, value: dict[str, Any]) -> Patch:
    return Patch(apply_to, "any", operation, value, {})


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": "x", "typed_config": {"@type": f"{FILTERS}.{kind}", **fields}}


def managers(found: Any) -> list[dict[str, Any]]:
    (listener,) = found["static_resources"]["listeners"]
    return [each["typed_config"] for each in listener["filter_chains"][0]["filters"]]


def test_a_filter_stands_before_the_router_and_clusters_it_names_are_there() -> None:
    value = typed("http.ext_authz.v3.ExtAuthz", grpcService={"envoyGrpc": {"clusterName": "outbound|80||authz"}})
    found = configuration([patch("HTTP_FILTER", "INSERT_BEFORE", value)])
    assert found is not None
    (manager,) = managers(found)
    assert [each["name"] for each in manager["http_filters"]] == ["x", "envoy.filters.http.router"]
    assert [each["name"] for each in found["static_resources"]["clusters"]] == ["outbound|80||authz", "rehearsal"]


def test_a_script_is_compiled_and_not_run() -> None:
    script = typed("http.lua.v3.Lua", default_source_code={"inline_string": "os.exit()"}, inline_code="os.exit()")
    found = configuration([patch("HTTP_FILTER", "INSERT_FIRST", script)])
    (manager,) = managers(found)
    config = manager["http_filters"][0]["typed_config"]
    assert config["inline_code"] == config["default_source_code"]["inline_string"] == "do return end os.exit()"


def test_a_merge_into_a_connection_manager_is_laid_over_a_whole_one() -> None:
    manager = "network.http_connection_manager.v3.HttpConnectionManager"
    (found,) = managers(configuration([patch("NETWORK_FILTER", "MERGE", typed(manager, stream_idle_timeout="5s"))]))
    assert (found["stat_prefix"], found["stream_idle_timeout"]) == ("x", "5s")


@pytest.mark.parametrize(
    ("apply_to", "operation", "value"),
    [
        ("HTTP_FILTER", "REMOVE", {}),
        ("HTTP_FILTER", "MERGE", typed("http.fault.v3.HTTPFault", max_active_faults=1)),
        ("HTTP_FILTER", "INSERT_FIRST", typed("http.wasm.v3.Wasm", config={"vm_config": {"vm_id": "a"}})),
        ("HTTP_FILTER", "INSERT_FIRST", typed("http.lua.v3.Lua", default_source_code={"filename": "/etc/a.lua"})),
        ("HTTP_FILTER", "INSERT_FIRST", typed("http.lua.v3.Lua", default_source_code={"inline_bytes": "AAAA"})),
        ("CLUSTER", "ADD", {"name": "a", "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}),
        ("HTTP_FILTER", "INSERT_FIRST", typed("http.fault.v3.HTTPFault", no_such_field=1)),
        ("BOOTSTRAP", "MERGE", {}),
        ("NO_SUCH", "ADD", {}),
    ],
    ids=["removes", "needs the whole", "wasm", "file", "bytes", "discovery", "not Envoy's API", "bootstrap", "unknown"],
)
def test_what_only_the_proxy_could_say_is_not_asked(apply_to: str, operation: str, value: dict[str, Any]) -> None:
    assert configuration([patch(apply_to, operation, value)]) is None
