"""A change of the root, step by step: who is trusted when, who signs when, and that a restart goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.pki import intermediate
from plait.identity import custody, trust
from plait.identity.custody import Custody
from plait.identity.trust import TrustError

NOW = 1_800_000_000.0


def held(folder: Path) -> Custody:
    return Custody(folder, "mesh", NOW, 1)


def test_a_new_root_is_trusted_before_it_signs_and_the_old_one_after(tmp_path: Path) -> None:
    mine = held(tmp_path)
    old = mine.trust
    new = custody.offer(tmp_path, "mesh", NOW, 2)
    assert mine.look(NOW) and mine.phase == "distributing"
    assert mine.trust.signer is old.signer and set(mine.trust.roots) == {*old.roots, *new.roots}
    mine.promote(NOW)
    assert mine.phase == "retiring" and custody.fingerprint(mine.trust) == custody.fingerprint(new)
    assert set(mine.trust.roots) == {*old.roots, *new.roots}
    mine.retire()
    assert mine.phase == "steady" and mine.trust.roots == new.roots


@pytest.mark.parametrize("step", ["distributing", "retiring"])
def test_a_restart_goes_on_where_it_stood(tmp_path: Path, step: str) -> None:
    mine = held(tmp_path)
    custody.offer(tmp_path, "mesh", NOW, 2)
    mine.look(NOW)
    if step == "retiring":
        mine.promote(NOW)
    again = held(tmp_path)
    assert again.phase == step
    assert set(again.trust.roots) == set(mine.trust.roots)
    assert custody.fingerprint(again.trust) == custody.fingerprint(mine.trust)


def test_a_new_agent_reads_both_roots_from_the_file_during_the_change(tmp_path: Path) -> None:
    mine = held(tmp_path)
    custody.offer(tmp_path, "mesh", NOW, 2)
    mine.look(NOW)
    assert (tmp_path / trust.ROOTS).read_text() == mine.trust.bundle


def test_an_unusable_offer_changes_nothing_and_is_named(tmp_path: Path) -> None:
    mine = held(tmp_path)
    (tmp_path / custody.NEXT).mkdir()
    before = mine.trust
    assert not mine.look(NOW) and mine.trust.roots == before.roots
    assert "ca-key.pem" in mine.problem


def test_a_second_change_waits_for_the_first(tmp_path: Path) -> None:
    held(tmp_path)
    custody.offer(tmp_path, "mesh", NOW, 2)
    with pytest.raises(TrustError, match="under way"):
        custody.offer(tmp_path, "mesh", NOW, 3)


def test_a_plugged_in_intermediate_keeps_its_chain(tmp_path: Path) -> None:
    mine = held(tmp_path / "ca")
    plugged = intermediate("company", NOW)
    trust.save(tmp_path / "company", plugged)
    custody.offer(tmp_path / "ca", "mesh", NOW, 2, tmp_path / "company")
    mine.look(NOW)
    mine.promote(NOW)
    assert mine.trust.signer.chain == plugged.signer.chain
    assert plugged.roots[0] in mine.trust.roots and len(mine.trust.roots) == 2


def test_the_longest_lifetime_is_remembered_over_a_restart(tmp_path: Path) -> None:
    mine = held(tmp_path)
    assert mine.longest == 86400
    mine.signed(20)
    mine.signed(10)
    assert held(tmp_path).longest == 20


def test_a_promotion_that_was_interrupted_is_ended_at_the_next_start(tmp_path: Path) -> None:
    mine = held(tmp_path)
    old = mine.trust
    new = custody.offer(tmp_path, "mesh", NOW, 2)
    mine.look(NOW)
    (tmp_path / custody.RETIRING).write_text(old.bundle)
    (tmp_path / trust.KEY).write_bytes((tmp_path / custody.NEXT / trust.KEY).read_bytes())  # and then it died
    again = held(tmp_path)
    again.promote(NOW)
    assert custody.fingerprint(again.trust) == custody.fingerprint(new)
    assert set(again.trust.roots) == {*old.roots, *new.roots} and again.phase == "retiring"
