"""How does a container see a file system of its own without an image? The host's, with private writes and own mounts.

A tmpfs mirrors `/`: symlinks are copied, directories are overlays (lower = the host's, upper = tmpfs), special file
systems are bound. So mount points and writes never touch the host. An overlay over `/` itself is refused in a user
namespace, because mounts below it are locked; hence the walk. Runs in the forked child of the launcher.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.local import syscalls

_OWN = {"/proc", "/sys", "/dev", "/run", "/lost+found"}
_SPECIAL = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "securityfs", "debugfs", "tracefs"}


@dataclass
class Root:
    """A new root under construction below `scratch` (a directory of the host that becomes a tmpfs, here only)."""

    scratch: str
    layers: list[str] = field(default_factory=list)  # what a read-only root must remount

    @property
    def path(self) -> str:
        return f"{self.scratch}/root"

    def build(self, hidden: Sequence[str]) -> None:
        mounted = _mounts()
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("tmpfs", self.scratch, "tmpfs", syscalls.MS_NODEV, "mode=755")
        os.mkdir(self.path, 0o755)
        syscalls.bind(self.path, self.path, recursive=False)
        self.layers.append(self.path)
        self._mirror("/", mounted)
        for name in ("proc", "sys", "dev", "run"):
            os.mkdir(f"{self.path}/{name}", 0o755)
        syscalls.bind("/proc", f"{self.path}/proc")
        try:  # a fresh sysfs shows the devices of the namespace it is mounted from
            syscalls.mount("sysfs", f"{self.path}/sys", "sysfs", syscalls.MS_RDONLY)
        except OSError:
            syscalls.bind("/sys", f"{self.path}/sys")
        syscalls.bind("/dev", f"{self.path}/dev")
        syscalls.mount("tmpfs", f"{self.path}/run", "tmpfs", syscalls.MS_NODEV | syscalls.MS_NOSUID, "mode=755")
        for path in hidden:
            if os.path.isdir(inner := self.resolve(path)):
                syscalls.mount("tmpfs", inner, "tmpfs", syscalls.MS_NODEV | syscalls.MS_NOSUID, "mode=755")

    def _mirror(self, source: str, mounted: dict[str, str]) -> None:
        """Fill the (existing, tmpfs) counterpart of `source` with its entries."""
        with os.scandir(source) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                path = os.path.join(source, entry.name)
                target = self.path + path
                if path in _OWN:
                    continue
                if entry.is_symlink():
                    os.symlink(os.readlink(path), target)
                elif entry.is_dir(follow_symlinks=False):
                    os.mkdir(target, 0o755)
                    self._directory(path, target, mounted)
                elif entry.is_file(follow_symlinks=False):
                    os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
                    syscalls.bind(path, target, recursive=False)

    def _directory(self, path: str, target: str, mounted: dict[str, str]) -> None:
        if mounted.get(path, "") in _SPECIAL:
            syscalls.bind(path, target)
        elif any(other.startswith(path + "/") for other in mounted) and os.access(path, os.R_OK):
            _same_mode(path, target)
            self._mirror(path, mounted)
        elif not self._overlay(path, target):
            syscalls.bind(path, target)

    def _overlay(self, lower: str, target: str) -> bool:
        upper = f"{self.scratch}/{len(self.layers)}u"
        work = f"{self.scratch}/{len(self.layers)}w"
        os.mkdir(upper)
        os.mkdir(work)
        _same_mode(lower, upper)
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        for options in (layers + ",userxattr", layers):
            try:
                syscalls.mount("overlay", target, "overlay", 0, options)
            except OSError:
                continue
            self.layers.append(target)
            return True
        return False

    def resolve(self, path: str) -> str:
        """`path` of the container as a path of ours: symlinks are followed inside the new root, never out of it."""
        left, done = [part for part in path.split("/") if part][::-1], ""
        for _ in range(400):
            if not left:
                break
            part = left.pop()
            if part == "..":
                done = os.path.dirname(done) if done else ""
            elif part != ".":
                candidate = f"{done}/{part}"
                if os.path.islink(self.path + candidate):
                    link = os.readlink(self.path + candidate)
                    left.extend([p for p in link.split("/") if p][::-1])
                    done = "" if link.startswith("/") else done
                else:
                    done = candidate
        return self.path + done

    def mount(self, source: str, target: str, *, readonly: bool) -> None:
        """Bind a file or directory of the host at `target`; what is missing is made in the container only."""
        parent = self.resolve(os.path.dirname(target.rstrip("/")) or "/")
        os.makedirs(parent, exist_ok=True)
        inner = os.path.join(parent, os.path.basename(target.rstrip("/")))
        if os.path.isdir(source):
            inner = self.resolve(target)
            os.makedirs(inner, exist_ok=True)
        else:
            if os.path.islink(inner):  # /etc/resolv.conf often is one
                os.unlink(inner)
            if not os.path.exists(inner):
                os.close(os.open(inner, os.O_CREAT | os.O_WRONLY, 0o644))
        syscalls.bind(source, inner, readonly=readonly)

    def enter(self, *, readonly: bool) -> None:
        if readonly:
            for layer in self.layers:
                syscalls.remount_readonly(layer)
        os.chdir(self.path)
        syscalls.pivot_root(".", ".")
        syscalls.unmount(".")
        os.chdir("/")


def assume(scratch: str, mounts: Sequence[dict[str, Any]], hidden: Sequence[str], *, readonly: bool) -> None:
    """Give the calling process (already in a new mount namespace) its own root with `mounts` in place."""
    root = Root(scratch)
    root.build(hidden)
    for each in sorted(mounts, key=lambda m: str(m["target"]).count("/")):
        root.mount(each["source"], each["target"], readonly=bool(each.get("readonly")))
    root.enter(readonly=readonly)


def _same_mode(source: str, target: str) -> None:
    found = os.stat(source)
    try:
        os.chmod(target, stat.S_IMODE(found.st_mode))
        os.chown(target, found.st_uid, found.st_gid)
    except OSError:  # an owner that has no number in this user namespace
        pass


def _mounts() -> dict[str, str]:
    """Mount point -> file system type, of this mount namespace."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            point = left.split()[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
            if not any(point == own or point.startswith(own + "/") for own in _OWN):
                found[point] = right.split()[0]
    return found
