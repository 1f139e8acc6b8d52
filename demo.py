"""From nothing to a model that answers and is released under traffic: what `make demo` runs.

Needs Python 3.11 or later, git and make. Everything is made below build/; each step is timed. With
`PROVIDER=aws` (azure, gcp, kubernetes) the model is registered and released there: in an emulator
or a fake of the provider's API on this machine, whose containers are the project's real servers.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
PROJECT = ROOT / "build/flight-delays"
IDENTITY = {"NAME": "Demo", "EMAIL": "demo@example.com"}
RATE = 300  # requests a second, while models are released
COLOURS = ["\033[2m", "\033[1m", "\033[32m", "\033[0m"]
DIM, BOLD, GREEN, PLAIN = COLOURS if sys.stdout.isatty() else [""] * 4

# The provider, and the registry that comes with it.
REGISTRIES = {
    "local": "mlflow",
    "kubernetes": "mlflow",
    "azure": "azureml",
    "aws": "sagemaker",
    "gcp": "vertex",
}
PROVIDER = os.environ.get("PROVIDER") or "local"
ANSWERS = f"--data provider={PROVIDER} --data registry={REGISTRIES.get(PROVIDER)}"

MAKE = ["make", "--no-print-directory"]
COMMIT = "git add --all && git commit --quiet --no-verify --message"
# A release at the pace of a demo: two steps, a few seconds each.
PACE = {"STEPS": "[20, 50]", "HOLD": "3", "MIN_SAMPLES": "150"}


def python(*arguments: str) -> list[str]:
    """Return a command that runs this file by the project's own Python."""
    return [str(PROJECT / ".venv/bin/python"), str(Path(__file__).resolve()), *arguments]


def fault(**faults: float) -> None:
    """Let version 2 fail so; without faults, mend it."""
    (folder,) = (PROJECT / "models/registry").glob("2-*")
    (folder / "fault.json").write_text(json.dumps(faults), encoding="utf-8")


class Step(NamedTuple):
    """What is done, where and how; what it must say; what is done before and meanwhile."""

    name: str
    folder: Path
    command: list[str]
    says: str = ""
    ready: Callable[[], None] | None = None
    before: Callable[[], None] | None = None


FIRST_MODEL = Step("make candidate", PROJECT, [*MAKE, "candidate"], "accepted by")
STEPS = [
    Step("bring uv and Copier", ROOT, [*MAKE, ".venv"]),
    *([] if PROVIDER == "local" else [Step("bring the SDKs", ROOT, [*MAKE, ".venv/lib/clouds"])]),
    Step(
        "copier copy",
        ROOT,
        f".venv/bin/copier copy --defaults --quiet --vcs-ref HEAD {ANSWERS} . {PROJECT}".split(),
    ),
    Step("git init and commit", PROJECT, ["sh", "-c", f"git init -q -b main && {COMMIT} Start"]),
    Step("make setup", PROJECT, [*MAKE, "setup"]),
    Step("commit the lock file", PROJECT, ["sh", "-c", f"{COMMIT} 'Lock the environment'"]),
    FIRST_MODEL,
    Step("commit the model", PROJECT, ["sh", "-c", f"{COMMIT} 'First model'"]),
    Step("make register", PROJECT, [*MAKE, "register"], "Version 1, challenger, champion-dev"),
    Step("make serve", PROJECT, [*MAKE, "serve"], "predictions"),
    Step("make retrain", PROJECT, [*MAKE, "retrain"], "accepted by"),
    Step("commit the model", PROJECT, ["sh", "-c", f"{COMMIT} 'A month later'"]),
    Step("make register", PROJECT, [*MAKE, "register"], "Version 2, challenger"),
    Step("look at its record", PROJECT, ["uv", "run", "mlops", "model", "validate", "2"], "passed"),
]
# On a provider `make deploy` sends the requests itself.
RELEASE = [*MAKE, "release" if PROVIDER == "local" else "deploy"]
UNDER_TRAFFIC = [
    Step(
        "release it, with a fault",
        PROJECT,
        RELEASE,
        "Version 2 is rolled back. errors",
        lambda: fault(errors=0.05),
    ),
    Step(
        "release it, mended",
        PROJECT,
        RELEASE,
        "Version 2 is dev's champion",
        before=fault,
    ),
]
AFTER = [
    Step("make test-live", PROJECT, [*MAKE, "test-live"], "answers as its champion does"),
    Step("ask for a prediction", PROJECT, python("ask"), "predictions"),
    Step("make status", PROJECT, [*MAKE, "status"], "champion"),
    Step("make deployments", PROJECT, [*MAKE, "deployments"], "promoted"),
]


def main() -> None:
    """Run the steps; end at the first that fails or does not say what it must."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is run before anything is checked
        sys.exit(f"Python {sys.version.split()[0]} is too old: 3.11 or later is needed.")
    if PROVIDER not in REGISTRIES:
        sys.exit(f"PROVIDER={PROVIDER} is not one of {', '.join(REGISTRIES)}.")
    if (PROJECT / "deployments").exists():  # an earlier demo's, still answering
        subprocess.run([*MAKE, "stop"], cwd=PROJECT, check=False)
    shutil.rmtree(PROJECT, ignore_errors=True)
    shutil.rmtree(PROJECT.with_name("flight-delays-storage"), ignore_errors=True)
    PROJECT.parent.mkdir(exist_ok=True)
    environment = settings()
    times: list[tuple[str, float]] = []
    begun = STEPS.index(FIRST_MODEL)
    for step in STEPS[:begun]:
        times.append((step.name, run(step, environment)))
    with provider(environment):
        for step in STEPS[begun:]:
            times.append((step.name, run(step, environment)))
        with traffic(environment):
            for step in UNDER_TRAFFIC:
                times.append((step.name, run(step, environment)))
        for step in AFTER:
            times.append((step.name, run(step, environment)))
    times.append(("all", sum(seconds for _, seconds in times)))
    table = ["| step | seconds |", "|---|---:|", *(f"| {n} | {s:.1f} |" for n, s in times)]
    name = "demo" if PROVIDER == "local" else f"demo-{PROVIDER}"
    (ROOT / f"build/{name}.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print()
    for name, seconds in times:
        print(f"  {name:<26}{seconds:6.1f} s")
    report = PROJECT / "reports/report.html"
    if PROVIDER != "local":
        print(f"\n{GREEN}Version 2 answered{PLAIN} on {PROVIDER}. Its report: {report.as_uri()}")
        return
    address = f"http://127.0.0.1:{environment['MLOPS_SERVING__PORT']}"
    print(f"\n{GREEN}Version 2 answers.{PLAIN} Predictions: {address}/predict, described in")
    print(f"{address}/docs. Its report: {report.as_uri()}")
    print(f"To end it: make -C {PROJECT.relative_to(ROOT)} stop")


def settings() -> dict[str, str]:
    """Return the environment of all steps: who commits, the pace, a port, and faults on demand."""
    sys.path.insert(0, str(ROOT / "tests"))
    from faulty_server import plant

    roles = ("AUTHOR", "COMMITTER")
    who = {f"GIT_{role}_{key}": value for role in roles for key, value in IDENTITY.items()}
    pace = {f"MLOPS_RELEASE__{key}": value for key, value in PACE.items()}
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    more = {"MLOPS_SERVING__PORT": port, "COLUMNS": "96"}
    more["PYTHONPATH"] = str(plant(PROJECT.parent / "faults"))
    return {**who, **os.environ, **pace, **more}


def run(step: Step, environment: dict[str, str]) -> float:
    """Run one step, its output indented as it comes; return how long it took."""
    print(f"{BOLD}{step.name}{PLAIN}", flush=True)
    started = time.perf_counter()
    if step.before:
        step.before()
    child = subprocess.Popen(
        step.command,
        cwd=step.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if step.ready and "is ready in the" in line:
            step.ready()
        if line.strip():
            print(f"  {DIM}{line.rstrip()}{PLAIN}", flush=True)
    code, told = child.wait(), " ".join(said.split())
    if step.says not in told or (code and "rolled back" not in step.says):
        sys.exit(f"{step.name}: exit code {code}, without {step.says!r}; see {PROJECT}.")
    return time.perf_counter() - started


@contextlib.contextmanager
def provider(environment: dict[str, str]) -> Iterator[None]:
    """Have the provider's emulator or fake on this machine, and let dev be there."""
    if PROVIDER == "local":
        yield
        return
    told = PROJECT / "build/platform.json"
    command = [str(ROOT / ".venv/bin/python"), "-m", "clouds.processes", PROVIDER, str(PROJECT)]
    child = subprocess.Popen(command, cwd=ROOT / "tests", env=environment)
    try:
        while not told.is_file():
            if child.poll() is not None:
                sys.exit(f"{PROVIDER}: its emulator did not start.")
            time.sleep(0.1)
        given = json.loads(told.read_text(encoding="utf-8"))
        environment |= given["variables"]
        environment |= {"MLOPS_TARGET": PROVIDER, "MLOPS_CLOUD": json.dumps(given["cloud"])}
        yield
    finally:
        child.terminate()
        child.wait()


@contextlib.contextmanager
def traffic(environment: dict[str, str]) -> Iterator[None]:
    """Send requests meanwhile, and say at the end how they were answered."""
    if PROVIDER != "local":
        yield
        return
    child = subprocess.Popen(python("traffic"), cwd=PROJECT, env=environment)
    try:
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.wait()


def send() -> None:
    """Send flights of the newest month until Ctrl-C. Run by the project's own Python."""
    import pandas as pd  # type: ignore[import-untyped]
    from mlops.contract import Contract
    from mlops.serve.load import Load
    from mlops.serve.load import run as load

    names = list(Contract.read(Path("models/candidate")).example)
    newest = sorted(Path("data/raw").glob("*.parquet"))[-1]
    rows = pd.read_parquet(newest)[names].sample(2000, random_state=1)
    records = json.loads(rows.to_json(orient="records"))
    bodies = [json.dumps({"records": [record]}).encode() for record in records]
    url = f"http://127.0.0.1:{os.environ['MLOPS_SERVING__PORT']}/predict"
    total, ended = Load(), []
    signal.signal(signal.SIGINT, lambda *_: ended.append(True))
    while not ended:
        part = asyncio.run(load(url, bodies, seconds=1, rate=RATE))
        total.statuses.update(part.statuses)
        total.versions.update(part.versions)
    by = ", ".join(f"{count:,} by version {name}" for name, count in sorted(total.versions.items()))
    print(f"{BOLD}traffic meanwhile{PLAIN}")
    print(f"  {DIM}{total.requests:,} requests: {by}; {total.failures} met the fault{PLAIN}")


def ask() -> None:
    """Ask for one prediction, as callers do. Run by the project's own Python."""
    from mlops.contract import Contract
    from mlops.release.targets import open_target
    from mlops.settings import load_settings

    body = {"records": [Contract.read(Path("models/candidate")).example]}
    print(json.dumps(open_target("dev", load_settings("dev")).ask(None, "/predict", body)[1]))


if __name__ == "__main__":
    {"": main, "traffic": send, "ask": ask}[next(iter(sys.argv[1:]), "")]()
