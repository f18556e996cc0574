"""What is not TCP enters as plaintext would: by what PeerAuthentication compiles to, and by nothing else."""

from __future__ import annotations

import pytest

from plait.model.compile.authentication import Authentication
from plait.model.mesh import Settings
from plait.model.policies import Group, Match, Policy, Rule, Text
from plait.model.views.datagrams import CLOSED, OPEN, Datagrams, admitted
from plait.resources.decode import decode
from plait.resources.security import PeerAuthentication


def peer(
    mode: str = "", ports: dict[str, str] | None = None, labels: dict[str, str] | None = None
) -> PeerAuthentication:
    spec = {
        **({"mtls": {"mode": mode}} if mode else {}),
        **({"portLevelMtls": {port: {"mode": said} for port, said in ports.items()}} if ports else {}),
        **({"selector": {"matchLabels": labels}} if labels else {}),
    }
    meta = {"name": f"p{len(labels or {})}", "namespace": "shop"}
    document = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": spec}
    typed, problems = decode(document)
    assert isinstance(typed, PeerAuthentication), problems
    return typed


def binding(*found: PeerAuthentication) -> list[Policy]:
    """The policies that bind a workload labelled app=web in shop."""
    compiled = Authentication(found, Settings(), [])
    names = set(compiled.attached("shop", {"app": "web"}))
    return [policy for policy in compiled.policies() if policy.key in names]


WEB = {"app": "web"}


@pytest.mark.parametrize(
    "written,verdict",
    [
        ([], OPEN),
        ([peer("PERMISSIVE")], OPEN),
        ([peer("DISABLE")], OPEN),
        ([peer("STRICT")], CLOSED),
        ([peer("STRICT", labels=WEB)], CLOSED),
        ([peer("STRICT"), peer("PERMISSIVE", labels=WEB)], OPEN),
        ([peer("STRICT", {"53": "PERMISSIVE", "54": "DISABLE"}, WEB)], Datagrams(True, (53, 54))),
        ([peer("STRICT"), peer("", {"53": "PERMISSIVE", "54": "DISABLE"}, WEB)], Datagrams(True, (53, 54))),
        ([peer("PERMISSIVE", {"53": "STRICT"}, WEB)], Datagrams(False, (53,))),
        ([peer("PERMISSIVE", {"53": "STRICT", "54": "STRICT"}, WEB)], Datagrams(False, (53, 54))),
    ],
)
def test_strict_refuses_on_every_port_but_its_exceptions(written: list[PeerAuthentication], verdict: Datagrams) -> None:
    assert admitted(binding(*written), known=True) == verdict


def test_of_a_pod_that_nobody_has_described_nothing_is_known() -> None:
    assert admitted([], known=False) == CLOSED


def strict(*matches: Match, dry_run: bool = False, action: str = "deny") -> Policy:
    anybody = Rule((Match(not_principals=(Text("presence"),)),))
    rules = (anybody, Rule(matches)) if matches else (anybody,)
    return Policy("p", "shop", "workload", action, (Group(rules),), dry_run)  # type: ignore[arg-type]


def test_several_rules_add_up() -> None:
    spared = strict(Match(not_destination_ports=(53, 54)))
    assert admitted([spared, strict(Match(not_destination_ports=(54, 55)))], known=True) == Datagrams(True, (54,))
    assert admitted([spared, strict(Match(destination_ports=(53,)))], known=True) == Datagrams(True, (54,))
    assert admitted([spared, strict()], known=True) == CLOSED
    ports = strict(Match(destination_ports=(53,), not_principals=(Text("presence"),)))
    assert admitted([ports, strict(Match(destination_ports=(55,)))], known=True) == Datagrams(False, (53, 55))


@pytest.mark.parametrize(
    "policy",
    [
        strict(dry_run=True),
        strict(action="allow"),
        strict(Match(destination_ports=(53,)), Match(destination_ports=(54,))),
        Policy("p", "shop", "workload", "deny", (Group((Rule((Match(destination_ports=(53,)),)),)),)),
        Policy("p", "shop", "workload", "deny", (Group(),)),
    ],
)
def test_rules_about_connections_say_nothing_of_datagrams(policy: Policy) -> None:
    assert admitted([policy], known=True) == OPEN
