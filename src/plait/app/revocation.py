"""Identities whose word counts no more: from a ConfigMap to a policy every node enforces, and to the authority.

ConfigMap plait-revoked in the root namespace; the values of its `data` are lists of SPIFFE identities, one a line (`#`
begins a comment). It becomes a mesh-wide DENY, so new connections are refused, open ones are cut by each node as after
any change of policy, and foreign ztunnels do the same; the authority signs no new certificate for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plait.base import spiffe
from plait.base.observe import logger
from plait.model.policies import Group, Match, Policy, Rule, Text

CONFIG_MAP: Final = "plait-revoked"
_POLICY: Final = "plait_revoked"
_log = logger("revocation")


def identities(document: Mapping[str, Any] | None) -> frozenset[str]:
    """What the ConfigMap lists; a line that is no identity is named in the log and left out."""
    found: set[str] = set()
    for key, text in ((document or {}).get("data") or {}).items():
        for line in text.splitlines():
            if not (said := line.partition("#")[0].strip()):
                continue
            try:
                found.add(str(spiffe.parse(said)))
            except ValueError as error:
                _log.error("not an identity", config_map=CONFIG_MAP, key=key, line=said, error=error)
    return frozenset(found)


def policies(revoked: frozenset[str], root_namespace: str) -> dict[str, Policy]:
    """The policy that refuses them; none when nobody is revoked."""
    if not revoked:
        return {}
    principals = tuple(Text("exact", each.removeprefix("spiffe://")) for each in sorted(revoked))
    groups = (Group((Rule((Match(principals=principals),)),)),)
    policy = Policy(_POLICY, root_namespace, "mesh", "deny", groups)
    return {policy.key: policy}
