"""The registry that the project chose, behind one protocol."""

from importlib import import_module

from .. import project
from ..settings import Settings
from .base import Registry, Version

__all__ = ["Registry", "Version", "open_registry"]


def open_registry(settings: Settings) -> Registry:
    """Return the project's registry as the environment reaches it."""
    module = import_module(f".{project.REGISTRY}", __name__)
    registry: Registry = module.open_registry(settings)
    return registry
