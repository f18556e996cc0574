"""Attachment: which workloads or services a policy hangs on, by selector, by reference or by namespace.

One noun for every kind that is attached (authorization, authentication, telemetry, plugins, patches). It says who is
meant; which proxy acts is decided in `model.enforcement`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

Labels = tuple[tuple[str, str], ...]
"""Labels in key order: hashable, so that what holds them can be a key."""


def labels_of(found: Mapping[str, str]) -> Labels:
    return tuple(sorted(found.items()))


def carries(labels: Mapping[str, str], wanted: Labels) -> bool:
    """Whether `labels` has all that is wanted."""
    return all(labels.get(name) == value for name, value in wanted)


class Target(Struct, frozen=True, gc=False):
    """An object a policy is attached to by name. `kind` is Gateway, GatewayClass, Service or ServiceEntry."""

    kind: str
    namespace: str
    name: str


class Attachment(Struct, frozen=True, gc=False):
    """Targets when given; else workloads with `selector`; else the namespace, or all (`everywhere`)."""

    namespace: str
    everywhere: bool = False
    """The policy stands in the root namespace, so it is about every namespace."""
    selector: Labels = ()
    targets: tuple[Target, ...] = ()

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a workload is meant without being named: never, when targets are given."""
        if self.targets or not (self.everywhere or namespace == self.namespace):
            return False
        return carries(labels, self.selector)

    def names(self, *targets: Target) -> bool:
        """Whether one of these is meant by name."""
        return any(target in self.targets for target in targets)
