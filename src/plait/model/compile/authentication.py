"""PeerAuthentication -> who must present a certificate. Workload beats namespace beats mesh; the oldest of equals wins.
With a selector it binds workloads of its namespace, but for the root namespace, where it binds nobody.

STRICT has no word of its own on the wire: it is a DENY for peers without a principal, attached to the workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plait.model.mesh import Settings
from plait.model.policies import Group, Match, Policy, Rule, Text
from plait.resources.problems import Problem
from plait.resources.security import MutualTLS, PeerAuthentication

STATIC_STRICT = "istio_converted_static_strict"
_CONVERTED = "converted_peer_authentication_"
_NOBODY_KNOWN = (Text("presence"),)
_PLAINTEXT = Rule((Match(not_principals=_NOBODY_KNOWN),))


class Authentication:
    def __init__(self, found: Iterable[PeerAuthentication], settings: Settings, problems: list[Problem]) -> None:
        self._root = settings.root_namespace
        self._wide: dict[str, PeerAuthentication] = {}
        self._selecting: dict[str, list[PeerAuthentication]] = {}
        for each in sorted(found, key=lambda p: (p.meta.creation_timestamp or "", p.namespace, p.name)):
            if _labels(each) and each.namespace == settings.root_namespace:
                problems.append(_binds_nobody(each))
            elif _labels(each):
                self._selecting.setdefault(each.namespace, []).append(each)
            else:
                if each.spec.port_level_mtls:
                    problems.append(_ports_need_selector(each))
                if self._wide.setdefault(each.namespace, each) is not each:
                    problems.append(_shadowed(each, self._wide[each.namespace]))

    def attached(self, namespace: str, labels: Mapping[str, str]) -> Iterator[str]:
        """Names of the policies that say what these labels' workload demands."""
        own = next((p for p in self._selecting.get(namespace, ()) if _labels(p).items() <= labels.items()), None)
        if own is not None and self._exceptions(own):
            yield f"{own.namespace}/{_CONVERTED}{own.name}"
        elif self._mode(namespace, own) == "STRICT":
            yield f"{self._root}/{STATIC_STRICT}"

    def policies(self) -> Iterator[Policy]:
        yield Policy(STATIC_STRICT, self._root, "workload", "deny", (Group((_PLAINTEXT,)),))
        for each in (p for found in self._selecting.values() for p in found):
            if ports := self._exceptions(each):
                strict = self._mode(each.namespace, each) == "STRICT"
                groups = (_all_but(ports, each.spec.mtls),) if strict else tuple(map(_only_at, ports))
                yield Policy(_CONVERTED + each.name, each.namespace, "workload", "deny", groups)

    def _mode(self, namespace: str, own: PeerAuthentication | None) -> str:
        for each in (own, self._wide.get(namespace), self._wide.get(self._root)):
            if each is not None and each.spec.mtls is not None and each.spec.mtls.mode != "UNSET":
                return each.spec.mtls.mode
        return "PERMISSIVE"

    def _exceptions(self, own: PeerAuthentication) -> tuple[int, ...]:
        """Ports whose mode differs from the workload's as to whether plaintext is refused."""
        strict = self._mode(own.namespace, own) == "STRICT"
        ports = {
            int(port)
            for port, mtls in own.spec.port_level_mtls.items()
            if port.isdigit() and mtls.mode != "UNSET" and (mtls.mode == "STRICT") != strict
        }
        return tuple(sorted(ports))


def _only_at(port: int) -> Group:
    """Plaintext is refused at this port."""
    return Group((Rule((Match(not_principals=_NOBODY_KNOWN, destination_ports=(port,)),)),))


def _all_but(ports: tuple[int, ...], own: MutualTLS | None) -> Group:
    """Plaintext is refused but at these ports. In Istio's order: strictness of its own comes first, what namespace or
    mesh ask for last."""
    exempt = tuple(Rule((Match(not_destination_ports=(port,)),)) for port in ports)
    return Group((_PLAINTEXT, *exempt) if own is not None and own.mode == "STRICT" else (*exempt, _PLAINTEXT))


def _labels(each: PeerAuthentication) -> Mapping[str, str]:
    return each.spec.selector.match_labels if each.spec.selector is not None else {}


def _ports_need_selector(each: PeerAuthentication) -> Problem:
    text = "port-level settings bind only workloads chosen by a selector; add spec.selector.matchLabels"
    return Problem("PLT0301", "warning", "PeerAuthentication", each.namespace, each.name, "spec.portLevelMtls", text)


def _binds_nobody(each: PeerAuthentication) -> Problem:
    text = "in the root namespace a selector binds nobody; drop it, or move the policy to the workloads' namespace"
    return Problem("PLT0301", "warning", "PeerAuthentication", each.namespace, each.name, "spec.selector", text)


def _shadowed(each: PeerAuthentication, winner: PeerAuthentication) -> Problem:
    text = f"{winner.name} is older and already speaks for the whole namespace; delete one of the two"
    return Problem("PLT0302", "warning", "PeerAuthentication", each.namespace, each.name, "spec", text)
