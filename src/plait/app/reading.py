"""read(api): the mesh that the objects of an API server make, for commands that look at it once; and the objects."""

from __future__ import annotations

from collections.abc import Iterable

from plait.app.pipeline import READ
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.resources import kinds
from plait.resources.objects import from_documents
from plait.store.api import Api, ApiError, Document


async def read(api: Api) -> Mesh:
    """ApiError when the server refuses."""
    return made(await documents(api))


def made(found: Iterable[Document]) -> Mesh:
    return compile(from_documents(found, check=False)[0])[0]


async def documents(api: Api) -> list[Document]:
    """All that a mesh is made of; a kind that the server does not have is one nobody wrote."""
    found: list[Document] = []
    for kind in READ:
        if kind == kinds.SECRET:
            continue  # nothing that is asked depends on their contents
        try:
            found += (await api.list(kind))[0]
        except ApiError as error:
            if error.code != 404:
                raise
    return found
