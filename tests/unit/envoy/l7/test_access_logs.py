"""A format that Envoy would refuse, and every listener with it, gives way to the default and is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kit import l7
from plait.envoy.l7 import access_logs, points
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.views.enforced import Telemetry

PROXY = l7.proxy("sidecar", "client")


def written(text: str, *, json: bool = False) -> tuple[Any, list[str]]:
    """The format of the one log, and where something is said about it."""
    settings = structs.replace(l7.SETTINGS, access_log_file="/dev/stdout", access_log_format=text, access_log_json=json)
    ctx = Context(PROXY, settings, DEFAULT, {})
    (log,) = access_logs.logs(ctx, Telemetry(), points.outgoing(PROXY))
    return log["typed_config"]["log_format"], [each.path for each in ctx.report.found]


@pytest.mark.parametrize("json", [False, True])
def test_a_format_that_envoy_takes_is_taken(json: bool) -> None:
    text = '{"a": "%PROTOCOL%"}'
    wanted = {"json_format": {"a": "%PROTOCOL%"}} if json else {"text_format_source": {"inline_string": text + "\n"}}
    assert written(text, json=json) == (wanted, [])


@pytest.mark.parametrize(("text", "json"), [("%NOPE%", False), ("50% of it", False), ('{"a": {"b": "%NOPE%"}}', True)])
def test_another_is_the_default(text: str, json: bool) -> None:
    assert written(text, json=json) == (written("", json=json)[0], ["meshConfig.accessLogFormat"])
