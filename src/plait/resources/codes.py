"""The table of problem codes: what each means. Istio's own code stands where Istio has one for the same thing."""

from __future__ import annotations

SYNTAX = "PLT0001"
NOT_AN_OBJECT = "PLT0002"
TOO_BIG = "PLT0003"
UNKNOWN_KIND = "PLT0004"
UNKNOWN_FIELD = "PLT0005"
WRONG_TYPE = "PLT0006"
MISSING = "PLT0007"
BAD_VALUE = "PLT0008"
METADATA = "PLT0009"
DUPLICATE_OBJECT = "PLT0010"
NOT_TRANSLATED = "PLT0011"
ASSUMED = "PLT0012"
UNREADABLE = "PLT0013"
REFUSED = "PLT0014"
BOTH_MODES = "PLT0020"
RESERVED_PORT = "PLT0021"
SCHEMA = "IST0106"
DEPRECATED = "IST0002"
NO_MATCHING_SELECTOR = "IST0127"
UNREACHABLE = "IST0130"
INEFFECTIVE = "IST0131"

MEANINGS = {
    SYNTAX: "the text is not YAML or JSON (bad syntax, a duplicate key, an unknown tag)",
    NOT_AN_OBJECT: "the document is not a mapping with apiVersion and kind",
    TOO_BIG: "the text or document is larger or deeper than we read",
    UNKNOWN_KIND: "no kind of this name and version is served",
    UNKNOWN_FIELD: "the kind has no such field",
    WRONG_TYPE: "the value is of another type than the field",
    MISSING: "a required field is absent",
    BAD_VALUE: "the value is outside what the schema of the field allows",
    METADATA: "metadata breaks the rules of Kubernetes (names, labels, annotations, namespace)",
    DUPLICATE_OBJECT: "two documents describe the same object",
    NOT_TRANSLATED: "the proxy is not told this: Envoy, or we, cannot say it",
    ASSUMED: "something that only a running mesh has was made up, so that there is an answer offline",
    UNREADABLE: "security or mesh configuration that cannot be read; its last readable state, or a refusal, holds",
    REFUSED: "Refused: Envoy itself does not take this, so no proxy is told; the last good state stays",
    BOTH_MODES: "BothModes: labels ask for a sidecar and for ambient mode; the sidecar wins",
    RESERVED_PORT: "ReservedPort: a port that the proxy in the pod listens on itself",
    SCHEMA: "SchemaValidationError: the object breaks a rule of its kind",
    DEPRECATED: "Deprecated: the field or value still works but should be replaced",
    NO_MATCHING_SELECTOR: "NoMatchingWorkloadsFound",
    UNREACHABLE: "VirtualServiceUnreachableRule: an earlier rule takes all the traffic",
    INEFFECTIVE: "VirtualServiceIneffectiveMatch: an earlier match takes all the traffic of this one",
}
