"""Where a model answers. A target knows slots, traffic and figures; of strategies it knows none."""

from importlib import import_module

from ... import project
from ...errors import MlopsError
from ...settings import Settings
from .base import Target
from .offline import OfflineTarget


def open_target(environment: str, settings: Settings) -> Target:
    """Return the environment's target: this machine, or the provider.

    Raises:
        MlopsError: ``target`` in environments/<environment>.yaml is neither.
    """
    if "online" not in project.SERVING:
        return OfflineTarget()
    if settings.target not in ("local", project.PROVIDER):
        raise MlopsError(
            f"environments/{environment}.yaml: target: {settings.target!r} is neither local nor "
            f"{project.PROVIDER}, this project's provider."
        )
    module = import_module(f".{settings.target}", __name__)
    target: Target = module.open_target(environment, settings)
    return target
