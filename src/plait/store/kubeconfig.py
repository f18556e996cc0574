"""kubeconfig files: write the mesh's own, merge it into a user's on request, read what a client needs of any."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach and authenticate to one API server. Certificates and keys are PEM."""

    server: str
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    insecure: bool = False
    socket: str = ""  # unix socket to dial instead of the server's host


def document(name: str, access: Access) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context, all called `name`."""
    user: dict[str, Any] = {"token": access.token} if access.token else {}
    if access.certificate:
        user |= {"client-certificate-data": _encoded(access.certificate), "client-key-data": _encoded(access.key)}
    cluster = {"server": access.server, "certificate-authority-data": _encoded(access.ca)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Atomically, mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yaml.safe_dump(content, file, sort_keys=False)
    temporary.replace(path)


def merge(path: Path, content: dict[str, Any], *, use: bool = False) -> None:
    """Put our entries into a user's kubeconfig, replacing those of the same name; `use` makes ours the current one."""
    existing: dict[str, Any] = read(path) if path.exists() else {"apiVersion": "v1", "kind": "Config"}
    for section in ("clusters", "users", "contexts"):
        ours = {entry["name"] for entry in content[section]}
        kept = [entry for entry in existing.get(section) or () if entry.get("name") not in ours]
        existing[section] = kept + content[section]
    if use or not existing.get("current-context"):
        existing["current-context"] = content["current-context"]
    write(path, existing)


def remove(path: Path, name: str) -> None:
    """Take our entries out of a user's kubeconfig again."""
    if not path.exists():
        return
    existing = read(path)
    for section in ("clusters", "users", "contexts"):
        existing[section] = [entry for entry in existing.get(section) or () if entry.get("name") != name]
    if existing.get("current-context") == name:
        existing["current-context"] = ""
    write(path, existing)


def read(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text())
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: not a kubeconfig: expected a mapping at the top")
    return loaded


def access(path: Path, context: str = "") -> Access:
    """Server and credentials of a context (default: the current one). Exec plugins are not run."""
    config = read(path)
    chosen = _named(config, "contexts", context or config.get("current-context", ""), path)["context"]
    cluster = _named(config, "clusters", chosen["cluster"], path)["cluster"]
    user = _named(config, "users", chosen["user"], path).get("user") or {}
    if "exec" in user or "auth-provider" in user:
        raise ValueError(f"{path}: user {chosen['user']}: exec plugins are not supported; use a token or certificate")
    base = path.parent
    return Access(
        server=cluster["server"],
        ca=_data(cluster, "certificate-authority", base),
        certificate=_data(user, "client-certificate", base),
        key=_data(user, "client-key", base),
        token=user.get("token") or (_data(user, "tokenFile", base).decode().strip() if "tokenFile" in user else ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(config: dict[str, Any], section: str, name: str, path: Path) -> dict[str, Any]:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            return dict(entry)
    raise ValueError(f"{path}: no entry {name!r} in {section}; choose one that is there")


def _data(entry: dict[str, Any], field: str, base: Path) -> bytes:
    if inline := entry.get(f"{field}-data"):
        return base64.b64decode(inline)
    return (base / entry[field]).read_bytes() if entry.get(field) else b""


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
