"""No spelling of a request gets past a policy, and gateway, waypoint and sidecar judge each of them alike.

Real Envoys on loopback, with the configuration of each role; the application answers with what reached it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kit import bypass
from kit.bypass import Attempt, Verdict
from kit.doors import Doors, Normal

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.reliability(number=29)]


@pytest.fixture(scope="module", params=["base", "decode_and_merge_slashes"])
def doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Normal, Doors]]:
    with ExitStack() as held:
        yield request.param, Doors(held, tmp_path_factory.mktemp("bypass"), request.param)


def test_no_request_gets_past_a_policy_and_every_role_judges_alike(doors: tuple[Normal, Doors]) -> None:
    normal, ways = doors
    corpus = bypass.corpus()
    assert len(corpus) >= 500
    passed: list[str] = []
    unequal: list[str] = []
    refused: list[Attempt] = []
    for attempt in corpus:
        found = {role: Verdict.of(send(attempt.wire)) for role, send in ways.send.items()}
        # A gateway that was reached in clear refuses targets of https by itself.
        if len({verdict.status for verdict in found.values()}) > 1 and not attempt.target.startswith(b"https:"):
            unequal.append(f"{attempt.wire!r}: { {role: verdict.status for role, verdict in found.items()} }")
        for role, verdict in found.items():
            if verdict.seen and (why := bypass.objections(verdict.seen, strict=normal != "base")):
                passed.append(f"{role}: {attempt.wire!r}: {why}")
        if attempt.honest and not all(verdict.served for verdict in found.values()):
            refused.append(attempt)
    assert not passed, f"{len(passed)}\n" + "\n".join(passed)
    assert not unequal, f"{len(unequal)}\n" + "\n".join(unequal)
    assert not refused
