"""What is behind each volume of a pod, and where is it mounted? Directories below the pod's own directory.

Content volumes (configMap, secret, downwardAPI, projected) are written as `..data` -> `..<n>` with one atomic symlink
swap, so readers never see half of an update. Mounting itself is `rootfs`' business.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plait.local.pod import environment
from plait.local.pod.environment import ConfigError, Facts
from plait.store.api import Document

TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_TOKEN_SECONDS = 3607
_ROTATE_AT = 0.8  # share of a token's life after which a new one is fetched, as the kubelet does
_CONTENT = ("configMap", "secret", "downwardAPI", "projected")

Files = dict[str, tuple[bytes, int]]  # relative path -> content, mode


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    issued: float
    expires: float

    @property
    def renew_at(self) -> float:
        return self.issued + (self.expires - self.issued) * _ROTATE_AT


TokenSource = Callable[[str, int], Awaitable[Token]]  # audience ("" = the API server's), seconds


def with_default_token(pod: Document, automount: bool) -> Document:
    """The pod with the service account volume that an admission controller adds on Kubernetes, where it is missing."""
    spec = pod["spec"]
    if not automount or spec.get("automountServiceAccountToken") is False:
        return pod
    everyone = (*spec.get("initContainers", ()), *spec["containers"])
    if all(any(m["mountPath"] == TOKEN_DIRECTORY for m in c.get("volumeMounts") or ()) for c in everyone):
        return pod
    name = "kube-api-access-plait"
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": DEFAULT_TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]

    def mounted(container: Document) -> Document:
        mounts = list(container.get("volumeMounts") or ())
        if any(m["mountPath"] == TOKEN_DIRECTORY for m in mounts):
            return container
        return {**container, "volumeMounts": [*mounts, {"name": name, "mountPath": TOKEN_DIRECTORY, "readOnly": True}]}

    changed = {**spec, "volumes": [*(spec.get("volumes") or ()), {"name": name, "projected": {"sources": sources}}]}
    for group in ("initContainers", "containers"):
        if spec.get(group):
            changed[group] = [mounted(c) for c in spec[group]]
    return {**pod, "spec": changed}


class Volumes:
    """The volumes of one pod below `directory`. `refresh` may be called again at any time."""

    def __init__(self, directory: Path, tokens: TokenSource, now: Callable[[], float]) -> None:
        self._directory, self._tokens, self._now = directory, tokens, now
        self._issued: dict[tuple[str, int], Token] = {}
        self.renew_at = float("inf")  # when the first token of this pod wants a refresh

    async def refresh(self, pod: Document, facts: Facts) -> None:
        """Make every volume exist with its present content. ConfigError when something it needs is missing."""
        self.renew_at = float("inf")
        for volume in pod["spec"].get("volumes") or ():
            path = self._directory / volume["name"]
            if any(kind in volume for kind in _CONTENT):
                files = await self._files(volume, pod, facts)
                path.mkdir(parents=True, exist_ok=True)
                replace_content(path, files)
            elif "hostPath" in volume:
                _host_path(volume["name"], volume["hostPath"])
            elif "emptyDir" in volume or set(volume) == {"name"}:
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o777)
            else:
                kind = next(iter(set(volume) - {"name"}))
                raise ConfigError(
                    f'volume "{volume["name"]}": type {kind} does not exist on one machine: use emptyDir, hostPath, '
                    "configMap, secret, downwardAPI or projected"
                )

    def mounts(self, container: Document, pod: Document, variables: Mapping[str, str]) -> list[Document]:
        """The container's mounts as {source, target, readonly}."""
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        result = []
        for mount in container.get("volumeMounts") or ():
            volume = volumes.get(mount["name"])
            if volume is None:
                raise ConfigError(f'container "{container["name"]}" mounts "{mount["name"]}", which is no volume of it')
            content = any(kind in volume for kind in _CONTENT)
            root = Path(volume["hostPath"]["path"]) if "hostPath" in volume else self._directory / mount["name"]
            below = environment.expand(mount.get("subPathExpr") or mount.get("subPath") or "", variables)
            source = _below(root, below, make=not content) if below else root
            readonly = bool(mount.get("readOnly")) or content
            result.append({"source": str(source), "target": mount["mountPath"], "readonly": readonly})
        return result

    async def _files(self, volume: Document, pod: Document, facts: Facts) -> Files:
        if "projected" in volume:
            files: Files = {}
            mode = int(volume["projected"].get("defaultMode", 0o644))
            for source in volume["projected"].get("sources") or ():
                files.update(await self._source(source, pod, facts, mode))
            return files
        kind = next(kind for kind in _CONTENT if kind in volume)
        return await self._source(volume, pod, facts, int(volume[kind].get("defaultMode", 0o644)))

    async def _source(self, source: Document, pod: Document, facts: Facts, mode: int) -> Files:
        if "configMap" in source:
            return _keys("ConfigMap", source["configMap"].get("name", ""), source["configMap"], facts, mode)
        if "secret" in source:
            secret = source["secret"]
            return _keys("Secret", secret.get("secretName") or secret.get("name", ""), secret, facts, mode)
        if "downwardAPI" in source:
            return _downward(source["downwardAPI"], pod, facts, mode)
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            token = await self._token(wanted.get("audience", ""), int(wanted.get("expirationSeconds") or 3600))
            return {_inside(wanted.get("path", "token")): (token.value.encode(), mode)}
        kind = next(iter(source), "nothing")
        raise ConfigError(f"projected volume source {kind} is not supported here: see the support table")

    async def _token(self, audience: str, seconds: int) -> Token:
        known = self._issued.get((audience, seconds))
        if known is None or self._now() >= known.renew_at:
            known = self._issued[(audience, seconds)] = await self._tokens(audience, seconds)
        self.renew_at = min(self.renew_at, known.renew_at)
        return known


def replace_content(directory: Path, files: Files) -> bool:
    """Make `directory` show exactly `files`, atomically. False when it already did."""
    data = directory / "..data"
    if data.is_symlink() and _present(data.resolve()) == files:
        return False
    number = 1 + max((int(p.name[2:]) for p in directory.glob("..[0-9]*")), default=0)
    fresh = directory / f"..{number}"
    fresh.mkdir()
    fresh.chmod(0o755)
    for name, (content, mode) in files.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)
    pointer = directory / "..data_new"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(fresh.name)
    pointer.replace(data)
    wanted = {name.split("/")[0] for name in files}
    for entry in directory.iterdir():
        if entry.name.startswith(".."):
            if entry.is_dir() and not entry.is_symlink() and entry != fresh:
                shutil.rmtree(entry)
        elif entry.name not in wanted:
            entry.unlink()
    for name in wanted:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    return True


def _present(directory: Path) -> Files:
    found: Files = {}
    for path in directory.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(directory))] = (path.read_bytes(), path.stat().st_mode & 0o7777)
    return found


def _keys(kind: str, name: str, source: Document, facts: Facts, mode: int) -> Files:
    document = facts.objects.get((kind, name))
    if document is None:
        if source.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    data = environment.content({**document, "kind": kind})
    items = source.get("items")
    if not items:
        return {key: (value, mode) for key, value in data.items()}
    files: Files = {}
    for item in items:
        if item["key"] in data:
            files[_inside(item["path"])] = (data[item["key"]], int(item.get("mode", mode)))
        elif not source.get("optional"):
            raise ConfigError(f'{kind.lower()} "{name}" has no key "{item["key"]}"')
    return files


def _downward(source: Document, pod: Document, facts: Facts, mode: int) -> Files:
    files: Files = {}
    for item in source.get("items") or ():
        if "fieldRef" in item:
            text = environment.downward(item["fieldRef"].get("fieldPath", ""), pod, facts)
        else:
            text = environment.resource(item.get("resourceFieldRef") or {}, {}, pod, facts)
        files[_inside(item["path"])] = (text.encode(), int(item.get("mode", mode)))
    return files


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ConfigError(f'path "{path}" of a volume item must be relative and stay inside the volume')
    return path


def _below(root: Path, below: str, *, make: bool) -> Path:
    if below.startswith("/") or ".." in below.split("/"):
        raise ConfigError(f'subPath "{below}" must be relative and stay inside the volume')
    path = root / below
    if make and not os.path.lexists(path):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise ConfigError(f'subPath "{below}" leaves the volume through a symbolic link')
    if not real.exists():
        raise ConfigError(f'subPath "{below}" does not exist in the volume')
    return real


def _host_path(name: str, source: Document) -> None:
    path, kind = Path(source.get("path", "")), source.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    checks = {
        "Directory": path.is_dir,
        "File": path.is_file,
        "Socket": path.is_socket,
        "CharDevice": path.is_char_device,
        "BlockDevice": path.is_block_device,
    }
    if not checks.get(kind, path.exists)():
        raise ConfigError(f'volume "{name}": hostPath {path} is not there (type {kind or "any"})')
