"""Words that several Gateway API kinds share: names, references, conditions, header and mirror filters."""

from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import ATOMIC, SET, Model, Port, keyed, limit
from plait.resources.meta import Resource

_DNS1123 = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
GROUP = "gateway.networking.k8s.io"
_GROUP = limit(maxLength=253, pattern=rf"^$|^{_DNS1123}$")
_KIND = limit(minLength=1, maxLength=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")

Group = Annotated[str, _GROUP]
KindName = Annotated[str, _KIND]
ObjectName = Annotated[str, limit(minLength=1, maxLength=253)]
NamespaceName = Annotated[str, limit(minLength=1, maxLength=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SectionName = Annotated[str, limit(minLength=1, maxLength=253, pattern=rf"^{_DNS1123}$")]
PreciseHostname = Annotated[str, limit(minLength=1, maxLength=253, pattern=rf"^{_DNS1123}$")]
Hostname = Annotated[str, limit(minLength=1, maxLength=253, pattern=rf"^(\*\.)?{_DNS1123}$")]
ControllerName = Annotated[
    str, limit(minLength=1, maxLength=253, pattern=rf"^{_DNS1123}\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$")
]
GwDuration = Annotated[str, limit(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
HeaderName = Annotated[str, limit(minLength=1, maxLength=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")]
HeaderValue = Annotated[str, limit(minLength=1, maxLength=4096, pattern=r"^[!-~]+([\t ]?[!-~]+)*$")]
Options = Annotated[dict[str, Annotated[str, limit(minLength=0, maxLength=4096)]], limit(maxProperties=16)]
GatewayGroup = Annotated[str, _GROUP, limit(default=GROUP)]
CoreGroup = Annotated[str, _GROUP, limit(default="")]


class Condition(Model, frozen=True, kw_only=True):
    """One condition of a status."""

    type: Annotated[
        str,
        limit(
            maxLength=316,
            pattern=rf"^({_DNS1123}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    status: Literal["True", "False", "Unknown"]
    observed_generation: Annotated[int, limit(format="int64", minimum=0)] | None = None
    last_transition_time: Annotated[str, limit(format="date-time")]
    reason: Annotated[str, limit(minLength=1, maxLength=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, limit(maxLength=32768)]


Conditions = Annotated[tuple[Condition, ...], limit(maxItems=8), keyed("type")]


class LocalObjectReference(Model, frozen=True, kw_only=True):
    """An object of the same namespace."""

    group: Group
    kind: KindName
    name: ObjectName


class ParametersReference(Model, frozen=True, kw_only=True):
    """An object with further settings of the implementation."""

    group: Group
    kind: KindName
    name: ObjectName
    namespace: NamespaceName | None = None


class ObjectReference(Model, frozen=True, kw_only=True):
    """An object of any namespace; another namespace must allow it with a ReferenceGrant."""

    group: Group
    kind: KindName
    name: ObjectName
    namespace: NamespaceName | None = None


class SecretObjectReference(Model, frozen=True, kw_only=True):
    """A secret (or another kind the implementation knows) with a certificate."""

    group: CoreGroup = ""
    kind: Annotated[str, _KIND, limit(default="Secret")] = "Secret"
    name: ObjectName
    namespace: NamespaceName | None = None


class ParentGatewayReference(Model, frozen=True, kw_only=True):
    """The Gateway a ListenerSet adds to."""

    group: GatewayGroup = GROUP
    kind: Annotated[str, _KIND, limit(default="Gateway")] = "Gateway"
    name: ObjectName
    namespace: NamespaceName | None = None

    def named(self, namespace: str) -> tuple[str, str] | None:
        """The Gateway's (namespace, name), for an object in `namespace`. None: something else is named."""
        if (self.group, self.kind) != (GROUP, "Gateway"):
            return None
        return self.namespace or namespace, self.name


class ParentReference(Model, frozen=True, kw_only=True):
    """What a route attaches to: a Gateway, a ListenerSet, or (mesh) a Service or ServiceEntry."""

    group: GatewayGroup = GROUP
    kind: Annotated[str, _KIND, limit(default="Gateway")] = "Gateway"
    namespace: NamespaceName | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: Port | None = None


ParentReferences = Annotated[tuple[ParentReference, ...], limit(maxItems=32), ATOMIC]


class BackendObjectReference(Model, frozen=True, kw_only=True):
    """A backend; a Service needs its port."""

    group: CoreGroup = ""
    kind: Annotated[str, _KIND, limit(default="Service")] = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: Port | None = None


Weight = Annotated[int, limit(format="int32", minimum=0, maximum=1000000, default=1)]


class BackendRef(Model, frozen=True, kw_only=True):
    """A backend with its share of the traffic."""

    group: CoreGroup = ""
    kind: Annotated[str, _KIND, limit(default="Service")] = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: Port | None = None
    weight: Weight = 1


class Header(Model, frozen=True, kw_only=True):
    """A header with its value."""

    name: HeaderName
    value: HeaderValue


_HeaderList = Annotated[tuple[Header, ...], limit(maxItems=16), keyed("name")]


class HeaderFilter(Model, frozen=True, kw_only=True):
    """Headers to set, add and remove."""

    set: _HeaderList = ()
    add: _HeaderList = ()
    remove: Annotated[tuple[str, ...], limit(maxItems=16), SET] = ()


class Fraction(Model, frozen=True, kw_only=True):
    """A share as a fraction."""

    numerator: Annotated[int, limit(format="int32", minimum=0)]
    denominator: Annotated[int, limit(format="int32", minimum=1, default=100)] = 100


class RequestMirrorFilter(Model, frozen=True, kw_only=True):
    """A backend that gets a copy of a share of the requests."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, limit(format="int32", minimum=0, maximum=100)] | None = None
    fraction: Fraction | None = None


class CookieConfig(Model, frozen=True, kw_only=True):
    """The cookie of a session."""

    lifetime_type: Annotated[Literal["Permanent", "Session"], limit(default="Session")] = "Session"


class SessionPersistence(Model, frozen=True, kw_only=True):
    """Keep the requests of a session on one backend."""

    session_name: Annotated[str, limit(maxLength=128)] | None = None
    absolute_timeout: GwDuration | None = None
    type: Annotated[Literal["Cookie", "Header"], limit(default="Cookie")] = "Cookie"
    cookie_config: CookieConfig | None = None


class RouteParentStatus(Model, frozen=True, kw_only=True):
    """What one controller says about the route at one parent."""

    parent_ref: ParentReference
    controller_name: ControllerName
    conditions: Annotated[tuple[Condition, ...], limit(minItems=1, maxItems=8), keyed("type")]


class RouteStatus(Model, frozen=True, kw_only=True):
    """Status of a route, by parent."""

    parents: Annotated[tuple[RouteParentStatus, ...], limit(maxItems=32), ATOMIC]


class GatewayApiResource(Resource, frozen=True, kw_only=True):
    """An object of the Gateway API."""


DefaultGateways = Literal["All", "None"]
