import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlops import candidate, checks, cli, registry
from mlops.cli import base
from mlops.contract import Contract
from mlops.errors import DataError, MlopsError
from mlops.release import controller
from mlops.release.targets.offline import OfflineTarget
from mlops.settings import Paths

RUN = CliRunner()


def mlops(*arguments: str) -> str:
    done = RUN.invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_help_needs_no_heavy_library() -> None:
    code = "import sys, mlops.cli; print({'pandas', 'mlflow', 'sklearn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_works_from_any_folder_of_the_project(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "environments")
    assert "data/raw\t11aa.dir" in mlops("assets")
    assert Path.cwd() == home


def test_a_refusal_is_one_line_and_its_exit_code(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise DataError("skew: hour: too far")

    monkeypatch.setattr(checks, "check", refuse)
    monkeypatch.setattr(sys, "argv", ["mlops", "check"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 3
    assert capsys.readouterr().err == "DataError: skew: hour: too far\n"
    monkeypatch.chdir(home.parent)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1


def test_a_refused_candidate_leaves_with_five(
    home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "reproduce", lambda: None)
    assert "accepted by 10 checks" in mlops("candidate")
    text = Path("gates.yaml").read_text().replace("min: 0.6", "min: 0.99")
    Path("gates.yaml").write_text(text)
    done = RUN.invoke(cli.app, ["candidate"])
    assert done.exit_code == 5
    assert "refused absolute.accuracy" in done.output


def test_lists_are_tab_separated_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    base.table([{"a": 1}, {"a": 2, "b": "x"}])
    assert capsys.readouterr().out == "a\tb\n1\t\n2\tx\n"


def test_data_check_names_the_bad_file(home: Path) -> None:
    assert "data/raw/p1.parquet is good" in mlops("data", "check").replace("\n", "")
    Path("bad.csv").write_text("colour\nred\n")
    with pytest.raises(DataError, match=r"(?s)bad.csv is rejected.*schema: "):
        mlops("data", "check", "bad.csv")


def test_a_notebook_becomes_a_module_once(home: Path) -> None:
    cells = '{"cells": [{"cell_type": "code", "source": ["x = 1\\n", "x"]}, '
    Path("a.ipynb").write_text(cells + '{"cell_type": "markdown", "source": ["no"]}]}')
    mlops("notebook", "a.ipynb", "a.py")
    assert Path("a.py").read_text() == '"""From a.ipynb."""\n\nx = 1\nx\n'
    assert RUN.invoke(cli.app, ["notebook", "a.ipynb", "a.py"]).exit_code == 1


@pytest.fixture
def registered(home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Dev with a champion, in a project where all is committed."""
    monkeypatch.setenv("MLOPS_ENV", "dev")  # commands set it for the rest of the process
    monkeypatch.setattr(candidate, "committed", lambda: None)
    monkeypatch.setattr(registry, "open_registry", lambda settings: memory)
    candidate.register(Paths())
    return memory


def test_a_version_is_used_packaged_and_tagged(registered: Any) -> None:
    (prediction,) = json.loads(mlops("model", "use", "1"))
    record = Contract.read(Paths().model).example
    Path("records.json").write_text(json.dumps([record, record]))
    assert json.loads(mlops("model", "use", "1", "records.json")) == [prediction] * 2
    Path("served.json").write_text(json.dumps({"records": [record]}))
    assert json.loads(mlops("model", "use", "1", "served.json")) == [prediction]
    for text, message in [
        ("[{}]", "record 0 lacks colour, size"),
        ("3", "give a record"),
        ("{", "no file of JSON"),
    ]:
        Path("wrong.json").write_text(text)
        with pytest.raises(MlopsError, match=message):
            mlops("model", "use", "1", "wrong.json")
    mlops("model", "package", "1", "--out", "box")
    assert {"model.onnx", "contract.json"} <= {path.name for path in Path("box").iterdir()}
    mlops("model", "tag", "1", "deploy-trigger")
    assert registered.made[1].tags["tag.deploy-trigger"] == "yes"
    with pytest.raises(MlopsError, match=r"no tag 'deploy': there are compliance"):
        mlops("model", "tag", "1", "deploy")


def test_a_release_can_be_looked_at_first(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "open_registry", lambda settings: registered)
    monkeypatch.setattr(controller, "open_target", lambda *of: OfflineTarget())
    mlops("model", "tag", "1", "deploy-trigger")
    options = ["--env", "prod", "--strategy", "canary", "--dry-run"]
    shown = mlops("release", "--tagged", *options)
    assert "Version 1 to prod by canary" in shown
    assert "5 %\t95/5" in shown
    assert mlops("deployments", "--env", "prod").strip() == ""
    mlops("release", "1", "--env", "prod")
    assert mlops("deployments", "--env", "prod").splitlines()[1].endswith("promoted")
    assert "dev: version 1 is the champion already." in mlops("cd", "1")
    for wrong in ("--strategy", "--change"):
        done = RUN.invoke(cli.app, ["release", "1", wrong, "sudden"])
        assert done.exit_code == 2
        assert "'sudden' is not one of" in " ".join(done.output.split())
    with pytest.raises(MlopsError, match="newer than prod's champion is tagged"):
        mlops("release", "--tagged", "--env", "prod")
