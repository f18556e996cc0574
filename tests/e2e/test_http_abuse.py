"""What is sent to harm an HTTP server harms nobody: not the proxy, not the application, not who asks beside it.

Real Envoys on loopback, with the configuration of each role. Through waypoint and sidecar the abuser speaks inside a
tunnel of his own, as a workload that was broken into would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kit import abuse
from kit.abuse import Bystander, Recorder, Slow
from kit.doors import ROLES, Doors
from kit.rounds import rounds

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.reliability(number=28)]

MOST = 16_000_000
"""Bytes of a flood after which it counts as one that nobody ends."""


@pytest.fixture(scope="module")
def application() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def doors(application: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with ExitStack() as held:
        yield Doors(held, tmp_path_factory.mktemp("abuse"), "base", application=application)


@pytest.fixture(scope="module", autouse=True)
def slow(doors: Doors) -> Iterator[tuple[Slow, Slow]]:
    """Begun before all else, so that what the proxies do about them needs no time of its own."""
    heads = Slow.opened(doors.ports["gateway"], 50, b"GET /open/page HTTP/1.1\r\nhost: shop.example\r\nx: ")
    handshakes = Slow.opened(doors.ports["waypoint"], 50, b"\x16\x03\x01")
    yield heads, handshakes
    heads.close()
    handshakes.close()


@pytest.mark.parametrize("role", ROLES)
def test_no_request_hides_behind_one_of_two_readings(doors: Doors, application: Recorder, role: str) -> None:
    opening = doors.opened[role]
    with Bystander(opening) as bystander:
        assert abuse.everything(opening) > 150
    assert not bystander.lost and len(bystander.took) > 10
    assert not [target for target in application.targets if b"smuggled" in target]
    assert not application.wrong, "the application would have to guess"


@pytest.mark.parametrize("role", ROLES)
def test_floods_end_with_their_own_connection(
    doors: Doors, role: str, record_property: Callable[[str, object], None]
) -> None:
    opening = doors.opened[role]
    with Bystander(opening) as quiet:
        time.sleep(0.5)
    with Bystander(opening) as bystander:
        for _ in range(rounds(1)):
            taken = {name: abuse.flooded(opening, frames(), MOST) for name, frames in abuse.FLOODS.items()}
            assert {name: sent for name, sent in taken.items() if sent >= MOST} == {}
    assert bystander.took and not bystander.lost
    record_property(
        "figure",
        f"{role}: bystander p99 {bystander.p99() * 1e3:.0f} ms ({quiet.p99() * 1e3:.0f} when it was quiet), "
        f"at most {max(taken.values()) / 1e6:.1f} MB of a flood taken",
    )


@pytest.mark.parametrize("role", ROLES)
def test_heads_that_are_too_large_are_refused(doors: Doors, role: str) -> None:
    for count, size in ((1, 1_000_000), (1, 70_000), (2_000, 10), (90, 1_000)):
        answer = abuse.asked(doors.opened[role], abuse.large(count, size), 2.0)
        assert answer.startswith(b"HTTP/1.1 431 "), (count, size, answer[:100])
    with Bystander(doors.opened[role]) as bystander:
        time.sleep(0.1)
    assert bystander.took and not bystander.lost


def test_who_never_ends_his_head_or_handshake_is_not_waited_for(doors: Doors, slow: tuple[Slow, Slow]) -> None:
    heads, handshakes = slow
    with Bystander(doors.opened["gateway"]) as bystander:
        until = time.monotonic() + 60
        while (heads.open or handshakes.open) and time.monotonic() < until:
            heads.drip()
            time.sleep(0.2)
    assert (heads.open, handshakes.open) == (0, 0)
    assert not bystander.lost
