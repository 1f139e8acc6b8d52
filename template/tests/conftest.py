"""What every tier shares: a clean environment, a tracking store, a small project, a candidate."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before the imports, which read it: on this little data threads cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from mlops import pipeline, project, tracking
from mlops.settings import Params, Paths, Settings, load_params

ROOT = Path(__file__).parents[1]
# Variables of ours, and of the platforms on which these tests may run.
OWN = ("BUILD_", "CI", "GITHUB_", "GITLAB_", "MLOPS_", "SYSTEM_", "TF_BUILD", "VERSION", "WHY")
COPIED = [".gitignore", "environments", "docs/team", "params.yaml", "gates.yaml", "uv.lock"]
DVC_LOCK = """schema: '2.0'
stages:
  ingest: {cmd: ingest, outs: [{path: data/raw, md5: 11aa.dir}]}
  prepare: {cmd: prepare, outs: [{path: data/prepared, md5: 22bb.dir}]}
"""


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep the shell's and CI's own settings out, so that no test reaches a real server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OWN)]:
            patch.delenv(name)
        # Whatever the environments say, nothing leaves this machine.
        patch.setenv("MLOPS_TARGET", "local")
        patch.setenv("MLOPS_TRAINING__WHERE", "runner")
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking store: made once, as its tables take seconds, and copied."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.client(Settings(tracking_uri=f"sqlite:///{path}")).search_experiments()
    return path


@pytest.fixture(scope="session")
def settle(store: Path) -> Callable[[Path], Path]:
    """Make a folder a committed project of its own, with these settings and an empty store."""

    def settle(folder: Path) -> Path:
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name)
            elif not (folder / name).exists():
                shutil.copy(ROOT / name, folder / name)
        shutil.copy(store, folder / "mlflow.db")
        (folder / "dvc.yaml").touch()
        (folder / "dvc.lock").write_text(DVC_LOCK)
        for command in (
            ["init", "--quiet", "--template=", "--initial-branch=main"],
            ["config", "user.name", "tests"],
            ["config", "user.email", "tests@example.com"],
            ["config", "commit.gpgsign", "false"],
            ["config", "tag.gpgsign", "false"],
            ["add", "--all"],
            ["commit", "--quiet", "--no-verify", "--message", "start"],
        ):
            subprocess.run(["git", *command], cwd=folder, check=True)
        return folder

    return settle


@pytest.fixture(scope="session")
def small() -> Params:
    """The project's own params.yaml, on a tenth of six periods."""
    params, periods = load_params(ROOT / "params.yaml"), project.data.periods()[:6]
    data = {"first": periods[0], "last": periods[-1], "sample": 0.1}
    return Params.model_validate(params.model_dump() | {"data": data, "train": {}})


@pytest.fixture(scope="session")
def sample(
    tmp_path_factory: pytest.TempPathFactory, settle: Callable[[Path], Path], small: Params
) -> Paths:
    """A project in which the whole pipeline has run, in this process, on a sample."""
    folder = settle(tmp_path_factory.mktemp("sample"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        pipeline.run(small, Paths(folder))
    return Paths(folder)


@pytest.fixture(scope="session")
def candidate(request: pytest.FixtureRequest) -> Paths:
    """The candidate with its data if they are here, else a sample's: no test is skipped."""
    here = Paths(ROOT)
    if (here.model / "lineage.json").is_file() and (here.prepared / "test.parquet").is_file():
        return here
    sample: Paths = request.getfixturevalue("sample")
    return sample
