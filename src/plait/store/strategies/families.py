"""Address families of a Service: `ipFamilyPolicy`, `ipFamilies` and `clusterIPs`, as Kubernetes fills and judges them.

`offered` are the families of the cluster, the first being its default. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from plait.store.api import Document
from plait.store.errors import Cause

SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
_POLICIES: Final = (SINGLE, PREFER, REQUIRE)
_KNOWN: Final = ("IPv4", "IPv6")


def of_address(address: str) -> str:
    """The family an address belongs to; "" when it is none."""
    try:
        return f"IPv{ip_address(address).version}"
    except ValueError:
        return ""


def default(new: Document, old: Document | None, offered: Sequence[str]) -> None:
    """Fill in what is left out. Two families are given only where the policy asks for them."""
    before = old["spec"] if old is not None and old["spec"].get("type") != "ExternalName" else {}
    spec = new["spec"]
    for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not spec.get(key) and before.get(key):
            spec[key] = before[key]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    families = list(spec.get("ipFamilies") or ())
    for number, address in enumerate(spec.get("clusterIPs") or ()):
        if number >= len(families) and (family := of_address(address)):
            families.append(family)
    families = families or [offered[0]]
    plain_list = _is_list_of_addresses(spec) and len(offered) > 1  # headless without a selector: its author's endpoints
    policy = spec.setdefault("ipFamilyPolicy", REQUIRE if plain_list else SINGLE)
    if policy == SINGLE and len(families) > 1 and families == before.get("ipFamilies"):
        families = families[:1]  # a service that goes back to one family keeps its first
        if spec.get("clusterIPs") == before.get("clusterIPs"):
            spec["clusterIPs"] = list(before.get("clusterIPs") or ())[:1]
    if policy in (PREFER, REQUIRE) and len(families) == 1:
        families += [family for family in offered if family not in families]
    spec["ipFamilies"] = families


def _is_list_of_addresses(spec: Document) -> bool:
    return spec.get("clusterIP") == "None" and not spec.get("selector")


def problems(new: Document, old: Document | None, offered: Sequence[str]) -> list[Cause]:
    """What of it cannot be."""
    spec = new["spec"]
    policy, families, addresses = spec["ipFamilyPolicy"], spec["ipFamilies"], spec.get("clusterIPs") or []
    before = old["spec"] if old is not None and old["spec"].get("type") != "ExternalName" else {}
    found = list[Cause]()
    if policy not in _POLICIES:
        text = f'Unsupported value: "{policy}": supported values: {", ".join(_POLICIES)}'
        found.append(("spec.ipFamilyPolicy", text, "FieldValueNotSupported"))
    if len(families) > 2 or len(set(families)) < len(families):
        found.append(("spec.ipFamilies", f"Invalid value: {families}: each family once", "FieldValueInvalid"))
    for number, family in enumerate(families):
        if family not in _KNOWN:
            text = f'Unsupported value: "{family}": supported values: {", ".join(_KNOWN)}'
            found.append((f"spec.ipFamilies[{number}]", text, "FieldValueNotSupported"))
        elif family not in offered and not _is_list_of_addresses(spec):
            text = f'Invalid value: "{family}": not configured on this cluster'
            found.append((f"spec.ipFamilies[{number}]", text, "FieldValueInvalid"))
    if policy == SINGLE and len(families) > 1:
        text = f'Invalid value: "{policy}": must be {REQUIRE} or {PREFER} when several ipFamilies are specified'
        found.append(("spec.ipFamilyPolicy", text, "FieldValueInvalid"))
    if policy == REQUIRE and len(offered) < 2 and not _is_list_of_addresses(spec):
        text = f'Invalid value: "{policy}": this cluster is not configured for dual-stack services'
        found.append(("spec.ipFamilyPolicy", text, "FieldValueInvalid"))
    if before.get("ipFamilies") and families[:1] != before["ipFamilies"][:1]:
        text = f"Invalid value: {families}: the first family may not be changed"
        found.append(("spec.ipFamilies[0]", text, "FieldValueInvalid"))
    for number, (family, address) in enumerate(zip(families, addresses, strict=False)):
        if address != "None" and of_address(address) not in ("", family):
            text = f"Invalid value: {address}: expected an {family} value as indicated by `ipFamilies[{number}]`"
            found.append((f"spec.clusterIPs[{number}]", text, "FieldValueInvalid"))
    if spec.get("clusterIP") and addresses and addresses[0] != spec["clusterIP"]:
        found.append(("spec.clusterIPs[0]", "Invalid value: must match `clusterIP`", "FieldValueInvalid"))
    return found
