"""What a pod's containers need from the API server: ConfigMaps, Secrets, service variables, bound tokens."""

from __future__ import annotations

from datetime import datetime

from plait.base import aio
from plait.local.pod import environment
from plait.local.pod.environment import ConfigError, Reference
from plait.local.pod.volumes import Token
from plait.resources.kinds import CONFIG_MAP, SECRET, SERVICE, SERVICE_ACCOUNT
from plait.store.api import Api, ApiError, Document

_KINDS = {"ConfigMap": CONFIG_MAP, "Secret": SECRET}


class Sources:
    """Reads on behalf of one pod."""

    def __init__(self, api: Api, pod: Document) -> None:
        self._api = api
        self._name = pod["metadata"]["name"]
        self._namespace = pod["metadata"]["namespace"]
        self._uid = pod["metadata"]["uid"]
        self._account = pod["spec"].get("serviceAccountName") or "default"
        self._links = pod["spec"].get("enableServiceLinks") is not False

    async def automount(self) -> bool:
        """False where the service account does not exist or says that it wants no token in its pods."""
        try:
            account = await self._api.get(SERVICE_ACCOUNT, self._account, self._namespace)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return account.get("automountServiceAccountToken") is not False

    async def objects(self, pod: Document) -> dict[Reference, Document | None]:
        """Every ConfigMap and Secret the pod refers to; None for those that do not exist."""
        found: dict[Reference, Document | None] = {}
        for kind, name in environment.references(pod):
            try:
                found[(kind, name)] = await self._api.get(_KINDS[kind], name, self._namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
                found[(kind, name)] = None
        return found

    async def service_variables(self, api_service: str) -> dict[str, str]:
        kubernetes: Document = {
            "metadata": {"name": "kubernetes"},
            "spec": {"clusterIP": api_service, "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
        }
        services = [kubernetes]
        if self._links:
            items, _ = await self._api.list(SERVICE, self._namespace)
            services = [s for s in items if s["metadata"]["name"] != "kubernetes"] + services
        return environment.service_variables(services)

    async def token(self, audience: str, seconds: int) -> Token:
        request: Document = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": self._name, "uid": self._uid},
            },
        }
        issued = aio.now()
        try:
            answer = await self._api.create_subresource(
                SERVICE_ACCOUNT, self._account, "token", request, self._namespace
            )
        except ApiError as error:
            raise ConfigError(f'no token for serviceaccount "{self._account}": {error}') from error
        status = answer["status"]
        expires = datetime.fromisoformat(status["expirationTimestamp"].replace("Z", "+00:00")).timestamp()
        return Token(status["token"], issued, expires)
