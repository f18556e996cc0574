"""Keys and certificates of this node's pods on disk: a restarted agent serves them at once, without an authority.

One file an identity, mode 0600 in a directory of mode 0700; a file that cannot be read or has ended counts as absent.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import msgspec

from plait.base.observe import logger
from plait.base.secret import Secret

_log = logger("certs")


class Kept(msgspec.Struct, frozen=True):
    """One identity's key, chain and roots as written."""

    identity: str
    key: bytes
    chain: str
    roots: str


class Keyring:
    """`keep`, `find` and `forget` by identity."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, identity: str, key: Secret, chain: str, roots: str) -> None:
        """OSError is told in the log: without the file only a restart is slower."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._file(identity)
            draft = file.with_suffix(".new")
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(msgspec.msgpack.encode(Kept(identity, key.reveal(), chain, roots)))
            draft.replace(file)
        except OSError as error:
            _log.warning("certificate not kept on disk", identity=identity, error=error)

    def find(self, identity: str) -> Kept | None:
        try:
            kept = msgspec.msgpack.decode(self._file(identity).read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("kept certificate cannot be read", identity=identity, error=error)
            return None
        return kept if kept.identity == identity else None

    def forget(self, identity: str) -> None:
        self._file(identity).unlink(missing_ok=True)

    def _file(self, identity: str) -> Path:
        return self._directory / f"{blake2b(identity.encode(), digest_size=16).hexdigest()}.key"
