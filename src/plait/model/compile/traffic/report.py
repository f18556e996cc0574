"""Report: collects what is wrong with one object, so that steps say only field and sentence."""

from __future__ import annotations

from plait.resources.problems import Problem, Severity

NOT_SUPPORTED = "PLT0400"
MISSING_HOST = "IST0101"
BAD_VALUE = "PLT0401"
CONFLICT = "PLT0402"
DELEGATE = "PLT0403"
NO_EFFECT = "PLT0404"
CREDENTIAL = "PLT0405"
NOT_GRANTED = "PLT0406"
PROVIDER = "PLT0407"
WAYPOINT = "PLT0408"
GUARDED = "PLT0409"
SILENT = "PLT0410"
DISCOVERY = "PLT0411"
UNCAPTURED = "PLT0412"


class Report:
    """Problems of the object `kind namespace/name`."""

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        self._object = kind, namespace, name
        self._found: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._found)

    def say(self, code: str, path: str, message: str, severity: Severity = "warning") -> None:
        self._found.append(Problem(code, severity, *self._object, path, message))

    def error(self, code: str, path: str, message: str) -> None:
        self.say(code, path, message, "error")

    def unsupported(self, path: str, instead: str = "remove it or configure it by an EnvoyFilter") -> None:
        self.say(NOT_SUPPORTED, path, f"not supported yet: field {path} has no effect; {instead}")
