"""Production's data to a replica, by the real DVC: what arrives there, and what must not."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mlops import lineage, project, replicate, validators
from mlops.errors import DataError, MlopsError
from mlops.settings import load_gates

CONFIG = """[core]
    remote = storage
    autostage = true
    analytics = false
['remote "storage"']
    url = ../../storage
['remote "production"']
    url = ../../production
['remote "replica"']
    url = ../../replica
"""
DVC_YAML = "stages: {ingest: {cmd: exit 0, outs: [data/raw]}}\n"
# Values that occur nowhere else, so that a search for them proves something.
NAMES = [f"Zoltan Quixby {n}" for n in range(40)]


class Planted(pa.DataFrameModel):
    passenger: str = pa.Field(metadata={"personal": True, "mask": "hash"})
    ticket: int = pa.Field(ge=1, metadata={"mask": "hash"})
    weight: float = pa.Field(ge=0, nullable=True, metadata={"mask": "noise"})
    origin: str

    class Config:
        strict = True
        unique = ["ticket"]  # noqa: RUF012


def records(period: int) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "passenger": NAMES[period : period + 30],
            "ticket": range(7_654_321_000 + period, 7_654_321_030 + period),
            "weight": [77.123456 + n for n in range(29)] + [None],
            "origin": ["JFK", "LGA"] * 15,
        },
        index=pd.Index(NAMES[:30], name="who"),
    )
    found.attrs["source"] = NAMES[0]
    return found


def dvc(*arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, settle: Callable[[Path], Path]) -> Path:
    """A project whose data stands in production's remote, and nowhere here."""
    home = tmp_path_factory.mktemp("released") / "home"
    (home / ".dvc").mkdir(parents=True)
    (home / "data/raw").mkdir(parents=True)
    (home / ".dvc/config").write_text(CONFIG)
    settle(home)
    for period in (0, 5):
        records(period).to_parquet(home / f"data/raw/p{period}.parquet")
    (home / "dvc.yaml").write_text(DVC_YAML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        (home / "dvc.lock").unlink()
        dvc("commit", "--force", "--quiet")
        dvc("push", "--quiet", "--remote", "production")
        lineage.commit(["dvc.yaml", "dvc.lock", ".dvc/config"], "data")
    shutil.rmtree(home / ".dvc/cache")
    shutil.rmtree(home / "data/raw")
    return home


@pytest.fixture
def home(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, of the test's own, with its remotes beside it."""
    shutil.copytree(released.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "home")
    for name, remote in {"dev": "storage", "prod": "production"}.items():
        Path(f"environments/{name}.yaml").write_text(f"remote: {remote}\n")
    monkeypatch.setenv("MLOPS_MASK_KEY", "k" * 32)
    monkeypatch.setattr(project, "schema", SimpleNamespace(Records=Planted), raising=False)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """Return all that lies below a folder."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def told(path: Path) -> str:
    """Return all that a file tells: its bytes, and Parquet's values, statistics and metadata."""
    content = path.read_bytes()
    text = content.decode("latin-1")
    if content[:4] != b"PAR1":
        return text
    found = pq.ParquetFile(path)
    groups = [found.metadata.row_group(n).to_dict() for n in range(found.num_row_groups)]
    values = found.read().to_pydict()
    return f"{text}{groups}{found.metadata.metadata}{found.schema_arrow.metadata}{values}"


def test_what_is_masked_arrives_and_no_raw_value_does(home: Path) -> None:
    before = files(home)
    record = replicate.replicate("prod", why="for dev")
    after = files(home)
    written = {name for name in after if before.get(name) != after[name]}
    assert before.keys() <= after.keys()
    # The replica, git's tag and what it names, DVC's own scratch: nothing else.
    places = r"replica/files/md5/|home/\.git/(objects/|refs/tags/replica/|logs/)"
    assert [name for name in sorted(written) if not re.match(places, name)] == []

    # As docs/data.md says.
    lineage.git("checkout", record["tag"], "--", "data/replica.dvc")
    dvc("pull", "--quiet", "--remote", "replica", "data/replica.dvc")
    masked = {path.name: validators.read(path) for path in Path("data/replica").iterdir()}
    assert masked.keys() == {"p0.parquet", "p5.parquet"}
    for period in (0, 5):
        raw, new = records(period).reset_index(drop=True), masked[f"p{period}.parquet"]
        limits = load_gates().data.model_copy(update={"min_rows": 1})
        assert validators.validate(new, limits) == []
        assert new.dtypes.to_dict() == raw.dtypes.to_dict()
        assert new["origin"].equals(raw["origin"])
        for column in ("passenger", "ticket", "weight"):
            known = raw[column].notna()
            assert (new[column][known] != raw[column][known]).all()
    # A join holds: who flew in both periods has one pseudonym.
    one, other = (frame["passenger"] for frame in masked.values())
    assert len(set(one) & set(other)) == 25

    raw_values = [*NAMES, "Zoltan", "7654321", "77.123456", "78.123456"]
    pushed = [home / name for name in written if not name.startswith("home/.git/")]
    for path in [*pushed, *Path("data/replica").iterdir()]:
        assert [value for value in raw_values if value in told(path)] == []
    everything = lineage.git("log", "-p", record["tag"], "-1")
    assert [value for value in raw_values if value in everything] == []


def test_the_tag_tells_what_the_replica_was_made_from(home: Path) -> None:
    commit = lineage.git("rev-parse", "HEAD")
    lineage.git("tag", f"replica/{commit[:10]}")  # an earlier replica's
    record = replicate.replicate("prod", why="for dev")
    assert record["tag"] == f"replica/{commit[:10]}"
    assert lineage.git("rev-parse", f"{record['tag']}^") == commit
    _, _, body = lineage.git("log", "-1", "--format=%B", record["tag"]).partition("\n\n")
    written: dict[str, Any] = yaml.safe_load(body)
    assert written == {key: value for key, value in record.items() if key != "tag"}
    assert (written["commit"], written["why"]) == (commit, "for dev")
    assert written["data"] == lineage.data_versions()["raw"]
    assert written["masks"] == {"passenger": "hash", "ticket": "hash", "weight": "noise"}


def test_what_validators_reject_is_not_pushed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow(Planted):
        passenger: str = pa.Field(
            str_matches="^Zoltan", metadata={"personal": True, "mask": "hash"}
        )

    monkeypatch.setattr(project, "schema", SimpleNamespace(Records=Narrow))
    before = files(home).keys()
    with pytest.raises(DataError, match=r"masked, is rejected:\s+values: passenger"):
        replicate.replicate("prod")
    assert lineage.git("tag") == ""
    assert {name for name in files(home).keys() - before if "/.git/" not in name} == set()


def test_data_that_was_not_released_is_not_there(home: Path) -> None:
    shutil.rmtree(home / "production")
    with pytest.raises(MlopsError, match="dvc pull"):
        replicate.replicate("prod")
    assert not (home / "replica").exists()
