"""What does an image run here? A table from image patterns to entrypoint, command and environment.

There is no registry and no image on this machine: an image name is looked up in the user's table (images.yaml of the
mesh directory, or $PLAIT_IMAGES), then in the built-in one. A container that brings its own command needs no entry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from plait.base.wellknown import DRAIN_SECONDS, PROXY_DIRECTORY, PROXY_IMAGE
from plait.resources.proxy_container import COMPONENT_LOG_LEVEL, LOG_LEVEL


@dataclass(frozen=True, slots=True)
class Image:
    """What an image's configuration would say. `env` may be overridden by the container's."""

    pattern: str
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"


class UnknownImage(LookupError):
    """No pattern matches and the container says no command; the message names the way out."""


class BadTable(ValueError):
    """The user's table cannot be read; the message names file and entry."""


_PYTHON = sys.executable
_SERVE_FILES = (_PYTHON, "-m", "http.server")
_SHELL_HTTPBIN = f'exec {_PYTHON} -m gunicorn -b "0.0.0.0:${{PORT:-80}}" -k gthread --threads 4 httpbin:app'

# Order matters: the first match wins. Patterns see the image without registry digest or tag, and with them.
_PROXY = (f"{PROXY_DIRECTORY}/envoy", "--config-path", f"{PROXY_DIRECTORY}/bootstrap.json", "--disable-hot-restart")
_BUILT_IN = (
    Image(
        PROXY_IMAGE,
        # At once, not by and by: a connection of a chain that goes is told to end by its next answer. One that had none
        # of that would be closed at the end of the drain, perhaps as its client sends.
        entrypoint=(*_PROXY, "--drain-time-s", f"{DRAIN_SECONDS}", "--drain-strategy", "immediate"),
        cmd=("--log-level", LOG_LEVEL, "--component-log-level", COMPONENT_LOG_LEVEL),
    ),
    Image("*httpbin*", cmd=("/bin/sh", "-c", _SHELL_HTTPBIN), env={"PYTHONDONTWRITEBYTECODE": "1"}),
    Image("*sleep*", cmd=("/bin/sh", "-c", "sleep infinity")),
    Image("*curl*", entrypoint=("curl",)),
    Image("python", cmd=(_PYTHON,)),
    Image("*/python", cmd=(_PYTHON,)),
    Image("nginx", cmd=(*_SERVE_FILES, "--directory", "/var/www", "80")),
    Image("*/nginx", cmd=(*_SERVE_FILES, "--directory", "/var/www", "80")),
    Image("*pause*", cmd=("/bin/sh", "-c", "sleep infinity")),
    *(
        Image(name, cmd=("/bin/sh",))
        for base in ("busybox", "alpine", "debian", "ubuntu", "bash")
        for name in (base, f"*/{base}")
    ),
)


def bare(image: str) -> str:
    """The name without digest and tag: `docker.io/library/busybox:1.36@sha256:…` -> `docker.io/library/busybox`."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


class Table:
    """`user` comes first. `apps` is a folder of sample programs: image `plait/<app>` runs `<apps>/<app>.py`."""

    def __init__(self, user: Sequence[Image] = (), apps: Path | None = None) -> None:
        self._rows = (*user, *_BUILT_IN)
        self._apps = apps

    def find(self, image: str) -> Image | None:
        names = (image, bare(image))
        last = bare(image).rpartition("/")[2]
        if self._apps is not None and last.replace("-", "_").isidentifier():
            for file in (self._apps / f"{last}.py", self._apps / last / "main.py"):
                if file.is_file():
                    return Image(str(file), entrypoint=(_PYTHON, str(file)), env={"PYTHONUNBUFFERED": "1"})
        return next((row for row in self._rows if any(fnmatchcase(name, row.pattern) for name in names)), None)

    def command(self, container: Mapping[str, Any]) -> tuple[list[str], Image]:
        """Kubernetes' rule: `command` replaces the entrypoint and the image's cmd, `args` replaces cmd only."""
        image = str(container.get("image", ""))
        found = self.find(image)
        command = [str(word) for word in container.get("command") or ()]
        args = [str(word) for word in container.get("args") or ()]
        if command:
            return command + args, found or Image(image)
        if found is None:
            raise UnknownImage(
                f'image "{image}" is not in the image table: give the container a command, or add to images.yaml in '
                f"the mesh directory: '- {{pattern: \"{bare(image)}\", entrypoint: [/path/to/program]}}'"
            )
        words = [*found.entrypoint, *(args or found.cmd)]
        if not words:
            raise UnknownImage(f'image "{image}": its entry {found.pattern!r} has neither entrypoint nor cmd')
        return words, found


def load(mesh_directory: Path, apps: Path | None = None) -> Table:
    """The table of one mesh. A broken user file raises BadTable."""
    configured = os.environ.get("PLAIT_IMAGES")
    file = Path(configured) if configured else mesh_directory / "images.yaml"
    if not file.is_file():
        return Table(apps=apps)
    try:
        rows = yaml.load(file.read_text(), Loader=yaml.CSafeLoader) or []  # noqa: TID251 - the safe loader, one document
    except yaml.YAMLError as error:
        raise BadTable(f"{file}: {error}") from error
    if not isinstance(rows, list):
        raise BadTable(f"{file}: want a list of {{pattern, entrypoint, cmd, env}}, found {type(rows).__name__}")
    return Table([_row(file, number, row) for number, row in enumerate(rows)], apps)


def _row(file: Path, number: int, row: Any) -> Image:
    where = f"{file}: [{number}]"
    if not isinstance(row, dict) or not isinstance(row.get("pattern"), str):
        raise BadTable(f'{where}: needs "pattern", the image name or a glob')
    if unknown := set(row) - {"pattern", "entrypoint", "cmd", "env", "workdir"}:
        raise BadTable(f"{where}: unknown field {sorted(unknown)[0]!r}: want pattern, entrypoint, cmd, env, workdir")
    for name in ("entrypoint", "cmd"):
        if not isinstance(row.get(name, []), list):
            raise BadTable(f"{where}.{name}: want a list of words")
    if not isinstance(row.get("env", {}), dict):
        raise BadTable(f"{where}.env: want a map of names to values")
    return Image(
        row["pattern"],
        tuple(str(word) for word in row.get("entrypoint", ())),
        tuple(str(word) for word in row.get("cmd", ())),
        {str(k): str(v) for k, v in row.get("env", {}).items()},
        str(row.get("workdir", "/")),
    )
