"""Who is asking, and may they? Identities, RBAC from stored roles and bindings, and the built-in rules for nodes.

Pure over the state: authentication of certificates and tokens happens in `http` and `tokens`; this file answers
`may(user, action)` and the access reviews.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, NODE_AGENT_ACCOUNT
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document
from plait.store.state import State

MASTERS, NODES, AUTHENTICATED = "system:masters", "system:nodes", "system:authenticated"
ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def document(self) -> Document:
        """As written in reviews and admission requests."""
        out: Document = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            out["uid"] = self.uid
        if self.extra:
            out["extra"] = {key: list(values) for key, values in self.extra.items()}
        return out


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("system:apiserver", (MASTERS, AUTHENTICATED))


@dataclass(frozen=True, slots=True)
class Action:
    """One access: either to a resource (`path` empty) or to a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def what(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _rule(groups: str, resources: str, verbs: str) -> Document:
    split = {"apiGroups": [g if g != "core" else "" for g in groups.split()], "resources": resources.split()}
    return {**split, "verbs": verbs.split()}


_READ = "get list watch"
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_DISCOVERY_PATHS = ("/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz", "/version", "/.well-known")
_EVERYBODY = (
    _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
    _rule("authentication.k8s.io", "selfsubjectreviews", "create"),
)
# What a kubelet, service proxy and node agent of a node need; narrowed to the own node in `_node_may`.
_NODE_RULES = (
    _rule("core", "services endpoints namespaces pods nodes configmaps secrets serviceaccounts", _READ),
    _rule("discovery.k8s.io", "endpointslices", _READ),
    _rule("networking.istio.io", "serviceentries", _READ),
    _rule("coordination.k8s.io", "leases", "get list watch create update patch delete"),
    _rule("core", "nodes nodes/status", "get list watch create update patch"),
    _rule("core", "pods/status", "update patch"),
    _rule("core", "pods", "create delete patch"),
    _rule("core", "pods/eviction", "create"),
    _rule("core", "serviceaccounts/token", "create"),
    _rule("core", "events", "create update patch"),
    _rule("authentication.k8s.io", "tokenreviews", "create"),
    _rule("authorization.k8s.io", "subjectaccessreviews", "create"),
)
_AGENT = (DEFAULT_ROOT_NAMESPACE, NODE_AGENT_ACCOUNT)


def token_refusal(state: State, user: User, namespace: str, account: str, bound: Document) -> str:
    """Why a node may not have this token, or "". A node's tokens are bound to its own pods, the agent's to the Node.

    Otherwise one node's credential could be used to get certificates for the pods of another (NodeRestriction).
    """
    if NODES not in user.groups or MASTERS in user.groups:
        return ""
    node = user.name.removeprefix("system:node:")
    if bound.get("kind") == "Node" and (namespace, account) == _AGENT:
        return "" if bound.get("name") == node else f"the token must be bound to node {node}"
    pod = state.get(("", "pods"), (namespace, bound.get("name", ""))) if bound.get("kind") == "Pod" else None
    if pod is None or pod.document.get("spec", {}).get("nodeName") != node:
        return f"the token must be bound to a pod on node {node}"
    return ""


def may(state: State, user: User, action: Action) -> bool:
    """Whether some rule allows the action. There are no denying rules."""
    if MASTERS in user.groups:
        return True
    if action.path:
        return _may_path(state, user, action)
    if NODES in user.groups and user.name.startswith("system:node:"):
        return _node_may(state, user.name.removeprefix("system:node:"), action)
    return any(allows(rule, action) for rule in rules(state, user, action.namespace))


def _may_path(state: State, user: User, action: Action) -> bool:
    def under(roots: tuple[str, ...]) -> bool:
        return any(action.path == root or action.path.startswith(root + "/") for root in roots)

    if action.verb in ("get", "head") and (under(_PUBLIC_PATHS) or action.path == "/openid/v1/jwks"):
        return True
    if action.verb in ("get", "head") and AUTHENTICATED in user.groups and (under(_DISCOVERY_PATHS)):
        return True
    for rule in rules(state, user, ""):
        for allowed in rule.get("nonResourceURLs") or ():
            fits = action.path.startswith(allowed[:-1]) if allowed.endswith("*") else action.path == allowed
            if fits and (set(rule["verbs"]) & {"*", action.verb}):
                return True
    return False


def _node_may(state: State, node: str, action: Action) -> bool:
    if not any(allows(rule, action) for rule in (*_NODE_RULES, *_EVERYBODY)):
        return False
    if action.group == "coordination.k8s.io":
        return action.verb == "create" or action.name in (node, "")
    writes = action.verb not in ("get", "list", "watch")
    if action.resource == "nodes" and writes:
        return action.verb == "create" or action.name == node
    if action.what in ("pods/status", "pods") and writes and action.verb != "create":
        pod = state.get(("", "pods"), (action.namespace, action.name))
        return pod is None or pod.document.get("spec", {}).get("nodeName") == node
    if action.what == "serviceaccounts/token" and (action.namespace, action.name) == _AGENT:
        return True
    if action.what == "serviceaccounts/token" or (action.resource == "secrets" and action.name):
        return any(_uses(pod.document, node, action) for pod in state.list(("", "pods"), action.namespace))
    return action.resource != "secrets"


def _uses(pod: Document, node: str, action: Action) -> bool:
    """Whether a pod on the node runs as the account, or reads the secret, of the action."""
    spec = pod.get("spec", {})
    if spec.get("nodeName") != node:
        return False
    if action.resource == "serviceaccounts":
        return bool(spec.get("serviceAccountName", "default") == action.name)
    return action.name in _secrets_of(spec)


def _secrets_of(spec: Document) -> Iterator[str]:
    for reference in spec.get("imagePullSecrets") or ():
        yield reference.get("name", "")
    for volume in spec.get("volumes") or ():
        yield (volume.get("secret") or {}).get("secretName", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield (source.get("secret") or {}).get("name", "")
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for source in container.get("envFrom") or ():
            yield (source.get("secretRef") or {}).get("name", "")
        for variable in container.get("env") or ():
            yield ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")


def rules(state: State, user: User, namespace: str) -> Iterator[Document]:
    """Every rule that holds for a user, cluster-wide and, with `namespace`, in that namespace."""
    if MASTERS in user.groups:
        yield {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        yield {"nonResourceURLs": ["*"], "verbs": ["*"]}
    if AUTHENTICATED in user.groups:
        yield from _EVERYBODY
    bindings = [(b.document, "") for b in state.list(_address(kinds.CLUSTER_ROLE_BINDING))]
    if namespace:
        bindings += [(b.document, namespace) for b in state.list(_address(kinds.ROLE_BINDING), namespace)]
    for binding, within in bindings:
        if not any(_is(user, subject, within) for subject in binding.get("subjects") or ()):
            continue
        reference = binding["roleRef"]
        kind = kinds.CLUSTER_ROLE if reference["kind"] == "ClusterRole" else kinds.ROLE
        place = "" if kind is kinds.CLUSTER_ROLE else within
        if role := state.get(_address(kind), (place, reference["name"])):
            yield from role.document.get("rules") or ()


def _is(user: User, subject: Document, namespace: str) -> bool:
    if subject["kind"] == "User":
        return bool(subject["name"] == user.name)
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    where = subject.get("namespace") or namespace
    return user.name == f"{ACCOUNT_PREFIX}{where}:{subject['name']}"


def allows(rule: Document, action: Action) -> bool:
    """Whether one PolicyRule covers an access to a resource."""
    groups, resources, verbs = rule.get("apiGroups") or (), rule.get("resources") or (), rule.get("verbs") or ()
    if "*" not in verbs and action.verb not in verbs:
        return False
    if "*" not in groups and action.group not in groups:
        return False
    wanted = {"*", action.what} | ({f"*/{action.subresource}"} if action.subresource else set())
    if not wanted & set(resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or action.name in names


def refusal(user: User, action: Action) -> str:
    """Why not, in kube-apiserver's words."""
    if action.path:
        return f'User "{user.name}" cannot {action.verb} path "{action.path}"'
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    return f'User "{user.name}" cannot {action.verb} resource "{action.what}" in API group "{action.group}" {where}'


def review(state: State, user: User, spec: Document) -> Document:
    """The status of a (Self)SubjectAccessReview."""
    if resource := spec.get("resourceAttributes"):
        action = Action(
            resource.get("verb", ""),
            resource.get("group", ""),
            resource.get("resource", ""),
            resource.get("subresource", ""),
            resource.get("namespace", ""),
            resource.get("name", ""),
        )
    else:
        path = spec.get("nonResourceAttributes") or {}
        action = Action(path.get("verb", ""), path=path.get("path", "/"))
    allowed = may(state, user, action)
    return {"allowed": allowed} if allowed else {"allowed": False, "reason": refusal(user, action)}


def rules_review(state: State, user: User, namespace: str) -> Document:
    """The status of a SelfSubjectRulesReview."""
    found = list(rules(state, user, namespace))
    paths = [{"verbs": ["get"], "nonResourceURLs": [*_PUBLIC_PATHS]}]
    return {
        "resourceRules": [r for r in found if "resources" in r],
        "nonResourceRules": [r for r in found if "nonResourceURLs" in r] + paths,
        "incomplete": NODES in user.groups,
    }


def _address(kind: Kind) -> tuple[str, str]:
    return kind.group, kind.plural
