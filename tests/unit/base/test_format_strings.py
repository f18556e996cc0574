from __future__ import annotations

import pytest

from plait.base.format_strings import has_stray_sign, literal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "100%%",
        "%%%%",
        "%REQ(x)%",
        "%REQ(:path?x):12%",
        "%PROTOCOL%",
        "%START_TIME(%s.%9f)% 5%%",
        "%CEL(request.headers['a'].matches('(b)'))% and %RESPONSE_CODE%",
    ],
)
def test_doubled_signs_and_operators_are_well_formed(text: str) -> None:
    assert not has_stray_sign(text)


@pytest.mark.parametrize(
    "text",
    ["50%", "50% off, 20% more", "%", "%%%", "%REQ(x", "%REQ(x)", "%START_TIME(%", "%req(x)%", "%REQ(x):a%", "% P%"],
)
def test_a_sign_that_belongs_to_no_operator_is_stray(text: str) -> None:
    assert has_stray_sign(text)


@pytest.mark.parametrize("text", ["plain", "50%", "%REQ(x)%", "%%"])
def test_literal_text_is_always_well_formed(text: str) -> None:
    assert not has_stray_sign(literal(text))
    assert literal(text).replace("%%", "%") == text
