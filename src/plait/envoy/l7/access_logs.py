"""Access logs: the loggers that Telemetry asks for, else those of the mesh configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from plait.base import format_strings
from plait.envoy.l7.collectors import collector
from plait.envoy.l7.context import Context
from plait.envoy.l7.points import Point
from plait.envoy.pieces import Doc, extension
from plait.model.http_telemetry import Logging, Sink
from plait.model.views.enforced import Telemetry

_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def logs(ctx: Context, wanted: Telemetry, point: Point, *, http: bool = True) -> list[Doc]:
    """Loggers that Telemetry asks for; else those of the mesh configuration."""
    ours = [each for each in wanted.logging if each.side in (point.side, "both")]
    named = {sink.name: sink for sink in wanted.sinks}
    found: list[Doc] = []
    for each in ours or [Logging()]:
        if each.disabled:
            continue
        for name in each.sinks or ctx.settings.logging_sinks or (("",) if ctx.settings.access_log_file else ()):
            made = _log(ctx, named.get(name), name, http=http)
            if made is not None:
                chosen = _chosen(each.expression)
                found.append({**made, **({"filter": chosen} if chosen else {})})
    return found


def _chosen(expression: str) -> Doc | None:
    if not expression:
        return None
    config = extension(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression=expression,
    )
    return {"extension_filter": config}


def _log(ctx: Context, sink: Sink | None, name: str, *, http: bool) -> Doc | None:
    if sink is None:
        if name and name != "envoy":
            ctx.refuse("", f"accessLogging.providers.{name}", "no such provider; nothing is logged to it")
            return None
        return _file(ctx.settings.access_log_file or ctx.options.access_log, _format(ctx))
    match sink.kind:
        case "file":
            path = str(sink.option("path", ctx.options.access_log))
            labels, text = sink.option("labels"), sink.option("text")
            wrong = _refused(ctx, f"extensionProviders.{sink.name}.logFormat", labels or text)
            said = _said(None if wrong else labels, None if wrong else text)
            if sink.option("omitEmptyValues"):
                said["omit_empty_values"] = True
            return _file(path, said)
        case "otel_log" | "http_als" | "tcp_als":
            cluster = collector(ctx, sink)
            if cluster is None or ((sink.kind == "http_als") != http and sink.kind != "otel_log"):
                return None
            common = {
                "log_name": str(sink.option("logName", sink.name)),
                "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
                "transport_api_version": "V3",
                **_lists(sink, filterStateObjectsToLog="filter_state_objects_to_log"),
            }
            if sink.kind == "otel_log":
                path = f"extensionProviders.{sink.name}.logFormat"
                text, fields = sink.option("text"), sink.option("labels") or {}
                body = {"string_value": _TEXT if not text or _refused(ctx, path, text) else text}
                labels = [] if _refused(ctx, path, fields) else [_attribute(*each) for each in sorted(fields.items())]
                return extension(
                    "envoy.access_loggers.open_telemetry",
                    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
                    common_config=common,
                    body=body,
                    **({"attributes": {"values": labels}} if labels else {}),
                )
            kind = "HttpGrpc" if http else "TcpGrpc"
            return extension(
                f"envoy.access_loggers.{'http' if http else 'tcp'}_grpc",
                f"envoy.extensions.access_loggers.grpc.v3.{kind}AccessLogConfig",
                common_config=common,
                **(_lists(sink, **_HTTP_LISTS) if http else {}),
            )
        case _:
            ctx.refuse("", f"extensionProviders.{sink.name}", f"a provider of kind {sink.kind} takes no access logs")
            return None


_HTTP_LISTS = {
    f"additional{''.join(map(str.capitalize, what))}ToLog": f"additional_{'_'.join(what)}_to_log"
    for what in (("request", "headers"), ("response", "headers"), ("response", "trailers"))
}


def _lists(sink: Sink, **names: str) -> Doc:
    """Options that are lists of names, as Envoy calls them."""
    return {envoy: list(sink.option(istio)) for istio, envoy in names.items() if sink.option(istio)}


def _attribute(key: str, value: object) -> Doc:
    return {"key": key, "value": {"string_value": value if isinstance(value, str) else json.dumps(value)}}


def _line(text: str | None) -> str:
    return _TEXT if not text else text if text.endswith("\n") else f"{text}\n"


def _format(ctx: Context) -> Doc:
    text = ctx.settings.access_log_format
    if not ctx.settings.access_log_json:
        return _said(None, None if _refused(ctx, "meshConfig.accessLogFormat", text) else text)
    try:
        fields = json.loads(text) if text else _JSON
    except ValueError:
        ctx.refuse("", "meshConfig.accessLogFormat", "not JSON although the encoding is JSON; the default is used")
        fields = _JSON
    return {"json_format": _JSON if _refused(ctx, "meshConfig.accessLogFormat", fields) else fields}


def _said(labels: Mapping[str, Any] | None, text: str | None) -> Doc:
    return {"json_format": dict(labels)} if labels else {"text_format_source": {"inline_string": _line(text)}}


def _refused(ctx: Context, path: str, given: Any) -> bool:
    """Whether Envoy would refuse the format, and every listener with it; then that is said, and the default is used."""
    why = next((why for each in _texts(given) if (why := format_strings.refused(each))), "")
    if why:
        ctx.refuse("", path, f"the default format is used: {why}")
    return bool(why)


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping):
        for each in given.values():
            yield from _texts(each)
    elif isinstance(given, list):
        for each in given:
            yield from _texts(each)


_JSON: dict[str, str] = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "route_name": "%ROUTE_NAME%",
}


def _file(path: str, said: Doc) -> Doc:
    return extension(
        "envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=path, log_format=said
    )
