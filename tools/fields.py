"""Writes docs/fields.md and docs/fields: who is told of which field. `make fields` calls it (half a minute)."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))


def main() -> int:
    from kit.fields import table

    with ProcessPoolExecutor() as pool:
        found = list(pool.map(table.section, table.kinds()))
    pages = ROOT / "docs" / "fields"
    pages.mkdir(exist_ok=True)
    for name, rows in found:
        (pages / table.page_of(name)).write_text(table.rendered(name, rows))
    (ROOT / "docs" / "fields.md").write_text(table.index(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
