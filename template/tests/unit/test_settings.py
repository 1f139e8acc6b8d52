from pathlib import Path

import pytest

from mlops import project, settings
from mlops.errors import MlopsError

ROOT = Path(__file__).parents[2]


def test_the_projects_own_files_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    protected = {name: settings.load_settings(name).protected for name in project.ENVIRONMENTS}
    assert protected["prod"]
    assert not protected["dev"]
    assert settings.load_gates().absolute
    assert settings.load_params().model


def test_a_variable_wins_over_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_TRACKING_URI", "http://server")
    monkeypatch.setenv("MLOPS_ENV", "prod")
    read = settings.load_settings()
    assert (read.tracking_uri, read.protected) == ("http://server", True)


def test_an_unknown_environment_is_refused(home: Path) -> None:
    with pytest.raises(MlopsError, match=r"no environment 'prd': MLOPS_ENV takes dev.*prod"):
        settings.load_settings("prd")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {first: p1}", r"params.yaml: data.last: Field required"),
        ("data: {first: p1, last: p2, sampel: 1}", r"data.sampel: Extra inputs.*it is 1"),
        ("data: {first: p1, last: p2, sample: 0}", r"data.sample: .*greater than 0"),
        ("[1]", r"params.yaml: .*valid dictionary"),
        ("data: [", r"params.yaml is not YAML"),
        (None, r"params.yaml is missing: run this in the repository's root"),
    ],
)
def test_a_wrong_key_is_named(home: Path, text: str | None, message: str) -> None:
    Path("params.yaml").unlink() if text is None else Path("params.yaml").write_text(text)
    with pytest.raises(MlopsError, match=message):
        settings.load_params()


def test_editing_keeps_comments_and_order(home: Path) -> None:
    before = Path("params.yaml").read_text()
    settings.edit_params("data", {"last": "p5"})
    assert Path("params.yaml").read_text() == before.replace("last: p4", "last: p5")
