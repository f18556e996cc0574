"""Parameters are merged as kubectl merges."""

from __future__ import annotations

import pytest

from plait.app.parameters import merge
from plait.resources import kinds
from plait.store.patch import PatchError


def test_containers_merge_by_name_and_null_removes() -> None:
    document = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x", "tty": True}]}}}}
    overlay = {"spec": {"template": {"spec": {"containers": [{"name": "a", "tty": None}, {"name": "b"}]}}}}
    found = merge(kinds.DEPLOYMENT, document, overlay)["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each for each in found} == {"a": {"name": "a", "image": "x"}, "b": {"name": "b"}}


def test_a_directive_nobody_knows_is_refused() -> None:
    with pytest.raises(PatchError):
        merge(kinds.SERVICE, {"spec": {}}, {"spec": {"$patch": "maybe"}})
