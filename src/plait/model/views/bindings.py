"""Which policies bind a workload, in which order, and whether they refuse plaintext as such."""

from __future__ import annotations

from plait.model.index import Index
from plait.model.mesh import Mesh
from plait.model.policies import Match, Policy, Text

_ANYBODY_UNKNOWN = Match(not_principals=(Text("presence"),))


def effective(mesh: Mesh, index: Index, namespace: str, attached: tuple[str, ...]) -> tuple[Policy, ...]:
    """Mesh-wide, the namespace's and the attached policies: DENY first, then by name. Unknown names bind nobody."""
    found = {policy.key: policy for where in ("", namespace) for policy in index.policies.get(where, ())}
    for name in attached:
        policy = mesh.policies.get(name)
        if policy is not None:
            found[name] = policy
    return tuple(sorted(found.values(), key=lambda p: (p.action == "allow", p.namespace, p.name)))


def refuses_plaintext(policy: Policy) -> bool:
    """True for the STRICT form: an enforced DENY whose one clause is "no principal"."""
    if policy.action != "deny" or policy.dry_run:
        return False
    return any(len(group.rules) == 1 and group.rules[0].matches == (_ANYBODY_UNKNOWN,) for group in policy.groups)
