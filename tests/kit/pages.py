"""The page of metrics of an Envoy on loopback, read as a Prometheus reads it."""

from __future__ import annotations

import http.client
import re
import socket
from pathlib import Path

from plait.proxy.metrics import known, renamed


class Page:
    def __init__(self, text: str) -> None:
        self.text = text

    def series(self, metric: str, **labels: str) -> list[dict[str, str]]:
        """Labels of each series of the metric that has these."""
        return [found for found, _ in self._samples(metric) if labels.items() <= found.items()]

    def value(self, metric: str, **labels: str) -> float:
        """The sum of them."""
        return sum(value for found, value in self._samples(metric) if labels.items() <= found.items())

    def _samples(self, metric: str) -> list[tuple[dict[str, str], float]]:
        lines = re.findall(rf"^{metric}{{(.*)}} (\S+)$", self.text, re.MULTILINE)
        return [(dict(re.findall(r'(\w+)="([^"]*)"', line)), float(value)) for line, value in lines]


class _Admin(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def page(admin: Path) -> Page:
    """As the agent would show it."""
    asked = _Admin(admin)
    asked.request("GET", "/stats/prometheus")
    text = asked.getresponse().read().decode()
    asked.close()
    return Page(known(renamed(text)))
