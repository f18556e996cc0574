"""The embedded API server of a test, and a real kubectl that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit import apiserver
from kit.kubectl import Kubectl


@pytest.fixture
async def cluster() -> AsyncIterator[apiserver.Cluster]:
    async with apiserver.running() as running:
        yield running


@pytest.fixture
def run(request: pytest.FixtureRequest, cluster: apiserver.Cluster, tmp_path: Path) -> Kubectl:
    return Kubectl(request.param, cluster.kubeconfig, tmp_path)
