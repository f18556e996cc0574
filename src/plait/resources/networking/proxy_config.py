"""ProxyConfig: settings of single proxies — threads, environment, image."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated

from plait.resources.markers import Model, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import LabelMatch


class ProxyImage(Model, frozen=True, kw_only=True):
    """The flavour of the proxy image: default, debug, distroless."""

    image_type: str = ""


class ProxyConfigSpec(Model, frozen=True, kw_only=True):
    """Settings for the proxies chosen by `selector`, or of the namespace."""

    selector: LabelMatch | None = None
    concurrency: Annotated[int, limit(format="int32", minimum=0)] | None = None
    environment_variables: dict[str, Annotated[str, limit(maxLength=2048)]] = {}
    image: ProxyImage | None = None


class ProxyConfig(IstioResource, frozen=True, kw_only=True):
    """Settings of proxies."""

    spec: ProxyConfigSpec = ProxyConfigSpec()
