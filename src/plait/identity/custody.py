"""How the mesh changes its signing root without a moment in which somebody distrusts somebody.

Three steps, all kept as files of the authority's folder, so a restart goes on where it stood:
    next/           four files as in `trust`: its roots join the bundle at once, nothing is signed with it yet
    promote()       the next signer signs; the old roots stay in the bundle and are listed in retiring.pem
    retire()        the old roots leave the bundle, when no certificate under them can be alive
When a step is due (every node acknowledged, the longest certificate ended) is decided by who calls.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives import serialization

from plait.base.observe import logger
from plait.identity import authority, trust
from plait.identity.trust import Trust, TrustError

NEXT, RETIRING, LONGEST = "next", "retiring.pem", "longest-lifetime"
Phase = Literal["steady", "distributing", "retiring"]
_log = logger("identity")
_DRAFT: Final = "next.new"


class Custody:
    """The trust of one folder, which may change while it is held."""

    def __init__(self, folder: Path, organisation: str, now: float, serial: int) -> None:
        """TrustError when the folder's own files cannot be used."""
        self._folder = folder
        self._own = _opened(folder, organisation, now, serial)
        self._next: Trust | None = None
        self.problem = ""
        self._longest = self.longest if (folder / LONGEST).exists() else 0.0
        self.since = now
        """When this bundle was first offered."""
        self.look(now)

    @property
    def trust(self) -> Trust:
        """What signs now, and everything to be trusted now."""
        return trust.with_roots(self._own, self._next.roots) if self._next is not None else self._own

    @property
    def phase(self) -> Phase:
        if self._next is not None:
            return "distributing"
        return "retiring" if (self._folder / RETIRING).exists() else "steady"

    @property
    def longest(self) -> float:
        """Seconds the longest certificate ever signed here may live; a day while none was."""
        try:
            return float((self._folder / LONGEST).read_text())
        except (OSError, ValueError):
            return authority.DEFAULT_LIFETIME

    def signed(self, lifetime: float) -> None:
        """A certificate of this lifetime was given out."""
        if lifetime > self._longest:
            self._longest = lifetime
            (self._folder / LONGEST).write_text(f"{lifetime:g}\n")

    def look(self, now: float) -> bool:
        """Read what somebody put into the folder; True when the bundle has changed."""
        try:
            found = trust.load(self._folder / NEXT) if (self._folder / NEXT).is_dir() else None
        except TrustError as error:
            if self.problem != str(error):
                _log.error("the next authority cannot be used; the present one stays", error=error)
            self.problem, found = str(error), None
        else:
            self.problem = ""
        before, self._next = self.trust.roots, found
        changed = self.trust.roots != before
        if changed:
            self.since = now
            # Agents that start now read the bundle from this file.
            trust.save(self._folder, self._with(self._own, self.trust.roots))
            _log.info("trust bundle changed", roots=len(self.trust.roots), phase=self.phase)
        return changed

    def promote(self, now: float) -> None:
        """The next signer signs from now on."""
        if self._next is None:
            return
        # root-cert.pem already has both roots; after a crash in here `next/` is there still, and the step is repeated.
        old = [root for root in self._own.roots if root not in self._next.roots]
        (self._folder / RETIRING).write_text("".join(old))
        self._own, self._next = trust.with_roots(self._next, self._own.roots), None
        trust.save(self._folder, self._own)
        shutil.rmtree(self._folder / NEXT)
        self.since = now
        _log.info("a new authority signs", certificate=fingerprint(self._own))

    def retire(self) -> None:
        """Trust the old roots no more."""
        file = self._folder / RETIRING
        if not file.exists() or self._next is not None:
            return
        old = file.read_text()
        roots = tuple(root for root in self._own.roots if root not in old)
        if roots:
            self._own = self._with(self._own, roots)
            trust.save(self._folder, self._own)
        file.unlink()
        _log.info("old roots are trusted no more", roots=len(roots))

    @staticmethod
    def _with(own: Trust, roots: tuple[str, ...]) -> Trust:
        return Trust(own.signer, roots)


def _opened(folder: Path, organisation: str, now: float, serial: int) -> Trust:
    try:
        return trust.load_or_create(folder, organisation, now, serial)
    except TrustError:
        # A promotion that was interrupted between the key and its certificate: `next/` still has the whole.
        if not (folder / NEXT / trust.CERTIFICATE).exists() or not (folder / RETIRING).exists():
            raise
        promoted = trust.with_roots(trust.load(folder / NEXT), [(folder / RETIRING).read_text()])
        trust.save(folder, promoted)
        return trust.load(folder)


def offer(folder: Path, organisation: str, now: float, serial: int, plugged: Path | None = None) -> Trust:
    """Put the next authority in place: `plugged`'s four files, else a new self-signed root. TrustError if unusable."""
    if (folder / NEXT).exists():
        raise TrustError(f"{folder / NEXT}: a change of the root is under way; see `plait ca status`")
    offered = trust.load(plugged) if plugged is not None else trust.create(organisation, now, serial)
    draft = folder / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    trust.save(draft, offered)
    draft.rename(folder / NEXT)
    return offered


def fingerprint(of: Trust) -> str:
    """A name for the signing certificate."""
    return sha256(of.signer.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()[:16]
