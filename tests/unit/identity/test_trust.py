"""The folder of the root: made once, kept, private, and refused with a reason when it cannot be used."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kit.pki import intermediate
from plait.identity import trust

NOW = 1_800_000_000.0


def test_root_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    first = trust.load_or_create(tmp_path / "ca", "mesh", NOW, 1)
    again = trust.load_or_create(tmp_path / "ca", "mesh", NOW, 2)
    assert first.bundle == again.bundle
    assert stat.S_IMODE((tmp_path / "ca" / trust.KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_save_that_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    trust.load_or_create(tmp_path, "mesh", NOW, 1)
    (tmp_path / trust.CERTIFICATE).unlink()
    assert trust.load_or_create(tmp_path, "mesh", NOW, 2).signer.certificate.serial_number == 2


def test_key_of_another_certificate_is_refused_by_file_name(tmp_path: Path) -> None:
    trust.save(tmp_path, trust.create("mesh", NOW, 1))
    trust.save(tmp_path / "b", trust.create("mesh", NOW, 1))
    (tmp_path / trust.KEY).write_bytes((tmp_path / "b" / trust.KEY).read_bytes())
    with pytest.raises(trust.TrustError, match=r"ca-cert\.pem is not the certificate of .*ca-key\.pem"):
        trust.load(tmp_path)


def test_old_and_new_root_are_trusted_together_after_a_reload(tmp_path: Path) -> None:
    new, old = trust.create("new", NOW, 1), trust.create("old", NOW, 2)
    trust.save(tmp_path, trust.with_roots(new, old.roots))
    assert trust.load(tmp_path).roots == (*new.roots, *old.roots)


def test_a_chain_file_that_begins_above_the_signing_certificate_is_completed(tmp_path: Path) -> None:
    company = intermediate("company", NOW)
    trust.save(tmp_path, company)
    (tmp_path / trust.CHAIN).unlink()
    assert trust.load(tmp_path).signer.chain == company.signer.chain


def test_an_authority_that_leads_to_no_root_is_refused_with_the_way_out(tmp_path: Path) -> None:
    company = intermediate("company", NOW)
    trust.save(tmp_path, trust.Trust(company.signer, trust.create("other", NOW, 3).roots))
    with pytest.raises(trust.TrustError, match=r"leads to no root.*cert-chain\.pem"):
        trust.load(tmp_path)
