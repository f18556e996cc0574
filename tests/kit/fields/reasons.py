"""Fields that are told to nobody and refused by nobody, each with its reason. A field that is not here must be told.

Two sorts: what says nothing to a proxy by its nature, and what needs more company than the trial gives it, with the
place where it is tested instead. A reason that no field needs any more fails the test.
"""

from __future__ import annotations

_MADE = "for the controller, tested in `tests/unit/deploy` and `tests/e2e/test_waypoint_lifecycle.py`: what it makes"
_RULES = "refused by its rules, as Istio's own refuse it"
REASONS: tuple[tuple[str, str], ...] = (
    (r"MeshConfig:defaultConfig\.discoveryAddress$", "the way to the control plane is the node agent's"),
    (r"GatewayClass:description$", "for people"),
    (r"Telemetry:metrics\[\]\.providers", "prometheus is the one sink of metrics; another name is told as PLT0407"),
    (r"(filters\[\]|path)\.type$", "says which of the other fields holds; another than theirs is refused by its rules"),
    (r"(Gateway|Sidecar):.*\.port\.targetPort$", _RULES),
    (r"Sidecar:ingress\[\]\.tls\.(httpsRedirect|credentialName|subjectAltNames)$", _RULES),
    (r"targetRefs?(\[\])?\.namespace$", _RULES),
    (r"MeshConfig:extensionProviders\[\]\.prometheus$", "every proxy has its metrics, asked for or not"),
    (r"tagOverrides\.\*\.operation$", "takes a standard tag away, which the one tried here is not"),
    (r"fault\.delay\.exponentialDelay$", _RULES),
    (r"\.port\.name$|ports\[\]\.name$", "a name, which says the protocol where that is not said"),
    (r"(Ref|Refs\[\])\.group$", "one value is taken; others are refused by its rules"),
    (r"Gateway:infrastructure\.|Gateway:addresses\[\]", _MADE),
)
