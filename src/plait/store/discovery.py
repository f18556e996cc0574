"""Which kinds are served, and the documents that tell clients: /api, /apis, group versions, aggregated v2, /version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document
from plait.store.schema.schemas import Schemas

MINOR = 34
VERSION: Document = {
    "major": "1",
    "minor": str(MINOR),
    "gitVersion": f"v1.{MINOR}.2",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def _review(group: str, kind: str, namespaced: bool = False) -> Kind:
    return Kind(group, ("v1",), kind, kind.lower() + "s", namespaced)


# Kinds that are asked, never stored: POST only.
REVIEWS = (
    _review("authentication.k8s.io", "TokenReview"),
    _review("authentication.k8s.io", "SelfSubjectReview"),
    _review("authorization.k8s.io", "SubjectAccessReview"),
    _review("authorization.k8s.io", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "SelfSubjectRulesReview"),
    _review("authorization.k8s.io", "LocalSubjectAccessReview", namespaced=True),
)
# subresource -> (verbs, kind of its body, group, version); pods/log and friends are streams.
_SUBRESOURCES: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "status": (("get", "patch", "update"), "", "", ""),
    "scale": (("get", "patch", "update"), "Scale", "autoscaling", "v1"),
    "finalize": (("update",), "", "", ""),
    "binding": (("create",), "Binding", "", "v1"),
    "eviction": (("create",), "Eviction", "policy", "v1"),
    "token": (("create",), "TokenRequest", "authentication.k8s.io", "v1"),
    "exec": (("create", "get"), "PodExecOptions", "", "v1"),
    "attach": (("create", "get"), "PodAttachOptions", "", "v1"),
    "portforward": (("create", "get"), "PodPortForwardOptions", "", "v1"),
    "log": (("get",), "", "", ""),
    "ephemeralcontainers": (("get", "patch", "update"), "", "", ""),
}


def subresource(name: str) -> tuple[tuple[str, ...], str, str, str]:
    """Verbs, and kind, group and version of the body ("" where that is the object itself)."""
    return _SUBRESOURCES[name]


class Catalog:
    """All served kinds: the built-in table, the reviews, and what CRDs brought."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def all(self) -> Iterator[Kind]:
        yield from kinds.ALL
        yield from REVIEWS
        yield from self._schemas.crd_kinds()

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        for kind in self.all():
            if kind.plural == plural and kind.group == group and version in kind.versions:
                return kind
        return None

    def is_custom(self, kind: Kind) -> bool:
        """Served the way a CRD's kind is: no strategic merge patch, updates need a resourceVersion."""
        return kind.group in kinds.MESH_GROUPS or kind in self._schemas.crd_kinds()

    def groups(self) -> dict[str, list[str]]:
        """group -> its versions, preferred first."""
        found: dict[str, list[str]] = {}
        for kind in self.all():
            have = found.setdefault(kind.group, [])
            have += [version for version in kind.versions if version not in have]
        return {group: sorted(versions, key=_rank) for group, versions in found.items()}

    def of(self, group: str, version: str) -> list[Kind]:
        return [kind for kind in self.all() if kind.group == group and version in kind.versions]


def _rank(version: str) -> tuple[int, str]:
    stage = 2 if "alpha" in version else 1 if "beta" in version else 0
    return stage, version


def api_versions(address: str) -> Document:
    """/api"""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group(catalog: Catalog, name: str) -> Document | None:
    """/apis/<group>"""
    versions = catalog.groups().get(name) if name else None
    if versions is None:
        return None
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(catalog: Catalog) -> Document:
    """/apis"""
    groups = [group(catalog, name) for name in catalog.groups() if name]
    stripped = [{k: v for k, v in g.items() if k not in ("kind", "apiVersion")} for g in groups if g]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": stripped}


def resource_list(catalog: Catalog, name: str, version: str) -> Document | None:
    """/api/v1 and /apis/<group>/<version>"""
    served = catalog.of(name, version)
    if not served:
        return None
    resources: list[Document] = []
    for kind in served:
        row: Document = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(_verbs(kind)),
        }
        if kind.short_names:
            row["shortNames"] = list(kind.short_names)
        if kind.categories:
            row["categories"] = list(kind.categories)
        resources.append(row)
        for sub in kind.subresources:
            verbs, body, body_group, body_version = subresource(sub)
            row = {
                "name": f"{kind.plural}/{sub}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": body or kind.kind,
                "verbs": list(verbs),
            }
            if body and body_group:
                row |= {"group": body_group, "version": body_version}
            resources.append(row)
    group_version = f"{name}/{version}" if name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _verbs(kind: Kind) -> Iterable[str]:
    return ("create",) if kind in REVIEWS else VERBS


def aggregated(catalog: Catalog, core: bool) -> Document:
    """The same as one document: at /api the core group, at /apis all others."""
    items = []
    for name, versions in catalog.groups().items():
        if (name == "") is core:
            listed = [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_resource(kind, name, version) for kind in catalog.of(name, version)],
                }
                for version in versions
            ]
            metadata: dict[str, Any] = {"creationTimestamp": None} | ({"name": name} if name else {})
            items.append({"metadata": metadata, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _resource(kind: Kind, group_name: str, version: str) -> Document:
    row: Document = {
        "resource": kind.plural,
        "responseKind": {"group": group_name, "version": version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(_verbs(kind)),
    }
    if kind.short_names:
        row["shortNames"] = list(kind.short_names)
    if kind.categories:
        row["categories"] = list(kind.categories)
    subs = []
    for sub in kind.subresources:
        verbs, body, body_group, body_version = subresource(sub)
        response = {"group": body_group if body else group_name, "version": body_version or version}
        subs.append({"subresource": sub, "responseKind": response | {"kind": body or kind.kind}, "verbs": list(verbs)})
    if subs:
        row["subresources"] = subs
    return row
