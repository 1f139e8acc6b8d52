"""MLflow's registry on this machine: what the clouds' registries are held against."""

import shutil
from pathlib import Path

from mlops.settings import Settings
from mlops.tracking import client

from clouds.servers import Servers


class Platform:
    """A SQLite file, made once (which takes a second) and copied for each test."""

    provider = "local"

    def __init__(self, folder: Path) -> None:
        self.servers, self.calls = Servers(), list[str]()
        self.variables: dict[str, str] = {}
        self.folder, self.turn = folder, 0
        (folder / "0").mkdir()
        client(self.settings()).search_registered_models()

    def reset(self) -> None:
        """Go on in a folder where nothing is."""
        self.turn += 1
        shutil.copytree(self.folder / "0", self.folder / str(self.turn))

    def settings(self) -> Settings:
        """Return settings that name the file."""
        return Settings(tracking_uri=f"sqlite:///{self.folder / str(self.turn)}/mlflow.db")

    def close(self) -> None:
        """Leave the folder to pytest."""
