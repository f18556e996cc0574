"""All documents that are made for a managed waypoint.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_managed_documents.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml

from kit import gateways as g
from plait.app.parameters import merge
from plait.deploy.desired import desired
from plait.deploy.operation import read
from plait.deploy.plans import Plan
from plait.deploy.pool import Pool

GOLDEN = Path(__file__).parent / "pool" / "managed.yaml"
SAMPLE = Path(__file__).parents[2] / "samples" / "managed" / "waypoint.yaml"


def test_what_a_managed_waypoint_is_made_of() -> None:
    written = next(each for each in yaml.safe_load_all(SAMPLE.read_text()) if each["kind"] == "Gateway")
    written["metadata"]["uid"] = "uid-of-waypoint"
    plan = Plan(g.typed(written), "waypoint")
    said, wrong = read(plan.annotations, {})
    assert wrong == ()
    pod = {
        "metadata": {"namespace": "plait-managed", "name": "shop.waypoint-1", "uid": "1"},
        "spec": {"nodeName": "node-1"},
        "status": {"podIP": "10.0.1.7", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    pool = Pool(nodes={"plait.dev/node-class": "edge"})
    made = desired(plan, "/proxies", {}, merge, said, ("10.0.0.2", 20001), pool, [pod])
    text = yaml.safe_dump_all(json.loads(json.dumps(made)), sort_keys=False)
    if os.environ.get("PLAIT_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
