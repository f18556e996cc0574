"""How the control plane is: /healthz, /readyz, /metrics, and /debug/{mesh,problems,streams,timings} over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plait.app.pipeline import Pipeline
from plait.identity.service import CertificateService
from plait.xds.server import Server


class StatusServer:
    """`ready` is set by the owner when streams are served."""

    def __init__(self, pipeline: Pipeline, server: Server, certificates: CertificateService) -> None:
        self.ready = False
        self._pipeline, self._server = pipeline, server
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(pipeline, server, certificates))
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/debug/mesh", self._mesh)
        app.router.add_get("/debug/problems", self._problems)
        app.router.add_get("/debug/streams", self._streams)
        app.router.add_get("/debug/timings", self._timings)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if self.ready else web.Response(status=503, text="not serving yet\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")

    async def _mesh(self, request: web.Request) -> web.Response:
        mesh = self._pipeline.mesh
        return _json(
            {
                "settings": mesh.settings,
                "workloads": dict(mesh.workloads),
                "services": dict(mesh.services),
                "policies": dict(mesh.policies),
            }
        )

    async def _problems(self, request: web.Request) -> web.Response:
        return _json([asdict(problem) for problem in self._pipeline.problems])

    async def _streams(self, request: web.Request) -> web.Response:
        return _json([_plain(state) for state in self._pipeline.cache.statistics()])

    async def _timings(self, request: web.Request) -> web.Response:
        return _json({"runs": list(self._pipeline.statistics.runs), "answered": list(self._server.answered)})


class _Figures(Collector):
    def __init__(self, pipeline: Pipeline, server: Server, certificates: CertificateService) -> None:
        self._pipeline, self._server, self._certificates = pipeline, server, certificates

    def collect(self) -> Iterable[Metric]:
        stats, mesh = self._pipeline.statistics, self._pipeline.mesh
        yield GaugeMetricFamily("plait_control_streams", "Open discovery streams", self._server.streams)
        for name, count in (
            ("workloads", len(mesh.workloads)),
            ("services", len(mesh.services)),
            ("policies", len(mesh.policies)),
            ("problems", len(self._pipeline.problems)),
        ):
            yield GaugeMetricFamily(f"plait_control_{name}", f"Number of {name} in the mesh", count)
        yield CounterMetricFamily("plait_control_compiles", "Compiled worlds", stats.compiles)
        yield CounterMetricFamily("plait_control_pushes", "Changes sent to streams", stats.pushes)
        yield CounterMetricFamily("plait_control_compile_errors", "Failed compiles", stats.errors)
        yield GaugeMetricFamily("plait_control_compile_seconds", "Duration of the last compile", stats.compile_seconds)
        yield GaugeMetricFamily("plait_control_encode_seconds", "Duration of the last encode", stats.encode_seconds)
        yield CounterMetricFamily("plait_ca_issued", "Certificates signed", self._certificates.issued)
        yield CounterMetricFamily("plait_ca_refused", "Certificate requests refused", self._certificates.refused)


def _plain(state: object) -> Any:
    return asdict(state) if is_dataclass(state) and not isinstance(state, type) else state


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value, enc_hook=str), content_type="application/json")
