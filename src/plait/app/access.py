"""A mesh in the user's own kubeconfig: merged on request only, taken out again when the mesh goes.

Which file was changed is noted in the mesh's directory, so that `plait down` needs no flag and no environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from plait.local.layout import Layout
from plait.store import kubeconfig


def merge(layout: Layout) -> Path:
    """Add cluster, user and context `plait-<mesh>` to the first file of $KUBECONFIG, else ~/.kube/config.

    The current context stays what it was. OSError or ValueError when that file cannot be read or written.
    """
    configured = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    target = Path(configured) if configured else Path.home() / ".kube" / "config"
    if target.resolve() == layout.kubeconfig.resolve():
        return target
    kubeconfig.merge(target, kubeconfig.read(layout.kubeconfig))
    _note(layout).write_text(str(target))
    return target


def withdraw(layout: Layout) -> None:
    """Undo `merge`; nothing happens where nothing was merged."""
    note = _note(layout)
    if note.exists():
        kubeconfig.remove(Path(note.read_text()), f"plait-{layout.name}")
        note.unlink()


def _note(layout: Layout) -> Path:
    return layout.root / "merged-kubeconfig"
