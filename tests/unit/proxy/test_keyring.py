"""Keys on disk: private, believed only when they fit, forgotten with their pods, kept for a successor."""

from __future__ import annotations

import asyncio
from pathlib import Path

from plait.base import aio
from plait.base.secret import Secret
from plait.base.spiffe import parse
from plait.identity import authority, trust
from plait.proxy.certs import CaError, Certificates, Issued
from plait.proxy.keyring import Keyring

A = "spiffe://cluster.local/ns/shop/sa/a"
TRUST = trust.create("test", aio.now(), 1)


class Ca:
    def __init__(self, away: bool = False) -> None:
        self.away = away

    async def certify(self, csr: str, identity: str, lifetime: float) -> Issued:
        if self.away:
            raise CaError("UNAVAILABLE: away")
        leaf = authority.sign(csr, parse(identity), TRUST.signer, aio.now(), lifetime, 9)
        assert isinstance(leaf, str)
        return Issued((leaf,), TRUST.bundle)


async def kept(folder: Path) -> Certificates:
    """A first run that got its certificate and ended."""
    first = Certificates(Ca(), lambda: None, keyring=Keyring(folder))
    first.want([A])
    await first.present(A)
    await first.close()
    return first


async def test_successor_serves_at_once_while_the_authority_is_away(tmp_path: Path) -> None:
    await kept(tmp_path / "keys")
    second = Certificates(Ca(away=True), lambda: None, roots=TRUST.bundle, keyring=Keyring(tmp_path / "keys"))
    second.want([A])
    async with asyncio.timeout(5):
        await second.present(A)
    assert second.held()[A].identity == A and second.held()[A].serial == "9"
    assert second.secrets("ROOTCA").keys() == {A, "ROOTCA"}
    await second.close()


async def test_files_are_for_the_owner_only_and_hold_no_readable_name(tmp_path: Path) -> None:
    await kept(tmp_path / "keys")
    (file,) = (tmp_path / "keys").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


async def test_key_of_an_identity_without_pods_is_deleted(tmp_path: Path) -> None:
    await kept(tmp_path / "keys")
    second = Certificates(Ca(), lambda: None, keyring=Keyring(tmp_path / "keys"))
    second.want([A])
    second.want([])
    assert list((tmp_path / "keys").iterdir()) == []
    await second.close()


async def test_certificate_of_other_roots_or_past_its_end_is_not_used(tmp_path: Path) -> None:
    await kept(tmp_path / "keys")
    other = trust.create("other", aio.now(), 2).bundle
    for late, roots in ((0.0, other), (48 * 3600.0, TRUST.bundle)):
        second = Certificates(
            Ca(away=True),
            lambda: None,
            roots=roots,
            clock=lambda late=late: aio.now() + late,  # type: ignore[misc]
            keyring=Keyring(tmp_path / "keys"),
        )
        second.want([A])
        assert second.held() == {}
        await second.close()


def test_damaged_or_swapped_file_counts_as_absent(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    ring.keep(A, Secret(b"key"), "chain", "roots")
    (file,) = tmp_path.iterdir()
    assert (found := ring.find(A)) is not None and found.key == b"key"
    other = "spiffe://cluster.local/ns/shop/sa/b"
    ring.keep(other, Secret(b"other"), "chain", "roots")
    (second,) = set(tmp_path.iterdir()) - {file}
    second.replace(file)
    assert ring.find(A) is None
    file.write_bytes(b"\xff\x00nonsense")
    assert ring.find(A) is None


async def test_a_bundle_with_a_further_root_does_not_spoil_what_is_kept(tmp_path: Path) -> None:
    await kept(tmp_path / "keys")
    both = trust.with_roots(TRUST, trust.create("new", aio.now(), 2).roots).bundle
    second = Certificates(Ca(away=True), lambda: None, roots=both, keyring=Keyring(tmp_path / "keys"))
    second.want([A])
    assert A in second.held()
    await second.close()
