"""MLflow's registry, embedded (a SQLite file) or behind a server: aliases, never stages."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from .. import project
from ..errors import MlopsError
from ..settings import Settings
from ..tracking import Tracker, artifacts, client
from .base import Registry, Version, find

FOLDER = "model"


class MlflowRegistry:
    """One registered model; each version's files lie with the run that trained it."""

    def __init__(self, settings: Settings) -> None:
        self.client, self.settings = client(settings), settings

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Store ``folder`` with a run, and make a version of that."""
        with Tracker.resume(facts["run"], self.settings) as run:
            target = f"registered/{facts['digest'][:12]}"
            run.files(folder, target)
        try:
            self.client.get_registered_model(project.NAME)
        except MlflowException:
            self.client.create_registered_model(project.NAME, tags={"team": project.TEAM})
        made = self.client.create_model_version(
            project.NAME,
            source=f"runs:/{run.run_id}/{target}",
            run_id=run.run_id,
            tags={key: str(value) for key, value in facts.items()},
        )
        return self._version(made, {})

    def get(self, number: int, folder: Path) -> Path:
        """Download the version's files."""
        try:
            source = self.client.get_model_version(project.NAME, str(number)).source
        except MlflowException as error:
            raise MlopsError(f"There is no version {number}: see `mlops model list`.") from error
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run, path = source.removeprefix("runs:/").split("/", 1)
        here = artifacts(self.client.tracking_uri) / run / "artifacts" / path
        if not here.is_dir():  # a server's; MLflow's own paths would not outlive a move
            try:
                here = Path(self.client.download_artifacts(run, path))
            except MlflowException as error:
                raise MlopsError(f"Version {number}: its files are gone. {error}") from error
        shutil.copytree(here, folder, dirs_exist_ok=True)
        return folder

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""
        found = self.client.search_model_versions(f"name = '{project.NAME}'")
        aliases = self._aliases() if found else {}
        return sorted((self._version(one, aliases) for one in found), key=lambda one: one.number)

    def set_alias(self, alias: str, number: int) -> None:
        """Move the alias; MLflow keeps it on one version."""
        find(self, number)
        self.client.set_registered_model_alias(project.NAME, alias, str(number))

    def alias(self, alias: str) -> Version | None:
        """Return the version that the alias names."""
        try:
            found = self.client.get_model_version_by_alias(project.NAME, alias)
        except MlflowException:
            return None
        return self._version(found, self._aliases())

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Set tags on the version."""
        find(self, number)
        for key, value in tags.items():
            self.client.set_model_version_tag(project.NAME, str(number), key, value)

    def _aliases(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(project.NAME).aliases)

    def _version(self, found: ModelVersion, aliases: dict[str, str]) -> Version:
        created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
        return Version(
            number=int(found.version),
            digest=found.tags.get("digest", ""),
            commit=found.tags.get("commit", ""),
            created=created.isoformat(timespec="seconds"),
            aliases=sorted(name for name, to in aliases.items() if int(to) == int(found.version)),
            tags=dict(found.tags),
        )


def open_registry(settings: Settings) -> Registry:
    """Return the registry at the environment's tracking_uri."""
    return MlflowRegistry(settings)
