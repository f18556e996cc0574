"""Paths under which a node's agent takes commands on its socket: who asks needs no more of the agent's code."""

from __future__ import annotations

RESTART = "/proxy/restart"
PROXIES = "/proxies"
DUMP = "/proxies/dump"
LOG = "/proxies/log"
