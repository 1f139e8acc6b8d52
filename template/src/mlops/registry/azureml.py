"""Azure ML's registry of models: the workspace's, or one that environments share (cloud.registry).

What is known of a version as it is registered never changes, and lies in its properties: as JSON in
pieces, for Azure ML has room for so many and so long ones only. What is added later are tags. A tag
``alias.<name>`` counts how often the alias was set: the version with the highest count has it.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import project
from ..cloud.azure import Cloud
from ..errors import MlopsError
from ..settings import Settings, environment_name
from .base import Registry, Version

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

ALIAS, FACTS = "alias.", "facts."
PIECE = 1000  # characters of a property
SHOWN = ("digest", "commit")  # facts that are tags too, for people in the studio


class AzureMLRegistry:
    """One model of Azure ML, whose versions are numbered from 1."""

    def __init__(self, settings: Settings) -> None:
        self.cloud = Cloud.read(settings, environment_name())

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Upload ``folder`` as the next version."""
        from azure.ai.ml.entities import Model

        number = max(self._models(), default=0) + 1
        known = {key: str(value) for key, value in facts.items()}
        text = json.dumps(known)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        with self.cloud.asked():
            self.cloud.models.models.create_or_update(
                Model(
                    name=project.NAME,
                    version=str(number),
                    path=folder,
                    type="custom_model",
                    tags={key: known[key] for key in SHOWN},
                    properties={f"{FACTS}{n}": piece for n, piece in enumerate(pieces)},
                )
            )
        return self._find(number)

    def get(self, number: int, folder: Path) -> Path:
        """Download the version's files."""
        self._find(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, self.cloud.asked():
            self.cloud.models.models.download(project.NAME, str(number), download_path=scratch)
            # It lies in folders named like the model and like the folder that was uploaded.
            [brought] = (Path(scratch) / project.NAME).iterdir()
            brought.rename(folder)
        return folder

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""
        models = self._models()
        latest = _aliases(models)
        return [
            Version(
                number=number,
                digest=tags["digest"],
                commit=tags["commit"],
                created=model.creation_context.created_at.isoformat(timespec="seconds"),
                aliases=sorted(alias for alias, (_, to) in latest.items() if to == number),
                tags=tags,
            )
            for number, model in models.items()
            for tags in [_tags(model)]
        ]

    def set_alias(self, alias: str, number: int) -> None:
        """Count the alias up on this version, unless it has it already."""
        count, holder = _aliases(self._models()).get(alias, (0, 0))
        if holder != number:
            self.annotate(number, {f"{ALIAS}{alias}": str(count + 1)})

    def alias(self, alias: str) -> Version | None:
        """Return the version on which the alias was set last."""
        return next((one for one in self.list() if alias in one.aliases), None)

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Set tags on the version."""
        model = self._models().get(number)
        if model is None:
            raise MlopsError(f"There is no version {number}: see `mlops model list`.")
        if {**model.tags, **tags} == model.tags:
            return
        model.tags = {**model.tags, **tags}
        with self.cloud.asked():
            self.cloud.models.models.create_or_update(model)

    def _find(self, number: int) -> Version:
        found = next((one for one in self.list() if one.number == number), None)
        if found is None:
            raise MlopsError(f"There is no version {number}: see `mlops model list`.")
        return found

    def _models(self) -> dict[int, "Model"]:
        """Return the models by number, oldest first."""
        models = self.cloud.models.models
        found = self.cloud.find(lambda: [*models.list(project.NAME)]) or []
        return {int(one.version): one for one in sorted(found, key=lambda one: int(one.version))}


def _tags(model: "Model") -> dict[str, str]:
    """Return all that is known of a version; what was added later counts."""
    count = sum(key.startswith(FACTS) for key in model.properties)
    pieces = [model.properties[f"{FACTS}{number}"] for number in range(count)]
    later = {key: value for key, value in model.tags.items() if not key.startswith(ALIAS)}
    return {**json.loads("".join(pieces)), **later}


def _aliases(models: "dict[int, Model]") -> dict[str, tuple[int, int]]:
    """Return how often each alias was set, and the version that has it."""
    found: dict[str, tuple[int, int]] = {}
    for number, model in models.items():
        for key, value in model.tags.items():
            if key.startswith(ALIAS):
                alias = key.removeprefix(ALIAS)
                found[alias] = max(found.get(alias, (0, 0)), (int(value), number))
    return found


def open_registry(settings: Settings) -> Registry:
    """Return the models of the workspace or of the shared registry."""
    return AzureMLRegistry(settings)
