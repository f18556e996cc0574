"""The user's kubeconfig is changed on request only, and back again."""

from pathlib import Path

import pytest

from plait.app import access
from plait.local.layout import Layout
from plait.store import kubeconfig
from plait.store.kubeconfig import Access


@pytest.fixture
def mine(tmp_path: Path) -> Layout:
    layout = Layout("m", tmp_path / "m")
    layout.root.mkdir()
    kubeconfig.write(layout.kubeconfig, kubeconfig.document("plait-m", Access("https://127.0.0.1:1", token="t")))
    return layout


def test_merged_context_stands_beside_the_users_own_and_goes_again(
    mine: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    kubeconfig.write(users, kubeconfig.document("work", Access("https://work:6443", token="w")))
    before = kubeconfig.read(users)
    monkeypatch.setenv("KUBECONFIG", str(users))
    assert access.merge(mine) == users
    merged = kubeconfig.read(users)
    assert {entry["name"] for entry in merged["contexts"]} == {"work", "plait-m"}
    assert merged["current-context"] == "work"
    access.withdraw(mine)
    assert kubeconfig.read(users) == before


def test_nothing_is_withdrawn_where_nothing_was_merged(
    mine: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    kubeconfig.write(users, kubeconfig.document("plait-m", Access("https://other:6443", token="w")))
    monkeypatch.setenv("KUBECONFIG", str(users))
    before = users.read_bytes()
    access.withdraw(mine)
    assert users.read_bytes() == before
