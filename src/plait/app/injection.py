"""What the mesh's objects say of injection: defaults of its proxies, templates of its own, ProxyConfigs."""

from __future__ import annotations

from functools import lru_cache

from msgspec import structs

from plait.base.observe import logger
from plait.inject import settings, templates
from plait.inject.injector import Config
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.resources import kinds
from plait.resources.mesh_config import mesh
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.resources.objects import Objects

_log = logger("webhooks")


def configured(objects: Objects, namespace: str, config: Config) -> Config:
    """`config` with what stands in the root namespace."""
    return structs.replace(
        config,
        defaults=_defaults(_text(objects, CONFIG_MAP, namespace, "mesh")),
        proxy_configs=tuple(objects.of(kinds.PROXY_CONFIG).values()),
        settings=_settings(_text(objects, templates.CONFIG_MAP, namespace, templates.KEY)),
    )


def _text(objects: Objects, name: str, namespace: str, key: str) -> str:
    found = objects.get(kinds.CONFIG_MAP, name, namespace)
    return (found.data or {}).get(key, "") if found is not None else ""


@lru_cache(maxsize=2)
def _defaults(text: str) -> ProxyConfig:
    return mesh.read(text)[0].default_config


@lru_cache(maxsize=2)
def _settings(text: str) -> settings.Settings:
    """None when they cannot be read: pods that name a template are refused, others do not depend on them."""
    try:
        return settings.read(text)
    except templates.BadTemplate as bad:
        _log.error("configuration not read", config_map=templates.CONFIG_MAP, error=bad)
        return settings.Settings()
