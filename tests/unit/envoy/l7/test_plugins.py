from __future__ import annotations

from pathlib import Path

import pytest

from kit import l7
from kit.envoys import validate
from plait.envoy.l7 import plugins
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.attachment import Attachment
from plait.model.patches import Plugin, Script


@pytest.mark.envoy
@pytest.mark.parametrize("network", [False, True])
def test_a_module_that_is_not_there_refuses_everybody_in_its_own_chain(network: bool, tmp_path: Path) -> None:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    script = Script("wasm", url="https://nowhere/a.wasm", network=network)
    plugin = Plugin("WasmPlugin", "a", "shop", Attachment("shop"), script)
    (made,) = plugins.filters(ctx, [plugin], plugin.phase, "server", 80, network=network)
    assert len(ctx.report.found) == 1
    kind = "network" if network else "http"
    assert made["typed_config"]["@type"].endswith(f"filters.{kind}.rbac.v3.RBAC")
    last = {"name": "t", "typed_config": {"@type": f"{TYPES}.network.tcp_proxy.v3.TcpProxy", **TO}}
    if not network:
        router = {"name": "r", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}}
        manager = {"@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "a"}
        last = {"name": "h", "typed_config": {**manager, "route_config": {}, "http_filters": [made, router]}}
    chain = [made, last] if network else [last]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    listener = {"name": "a", "address": address, "filter_chains": [{"filters": chain}]}
    validate({"static_resources": {"listeners": [listener], "clusters": [{"name": "c"}]}}, tmp_path)


TYPES = "type.googleapis.com/envoy.extensions.filters"
TO = {"stat_prefix": "a", "cluster": "c"}
