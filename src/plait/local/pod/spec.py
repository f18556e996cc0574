"""A container of a pod document -> the launcher's spec: user, capabilities, /etc files, paths. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from plait.base.wellknown import CLUSTER_DOMAIN
from plait.local import syscalls
from plait.local.pod import environment
from plait.local.pod.environment import ConfigError
from plait.store.api import Document

_NOBODY = 65532  # what "nonroot" images run as


def container_id(uid: str, name: str, attempt: int) -> str:
    return blake2b(f"{uid}/{name}/{attempt}".encode(), digest_size=32).hexdigest()


def container_directory(pod_directory: Path, name: str, attempt: int) -> Path:
    return pod_directory / "c" / name / str(attempt)


def log_file(pod_directory: Path, name: str, attempt: int) -> Path:
    return pod_directory / "logs" / name / f"{attempt}.log"


def user(container: Document, pod: Document) -> dict[str, Any]:
    """uid, gid, groups, capabilities as the launcher wants them."""
    whole, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}

    def setting(name: str) -> Any:
        return own.get(name, whole.get(name))

    result: dict[str, Any] = {}
    uid = setting("runAsUser")
    if setting("runAsNonRoot"):
        if uid == 0:
            raise ConfigError(f'container "{container["name"]}": runAsNonRoot and runAsUser 0 contradict each other')
        uid = _NOBODY if uid is None else uid
    if uid is not None:
        result["uid"], result["gid"] = int(uid), int(setting("runAsGroup") or 0)
        groups = [int(group) for group in whole.get("supplementalGroups") or ()]
        if whole.get("fsGroup") is not None:
            groups.append(int(whole["fsGroup"]))
        result["groups"] = groups
    result["capabilities"] = _capabilities(own)
    if own.get("allowPrivilegeEscalation") is False:
        result["no_new_privileges"] = True
    result["readonly"] = bool(own.get("readOnlyRootFilesystem"))
    return result


def _capabilities(security: Document) -> list[str] | None:
    if security.get("privileged"):
        return None
    wanted = security.get("capabilities") or {}
    drop = {_plain(name) for name in wanted.get("drop") or ()}
    add = {_plain(name) for name in wanted.get("add") or ()}
    if "ALL" in add:
        return None
    kept = set() if "ALL" in drop else set(syscalls.DEFAULT_CAPABILITIES) - drop
    return sorted(kept | add)


def _plain(name: str) -> str:
    return str(name).upper().removeprefix("CAP_")


def etc_files(pod: Document, addresses: Iterable[str], dns: str, host_resolv: str) -> dict[str, str]:
    """Contents of /etc/hosts, /etc/resolv.conf and /etc/hostname."""
    spec, namespace = pod["spec"], pod["metadata"].get("namespace", "default")
    name = environment.hostname(pod)
    names = name
    if spec.get("subdomain"):
        names = f"{name}.{spec['subdomain']}.{namespace}.svc.{CLUSTER_DOMAIN} {name}"
    hosts = ["# Managed by plait.", "127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    hosts += [f"{address} {names}" for address in addresses]
    hosts += [f"{alias['ip']} {' '.join(alias.get('hostnames') or ())}" for alias in spec.get("hostAliases") or ()]
    return {
        "hosts": "\n".join(hosts) + "\n",
        "resolv.conf": _resolv(spec, namespace, dns, host_resolv),
        "hostname": name + "\n",
    }


def _resolv(spec: Document, namespace: str, dns: str, host_resolv: str) -> str:
    policy, extra = spec.get("dnsPolicy", "ClusterFirst"), spec.get("dnsConfig") or {}
    outside = policy == "Default" or (policy == "ClusterFirst" and spec.get("hostNetwork"))
    if outside:
        return host_resolv
    servers, search, options = [], [], []
    if policy != "None":
        domain = CLUSTER_DOMAIN
        servers, search = [dns], [f"{namespace}.svc.{domain}", f"svc.{domain}", domain]
        options = ["ndots:5"]
    servers += extra.get("nameservers") or []
    search += extra.get("searches") or []
    for option in extra.get("options") or ():
        value = option.get("value")
        options = [o for o in options if o.partition(":")[0] != option["name"]]
        options.append(option["name"] if value is None else f"{option['name']}:{value}")
    lines = [f"nameserver {server}" for server in servers]
    if search:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def launcher_spec(
    container: Document,
    pod: Document,
    *,
    attempt: int,
    directory: Path,
    netns: Path,
    argv: Sequence[str],
    env: Mapping[str, str],
    workdir: str,
    mounts: Sequence[Document],
    hidden: Sequence[str],
    any_user: bool,
    cgroups: Sequence[str] = (),
) -> dict[str, Any]:
    """`directory` is the pod's. Mounts of the container win over the pod's own /etc files."""
    name = str(container["name"])
    own = container_directory(directory, name, attempt)
    taken = {mount["target"] for mount in mounts}
    etc = [
        {"source": str(directory / "etc" / file), "target": f"/etc/{file}", "readonly": False}
        for file in ("hosts", "resolv.conf", "hostname")
        if f"/etc/{file}" not in taken
    ]
    return {
        "id": container_id(pod["metadata"]["uid"], name, attempt),
        "argv": [environment.expand(word, env) for word in argv],
        "env": dict(env),
        "cwd": container.get("workingDir") or workdir,
        "netns": str(netns),
        "hostname": environment.hostname(pod),
        "mounts": [*etc, *mounts],
        "hidden": list(hidden),
        "directory": str(own),
        "scratch": str(own / "root"),
        "log": str(log_file(directory, name, attempt)),
        "stdin": bool(container.get("stdin")),
        "tty": bool(container.get("tty")),
        "any_user": any_user,
        "cgroups": list(cgroups),
        **user(container, pod),
    }
