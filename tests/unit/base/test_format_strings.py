from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit.envoys import validate
from plait.base.format_strings import ARGUED, OPERATORS, literal, refused
from plait.envoy.pieces import extension, socket_address


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
    assert refused(text) == ""


@pytest.mark.parametrize(
    "text",
    ["50%", "50% off, 20% more", "%", "%%%", "%REQ(x", "%REQ(x)", "%START_TIME(%", "%req(x)%", "%REQ(x):a%", "% P%"],
)
def test_a_sign_that_belongs_to_no_operator_is_stray(text: str) -> None:
    assert "write '%%'" in refused(text)


@pytest.mark.parametrize("text", ["plain", "50%", "%REQ(x)%", "%%"])
def test_literal_text_is_always_well_formed(text: str) -> None:
    assert refused(literal(text)) == ""
    assert literal(text).replace("%%", "%") == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("%NOPE%", "no operator NOPE"),
        ("%PROTOCOL% %UPSTREAM_HOSTS%", "did you mean UPSTREAM_HOST?"),
        ("%REQ%", "needs an argument"),
        ("%DYNAMIC_METADATA:5%", "needs an argument"),
    ],
)
def test_operators_that_envoy_has_not_or_that_lack_their_argument_are_told(text: str, word: str) -> None:
    assert word in refused(text)


ARGUMENTS = {
    "COALESCE": '{"operators": ["PROTOCOL"]}',
    "COMMON_DURATION": "DS_RX_BEG:DS_RX_END:ms",
    "METADATA": "ROUTE:a",
}


@pytest.mark.envoy
def test_this_envoy_has_every_operator_of_the_list(tmp_path: Path) -> None:
    text = " ".join(f"%{name}({ARGUMENTS.get(name, 'a')})%" if name in ARGUED else f"%{name}%" for name in OPERATORS)
    assert refused(text) == ""
    validate(logging(text), tmp_path)
    for wrong in ("%NOPE%", "%REQ%"):
        with pytest.raises(AssertionError):
            validate(logging(wrong), tmp_path)


def logging(text: str) -> dict[str, Any]:
    """The least configuration that has a log line."""
    line = {"log_format": {"text_format_source": {"inline_string": text}}}
    logger = extension("a", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", **line)
    return {"admin": {"access_log": [logger], "address": socket_address("127.0.0.1", 1)}}
