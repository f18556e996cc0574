"""No certificate can be had any more: when the last one ends, its tunnels end too, and all comes back by itself."""

from __future__ import annotations

import os
import signal
import time

import pytest

from kit.mesh import LONG, ONCE, PAIR, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]


@pytest.mark.reliability(number=30)
def test_tunnels_of_an_expired_identity_are_cut_within_ten_seconds_of_its_end() -> None:
    with mesh(f"expiry{os.getpid()}") as mine:
        mine.up("--nodes", "2", "--certificate-lifetime", "10")
        mine.apply(PAIR)
        mine.ready("duo", "client", "echo")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo")
        address = str(mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"])
        running = mine.start("client", LONG, address, "9000")
        assert running.stdout is not None and running.stdout.readline() == "ok\n"
        time.sleep(11)
        assert running.poll() is None, "with an authority it outlives its certificate"
        control = mine.pid("control")
        mine.kill(control, signal.SIGSTOP)
        try:
            # The last certificate was given out before now, for 10 s.
            until(lambda: running.poll() is not None, "the connection is cut", 20.0)
            # Certificates end at whole seconds, and TLS takes the last one as good: the cut may come a moment earlier.
            until(lambda: not mine.works("client", ONCE, address, "9000"), "no new one is made", 5.0)
            assert not mine.works("client", ONCE, address, "9000"), "and none after that"
        finally:
            mine.kill(control, signal.SIGCONT)
            running.kill()
            running.communicate()
        until(lambda: mine.works("client", ONCE, address, "9000"), "it comes back with the authority")
