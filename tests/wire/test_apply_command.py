"""`plait apply` as a user types it, against the real embedded API server: what it says of each document."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kit import apiserver
from plait.cli import main
from plait.resources import kinds

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: named, namespace: shop}
data: {colour: blue}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: anywhere}
data: {colour: blue}
"""


async def test_each_document_is_created_then_unchanged_then_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "two.yaml"
    async with apiserver.running() as cluster:
        await cluster.http.create(kinds.NAMESPACE, {"metadata": {"name": "shop"}})

        async def applied(text: str, *options: str) -> list[str]:
            file.write_text(text)
            words = ["apply", "-f", str(file), "--kubeconfig", str(cluster.kubeconfig), *options]
            assert await asyncio.to_thread(main.main, words) == 0
            return capsys.readouterr().out.splitlines()

        assert await applied(MANIFEST) == ["ConfigMap/named created", "ConfigMap/anywhere created"]
        red = MANIFEST.replace("blue", "red", 1)
        assert await applied(red) == ["ConfigMap/named configured", "ConfigMap/anywhere unchanged"]
        assert (await cluster.http.get(kinds.CONFIG_MAP, "named", "shop"))["data"] == {"colour": "red"}
        assert (await cluster.http.get(kinds.CONFIG_MAP, "anywhere", "default"))["data"] == {"colour": "blue"}
        assert await applied(red, "-n", "shop") == ["ConfigMap/named unchanged", "ConfigMap/anywhere created"]
