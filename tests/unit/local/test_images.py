"""Which command an image name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.base.wellknown import DRAIN_SECONDS
from plait.local.images import BadTable, Image, Table, UnknownImage, bare, load

TABLE = Table([Image("*/app", entrypoint=("/app",), cmd=("serve",))])


def test_command_replaces_entrypoint_and_args_replace_cmd() -> None:
    table = {
        (): ["/app", "serve"],
        ("args",): ["/app", "x"],
        ("command",): ["x"],
        ("command", "args"): ["x", "x"],
    }
    for fields, words in table.items():
        container = {"image": "r/app:1", **{field: ["x"] for field in fields}}
        assert TABLE.command(container)[0] == words, fields


def test_tag_and_digest_do_not_hide_an_image() -> None:
    assert bare("localhost:5000/a/b:1@sha256:00") == "localhost:5000/a/b"
    assert bare("busybox") == "busybox"
    assert TABLE.find("docker.io/library/busybox:1.36") is not None


def test_an_unknown_image_says_how_to_add_it_unless_it_brings_a_command() -> None:
    with pytest.raises(UnknownImage, match=r'images\.yaml.*pattern: "quay.io/x/y"'):
        TABLE.command({"image": "quay.io/x/y:2"})
    assert TABLE.command({"image": "quay.io/x/y:2", "command": ["a"]})[0] == ["a"]


def test_the_users_table_comes_first_and_its_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLAIT_IMAGES", raising=False)
    file = tmp_path / "images.yaml"
    file.write_text("- {pattern: 'busybox*', entrypoint: [/mine]}\n")
    assert load(tmp_path).command({"image": "busybox:1"})[0] == ["/mine"]
    for text, message in (("a: b", "want a list"), ("- {entrypoint: []}", r"\[0\]"), ("- {pattern: a, x: 1}", "'x'")):
        file.write_text(text)
        with pytest.raises(BadTable, match=message):
            load(tmp_path)


def test_an_l7_proxy_tells_connections_of_a_gone_chain_to_end_by_their_next_answer() -> None:
    """By and by (Envoy's default) leaves some untold until they are closed, as their client may be sending."""
    command = TABLE.command({"image": "plait/proxyv2:1"})[0]
    assert command[command.index("--drain-strategy") + 1] == "immediate"
    assert command[command.index("--drain-time-s") + 1] == str(DRAIN_SECONDS)
