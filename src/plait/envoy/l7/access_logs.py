"""Access logs: the loggers that Telemetry asks for, else those of the mesh configuration."""

from __future__ import annotations

import json

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
            said: Doc = (
                {"json_format": dict(labels)} if labels else {"text_format_source": {"inline_string": _line(text)}}
            )
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
                body = {"string_value": sink.option("text") or _TEXT}
                labels = [_attribute(key, value) for key, value in sorted((sink.option("labels") or {}).items())]
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
    if ctx.settings.access_log_json:
        try:
            fields = json.loads(text) if text else _JSON
        except ValueError:
            ctx.refuse("", "meshConfig.accessLogFormat", "not JSON although the encoding is JSON; the default is used")
            fields = _JSON
        return {"json_format": fields}
    return {
        "text_format_source": {"inline_string": _line(text)},
    }


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
