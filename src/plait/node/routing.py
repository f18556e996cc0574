"""Policy routing of a captured pod: the marked answers of the application go to the proxy's transparent socket.

A small typed façade over netlink; blocking, call from a worker thread. What the rule says is `rules.PolicyRule`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from plait.base import netns
from plait.node.rules import Family, PolicyRule

_FAMILY: dict[Family, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANYWHERE: dict[Family, str] = {4: "0.0.0.0/0", 6: "::/0"}
_LOCAL = 2  # RTN_LOCAL


def apply(path: Path, rule: PolicyRule, family: Family = 4) -> bool:
    """Make the rule and its table exist. True when something had to change."""
    return netns.call(path, _apply, rule, family)


def verify(path: Path, rule: PolicyRule, family: Family = 4) -> bool:
    return netns.call(path, _verify, rule, family)


def remove(path: Path, rule: PolicyRule, family: Family = 4) -> bool:
    """Take both out. True when there was something."""
    return netns.call(path, _remove, rule, family)


def _apply(rule: PolicyRule, family: Family) -> bool:
    with IPRoute() as kernel:
        route = {**_route(rule, family), "oif": kernel.link_lookup(ifname="lo")[0]}
        changed = _unless(errno.EEXIST, lambda: kernel.route("add", **route))
        # The kernel lets equal rules pile up: look first.
        if not _has_rule(kernel, rule, family):
            kernel.rule("add", **_rule(rule, family))
            changed = True
        return changed


def _verify(rule: PolicyRule, family: Family) -> bool:
    with IPRoute() as kernel:
        return _has_rule(kernel, rule, family) and bool(
            list(kernel.get_routes(family=_FAMILY[family], table=rule.table))
        )


def _remove(rule: PolicyRule, family: Family) -> bool:
    changed = False
    with IPRoute() as kernel:
        while _has_rule(kernel, rule, family):
            kernel.rule("del", **_rule(rule, family))
            changed = True
        route = _route(rule, family)
        return _unless(errno.ESRCH, lambda: kernel.route("del", **route)) or changed


def _rule(rule: PolicyRule, family: Family) -> dict[str, Any]:
    return {
        "family": _FAMILY[family],
        "priority": rule.priority,
        "table": rule.table,
        "fwmark": rule.mark,
        "fwmask": rule.mask,
    }


def _route(rule: PolicyRule, family: Family) -> dict[str, Any]:
    return {"family": _FAMILY[family], "dst": _ANYWHERE[family], "type": _LOCAL, "scope": 254, "table": rule.table}


def _has_rule(kernel: Any, rule: PolicyRule, family: Family) -> bool:
    return any(
        found.get_attr("FRA_PRIORITY") == rule.priority
        and found.get_attr("FRA_FWMARK") == rule.mark
        and found.get_attr("FRA_FWMASK") == rule.mask
        and (found.get_attr("FRA_TABLE") or found["table"]) == rule.table
        for found in kernel.get_rules(family=_FAMILY[family])
    )


def _unless(code: int, action: Callable[[], object]) -> bool:
    """Do it; False when the kernel says it was so already."""
    try:
        action()
    except NetlinkError as error:
        if error.code != code:
            raise
        return False
    return True
