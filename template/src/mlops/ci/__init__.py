"""The CI platform that the project chose, behind one protocol."""

from importlib import import_module

from .. import project
from .forge import Forge

__all__ = ["Forge", "open_forge"]


def open_forge() -> Forge:
    """Return the project's platform, as seen from one of its jobs."""
    module = import_module(f".{project.CI.replace('-', '_')}.forge", __name__)
    forge: Forge = module.open_forge()
    return forge
