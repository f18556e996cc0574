"""What the workers of all pods of one node share: the API, the node's network, the launcher, events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from plait.local.addresses import AddressPlan
from plait.local.containers import Containers, Exit
from plait.local.images import Table
from plait.local.layout import Layout
from plait.local.pod.lifecycle import BACKOFF_BASE, BACKOFF_MOST
from plait.local.pod.network import PodNetwork, PodNetworkHook
from plait.store.api import Api, Document

Recorder = Callable[[Document, str, str, str], None]  # about, Normal | Warning, reason, message


class Owner(Protocol):
    """Who is told that a container has ended."""

    def ended(self, name: str, ending: Exit) -> None: ...


@dataclass
class Node:
    """What the pods of one node share."""

    api: Api
    layout: Layout
    plan: AddressPlan
    name: str
    index: int
    hook: PodNetworkHook
    table: Table
    network: PodNetwork
    containers: Containers
    record: Recorder
    rootless: bool
    backoff_base: float = BACKOFF_BASE
    backoff_most: float = BACKOFF_MOST
    running: dict[str, tuple[Owner, str]] = field(default_factory=dict)  # container id -> whose it is, its name

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(map(str, self.plan.addresses(self.plan.node(self.index))))
