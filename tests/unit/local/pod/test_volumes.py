"""Volumes on disk: content, modes, atomic change, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.local.pod.environment import ConfigError, Facts
from plait.local.pod.volumes import TOKEN_DIRECTORY, Token, Volumes, replace_content, with_default_token

NOW = 1000.0


async def tokens(audience: str, seconds: int) -> Token:
    tokens.calls.append((audience, seconds))  # type: ignore[attr-defined]
    return Token(f"token-{len(tokens.calls)}", NOW, NOW + seconds)  # type: ignore[attr-defined]


def pod(*volumes: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "b"}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}], "volumes": list(volumes)}}


def facts(**objects: Any) -> Facts:
    return Facts(("1.1.1.1",), ("2.2.2.2",), "n", objects={("ConfigMap", k): v for k, v in objects.items()})


async def test_a_config_map_shows_its_keys_and_follows_its_changes(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path, tokens, lambda: NOW)
    document = pod({"name": "c", "configMap": {"name": "cm", "defaultMode": 0o400}})
    await volumes.refresh(document, facts(cm={"data": {"k": "v1", "old": "x"}}))
    assert (tmp_path / "c/k").read_text() == "v1"
    assert (tmp_path / "c/k").stat().st_mode & 0o777 == 0o400
    before = (tmp_path / "c/..data").resolve()
    await volumes.refresh(document, facts(cm={"data": {"k": "v2"}}))
    assert (tmp_path / "c/k").read_text() == "v2"
    assert not (tmp_path / "c/old").is_symlink()
    assert not before.exists()


def test_equal_content_is_not_written_again(tmp_path: Path) -> None:
    assert replace_content(tmp_path, {"a/b": (b"x", 0o644)})
    assert not replace_content(tmp_path, {"a/b": (b"x", 0o644)})
    assert (tmp_path / "a/b").read_bytes() == b"x"


async def test_tokens_are_fetched_again_at_four_fifths_of_their_life(tmp_path: Path) -> None:
    clock = [NOW]
    tokens.calls = []  # type: ignore[attr-defined]
    volumes = Volumes(tmp_path, tokens, lambda: clock[0])
    sources = [{"serviceAccountToken": {"path": "t", "audience": "istio-ca", "expirationSeconds": 1000}}]
    document = pod({"name": "t", "projected": {"sources": sources}})
    await volumes.refresh(document, facts())
    assert volumes.renew_at == NOW + 800
    clock[0] = NOW + 799
    await volumes.refresh(document, facts())
    assert tokens.calls == [("istio-ca", 1000)]  # type: ignore[attr-defined]
    clock[0] = NOW + 800
    await volumes.refresh(document, facts())
    assert (tmp_path / "t/t").read_text() == "token-2"


async def test_what_cannot_be_mounted_is_refused_by_name(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path / "v", tokens, lambda: NOW)
    for volume, message in (
        ({"name": "x", "configMap": {"name": "gone"}}, 'configmap "gone" not found'),
        ({"name": "x", "persistentVolumeClaim": {}}, "persistentVolumeClaim"),
        ({"name": "x", "hostPath": {"path": str(tmp_path / "nope"), "type": "Directory"}}, "nope"),
        ({"name": "x", "configMap": {"name": "cm", "items": [{"key": "k", "path": "../k"}]}}, r"\.\./k"),
    ):
        with pytest.raises(ConfigError, match=message):
            await volumes.refresh(pod(volume), facts(cm={"data": {"k": "v"}}))


async def test_a_sub_path_stays_inside_its_volume(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path, tokens, lambda: NOW)
    document = pod({"name": "e", "emptyDir": {}})
    await volumes.refresh(document, facts())
    (tmp_path / "e/out").symlink_to("/etc")

    def mount(below: str) -> list[dict[str, Any]]:
        mounts = [{"name": "e", "mountPath": "/m", "subPath": below}]
        return volumes.mounts({"name": "c", "volumeMounts": mounts}, document, {})

    assert mount("a/b") == [{"source": str(tmp_path / "e/a/b"), "target": "/m", "readonly": False}]
    for bad in ("../x", "out"):
        with pytest.raises(ConfigError):
            mount(bad)


def test_the_default_token_is_mounted_once_and_only_where_wanted() -> None:
    document = with_default_token(pod(), automount=True)
    assert document["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == TOKEN_DIRECTORY
    assert with_default_token(document, automount=True) is document
    assert "volumes" in pod()["spec"] and with_default_token(pod(), automount=False) == pod()
