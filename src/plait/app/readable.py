"""The last readable state of every security object and of the mesh configuration, on disk: a restart forgets none.

An object that nobody can read stays in effect as it last was (`resources.closed`). A control plane that has just
started, and may be of another version for which the object is unreadable, finds here how it was.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import orjson

from plait.base.observe import logger
from plait.resources.decode import decode
from plait.resources.meta import Key, Resource
from plait.store.api import Document

_log = logger("pipeline")


class Readable:
    """One file an object. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def note(self, key: Key, document: Document) -> None:
        """This state can be read."""
        if self._folder is None:
            return
        metadata = {name: each for name, each in document["metadata"].items() if name != "managedFields"}
        content = orjson.dumps({**document, "metadata": metadata, "status": {}}, option=orjson.OPT_SORT_KEYS)
        file = self._file(self._folder, key)
        try:
            if file.exists() and file.read_bytes() == content:
                return
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._folder / ".new"
            new.write_bytes(content)
            new.replace(file)
        except OSError as error:  # what is in effect now does not depend on it
            _log.warning("the last readable state cannot be kept", file=file, error=error)

    def last(self, key: Key, document: Document) -> Resource | None:
        """How this object last was when it could be read; another object of the same name was another one."""
        if self._folder is None:
            return None
        try:
            kept: Document = orjson.loads(self._file(self._folder, key).read_bytes())
            same = kept["metadata"].get("uid") == document["metadata"].get("uid")
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return None
        if not same:
            return None
        found, problems = decode(kept)
        return None if any(problem.severity == "error" for problem in problems) else found

    def forget(self, key: Key) -> None:
        if self._folder is not None:
            self._file(self._folder, key).unlink(missing_ok=True)

    def only(self, present: Collection[Key]) -> None:
        """Forget what went while nobody was looking."""
        if self._folder is not None:
            wanted = {self._file(self._folder, key) for key in present}
            for file in self._folder.rglob("*"):
                if file.is_file() and file not in wanted:
                    file.unlink(missing_ok=True)

    @staticmethod
    def _file(folder: Path, key: Key) -> Path:
        return folder / key.kind / key.namespace / key.name
