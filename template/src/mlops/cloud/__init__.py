"""The provider's account as an environment has it: its names, its clients, a place for files."""

from importlib import import_module
from typing import Any

from .. import project
from ..settings import Settings
from .base import Store


def open_cloud(settings: Settings, environment: str) -> Any:
    """Return the environment's ``Cloud``: the module named like the provider defines it.

    Raises:
        MlopsError: a key of ``cloud`` in environments/<environment>.yaml is missing or wrong.
    """
    return import_module(f".{project.PROVIDER}", __name__).Cloud.read(settings, environment)


def open_store(settings: Settings, environment: str) -> Store:
    """Return the place for what jobs, releases and machines hand to each other."""
    store: Store = open_cloud(settings, environment).store()
    return store
