"""ReferenceGrant: may an object of one namespace name an object of another?"""

from __future__ import annotations

from collections.abc import Iterable

from plait.resources.gateway_api.policies import ReferenceGrant


class Grants:
    """All grants: (from group, kind, namespace, to group, kind, namespace) -> names ("" any)."""

    def __init__(self, found: Iterable[ReferenceGrant]) -> None:
        self._allowed: set[tuple[str, str, str, str, str, str, str]] = set()
        for grant in found:
            for origin in grant.spec.from_:
                for to in grant.spec.to:
                    self._allowed.add(
                        (origin.group, origin.kind, origin.namespace, to.group, to.kind, grant.namespace, to.name or "")
                    )

    def permits(self, origin: tuple[str, str, str], to: tuple[str, str, str], name: str) -> bool:
        """(group, kind, namespace) of both sides. Inside one namespace everything is permitted."""
        if origin[2] == to[2]:
            return True
        return (*origin, *to, "") in self._allowed or (*origin, *to, name) in self._allowed
