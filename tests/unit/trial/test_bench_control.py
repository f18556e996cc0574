"""The bench of the control plane really has its proxies told of each edit."""

from __future__ import annotations

from plait.trial import bench_control
from plait.trial.bench_control import Wanted


def test_rows_for_each_number_of_sidecars_and_each_edit() -> None:
    said: list[str] = []
    rows = bench_control.run(Wanted(services=3, sidecars=(2, 1), edits=2), said.append)
    assert [(row.sidecars, row.edit) for row in rows] == [
        (number, edit)
        for number in (1, 2)
        for edit in ("(connecting)", "VirtualService", "Pod ready or not", "VirtualService gone")
    ]
    assert all(row.proxies > 0 and row.memory > 0 for row in rows)
    assert len(said) == 2
