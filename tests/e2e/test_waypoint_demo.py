"""What README promises of `plait demo --waypoint`, by running it: every claim holds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
CLAIMS = (
    "a Gateway and a label put a waypoint on the way",
    "a route splits by weight",
    "a policy denies a path, and the denied requests do not arrive",
    "nobody gets around it: other ways to the same pods are refused",
    "without a proxy nothing passes unjudged",
    "a waypoint that nobody uses sleeps; the next requests wait for it and none is lost",
    "it is taken off the way under load, and no request is lost",
    "with its Gateway everything goes that was made for it",
)


def test_every_claim_of_the_waypoint_demo_holds() -> None:
    words = [sys.executable, "-m", "plait", "demo", "--waypoint", "--name", f"wpdemo{os.getpid()}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for claim in CLAIMS:
        assert f"ok    {claim}\n" in done.stdout, done.stdout
    assert f"{len(CLAIMS)} of {len(CLAIMS)} claims held" in done.stdout
