"""The real embedded API server, in this process, on a temporary directory: HttpApi, LocalApi and kubeconfig.

async with apiserver.running() as cluster:
    await cluster.http.create(POD, {...}, "default")
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from plait.app.apiserver import Running, listening
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.store.client import HttpApi
from plait.store.local_api import LocalApi

PLAN = AddressPlan(99)


@dataclass(frozen=True, slots=True)
class Cluster:
    """`http` and `local` are the same API by two ways; `url` and `kubeconfig` are for foreign clients."""

    http: HttpApi
    local: LocalApi
    layout: Layout
    running: Running

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.running.ports[0]}"


@asynccontextmanager
async def running(root: Path | None = None, *, plan: AddressPlan = PLAN) -> AsyncIterator[Cluster]:
    """No controllers run; `root` keeps its state for a next start, else everything goes with the context."""
    with tempfile.TemporaryDirectory(prefix="plait-store-") as made:
        layout = Layout("kit", root or Path(made))
        layout.root.mkdir(parents=True, exist_ok=True)
        async with (
            listening(layout, plan, bind=[("127.0.0.1", 0)]) as server,
            HttpApi.from_kubeconfig(layout.kubeconfig) as http,
        ):
            yield Cluster(http, server.api, layout, server)
