"""The protocol of every registry, and what all of them share."""

from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from ..errors import MlopsError
from ..lineage import now

TRIGGER = "deploy-trigger"
# What a version may be tagged with: a review passed, a review asked for, a release asked for.
TAGS = ["compliance", "review-candidate", TRIGGER]


class Version(BaseModel):
    """A registered model: its number never changes its content."""

    number: int
    digest: str
    created: str
    commit: str
    aliases: list[str] = []
    tags: dict[str, str] = {}


class Registry(Protocol):
    """Numbered versions of one model, and aliases that each name exactly one of them."""

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Store ``folder`` as the next version. ``facts`` has run, digest, commit and metrics."""

    def get(self, number: int, folder: Path) -> Path:
        """Bring a version's files to ``folder``, which is emptied before; return it."""

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""

    def set_alias(self, alias: str, number: int) -> None:
        """Let ``alias`` name ``number``, and no other version."""

    def alias(self, alias: str) -> Version | None:
        """Return the version that ``alias`` names."""

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Add facts to a version, such as when it was released; its files stay as they are."""


def champion(environment: str) -> str:
    """Return the alias of an environment's champion."""
    return f"champion-{environment}"


def find(registry: Registry, number: int) -> Version:
    """Return a version by its number; raise :class:`MlopsError` if there is none."""
    versions = {version.number: version for version in registry.list()}
    if number not in versions:
        known = ", ".join(map(str, versions)) or "none yet"
        raise MlopsError(f"There is no version {number}: the registry holds {known}.")
    return versions[number]


def promote(registry: Registry, number: int, environment: str) -> None:
    """Name a version champion of an environment, and note when."""
    registry.annotate(number, {f"released.{environment}": now()})
    registry.set_alias(champion(environment), number)


def released(registry: Registry, environment: str, limit: int) -> list[Version]:
    """Return the champion and up to ``limit`` earlier champions, the latest first."""
    current = registry.alias(champion(environment))
    key = f"released.{environment}"
    earlier = [
        version
        for version in registry.list()
        if key in version.tags and (current is None or version.number != current.number)
    ]
    earlier.sort(key=lambda version: (version.tags[key], version.number), reverse=True)
    return ([current] if current else []) + earlier[:limit]
