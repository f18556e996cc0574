"""The pool: where proxies of managed waypoints run, on the control side, apart from those they serve.

Each waypoint has an account of its own there, whose name follows from the Gateway's: nobody chooses it, so nobody can
choose another's. Whose proxy a pod of the pool is, its labels say; only the control side may write in that namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from plait.base.wellknown import GATEWAY_NAME, GATEWAY_NAMESPACE, POOL_NAMESPACE, WARM_ACCOUNT

_LONGEST: Final = 52
"""Characters, so that a ReplicaSet's and a pod's name made of it fit where names of hosts do."""


def account(namespace: str, gateway: str) -> str:
    """Service account, and name of all else in the pool, of the waypoint `namespace`/`gateway`.

    A namespace has no dots, so no two waypoints have the same; a long name ends in a digest of the whole.
    """
    name = f"{namespace}.{gateway}"
    if len(name) <= _LONGEST:
        return name
    digest = blake2b(name.encode(), digest_size=10).hexdigest()
    return f"{name[: _LONGEST - len(digest) - 1].rstrip('.-')}-{digest}"


def identity(namespace: str, labels: Mapping[str, str], service_account: str) -> str:
    """The account as which a pod speaks: its own, but of a warm proxy that a waypoint has claimed, that waypoint's."""
    name, owner = labels.get(GATEWAY_NAME, ""), labels.get(GATEWAY_NAMESPACE, "")
    if namespace == POOL_NAMESPACE and service_account == WARM_ACCOUNT and name and owner:
        return account(owner, name)
    return service_account


def gateway_of(namespace: str, labels: Mapping[str, str], service_account: str) -> str:
    """The Gateway ("ns/name") that a pod was made for, "" none.

    In the pool its account has to be that waypoint's: a label alone is not believed.
    """
    name = labels.get(GATEWAY_NAME, "")
    owner = labels.get(GATEWAY_NAMESPACE, "") if namespace == POOL_NAMESPACE else ""
    if not name or not owner:
        return f"{namespace}/{name}" if name else ""
    own = account(owner, name)
    return f"{owner}/{name}" if identity(namespace, labels, service_account) == own else ""


def serves(namespace: str, labels: Mapping[str, str], service_account: str) -> str:
    """The namespace whose policies bind a pod: of the pool, its Gateway's; of everybody else, its own."""
    if namespace != POOL_NAMESPACE:
        return namespace
    return gateway_of(namespace, labels, service_account).partition("/")[0] or namespace
