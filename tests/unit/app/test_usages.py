"""What a process costs is read of the process that answers, by nobody's word."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from plait.app import usages
from plait.app.companions import Companions
from plait.model.proxies import Proxy


async def test_a_page_has_every_envoy_that_answers(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("here", "gone")}
    for folder in folders.values():
        folder.mkdir()
    proxies = [(Proxy("sidecar", "shop", name), folder, None) for name, folder in folders.items()]
    beside = cast(Companions, type("Beside", (), {"proxies": proxies}))
    with socket.socket(socket.AF_UNIX) as node, socket.socket(socket.AF_UNIX) as here:
        for each, where in ((node, tmp_path / "admin.sock"), (here, folders["here"] / "admin.sock")):
            each.bind(str(where))
            each.listen()
        page: dict[str, Any] = await usages.measured("n1", tmp_path / "admin.sock", beside)
        assert usages.process(tmp_path / "admin.sock") == os.getpid()
    assert [(each["role"], each["name"]) for each in page["proxies"]] == [("node", "n1"), ("sidecar", "shop/here")]
    assert all(each["cpu"] > 0 and each["megabytes"] > 1 for each in page["proxies"])


def test_pages_of_several_nodes_are_one() -> None:
    text = '{"proxies": [{"role": "node", "name": "%s", "cpu": 1.5, "megabytes": 20}]}'
    found = usages.read((text % name).encode() for name in ("n1", "n2"))
    assert found[("node", "n2")] == usages.Usage("node", "n2", 1.5, 20.0) and len(found) == 2


def test_who_does_not_answer_has_no_process(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        usages.process(tmp_path / "admin.sock")
