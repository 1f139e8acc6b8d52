"""The catalogue of data: what a wrong one is told, what `mlops data list` shows of a right one."""

from copy import deepcopy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops import cli, project
from mlops.errors import MlopsError
from mlops.settings import load_catalogue

FILE = Path("docs/team/catalogue.yaml")
ENTRY = """data/raw:
  about: what was bought
  owner: Ann
  producer: the till
  consumers: [data/prepared, the accountant]
  classification: restricted
  access: the remote storage, by Ann's word
"""


@pytest.fixture(autouse=True)
def written(home: Path) -> None:
    FILE.write_text(ENTRY)


def test_the_list_tells_of_each_dataset_whose_it_is_and_at_which_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schema = deepcopy(project.schema.Records.to_schema())  # pandera keeps the one it has made
    schema.columns["shop"].metadata = {"personal": True}
    monkeypatch.setattr(project.schema.Records, "to_schema", lambda: schema)
    done = CliRunner().invoke(cli.app, ["data", "list"], catch_exceptions=False)
    names, values = (line.split("\t") for line in done.output.splitlines())
    assert dict(zip(names, values, strict=True)) == {
        "dataset": "data/raw",
        "version": "11aa.dir",
        "about": "what was bought",
        "owner": "Ann",
        "producer": "the till",
        "consumers": "data/prepared, the accountant",
        "classification": "restricted",
        "access": "the remote storage, by Ann's word",
        "personal": "shop",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  owner: Ann\n", "", r"data/raw\.owner: Field required"),
        ("owner: Ann", 'owner: ""', r"data/raw\.owner: String should have at least 1 character"),
        ("[data/prepared, the accountant]", "[]", r"data/raw\.consumers: List should have"),
        ("restricted", "secret", r"data/raw\.classification: .*'restricted' \(it is 'secret'\)"),
        ("access:", "acess:", r"data/raw\.acess: Extra inputs"),
    ],
)
def test_a_wrong_entry_is_named(old: str, new: str, message: str) -> None:
    FILE.write_text(ENTRY.replace(old, new))
    with pytest.raises(MlopsError, match=message):
        load_catalogue()


def test_versions_are_listed_newest_first() -> None:
    done = CliRunner().invoke(cli.app, ["data", "versions"], catch_exceptions=False)
    names, newest = (line.split("\t") for line in done.output.splitlines())
    assert names == ["revision", "commit", "raw", "prepared"]
    assert newest[2:] == ["11aa.dir", "22bb.dir"]
