"""Every kubectl on this machine, each version once; where there is none, tests skip and say so."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

_NAME = re.compile(r"kubectl(\.\d+\.\d+)?\Z")


def found() -> list[Path]:
    """kubectl and kubectl.<major>.<minor> in $PATH and beside what a kubectl in $PATH links to."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    if linked := shutil.which("kubectl"):
        places.append(Path(linked).resolve().parent)
    places += Path("/usr/lib").glob("*/bin")
    versions: dict[str, Path] = {}
    for place in places:
        if place.is_dir():
            for file in sorted(place.iterdir()):
                if _NAME.match(file.name) and os.access(file, os.X_OK):
                    versions.setdefault(file.name, file)
    return sorted(versions.values(), key=lambda p: p.name)


def parameters(*, ends: bool = False) -> list[object]:
    """For `pytest.mark.parametrize("run", kubectl.parameters(), indirect=True)`; `ends`: oldest and newest only."""
    reason = "no kubectl on this machine (looked in $PATH and /usr/lib/*/bin for kubectl and kubectl.<version>)"
    if not (paths := found()):
        return [pytest.param(None, marks=[pytest.mark.kubectl, pytest.mark.skip(reason=reason)])]
    if ends:
        paths = list(dict.fromkeys((_versioned(paths)[0], _versioned(paths)[-1])))
    return [pytest.param(path, id=path.name, marks=pytest.mark.kubectl) for path in paths]


def _versioned(paths: list[Path]) -> list[Path]:
    """By minor version; a plain `kubectl` only where there is no other."""
    named = [path for path in paths if path.name != "kubectl"]
    return sorted(named, key=lambda path: int(path.name.rpartition(".")[2])) or paths


class Kubectl:
    """Runs one kubectl against one kubeconfig, with a home directory of its own."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path) -> None:
        self._binary = binary
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    @asynccontextmanager
    async def following(self, *words: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
        """A command that does not end by itself: `await until(text)` reads on to the line that has `text`."""
        process = await asyncio.create_subprocess_exec(
            self._binary, *words, env=self.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        assert process.stdout is not None
        out = process.stdout

        async def until(text: str) -> str:
            seen = b""
            async with asyncio.timeout(20):
                while line := await out.readline():
                    seen += line
                    if text in line.decode():
                        return line.decode()
            raise AssertionError(f"{' '.join(words)} ended without {text!r}: {seen.decode()}")

        try:
            yield until
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def __call__(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Output (both streams) of one command; AssertionError when it exits otherwise than expected."""
        process = await asyncio.create_subprocess_exec(
            self._binary,
            *words,
            env=self.env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate(stdin.encode())
        text = out.decode()
        assert process.returncode == code, f"{self._binary.name} {' '.join(words)}: {process.returncode}: {text}"
        return text
