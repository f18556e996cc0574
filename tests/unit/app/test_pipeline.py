"""What the pipeline makes of objects that come, break, mend and go."""

from __future__ import annotations

import asyncio
from typing import Any

from kit import documents as d
from plait.app.pipeline import Pipeline
from plait.model.mesh import Settings
from plait.model.policies import Group, Policy
from plait.resources import kinds

GOOD = d.allow("p", [{"to": [{"operation": {"ports": ["80"]}}]}])
BROKEN = d.allow("p", [{"to": [{"operation": {"colours": ["red"]}}]}])
KEY = "shop/p"


def told(*steps: dict[str, Any] | None) -> list[tuple[Policy | None, list[str]]]:
    """After each state of the policy (None: deleted): what is in effect, and the codes of what is wrong."""
    seen = []

    async def run() -> None:
        pipeline = Pipeline(Settings())
        pipeline.open()
        before: dict[str, Any] | None = None
        for step in steps:
            pipeline.changed(kinds.AUTHORIZATION_POLICY, before, step)
            await asyncio.sleep(0.02)
            seen.append((pipeline.mesh.policies.get(KEY), [p.code for p in pipeline.problems]))
            before = step

    asyncio.run(run())
    return seen


def test_a_policy_that_becomes_unreadable_stays_as_it_was_until_it_is_mended_or_deleted() -> None:
    (first, none), (second, said), (third, still), (gone, quiet) = told(GOOD, BROKEN, BROKEN, None)
    assert first is not None and none == []
    assert second == first and "PLT0013" in said
    assert third == first and still == said
    assert (gone, quiet) == (None, [])


def test_a_policy_that_never_was_readable_denies_and_is_forgotten_once_it_reads() -> None:
    (closed, said), (still, _), (mended, quiet), (kept, _) = told(BROKEN, {**BROKEN}, GOOD, BROKEN)
    assert closed is not None and (closed.action, closed.groups) == ("deny", (Group(()),))
    assert "PLT0013" in said
    assert still == closed
    assert mended is not None and (mended.action, quiet) == ("allow", [])
    assert kept == mended


def test_a_deleted_policy_leaves_nothing_to_keep() -> None:
    (_, _), (_, _), (closed, _) = told(GOOD, None, BROKEN)
    assert closed is not None and closed.action == "deny"


def test_a_mesh_configuration_that_cannot_be_read_does_not_take_the_last_ones_place() -> None:
    seen = []

    async def run() -> None:
        pipeline = Pipeline(Settings())
        pipeline.open()
        before: dict[str, Any] | None = None
        for text in ("accessLogFile: /a", "accessLogFile: [", "7", "accessLogFile: /b", None):
            data = {"mesh": text}
            document = None if text is None else d.document("v1", "ConfigMap", "istio", "istio-system", data=data)
            pipeline.changed(kinds.CONFIG_MAP, before, document)
            await asyncio.sleep(0.02)
            codes = [p.code for p in pipeline.problems if p.kind == "ConfigMap"]
            seen.append((pipeline.mesh.l7.settings.access_log_file, codes))
            before = document

    asyncio.run(run())
    assert seen == [("/a", []), ("/a", ["PLT0013"]), ("/a", ["PLT0013"]), ("/b", []), ("", [])]
