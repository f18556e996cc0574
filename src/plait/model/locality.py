"""Where something runs, as far as it matters for preferring what is near."""

from __future__ import annotations

from msgspec import Struct


class Locality(Struct, frozen=True, gc=False):
    region: str = ""
    zone: str = ""
    subzone: str = ""
