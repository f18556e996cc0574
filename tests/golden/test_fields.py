"""No field is silently dropped, Envoy takes what the fields become, and docs/fields says what is so.

After a wanted change: make fields, then read the diff.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit.envoys import validate
from kit.fields import table
from kit.fields.classify import Tried, titled
from kit.fields.reasons import REASONS
from plait.resources.kinds import Kind

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.envoy
@pytest.mark.parametrize("kind", table.kinds(), ids=titled)
def test_every_field_is_told_to_a_proxy_or_refused_as_its_page_says(kind: Kind | None, tmp_path: Path) -> None:
    """One test, because the trial behind the three answers is what takes the time."""
    tried = Tried(kind)
    rows = table.rows(tried)
    silent = [row.field for row in rows if row.silent]
    assert not silent, "translate these fields, refuse them, or say in kit/fields/reasons.py why they say nothing"
    if (composed := tried.composition.whole()) is not None:
        validate(composed, tmp_path)
    page = DOCS / "fields" / table.page_of(tried.name)
    assert table.rendered(tried.name, rows) == page.read_text(), "make fields writes it anew; read the diff"


def test_the_overview_counts_what_the_pages_have_and_every_reason_is_needed() -> None:
    pages = {titled(kind): (DOCS / "fields" / table.page_of(titled(kind))).read_text() for kind in table.kinds()}
    overview = (DOCS / "fields.md").read_text()
    for name, text in pages.items():
        fields = re.findall(r"^\| `", text, re.MULTILINE)
        assert f"| [{name}](fields/{table.page_of(name)}) | {len(fields)} |" in overview
    unread = "".join(pages.values())
    assert [why for _, why in REASONS if f"| {why} |" not in unread] == []
