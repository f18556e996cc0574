from __future__ import annotations

import pytest

from kit import l7
from plait.envoy.l7 import headers
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.routes import HeaderChange


@pytest.mark.parametrize(("name", "text"), [("a", "x\ny"), ("a", "x\ry"), ("a", "\0"), ("a\nb", "x")])
def test_a_line_break_or_zero_byte_is_left_out_and_said(name: str, text: str) -> None:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    found = headers.request(ctx, HeaderChange(set=((name, text), ("b", "c"))), "VirtualService/shop/web")
    assert [each["header"]["key"] for each in found["request_headers_to_add"]] == ["b"]
    assert "line breaks" in ctx.report.found[0].message


def test_a_header_that_is_set_to_nothing_stays_and_that_is_said() -> None:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    found = headers.request(ctx, HeaderChange(set=(("x-a", ""),)), "VirtualService/shop/web")
    (added,) = found["request_headers_to_add"]
    assert "keep_empty_value" not in added  # without it Envoy leaves the request as it is
    assert "use remove" in ctx.report.found[0].message


def test_what_would_end_a_removed_header_is_left_out_and_said() -> None:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    found = headers.response(ctx, HeaderChange(remove=("a\nb", "c")), "HTTPRoute/shop/web")
    assert found == {"response_headers_to_remove": ["c"]}
    assert len(ctx.report.found) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a%b", "a%%b"),
        ("%REQ(x", "%%REQ(x"),
        ("%START_TIME(%", "%%START_TIME(%%"),
        ("%REQ(x)%", "%REQ(x)%"),
        ("%START_TIME(%s)% 5%%", "%START_TIME(%s)% 5%%"),
        ("%REQ(x)% 5%", "%%REQ(x)%% 5%%"),
        ("%%", "%%"),
    ],
)
def test_a_stray_sign_is_text(text: str, written: str) -> None:
    assert headers.formatted(text) == written


@pytest.mark.parametrize("name", ["host", "Host", ":authority", ":status"])
def test_an_answer_has_no_host_to_be_changed(name: str) -> None:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    assert headers.response(ctx, HeaderChange(add=((name, "a"),), remove=(name,)), "VirtualService/shop/web") == {}
    assert len(ctx.report.found) == 1
