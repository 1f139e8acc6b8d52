"""What a team does with a project from its first clone on: each step for real."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from conftest import Project
from test_faults import LOAD

pytestmark = pytest.mark.long

SERVED = "models/candidate/model.onnx"
TAGS = {"git.repository", "git.branch", "git.commit", "git.dirty", "digest.lock", "parent"}
TAGS |= {"kind", "reason", "data.raw", "data.prepared"}
TAGS |= {f"compute.{key}" for key in ("machine", "system", "python", "cpus", "gpu", "image")}


@pytest.fixture(scope="module")
def second(champion: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy whose registry holds a second version, made from more months. Do not change it."""
    project = champion.copy(tmp_path_factory.mktemp("second") / "flight-delays")
    project.write("params.yaml", ("first: 2013-04", "first: 2013-02"))
    assert "accepted by" in project.mlops("candidate")
    project.commit("More months")
    assert "Version 2, challenger" in project.mlops("register")
    return project


@pytest.fixture
def later(second: Project, tmp_path: Path) -> Project:
    """A copy of the project with two versions, free to be changed."""
    return second.copy(tmp_path / "flight-delays")


def digest(project: Project, path: str = SERVED) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256((project.root / path).read_bytes()).hexdigest()


def fetched(project: Project, number: int) -> str:
    """Return the SHA-256 of a version's model as it was last brought from the registry."""
    folders = (project.root / "models/registry").glob(f"{number}-*")
    return digest(project, str(max(folders, key=os.path.getmtime) / "model.onnx"))


def tree(project: Project) -> dict[str, str]:
    """Return the MD5 of every file that DVC keeps."""
    folders = [project.root / name for name in ("data/raw", "data/prepared", "models/candidate")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def query(project: Project, sql: str) -> list[tuple[Any, ...]]:
    """Ask the tracking store."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        return store.execute(sql).fetchall()


def lineage(project: Project) -> dict[str, Any]:
    """Return the candidate's lineage."""
    text = (project.root / "models/candidate/lineage.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a table that a command printed."""
    head, *rows = [line.split("\t") for line in text.splitlines() if "\t" in line]
    return [dict(zip(head, row, strict=False)) for row in rows]


def test_a_clean_clone_makes_the_same_model_again_and_again(
    champion: Project, tmp_path: Path
) -> None:
    clone = Project(tmp_path / "clone", champion.environment)
    champion.run("git", "clone", "--quiet", str(champion.root), str(clone.root))
    same = (digest(champion), digest(champion, "reports/metrics.json"))
    every = ["ingest", "validate", "prepare", "train", "evaluate"]
    # What validate writes is in git, and right for this data: it has nothing to do at first.
    for force, stages in (([], every[:1] + every[2:]), ([], []), (["--force"], every)):
        output = clone.run("dvc", "repro", *force)
        assert re.findall(r"Running stage '(\w+)'", output) == stages
        assert ("up to date" in output) == (not stages)
        assert (digest(clone), digest(clone, "reports/metrics.json")) == same


KILLED = """
set -m
dvc repro &
for _ in $(seq 900); do [ -e logs/train.log ] && break; sleep 0.1; done
kill -9 -- -$!
wait $!
exit 0
"""


def test_a_killed_pipeline_goes_on_where_it_was(trained: Project) -> None:
    trained.write("params.yaml", ("first: 2013-04", "first: 2013-05"))
    shutil.rmtree(trained.root / "logs")
    trained.run("bash", "-c", KILLED)
    assert (trained.root / "logs/train.log").exists()
    assert not (trained.root / "models/candidate/lineage.json").exists()
    output = trained.run("dvc", "repro")
    assert re.findall(r"Stage '(\w+)' didn't", output) == ["ingest", "validate", "prepare"]
    assert re.findall(r"Running stage '(\w+)'", output) == ["train", "evaluate"]


def test_data_and_models_come_back_from_the_remote(trained: Project) -> None:
    before = tree(trained)
    assert len(before) == 12
    trained.run("dvc", "push")
    for name in (".dvc/cache", "data/raw", "data/prepared", "models/candidate"):
        shutil.rmtree(trained.root / name)
    trained.run("dvc", "pull")
    assert tree(trained) == before


def test_an_earlier_revisions_data_is_checked(trained: Project) -> None:
    bad = "records.assign(hour=records['hour'].replace(6, 66))"
    trained.write("src/flight_delays/data.py", ("def load(", LOAD.format(bad)))
    trained.run("dvc", "repro", "ingest")
    trained.commit("Bad hours")
    output = trained.mlops("data", "check", "--rev", "HEAD", fails=True)
    assert trained.code == 3
    assert "values: hour: " in output
    assert "data of HEAD~1 is good" in trained.mlops("data", "check", "--rev", "HEAD~1")
    assert len(table(trained.mlops("data", "list"))) == 2


@pytest.fixture
def server(installed: Project, tmp_path: Path) -> Iterator[str]:
    """An MLflow server on the loopback, as a process group of its own."""
    version = installed.run("python", "-c", "import mlflow; print(mlflow.__version__)").strip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["uvx", "--from", f"mlflow=={version}", "mlflow", "server", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--host", "127.0.0.1"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (URLError, OSError):
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_runs_and_versions_go_to_a_server(trained: Project, server: str) -> None:
    local = query(trained, "select count(*) from runs")
    to = {"MLOPS_TRACKING_URI": server}
    trained.write("params.yaml", ("max_depth: 6", "max_depth: 5"))
    (trained.root / "note.txt").touch()
    assert "accepted by" in trained.mlops("candidate", variables=to)
    output = trained.mlops("register", fails=True, variables=to)
    assert "Not committed: " in output
    assert "note.txt" in output
    assert "params.yaml" in output
    trained.commit("Shallow trees")
    assert "Version 1, challenger" in trained.mlops("register", variables=to)
    assert "Version 1 passed" in trained.mlops("model", "validate", "1", variables=to)
    assert fetched(trained, 1) == digest(trained)
    body = json.dumps({"experiment_ids": ["1"]}).encode()
    request = Request(f"{server}/api/2.0/mlflow/runs/search", body)
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:
        (run,) = json.load(answer)["runs"]
    assert run["info"]["status"] == "FINISHED"
    assert {tag["key"] for tag in run["data"]["tags"]} >= TAGS
    assert {"model.loss", "valid.loss", "curve.valid"} & {m["key"] for m in run["data"]["metrics"]}
    assert query(trained, "select count(*) from runs") == local


def test_tuning_goes_on_where_it_stopped(trained: Project) -> None:
    trials = "select run_uuid from tags where key = 'stage' and value = 'tune'"
    trained.mlops("tune", "--trials", "2")
    assert len(query(trained, trials)) == 2
    before = (trained.root / "params.yaml").read_text()
    trained.mlops("tune", "--trials", "4", "--apply")
    for (run,) in query(trained, trials):
        tags = query(trained, f"select key from tags where run_uuid = '{run}'")
        assert {key for (key,) in tags} >= TAGS | {"study"}
    assert len(query(trained, trials)) == 4
    after = (trained.root / "params.yaml").read_text()
    assert re.findall("#.*", after) == re.findall("#.*", before)
    old, new = yaml.safe_load(before), yaml.safe_load(after)
    changed = {key for key in old["model"] if new["model"][key] != old["model"][key]}
    assert {"learning_rate", "max_depth"} <= changed <= old["tune"]["space"].keys()
    assert new | {"model": 0} == old | {"model": 0}


def test_a_grid_of_queued_experiments(trained: Project) -> None:
    grid = ["-S", "model.max_depth=3,5", "-S", "model.learning_rate=0.2,0.3"]
    trained.run("dvc", "exp", "run", "--queue", *grid, "-S", "model.n_estimators=40")
    # Its worker may outlive it for long, and would hold the pipe: hence a file, and a kill.
    trained.run("sh", "-c", "dvc exp run --run-all > logs/queue.log 2>&1")
    for worker in (trained.root / ".dvc/tmp/exps/celery").glob("*.pid"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if "queue-worker" in Path(f"/proc/{worker.read_text()}/cmdline").read_text():
                os.kill(int(worker.read_text()), signal.SIGKILL)
    shown = json.loads(trained.run("dvc", "exp", "show", "--json"))
    done = [one["revs"][0]["data"] for rev in shown for one in rev["experiments"] or []]
    points = {tuple(one["params"]["params.yaml"]["data"]["model"].values())[:3] for one in done}
    assert points == {(40, rate, depth) for rate in (0.2, 0.3) for depth in (3, 5)}
    losses = {one["metrics"]["reports/metrics.json"]["data"]["model"]["loss"] for one in done}
    assert len(losses) == 4
    assert len(table(trained.mlops("history"))) == 5  # the champion's, and each of the grid's
    assert trained.run("git", "status", "--porcelain") == ""


def test_an_experiment_on_other_data(trained: Project) -> None:
    before = lineage(trained)["data"]["raw"]
    trained.run("dvc", "exp", "run", "-S", "data.last=2013-06")
    files = sorted(path.stem for path in (trained.root / "data/raw").iterdir())
    assert files == ["2013-04", "2013-05", "2013-06"]
    assert lineage(trained)["data"]["raw"] != before


def test_new_data_is_taken_in_and_the_champion_refined(trained: Project) -> None:
    """Whether these months make a better model is for the gates to say: both are candidates."""
    comments = re.findall("#.*", (trained.root / "params.yaml").read_text())
    trained.run("sh", "-c", "python -m mlops retrain || test $? = 5")
    found = lineage(trained)
    assert (found["kind"], found["reason"]) == ("retraining-baseline", "new-data")
    assert found["parent"] == 0
    assert found["periods"]["train"] == ["2013-04", "2013-05", "2013-06"]
    assert query(trained, "select count(*) from tags where value = 'new-data'") == [(1,)]

    trained.run("sh", "-c", "python -m mlops refine || test $? = 5")
    found = lineage(trained)
    assert found["parent"] == 1
    assert found["periods"]["train"] == ["2013-06"]
    assert found["periods"]["test"] == ["2013-08"]
    text = (trained.root / "params.yaml").read_text()
    assert "last: 2013-08" in text
    assert "parent: 1" in text
    assert re.findall("#.*", text) == comments
    trained.mlops("pipeline", "--sample", "0.05")


def test_a_sample_runs_aside(trained: Project) -> None:
    output = trained.mlops("pipeline", "--sample", "0.05")
    rows = json.loads(output[output.index("{") :])["rows"]
    whole = json.loads((trained.root / "reports/metrics.json").read_text())["rows"]
    assert 0.04 < rows / whole < 0.06
    assert trained.run("git", "status", "--porcelain") == ""
    assert "up to date" in trained.run("dvc", "repro")


def test_every_input_and_output_is_an_asset(champion: Project) -> None:
    stages = yaml.safe_load((champion.root / "dvc.yaml").read_text())["stages"]
    wanted = {
        (name, kind, path if isinstance(path, str) else next(iter(path)))
        for name, stage in stages.items()
        for key, kind in (("deps", "dep"), ("outs", "out"), ("metrics", "out"))
        for path in stage.get(key, [])
    }
    rows = table(champion.mlops("assets"))
    assert {(row["stage"], row["kind"], row["asset"]) for row in rows} == wanted
    assert all(re.match(r"[0-9a-f]{32}", row["version"]) for row in rows)


def test_every_run_says_where_it_comes_from(second: Project) -> None:
    runs = query(second, "select run_uuid, status from runs")
    assert len(runs) == 2
    for run, status in runs:
        assert status == "FINISHED"
        tags = dict(query(second, f"select key, value from tags where run_uuid = '{run}'"))
        assert tags.keys() >= TAGS | {"digest.model", "gate"}
        assert tags["digest.lock"] == digest(second, "uv.lock")
        assert re.fullmatch("[0-9a-f]{40}", tags["git.commit"])
    assert {row["status"] for row in table(second.mlops("history"))} == {"FINISHED"}
    assert "no stage 'nostage'" in second.mlops("debug", "nostage", fails=True)


def test_a_version_is_made_again_and_returned_to(later: Project) -> None:
    assert "Version 1 made again: the same model" in later.mlops("model", "recreate", "1")
    assert later.run("git", "status", "--porcelain") == ""
    versions = {row["version"]: row for row in table(later.mlops("model", "list"))}
    latest = later.run("git", "rev-parse", "HEAD").strip()
    before = tree(later)
    later.mlops("model", "switch", "1")
    commit = later.run("git", "rev-parse", "HEAD").strip()
    assert commit != latest
    assert commit.startswith(versions["1"]["commit"])
    assert digest(later).startswith(versions["1"]["model"])
    assert "up to date" in later.run("dvc", "repro")
    later.run("git", "checkout", "--quiet", "-")
    later.run("dvc", "checkout")
    assert tree(later) == before
    assert digest(later).startswith(versions["2"]["model"])


def test_versions_are_traced_both_ways_and_compared(second: Project) -> None:
    facts = {row["fact"]: row["value"] for row in table(second.mlops("model", "lineage", "1"))}
    assert facts["digest"] == fetched(second, 1)
    for wanted in ("--data", facts["data.prepared"]), ("--commit", facts["commit"][:12]):
        found = table(second.mlops("model", "lineage", *wanted))
        assert [row["version"] for row in found] == ["1"]
    rows = {row["fact"]: row for row in table(second.mlops("model", "diff", "1", "2"))}
    assert rows["params.data.first"] == {
        "fact": "params.data.first",
        "v1": "2013-04",
        "v2": "2013-02",
    }
    assert "params.seed" not in rows
    columns = table(second.mlops("model", "compare", "1", "2"))
    assert {"metric", "v1", "v2"} == columns[0].keys()


def test_with_deploy_code_an_environment_trains_for_itself(
    trained: Project, tmp_path: Path
) -> None:
    """Staging has a registry of its own: nothing but code comes to it."""
    trained.write(
        "src/mlops/project.py", ('PROMOTION = "deploy-model"', 'PROMOTION = "deploy-code"')
    )
    trained.commit("Another promotion")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    own = {
        "MLOPS_TRACKING_URI": f"sqlite:///{tmp_path / 'staging.db'}",
        "MLOPS_SERVING__PORT": str(port),
        "MLOPS_API_KEYS": "key",
    }
    try:
        said = trained.mlops("deploy", "--env", "staging", variables=own)
    finally:
        trained.mlops("stop", "--env", "staging", variables=own)
    assert "Running stage 'train'" in said
    assert "staging answers as its champion does" in said
    assert "champion-staging" in trained.mlops("model", "list", variables=own)
    assert "champion-staging" not in trained.mlops("model", "list")
    assert trained.run("git", "log", "-1", "--format=%s").strip() == "Model of staging"
    assert trained.run("git", "status", "--porcelain") == ""
