"""What is said of Gateways and ListenerSets: accepted, resolved, programmed as far as the written word goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from plait.model.compile.traffic.gateway_api.classes import Runs
from plait.model.compile.traffic.gateway_api.listeners import Open
from plait.model.compile.traffic.gateway_api.parents import Parents
from plait.model.status import Condition, GatewayStatus, ListenerStatus, State
from plait.resources.gateway_api.gateway import Gateway, ListenerSet
from plait.resources.kubernetes import ConfigMap

Name = tuple[str, str]
ADDRESS_TYPES = ("IPAddress", "Hostname")
"""Types of addresses that a Gateway may ask for."""


def strange_address(gateway: Gateway) -> str:
    """Why the gateway cannot have the addresses it asks for; "" when their types are known."""
    strange = [each.type for each in gateway.spec.addresses if each.type not in ADDRESS_TYPES]
    return f"addresses of type {', '.join(strange)} cannot be given; ask for an {ADDRESS_TYPES[0]}" if strange else ""


def of_gateway(
    gateway: Gateway,
    listening: tuple[Open, ...],
    sets: Iterable[ListenerSet],
    parents: Parents,
    parameters: Mapping[Name, ConfigMap],
    unshown: Condition | None,
) -> GatewayStatus:
    """`unshown`: why the gateway shows no certificate to backends, as a condition."""
    own = [each for each in listening if "/" not in each.section]
    bad = [each for each in own if each.listener.broken]
    accepted = Condition("Accepted", "True", "Accepted")
    if bad:
        text = f"listeners {', '.join(each.section for each in bad)} are not valid; see their conditions"
        accepted = Condition("Accepted", "False" if len(bad) == len(own) else "True", "ListenersNotValid", text)
    if wrong := _parameters(gateway, parameters):
        accepted = Condition("Accepted", "False", "InvalidParameters", wrong)
    good = len(bad) < len(own)
    programmed = Condition("Programmed", "True", "Programmed")
    if not good:
        programmed = Condition("Programmed", "False", "Invalid", accepted.message)
    if strange := strange_address(gateway):
        accepted = Condition("Accepted", "False", "UnsupportedAddress", strange)
        programmed = Condition("Programmed", "False", "AddressNotUsable", strange)
    listeners = tuple(each.status(parents.attached(gateway.ident, each.section)) for each in own)
    valid = {each.owner for each in listening if not each.listener.broken}
    attached = sum(("ListenerSet", each.namespace, each.name) in valid for each in sets)
    conditions = (accepted, programmed, unshown or _resolved(listeners), *_insecure(gateway))
    return GatewayStatus(conditions, listeners, attached)


def _parameters(gateway: Gateway, known: Mapping[Name, ConfigMap]) -> str:
    """Why `infrastructure.parametersRef` leads nowhere. What stands in the ConfigMap is for who makes the proxies."""
    reference = gateway.spec.infrastructure.parameters_ref if gateway.spec.infrastructure is not None else None
    if reference is None:
        return ""
    where = f"{reference.kind} {gateway.namespace}/{reference.name} of infrastructure.parametersRef"
    if reference.group not in ("", "core") or reference.kind != "ConfigMap":
        return f"{where} is no ConfigMap; name one"
    return "" if (gateway.namespace, reference.name) in known else f"{where} does not exist; create it"


def _resolved(listeners: Iterable[ListenerStatus]) -> Condition:
    """Whether all that the listeners name is there."""
    lost = [
        each.name
        for each in listeners
        if any(c.type == "ResolvedRefs" and c.status == "False" for c in each.conditions)
    ]
    if not lost:
        return Condition("ResolvedRefs", "True", "ResolvedRefs")
    text = f"listeners {', '.join(lost)} name what cannot be used; see their conditions"
    return Condition("ResolvedRefs", "False", "ListenersNotResolved", text)


def _insecure(gateway: Gateway) -> Iterable[Condition]:
    """A warning, as long as clients are let in whose certificates nobody vouches for."""
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    if frontend is None:
        return
    every = (frontend.default, *(each.tls for each in frontend.per_port))
    if any(each.validation is not None and each.validation.mode == "AllowInsecureFallback" for each in every):
        text = "mode AllowInsecureFallback lets clients in without a valid certificate"
        yield Condition("InsecureFrontendValidationMode", "True", "ConfigurationChanged", text)


def of_set(each: ListenerSet, gateway: Name, listening: tuple[Open, ...], parents: Parents) -> GatewayStatus:
    """Of a set that its gateway takes."""
    prefix = f"{each.namespace}/{each.name}/"
    own = [item for item in listening if item.section.startswith(prefix)]
    good = any(not item.listener.broken for item in own)
    word: State = "True" if good else "False"
    reason, text = "ListenersNotValid", "none of its listeners is valid; see their conditions"
    accepted, programmed = (
        Condition(kind, word, *((kind,) if good else (reason, text))) for kind in ("Accepted", "Programmed")
    )
    listeners = tuple(
        msgspec.structs.replace(
            item.status(parents.attached(gateway, item.section)), name=item.section.removeprefix(prefix)
        )
        for item in own
    )
    return GatewayStatus((accepted, programmed), listeners)


def of_refused_set(gateway: Gateway, runs: Runs) -> GatewayStatus:
    """Of a set whose gateway takes none, or not this one."""
    reason, text = "NotAllowed", "the Gateway's allowedListeners do not allow this namespace; set them"
    if runs == "waypoint":
        text = (
            f"class {gateway.spec.gateway_class_name} is a waypoint's, which has no listeners of others; remove the set"
        )
    elif strange := strange_address(gateway):
        reason, text = "ParentNotAccepted", f"the Gateway is not accepted: {strange}"
    return GatewayStatus(tuple(Condition(kind, "False", reason, text) for kind in ("Accepted", "Programmed")))
