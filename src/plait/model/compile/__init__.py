"""compile(objects, previous) -> (Mesh, problems): what people wrote becomes what it means.

A broken object is a Problem and removes nobody else. Equal inputs give the previous sub-objects back (identity), so
later steps pay only for what changed.
"""

from plait.model.compile.steps import Objects, compile

__all__ = ["Objects", "compile"]
