"""What annotations say of an injected proxy."""

from __future__ import annotations

import pytest

from plait.resources.injection import has_sidecar, is_gateway, templates

NAMED = "inject.istio.io/templates"


@pytest.mark.parametrize(
    ("text", "names", "gateway"),
    [
        ("", (), False),
        ("gateway", ("gateway",), True),
        (" sidecar , gateway ,", ("sidecar", "gateway"), True),
        ("sidecar,behind-gateway", ("sidecar", "behind-gateway"), False),  # a name that contains the word is another
    ],
)
def test_templates(text: str, names: tuple[str, ...], gateway: bool) -> None:
    notes = {NAMED: text, "sidecar.istio.io/status": "{}"}
    assert (templates(notes), is_gateway(notes), has_sidecar(notes)) == (names, gateway, not gateway)


def test_without_a_status_nothing_was_injected() -> None:
    assert not has_sidecar({NAMED: "sidecar"})
