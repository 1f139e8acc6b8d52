"""The Model Registry of Vertex AI: one model, whose versions it numbers itself.

Files lie in the bucket, in a folder for each version; beside it, ``<folder>.json`` has their names
and all facts, for labels hold few characters. Aliases are the registry's own.
"""

import json
import re
import shutil
import uuid
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import project
from ..cloud.base import CloudError, ConflictError
from ..cloud.gcp import PAUSE, Cloud
from ..errors import MlopsError
from ..settings import Settings, environment_name
from .base import Registry, Version

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model

KEY = re.compile(r"[^a-z0-9_-]")
VALUE = re.compile(r"[a-z0-9_-]{1,63}")
LABELS = 60  # of the 64 that a model may have
DEFAULT = "default"  # Google's own alias, which some version always has


class VertexRegistry:
    """One model of the project; see :class:`~.base.Registry`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.store = cloud, cloud.store()
        self.name = f"{cloud.parent}/models/{project.NAME}"

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Upload ``folder``, then make a version of it; nothing is left if that is refused."""
        place = f"registry/{project.NAME}/{uuid.uuid4().hex}"
        files = sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        tags = {key: str(value) for key, value in facts.items()}
        try:
            for file in files:
                self.store.upload(folder / file, f"{place}/{file}")
            self._write(place, {"files": files, "tags": tags}, "")
            number = self._upload(place, tags)
        except CloudError:
            for name in (f"{place}.json", *(f"{place}/{file}" for file in files)):
                self.store.delete(name)
            raise
        return self._version(self._model(number))

    def get(self, number: int, folder: Path) -> Path:
        """Bring the version's files."""
        place = self._place(self._model(number))
        record, _ = self._read(place)
        shutil.rmtree(folder, ignore_errors=True)
        for file in record["files"]:
            self.store.download(f"{place}/{file}", folder / file)
        return folder

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""
        found = self.cloud.find(self.models.list_model_versions, name=self.name)
        return sorted((self._version(one) for one in found or ()), key=lambda one: one.number)

    def set_alias(self, alias: str, number: int) -> None:
        """Give the alias to a version, which takes it from any other."""
        if alias not in self._model(number).version_aliases:
            name = f"{self.name}@{number}"
            self.cloud.call(self.models.merge_version_aliases, name=name, version_aliases=[alias])

    def alias(self, alias: str) -> Version | None:
        """Return the version that has the alias."""
        found = self.cloud.find(self.models.get_model, name=f"{self.name}@{alias}")
        return self._version(found) if found else None

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Write the facts beside the files; whoever else does so meanwhile loses nothing."""
        place = self._place(self._model(number))
        while True:
            record, tag = self._read(place)
            try:
                self._write(place, {**record, "tags": {**record["tags"], **tags}}, tag)
            except ConflictError:
                continue
            return

    def _upload(self, place: str, tags: dict[str, str]) -> int:
        """Make a version of what lies at a place; return its number."""
        known = {KEY.sub("_", key.lower()): value for key, value in tags.items()}
        fitting = {key: value for key, value in known.items() if VALUE.fullmatch(value)}
        model = {
            "display_name": project.NAME,
            "artifact_uri": f"gs://{self.cloud.bucket}/{place}",
            "labels": dict(sorted(fitting.items())[:LABELS]),
        }
        there = self.cloud.find(self.models.get_model, name=self.name)
        which = {"parent_model": self.name} if there else {"model_id": project.NAME}
        asked = {"parent": self.cloud.parent, "model": model, **which}
        operation = self.cloud.call(self.models.upload_model, request=asked)
        return int(self.cloud.wait(operation, PAUSE).model_version_id)

    def _model(self, number: int) -> "Model":
        found: Model | None
        found = self.cloud.find(self.models.get_model, name=f"{self.name}@{number}")
        if found is None:
            raise MlopsError(f"There is no version {number}: see `mlops model list`.")
        return found

    def _version(self, model: "Model") -> Version:
        record, _ = self._read(self._place(model))
        tags = record["tags"]
        return Version(
            number=int(model.version_id),
            digest=tags.get("digest", ""),
            created=model.version_create_time.isoformat(timespec="seconds"),
            commit=tags.get("commit", ""),
            aliases=sorted(alias for alias in model.version_aliases if alias != DEFAULT),
            tags=tags,
        )

    def _place(self, model: "Model") -> str:
        return str(model.artifact_uri).removeprefix(f"gs://{self.cloud.bucket}/")

    def _read(self, place: str) -> tuple[dict[str, Any], str]:
        found = self.store.read(f"{place}.json")
        if found is None:
            raise MlopsError(f"gs://{self.cloud.bucket}/{place}.json is gone, which has its facts.")
        return json.loads(found[0]), found[1]

    def _write(self, place: str, record: dict[str, Any], tag: str) -> None:
        self.store.write(f"{place}.json", json.dumps(record, indent=2).encode(), tag)

    @cached_property
    def models(self) -> Any:
        """Return the client of models."""
        return self.cloud.client("Model")


def open_registry(settings: Settings) -> Registry:
    """Return the registry of the environment's project on Google Cloud."""
    return VertexRegistry(Cloud.read(settings, environment_name()))
