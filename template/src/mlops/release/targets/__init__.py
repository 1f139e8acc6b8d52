"""Where a model answers. A target knows slots, traffic and figures; of strategies it knows none."""

from importlib import import_module

from ... import project
from ...settings import Settings
from .base import Target
from .offline import OfflineTarget


def open_target(environment: str, settings: Settings) -> Target:
    """Return the environment's target."""
    if "online" not in project.SERVING:
        return OfflineTarget()
    target: Target = import_module(".local", __name__).LocalTarget(environment, settings)
    return target
