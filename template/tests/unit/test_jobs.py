"""Jobs, on a machine that is a process of this one: what it runs is the real ``jobs.inside``."""

import hashlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import mlops
from mlops import cloud, jobs, project
from mlops.cloud.base import CloudError, ConflictError
from mlops.errors import MlopsError, PipelineError
from mlops.jobs import parcel
from mlops.jobs.base import Spec, Status

SOURCE = Path(mlops.__file__).parents[1]
# The commit's own code: it says what it sees, writes what it is told to, and ends as it is told.
COMMAND = """
import os, sys, time
from pathlib import Path

print("at work", flush=True)
print(*[f"{key}={os.environ.get(key)}" for key in ("MLOPS_KIND", "MLOPS_SIGNING_KEY", "CI")])
print(Path("params.yaml").read_text().splitlines()[0], flush=True)
for word in sys.argv[1:]:
    if word.startswith("write="):
        path = Path(word.removeprefix("write="))
        path.parent.mkdir(exist_ok=True)
        path.write_text("seed: 2")
    elif word == "sleep":
        time.sleep(600)
    else:
        sys.exit(int(word))
"""


class Folder:
    """A store that is a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> tuple[bytes, str] | None:
        path = self.root / name
        if not path.is_file():
            return None
        return path.read_bytes(), hashlib.sha256(path.read_bytes()).hexdigest()

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        found = self.read(name)
        if tag is not None and tag != (found[1] if found else ""):
            raise ConflictError(f"{name} is there already.")
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def upload(self, path: Path, name: str) -> str:
        self.write(name, path.read_bytes())
        return (self.root / name).as_uri()

    def download(self, name: str, path: Path) -> None:
        found = self.read(name)
        if found is None:
            raise CloudError(f"There is no {name}.")
        path.write_bytes(found[0])


class Machines:
    """Compute whose machines are processes here."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls, self.refusals = root, list[str](), 0
        self.processes = dict[str, subprocess.Popen[bytes]]()
        self.specs = list[Spec]()
        self.image = root / "image"
        self.image.mkdir()

    def submit(self, spec: Spec) -> str:
        if spec.name not in self.processes:
            self.calls.append("submit")
            self.specs.append(spec)
            if self.refusals < 0:
                raise CloudError("quota: no machine is left.")
            variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **spec.variables}
            variables["IMAGE"] = str(self.image)
            with (self.root / spec.name).open("wb") as log:
                self.processes[spec.name] = subprocess.Popen(
                    [sys.executable, __file__, *spec.command[3:]],
                    cwd=self.root, env=variables, stdout=log, stderr=log,
                )  # fmt: skip
        return spec.name

    def status(self, job: str) -> Status:
        if self.refusals > 0:
            self.refusals -= 1
            raise CloudError("throttled")
        code = self.processes[job].poll()
        return "running" if code is None else "failed" if code else "succeeded"

    def log(self, job: str) -> Iterator[str]:
        yield from (self.root / job).read_text().splitlines()

    def why(self, job: str) -> str:
        return "taken away"

    def stop(self, job: str) -> None:
        self.calls.append("stop")
        self.processes[job].terminate()
        self.processes[job].wait()

    def remove(self, job: str) -> None:
        self.calls.append("remove")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """A provider of which nothing is real but its jobs."""
    (tmp_path / "machines").mkdir()
    made = Machines(tmp_path / "machines")
    monkeypatch.setattr(project, "PROVIDER", "folder")
    monkeypatch.setattr(jobs, "open_store", lambda settings, _: Folder(tmp_path / "store"))
    module = SimpleNamespace(open_compute=lambda settings, environment: made)
    monkeypatch.setattr(jobs, "import_module", lambda name, package: module)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


@pytest.fixture
def there(
    tmp_path: Path,
    settle: Callable[[Path], Path],
    machines: Machines,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A committed project whose command is COMMAND, and whose storage a job sees."""
    folder, remote = tmp_path / "project", tmp_path / "remote"
    remote.mkdir()
    for name, text in {
        "src/mlops/__init__.py": "",
        "src/mlops/__main__.py": COMMAND,
        ".dvc/config": f"[core]\n    remote = one\n['remote \"one\"']\n    url = {remote}\n",
        ".dvc/.gitignore": "".join(f"/{name}\n" for name in ("config.local", "tmp", "cache")),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    settle(folder)
    shutil.copy(folder / "uv.lock", machines.image / "uv.lock")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLOPS_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setenv("MLOPS_CLOUD__FOLDER", str(tmp_path / "store"))
    return folder


@pytest.fixture
def left(there: Path, machines: Machines, tmp_path: Path) -> Callable[[], list[str]]:
    """Return what is left of jobs, in the store and on the machines."""

    def left() -> list[str]:
        files = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
        alive = [name for name, process in machines.processes.items() if process.poll() is None]
        return files + alive

    return left


def run(*command: str, timeout: int = 60, say: Callable[[str], None] = print) -> None:
    jobs.run(list(command), timeout, say=say, poll=0.05)


def test_the_commit_runs_and_what_it_made_comes_back(
    there: Path,
    machines: Machines,
    left: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_KIND", "retraining-baseline")
    monkeypatch.setenv("MLOPS_SIGNING_KEY", "00")
    (there / "params.yaml").write_text("seed: 1 # not committed")
    said = list[str]()
    run("write=params.yaml", "write=secret.txt", "write=../outside.txt", "0", say=said.append)
    assert (there / "params.yaml").read_text() == "seed: 2"
    assert not (there / "secret.txt").exists()
    assert "MLOPS_KIND=retraining-baseline MLOPS_SIGNING_KEY=None CI=true" in said
    assert "seed: 1 # not committed" in said
    assert (machines.calls, left()) == (["submit", "stop", "remove"], [])


def test_the_exit_code_is_the_commands(there: Path, left: Callable[[], list[str]]) -> None:
    with pytest.raises(PipelineError, match=r"exit code 3: the data was rejected") as refusal:
        run("write=data/validation.json", "3")
    assert refusal.value.exit_code == 3
    assert "\n  at work\n" in str(refusal.value)
    assert (there / "data/validation.json").read_text() == "seed: 2"  # it says why
    assert left() == []


def test_a_job_has_its_time(there: Path, left: Callable[[], list[str]]) -> None:
    with pytest.raises(PipelineError, match="had 1 s") as refusal:
        run("sleep", timeout=1)
    assert (refusal.value.exit_code, left()) == (124, [])


def test_an_interrupt_ends_it(there: Path, left: Callable[[], list[str]]) -> None:
    def interrupt(line: str) -> None:
        if line == "at work":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("sleep", say=interrupt)
    assert left() == []


def test_what_is_interrupted_while_it_starts_is_ended_too(
    there: Path,
    machines: Machines,
    left: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = machines.submit

    def submit(spec: Spec) -> str:
        signal.raise_signal(signal.SIGINT)  # is heard in the main thread, which waits
        time.sleep(0.2)
        return started(spec)

    monkeypatch.setattr(machines, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        run("sleep")
    assert (machines.calls, left()) == (["submit", "stop", "remove"], [])


def test_a_call_that_was_killed_is_taken_up(
    there: Path,
    machines: Machines,
    left: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(line: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_try", lambda call, name: None)  # nothing is tidied up
        with pytest.raises(KeyboardInterrupt):
            run("write=params.yaml", "0", say=killed)
    assert {"request.json", "code.bundle"} <= {*left()}
    run("write=params.yaml", "0")
    assert machines.calls == ["submit", "stop", "remove"]
    assert ((there / "params.yaml").read_text(), left()) == ("seed: 2", [])


def test_a_refused_start_leaves_nothing(
    there: Path, machines: Machines, left: Callable[[], list[str]]
) -> None:
    machines.refusals = -1
    with pytest.raises(CloudError, match="quota"):
        run("0")
    assert (machines.calls, left()) == (["submit"], [])


def test_one_bad_look_ends_no_job(
    there: Path, machines: Machines, left: Callable[[], list[str]]
) -> None:
    def again(line: str) -> None:
        if line == "at work":
            machines.refusals = jobs.PATIENCE - 1

    machines.refusals = jobs.PATIENCE - 1
    run("0", say=again)
    machines.refusals = jobs.PATIENCE
    with pytest.raises(CloudError, match="throttled"):
        run("sleep")
    assert left() == []


def test_a_machine_that_is_taken_away_is_no_success(there: Path, machines: Machines) -> None:
    def take(line: str) -> None:
        if line == "at work":
            machines.processes[machines.specs[-1].name].kill()

    with pytest.raises(PipelineError, match="failed: taken away") as refusal:
        run("sleep", say=take)
    assert refusal.value.exit_code == 1


def test_what_is_changed_meanwhile_is_kept(there: Path, left: Callable[[], list[str]]) -> None:
    def edit(line: str) -> None:
        if line == "at work":
            (there / "params.yaml").write_text("of mine")

    with pytest.raises(MlopsError, match=r"params\.yaml.* was changed while the job ran"):
        run("write=params.yaml", "0", say=edit)
    assert ((there / "params.yaml").read_text(), left()) == ("of mine", [])


def test_another_image_is_refused(there: Path, machines: Machines) -> None:
    (machines.image / "uv.lock").write_text("older")
    with pytest.raises(PipelineError, match="run `make image-job`"):
        run("0")


def test_what_cannot_run_elsewhere_is_refused(
    there: Path,
    machines: Machines,
    left: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLOPS_TRACKING_URI", "sqlite:///mlflow.db")
        with pytest.raises(MlopsError, match=r"tracking_uri is mlflow\.db on this machine"):
            run("0")
    with monkeypatch.context() as patch:
        patch.setenv("MLOPS_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
        with pytest.raises(PipelineError, match="there is no /nowhere"):
            run("0")
    config = there / ".dvc/config"
    config.write_text(config.read_text().replace("url = /", "url = ../"))
    with pytest.raises(MlopsError, match=r"Not committed: \.dvc/config"):
        run("0")
    subprocess.run(["git", "commit", "--quiet", "--no-verify", "-am", "Change"], check=True)
    with pytest.raises(MlopsError, match=r"remote one in \.dvc/config is \.\./"):
        run("0")
    shutil.rmtree(there / ".git")
    with pytest.raises(MlopsError, match="There is no commit yet"):
        run("0")
    assert (machines.calls.count("submit"), left()) == (1, [])


def test_an_archive_that_holds_more_is_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").symlink_to("/etc/hostname")
    with pytest.raises(MlopsError, match=r"brought params\.yaml"):
        parcel.unpack(parcel.pack(tmp_path), tmp_path)
    (tmp_path / "params.yaml").unlink()
    (tmp_path / "params.yaml").write_text("good")
    archive = parcel.pack(tmp_path)
    parcel.unpack(archive, tmp_path)


if __name__ == "__main__":  # on the machine: the real program, with a folder as its store
    sys.prefix = f"{os.environ['IMAGE']}/.venv"
    cloud.open_store = lambda settings, environment: Folder(Path(settings.cloud["folder"]))
    runpy.run_module("mlops.jobs.inside", run_name="__main__", alter_sys=True)
