"""What compose.yaml's Envoy reads: the local target's configuration, for containers."""

import json
import os
from pathlib import Path

from ...settings import Serving
from ..traffic import CHAMPION, Slots, Traffic
from . import envoy

PORT = 8080  # of each container
ADMIN = ("127.0.0.1", 9901)  # reached from inside Envoy's container only
INSIDE = "/config"  # where that container sees the folder


def write(
    folder: Path, serving: Serving, traffic: Traffic = CHAMPION, slots: Slots | None = None
) -> None:
    """Write ``envoy.json`` and the routes to ``folder``; a running Envoy takes up the routes.

    Args:
        folder: deployments/compose, which compose.yaml mounts.
        serving: the environment's bounds; the containers' address stands in for its own.
        traffic: who answers which share.
        slots: whose slot is whose; else the champion is in blue.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inside = serving.model_copy(update={"host": "0.0.0.0", "port": PORT})  # noqa: S104 (published by compose)
    # A service's name stands for all its replicas.
    endpoints = {slot: [(slot, PORT)] for slot in envoy.SLOTS}
    files = {
        "envoy.json": envoy.bootstrap(inside, ADMIN, INSIDE, endpoints),
        envoy.ROUTES: envoy.routes(traffic, slots or Slots(), inside),
    }
    for name, content in files.items():
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, folder / name)
