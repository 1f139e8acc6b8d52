"""What a release must stand; test_release.py runs each by a generated project's own Python.

Commands are processes of their own, forked from this one: they are spared the imports, and what is
to happen to them (a kill, a full disk) can be arranged before they begin.
"""

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, get_args

import mlops.registry.mlflow  # noqa: F401  # before the first fork
import pyarrow.parquet as pq
import pytest
from faulty_server import FAULT, plant
from mlops import project
from mlops.candidate import fetch
from mlops.cli import main
from mlops.contract import Contract
from mlops.registry import open_registry
from mlops.release import controller
from mlops.release.analysis import quantile
from mlops.release.journal import Entry, Journal
from mlops.release.strategies import plan
from mlops.release.targets.local import LocalTarget, free_ports
from mlops.release.traffic import CHAMPION
from mlops.serve.auth import api_keys
from mlops.serve.load import _Connection
from mlops.settings import STRATEGY, Paths, load_settings

FORK = multiprocessing.get_context("fork")
STRATEGIES = get_args(STRATEGY)
RATE, LEAST = 250, 200  # requests a second: sent, and needed
WORSE, BETTER = 0.4, 0.8  # mean outcomes
# What is slow here is the machine, but for the test of slowness.
CALM = {
    "MLOPS_RELEASE__HOLD": "1",
    "MLOPS_RELEASE__PATIENCE": "60",
    "MLOPS_RELEASE__MIN_SAMPLES": "100",
    "MLOPS_RELEASE__STEPS": "[10, 50]",
    "MLOPS_RELEASE__LIMITS__LATENCY_MS": "500",
}


@dataclass
class Came:
    """What came back to callers, feedback included."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)  # 0: no answer
    versions: Counter[str] = field(default_factory=Counter)
    callers: dict[str, list[str]] = field(default_factory=dict)  # versions, as they changed

    @property
    def failures(self) -> int:
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)

    @property
    def rate(self) -> float:
        return self.statuses.total() / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.statuses.total()} requests in {self.seconds:.1f} s, {self.rate:.0f}/s, "
            f"{self.failures} failed {dict(self.statuses)}, versions {dict(self.versions)}"
        )


@dataclass
class Callers:
    """Sends requests in a process of its own, until told to stop."""

    port: int
    bodies: Sequence[bytes]
    rate: float = RATE
    better: str = ""  # the version whose outcomes are better; empty: no outcomes are sent
    headers: str = ""

    async def send(self, over: Callable[[], bool]) -> Came:
        came, numbers, began = Came(), itertools.count(), time.perf_counter()

        async def work() -> None:
            connection = _Connection("127.0.0.1", self.port)
            while not over():
                number = next(numbers)
                await asyncio.sleep(began + number / self.rate - time.perf_counter())
                caller = f"caller-{number % 200}"
                body = self.bodies[number % len(self.bodies)]
                told = await self.one(connection, "/predict", caller, body, came)
                if not told:
                    continue
                version = told["version"]
                came.versions[version] += 1
                seen = came.callers.setdefault(caller, [])
                if seen[-1:] != [version]:
                    seen.append(version)
                if self.better:
                    mean = BETTER if version == self.better else WORSE
                    given = {"request_id": told["request_id"], "version": version}
                    outcome = json.dumps(given | {"outcome": float(random.random() < mean)})
                    await self.one(connection, "/feedback", caller, outcome.encode(), came)
            connection.close()

        await asyncio.gather(*(work() for _ in range(8)))
        came.seconds = time.perf_counter() - began
        return came

    async def one(
        self, connection: _Connection, path: str, caller: str, body: bytes, came: Came
    ) -> Any:
        head = f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
        head += f"x-caller: {caller}\r\ncontent-length: {len(body)}\r\n{self.headers}\r\n"
        try:
            request = connection.send(head.encode() + body)
            status, answer = await asyncio.wait_for(request, 30)
        except (OSError, EOFError, ValueError, TimeoutError):
            connection.close()
            came.statuses[0] += 1
            await asyncio.sleep(0.01)
            return None
        came.statuses[status] += 1
        return json.loads(answer) if 200 <= status < 300 else None

    @contextlib.contextmanager
    def at_work(self, least: float = LEAST) -> Iterator[Came]:
        """Send meanwhile; the figures stand at the end."""
        came, over = Came(), FORK.Event()
        ours, theirs = FORK.Pipe()

        def work() -> None:
            theirs.send(asyncio.run(self.send(over.is_set)).__dict__)

        process = FORK.Process(target=work)
        process.start()
        try:
            yield came
            time.sleep(0.3)
        finally:
            over.set()
            if ours.poll(60):
                came.__dict__.update(ours.recv())
            process.join(10)
            process.kill()
            print(f"  {came}")
        assert came.rate >= least


class Command:
    """``mlops ...`` in a process of its own."""

    def __init__(
        self, *arguments: str, first: Callable[[], None] | None = None, **variables: str
    ) -> None:
        read, write = os.pipe()

        def work() -> None:
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.environ.update(variables)
            sys.argv = ["mlops", *arguments]
            if first:
                first()
            main()

        self.process: BaseProcess = FORK.Process(target=work)
        self.process.start()
        os.close(write)
        self._read = read

    def wait(self, code: int = 0) -> str:
        """Return what it printed once it has ended; its exit code must be this."""
        with open(self._read, encoding="utf-8") as file:
            printed = file.read()
        self.process.join()
        assert self.process.exitcode == code, f"exit code {self.process.exitcode}: {printed}"
        return printed


class Home:
    """An environment whose champion is version 1, and version 2 whose faults can be set."""

    def __init__(self, name: str = "dev") -> None:
        self.name, self.settings = name, load_settings(name)
        self.target = LocalTarget(name, self.settings)
        self.registry = open_registry(self.settings)
        self.journal = Journal(Paths().deployments / name)
        contract = Contract.read(Paths().model)
        names = [one.name for one in contract.fields]
        rows = pq.read_table(Paths().prepared / "test.parquet", columns=names).slice(0, 2000)
        whole = [one for one in rows.to_pylist() if None not in one.values()]
        self.bodies = [json.dumps({"records": [one]}, default=str).encode() for one in whole]
        self.headers = ""
        if self.settings.serving.auth == "api-key":
            self.headers = f"x-api-key: {api_keys(self.settings)[0]}\r\n"

    def begin(self) -> None:
        """See that version 1 answers, alone, and that nothing is wrong with version 2."""
        for number in (1, 2):
            self.fault(number)
        stands = self.target.state()
        if stands.versions != {"blue": 1} or self.journal.pending():
            self.target.stop()
            shutil.rmtree(self.journal.folder, ignore_errors=True)
            self.registry.set_alias(f"champion-{self.name}", 1)
            self.mlops("serve").wait()
        assert self.versions() == {"1"}

    def mlops(self, *arguments: str, **options: Any) -> Command:
        return Command(*arguments, "--env", self.name, **options)

    def fault(self, number: int, **faults: Any) -> None:
        path = fetch(number) / FAULT
        path.with_suffix(".new").write_text(json.dumps(faults))
        path.with_suffix(".new").replace(path)

    def load(self, least: float = LEAST, **options: Any) -> Any:
        return self.callers(**options).at_work(least)

    def callers(self, **options: Any) -> Callers:
        return Callers(self.settings.serving.port, self.bodies, headers=self.headers, **options)

    def versions(self, requests: int = 200) -> set[str]:
        """Return the versions that answer; every request must be."""
        return set(self.answers(requests).versions)

    def answers(self, requests: int) -> Came:
        left = itertools.count()
        came = asyncio.run(self.callers(rate=1e6).send(lambda: next(left) >= requests))
        assert came.failures == 0, came
        return came

    def seen(self, event: str, index: int = 0) -> Entry | None:
        for entry in self.journal.pending():
            if entry.event == event and entry.data.get("index", index) == index:
                return entry
        return None

    def kill(self, name: str) -> None:
        """Kill a process, and wait for the one that takes its place."""
        killed = self.target.store.processes().running[name].pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.target.store.processes().running[name].pid != killed)

    def last(self) -> Any:
        return self.journal.deployments()[-1]

    def only_the_champion(self) -> None:
        """Version 1 answers everything, and nothing else stands."""
        stands = self.target.state()
        assert stands.traffic == CHAMPION
        assert stands.versions == {stands.slots.champion: 1}
        champion = self.registry.alias(f"champion-{self.name}")
        assert champion
        assert champion.number == 1
        assert self.versions() == {"1"}


def until(done: Callable[[], Any], limit: float = 60) -> float:
    """Wait for it; return how long it took."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < limit
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        front = plant(tmp_path_factory.mktemp("front"))
        patch.setenv("PYTHONPATH", f"{front}{os.pathsep}{os.environ['PYTHONPATH']}")
        patch.setenv("MLOPS_SERVING__PORT", str(free_ports(1, set())[0]))
        for name, value in CALM.items():
            patch.setenv(name, value)
        home = Home()
        try:
            yield home
        finally:
            home.target.stop()


@pytest.fixture
def home(standing: Home) -> Home:
    standing.begin()
    return standing


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_good_challenger_is_promoted_and_no_request_fails(home: Home, strategy: STRATEGY) -> None:
    better = "2" if strategy == "ab" else ""
    print(f"\n{strategy}, good:")
    with home.load(better=better) as came:
        time.sleep(1)  # in which every caller asks
        home.mlops("release", "2", "--strategy", strategy, "--why", "better").wait()
        assert home.versions() == {"2"}
        time.sleep(1)
        wanted = [str(step.traffic) for step in plan(strategy, home.settings.release)]
        assert (home.last().verdict, home.last().weights) == ("promoted", wanted)
        home.mlops("rollback", "--why", "worse after all").wait()
        assert home.versions() == {"1"}
        time.sleep(1)
        assert home.target.state().traffic == CHAMPION
    assert came.failures == 0
    if strategy == "ab":  # one change when the step begins or when it ends, one by the rollback
        assert len(came.callers) == 200
        assert all(seen == ["1", "2", "1"] for seen in came.callers.values()), came.callers
    if strategy == "canary":  # which does not stick, or the test above could not fail
        assert any(seen != ["1", "2", "1"] for seen in came.callers.values())


FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"errors": 0.05},
    "latency": {"slow": 25},
    "distribution": {"shift": 0.1},
    "version": {"version": "9"},
    "start": {"crash": True},
}
STRICT = {"MLOPS_RELEASE__MIN_SAMPLES": "300", "MLOPS_RELEASE__STEPS": "[30, 50]"}


@pytest.mark.parametrize("check", FAULTS)
@pytest.mark.parametrize("strategy", ["canary", "ab", "shadow"])
def test_a_bad_challenger_is_rolled_back(home: Home, strategy: str, check: str) -> None:
    variables, fault = dict(STRICT), dict(FAULTS[check])
    if check == "start":
        home.fault(2, **fault)
    with home.load(better="2" if strategy == "ab" else "") as came:
        if check == "latency":
            time.sleep(1.5)
            mark = home.target.mark()
            time.sleep(2)
            champion = home.target.observe(mark)["blue"]
            fault["slow"] = max(25, 3 * quantile(champion.latency, 0.99))
            variables["MLOPS_RELEASE__LIMITS__LATENCY_MS"] = "20"
        print(f"\n{strategy}, {fault}:")
        released = home.mlops("release", "2", "--strategy", strategy, **variables)
        if check != "start":  # past the questions that are asked before there is any traffic
            until(lambda: home.seen("deployed"))
            home.fault(2, **fault)
        printed = released.wait(code=6)
        print(f"  {home.last().verdict}")
        home.only_the_champion()
    assert f"RolledBackError: Version 2 is rolled back. {check}:" in " ".join(printed.split())
    assert home.last().verdict.startswith(f"rolled back: {check}:")
    assert (home.last().weights == []) == (check == "start")
    if check != "errors" or strategy == "shadow":
        assert came.failures == 0
    assert came.failures == came.statuses[500]
    if strategy == "shadow":
        assert set(came.versions) == {"1"}


def test_too_little_is_waited_for(home: Home) -> None:
    patience = {"MLOPS_RELEASE__PATIENCE": "5", "MLOPS_RELEASE__HOLD": "0"}
    released = home.mlops("release", "2", "--strategy", "canary", **patience)
    until(lambda: home.seen("step"))
    home.answers(50)  # of which some five are the challenger's
    assert "patience" in released.wait(code=6)
    print(f"\n50 requests: {home.last().verdict}")
    assert home.last().verdict.startswith("rolled back: patience:")
    assert home.last().weights == ["90/10"]
    home.only_the_champion()


@pytest.mark.parametrize("number", [1, 2])
def test_missing_statistics_trigger_nothing(home: Home, number: int) -> None:
    with home.load() as came:
        home.fault(number, mute=True)
        patience = {"MLOPS_RELEASE__PATIENCE": "5", "MLOPS_RELEASE__HOLD": "0"}
        home.mlops("release", "2", "--strategy", "shadow", **patience).wait(code=6)
        print(f"\nversion {number} tells nothing: {home.last().verdict}")
        home.only_the_champion()
    assert home.last().verdict.startswith("rolled back: patience:")
    assert "distribution: 0 of 100" in home.last().verdict
    assert came.failures == 0


def what(entries: Sequence[Entry]) -> set[tuple[int, str, int]]:
    """Return which entries a release has: each event, at each step."""
    found, step = set(), -1
    for entry in entries:
        if entry.event == "step":
            step = entry.data["index"]
        at = -1 if entry.event in ("started", "deployed") else step
        found.add((entry.release, entry.event, at))
    return found


def doomed() -> None:
    """Die after the first entry that the journal has not had, before what it announces is done."""
    append = Journal.append

    def last(self: Journal, *of: Any, **data: Any) -> None:
        before = what(self.entries())
        append(self, *of, **data)
        if what(self.entries()) > before:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = last
    LocalTarget.poll, controller.LEASE = 0.1, 2.0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_controller_is_killed_at_every_entry(home: Home, strategy: STRATEGY) -> None:
    deaths, longest, before = list[str](), 0.0, len(home.journal.deployments())
    variables = {"MLOPS_RELEASE__HOLD": "0", "MLOPS_RELEASE__MIN_SAMPLES": "20"}
    with home.load(least=100, rate=200, better="2" if strategy == "ab" else "") as came:
        while not deaths or home.journal.pending():
            command = home.mlops("release", "2", "--strategy", strategy, first=doomed, **variables)
            printed = command.wait(code=-signal.SIGKILL)
            assert ("goes on where it was interrupted" in printed) == bool(deaths)
            deaths.append(home.journal.entries()[-1].event)
            longest = max(longest, until(lambda: whole(home)))
            if deaths[-1] not in ("promoting", "finished"):
                assert home.versions(50) == {"1"}
        assert home.versions() == {"2"}
    print(f"\n{strategy}: killed {len(deaths)} times, after {', '.join(deaths)}")
    print(f"  traffic was whole again within {longest:.1f} s (the lease is 2 s)")
    steps = plan(strategy, home.settings.release)
    assert deaths == [
        "started",
        "deployed",
        *["step", "judged"] * len(steps),
        "promoting",
        "finished",
    ]
    assert home.last().verdict == "promoted"
    assert len(home.journal.deployments()) == before + 1
    assert came.failures == 0


def whole(home: Home) -> bool:
    """Tell whether one version answers, for good."""
    desired = home.target.store.desired()
    return bool(desired and desired.lease is None and len(home.versions(50)) == 1)


def test_a_model_process_is_killed(home: Home) -> None:
    with home.load() as came:
        released = home.mlops("release", "2", "--strategy", "canary", MLOPS_RELEASE__HOLD="4")
        for index, name in enumerate(("green-0", "blue-0")):
            until(partial(home.seen, "step", index))
            time.sleep(1)
            home.kill(name)
        released.wait()
        assert home.versions() == {"2"}
    assert home.last().verdict == "promoted"
    assert came.failures == 0


def test_envoy_is_killed(home: Home) -> None:
    variables = {"MLOPS_RELEASE__HOLD": "8", "MLOPS_RELEASE__STEPS": "[40]"}
    with home.load(least=100) as came:
        released = home.mlops("release", "2", "--strategy", "canary", **variables)
        until(lambda: home.seen("step"))
        time.sleep(1)
        home.kill("envoy")
        until(lambda: answers(home))
        again = home.answers(600)
        assert home.seen("step")
        assert not home.seen("judged")
        released.wait()
        assert home.versions() == {"2"}
    share = again.versions["2"] / 6
    print(f"\nback: {share:.0f} % of 600 requests to the challenger, 40 are planned")
    assert abs(share - 40) < 8
    assert home.last().verdict == "promoted"
    assert came.failures < came.statuses.total() / 4


def answers(home: Home) -> bool:
    try:
        return ask(home.settings.serving.port, "/ready")[0] == 200
    except OSError:
        return False


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    given = {"content-type": "application/json", **headers}
    connection.request("POST" if body else "GET", path, body, given)
    response = connection.getresponse()
    told = response.status, json.loads(response.read())
    connection.close()
    return told


def test_two_controllers_and_an_operator(home: Home) -> None:
    with home.load() as came:
        released = home.mlops("release", "2", "--strategy", "canary", MLOPS_RELEASE__HOLD="60")
        until(lambda: home.seen("step"))
        refused = home.mlops("release", "2", "--strategy", "rolling").wait(code=1)
        assert f"process {released.process.pid}" in " ".join(refused.split())
        shown = home.mlops("status", COLUMNS="200").wait()
        print(f"\n{shown}")
        assert "of version 2: step 10 %" in shown
        lines = {line.split("│")[1].strip(): line for line in shown.splitlines() if "│" in line}
        for slot, role, version, share in (
            ("blue", "champion", "1", "90 %"),
            ("green", "challenger", "2", "10 %"),
        ):
            cells = [cell.strip() for cell in lines[slot].split("│")]
            assert cells[2:5] == [role, version, "yes"]
            assert cells[5].startswith(share)
            assert int(cells[6]) > 0
        assert released.process.is_alive()
        home.mlops("rollback", "--why", "it looks odd").wait()
        assert "champion answers alone" in released.wait()
        home.only_the_champion()
    assert home.last().verdict == "rolled back: operator: it looks odd"
    assert came.failures == 0


@pytest.mark.parametrize("room", ["none", "for the lock"])
def test_a_full_disk_is_refused_before_traffic_moves(home: Home, room: str) -> None:
    home.journal.path.touch()
    most = 16 if room == "for the lock" else 0
    before = home.target.store.path.read_bytes()

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with home.load() as came:
        printed = home.mlops("release", "2", "--strategy", "canary", first=full).wait(code=1)
        print(f"\nroom {room}: {printed}")
        assert home.target.store.path.read_bytes() == before
    assert "cannot be written: " in " ".join(printed.split())
    assert "Traceback" not in printed
    assert home.journal.pending() == []
    assert set(came.versions) == {"1"}
    assert came.failures == 0


def test_the_service_is_asked(home: Home) -> None:
    port = home.settings.serving.port
    print("\n" + home.mlops("test-live").wait())
    home.fault(1, errors=1.0)
    printed = home.mlops("test-live").wait(code=1)
    assert "smoke.valid: status 500, expected is 200" in " ".join(printed.split())
    home.fault(1)
    home.fault(2, errors=1.0)
    home.mlops("release", "2", "--strategy", "blue-green", "--why", "hope").wait(code=6)
    print(home.last().verdict)
    assert home.last().verdict.startswith("rolled back: start: smoke.valid: status 500")
    assert home.last().weights == []
    home.only_the_champion()
    home.fault(2)
    with home.load():
        home.mlops("release", "2", "--strategy", "blue-green", "--why", "mended").wait()
    listed = [line.split("\t") for line in home.mlops("deployments").wait().splitlines()]
    rows = [dict(zip(listed[0], line, strict=True)) for line in listed[1:]]
    digest = {one.number: one.digest[:12] for one in home.registry.list()}[2]
    rows = rows[-2:]
    assert [row["model"] for row in rows] == [digest, digest]
    assert [row["why"] for row in rows] == ["hope", "mended"]
    assert rows[0]["verdict"].startswith("rolled back: start")
    assert rows[1]["verdict"] == "promoted"
    assert all(row["who"] and row["started"] and row["finished"] for row in rows)
    assert rows[0]["gate"] == rows[1]["gate"] != ""

    status, told = ask(port, "/predict", home.bodies[0], **{"x-request-id": "why-this"})
    assert status == 200
    until(lambda: captured(home, "why-this"))
    explained = json.loads(home.mlops("explain", "why-this").wait())
    assert (explained["version"], explained["request_id"]) == (2, "why-this")
    total = explained["base"] + sum(explained["contributions"].values())
    assert abs(total - told["predictions"][0]) < 1e-4
    assert abs(explained["prediction"] - told["predictions"][0]) < 1e-6


def captured(home: Home, request: str) -> bool:
    printed = Command("explain", request, "--env", home.name)
    printed.process.join()
    return printed.process.exitcode == 0


def test_a_tag_asks_for_a_release(home: Home) -> None:
    refused = home.mlops("release", "--tagged", "--dry-run").wait(code=1)
    assert "tagged deploy-trigger" in " ".join(refused.split())
    Command("model", "tag", "2", "deploy-trigger").wait()
    shown = home.mlops("release", "--tagged", "--dry-run", "--strategy", "canary").wait()
    print(f"\n{shown}")
    assert "Version 2 to dev by canary" in shown
    assert [line.split("\t")[1] for line in shown.splitlines()[-2:]] == ["90/10", "50/50"]
    assert home.journal.entries() == []
    assert home.target.state().versions == {"blue": 1}


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Home]]:
    """All environments, version 1 their champion. Their ports are in their files."""
    front = f"{plant(tmp_path / 'front')}{os.pathsep}{os.environ['PYTHONPATH']}"
    small = {"MLOPS_SERVING__REPLICAS": "1", "MLOPS_RELEASE__STEPS": "[40]"}
    for name, value in {**CALM, **small, "PYTHONPATH": front}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLOPS_SERVING__PORT", raising=False)
    names, taken = project.ENVIRONMENTS, set[int]()
    for name in names:
        path, port = Path(f"environments/{name}.yaml"), free_ports(1, taken)[0]
        taken.add(port)
        path.write_text(re.sub(r"  port: \d+", f"  port: {port}", path.read_text()))
    made = [Home(name) for name in names]
    try:
        made[0].begin()
        for home in made[1:]:
            home.mlops("release", "1", "--why", "the first").wait()
            assert home.last().strategy == "first"
        yield made
    finally:
        for home in made:
            home.target.stop()


def test_a_version_goes_through_all_environments(homes: list[Home]) -> None:
    names = [home.name for home in homes]
    assert names == ["dev", "staging", "prod"]
    for home in homes:
        status, told = ask(home.settings.serving.port, "/predict", home.bodies[0])
        print(f"\n{home.name} without a key: {status} {told}")
        assert status == (200 if home.name == "dev" else 401)
        assert home.versions(50) == {"1"}
    homes[0].fault(2, crash=True)
    Command("cd", "2").wait(code=6)
    assert homes[0].last().verdict.startswith("rolled back: start")
    assert [len(home.journal.deployments()) for home in homes] == [1, 1, 1]
    homes[0].fault(2)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(home.load(least=60, rate=80)) for home in homes]
        printed = Command("cd", "2", "--why", "onwards").wait()
        for home in homes:
            assert home.versions(50) == {"2"}
    assert [line for line in printed.splitlines() if line in names] == names
    assert [came.failures for came in loads] == [0, 0, 0]
    made = [home.last() for home in homes]
    assert all(one.verdict == "promoted" for one in made)
    assert all(
        one.strategy == home.settings.release.strategy
        for one, home in zip(made, homes, strict=True)
    )
    assert len({one.digest for one in made}) == 1
    assert all(one.finished <= other.started for one, other in itertools.pairwise(made))
    print(
        f"{made[0].digest[:12]}: "
        + ", ".join(f"{n} {o.finished}" for n, o in zip(names, made, strict=True))
    )
