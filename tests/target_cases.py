"""What the local target must stand; test_target.py runs each by a generated project's Python."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
from faulty_server import FAULT, plant
from mlops.errors import MlopsError
from mlops.release.targets.base import DeployError
from mlops.release.targets.local import LocalTarget, free_ports
from mlops.release.traffic import CHALLENGER, CHAMPION, Slots, Traffic
from mlops.serve.load import Load, run
from mlops.settings import load_settings

BODY = b'{"records": [{}]}'
BLUE, GREEN = Slots(), Slots(champion="green")
RATE = 250


class Environment:
    """An environment with two models, whose faults can be set."""

    def __init__(self, folder: Path) -> None:
        self.settings = load_settings("dev")
        self.settings.serving.port = free_ports(1, set())[0]
        self.settings.serving.timeout = 2
        self.target = LocalTarget("dev", self.settings)
        self.models = {1: folder / "1", 2: folder / "2"}
        for number in self.models:
            self.fault(number)
        self.url = f"http://127.0.0.1:{self.settings.serving.port}/predict"

    def fault(self, number: int, **faults: Any) -> None:
        self.models[number].mkdir(exist_ok=True)
        new = self.models[number] / "new"
        new.write_text(json.dumps({"toy": True, **faults}))
        new.replace(self.models[number] / FAULT)

    def up(self) -> LocalTarget:
        self.target.deploy("blue", 1, self.models[1])
        self.target.route(CHAMPION, BLUE)
        self.target.deploy("green", 2, self.models[2])
        return self.target

    def pid(self, name: str) -> int:
        return int(self.target.store.processes().running[name].pid)

    def supervisor(self) -> psutil.Process:
        found = [
            one
            for one in psutil.process_iter(["cmdline", "cwd"])
            if "mlops.release.targets.supervisor" in (one.info["cmdline"] or [])
            and one.info["cwd"] == os.getcwd()
        ]
        assert len(found) == 1, found
        return found[0]

    def send(self, requests: int, **options: Any) -> Load:
        return asyncio.run(run(self.url, [BODY], requests=requests, **options))

    @contextlib.contextmanager
    def load(self, least: int = 200) -> Iterator[Load]:
        """Send so many requests a second meanwhile; the figures stand at the end."""
        total, over = Load(), threading.Event()

        def work() -> None:
            while not over.is_set():
                one = asyncio.run(run(self.url, [BODY], seconds=1, rate=RATE, connections=8))
                total.seconds += one.seconds
                total.statuses += one.statuses
                total.versions += one.versions
                total.latencies += one.latencies

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield total
        finally:
            time.sleep(0.5)
            over.set()
            thread.join()
            print(f"\n{total}, {dict(total.statuses)}, versions {dict(total.versions)}")
        assert total.requests / total.seconds >= least


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    front = [str(plant(tmp_path / "front")), os.environ["PYTHONPATH"]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(front))
    environment = Environment(tmp_path)
    try:
        yield environment
        running = environment.target.store.processes()
    finally:
        environment.target.stop()
    for one in (*running.running.values(), *running.leaving.values()):
        gone(one.pid)


def gone(pid: int) -> None:
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def until(done: Callable[[], bool], limit: float = 30) -> float:
    """Wait for it; return how long it took."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < limit
        time.sleep(0.05)
    return time.monotonic() - began


def test_no_request_fails_through_changes(home: Environment) -> None:
    target = home.up()
    with home.load() as load:
        for share in (5, 25, 50, 100, 75, 10):
            target.route(Traffic(champion=100 - share, challenger=share), BLUE, 30)
            time.sleep(0.3)
        target.route(CHALLENGER, BLUE)
        target.route(CHAMPION, GREEN)  # promoted
        target.remove("blue")
        target.deploy("blue", 1, home.models[1])
        for share in (0, 50, 100):
            target.route(Traffic(champion=100 - share, challenger=share, sticky=True), GREEN)
            time.sleep(0.3)
        target.route(CHAMPION, BLUE)  # and back
        target.route(Traffic(mirror=100), BLUE)
        time.sleep(0.3)
        target.route(CHAMPION, BLUE)
        target.deploy("green", 3, home.models[2])  # in the other's place
        target.remove("green")
    assert load.failures == 0
    assert set(load.versions) == {"1", "2"}


@pytest.mark.parametrize("share", [5, 10, 80])
def test_split(home: Environment, share: int) -> None:
    home.up().route(Traffic(champion=100 - share, challenger=share), BLUE)
    load = home.send(5000)
    print(f"\n{share} %: {load.versions['2'] / 50:.2f}")
    assert load.failures == 0
    assert abs(load.versions["2"] / 50 - share) < 2


def test_sticky(home: Environment) -> None:
    target, callers, before = home.up(), [f"caller-{n}" for n in range(5000)], set[str]()
    for share in (10, 25, 50):
        target.route(Traffic(champion=100 - share, challenger=share, sticky=True), BLUE)
        load = home.send(15000, callers=callers)
        assert load.failures == 0
        assert all(len(versions) == 1 for versions in load.callers.values())
        moved = {caller for caller, versions in load.callers.items() if versions == {"2"}}
        print(f"\n{share} %: {len(moved) / 50:.2f} of the callers")
        assert abs(len(moved) / 50 - share) < 2
        assert before <= moved  # a growing share takes nobody back
        before = moved
        assert len(home.send(200).versions) == 1  # without a name it goes by the address


@pytest.mark.parametrize("fault", [{}, {"hang": True}, {"errors": 1}, {"slow": 500}])
def test_a_shadow_harms_nobody(home: Environment, fault: dict[str, Any]) -> None:
    target = home.up()
    home.fault(2, **fault)
    target.route(Traffic(mirror=100), BLUE)
    mark = target.mark()
    load = home.send(1500, rate=RATE)
    assert load.failures == 0
    assert set(load.versions) == {"1"}
    until(lambda: target.observe(mark)["green"].requests >= 1450)
    seen = target.observe(mark)
    print(f"\n{fault}: {load}; shadow {seen['green'].requests}, errors {seen['green'].errors}")
    assert seen["blue"].requests == 1500
    assert seen["blue"].errors == 0
    if "hang" in fault or "errors" in fault:
        assert seen["green"].errors >= 1450
    else:
        assert seen["green"].errors == 0


def test_a_shadow_that_dies_harms_nobody(home: Environment) -> None:
    target = home.up()
    target.route(Traffic(mirror=50), BLUE)
    with home.load() as load:
        for name in ("green-0", "green-1"):
            os.kill(home.pid(name), signal.SIGKILL)
        time.sleep(2)
    assert load.failures == 0
    assert set(load.versions) == {"1"}


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_a_replica_is_lost(home: Environment, by: signal.Signals) -> None:
    home.settings.serving.timeout = 10
    target = home.up()
    before = target.store.processes().running["blue-0"]
    with home.load(0 if by == signal.SIGSTOP else 200) as load:  # some wait until Envoy sees it
        time.sleep(0.5)
        os.kill(before.pid, by)
        if by == signal.SIGSTOP:
            time.sleep(6)
            os.kill(before.pid, signal.SIGCONT)
        else:
            until(lambda: home.pid("blue-0") != before.pid)
        took = until(lambda: target.state().ready["blue"])
        time.sleep(0.5)
    after = target.store.processes().running["blue-0"]
    print(f"{by.name}: ready again after {took:.1f} s")
    assert load.failures == 0
    assert after.port == before.port
    assert (after.pid == before.pid) == (by == signal.SIGSTOP)


def test_envoy_is_killed(home: Environment) -> None:
    target = home.up()
    target.route(Traffic(champion=60, challenger=40), BLUE)
    replicas = [home.pid(name) for name in ("blue-0", "green-1")]
    with home.load() as load:
        time.sleep(0.5)
        killed = home.pid("envoy")
        os.kill(killed, signal.SIGKILL)
        until(lambda: home.pid("envoy") != killed)
        took = until(lambda: home.send(1).failures == 0)
    print(f"back after {took:.2f} s; {load.failures} failed meanwhile")
    again = home.send(2000)
    assert again.failures == 0
    assert abs(again.versions["2"] / 20 - 40) < 5
    assert [home.pid(name) for name in ("blue-0", "green-1")] == replicas


def test_the_supervisor_is_killed(home: Environment) -> None:
    target = home.up()
    before = target.store.processes()
    first = home.supervisor()
    with home.load() as load:
        first.kill()
        time.sleep(1)
        target.route(Traffic(champion=50, challenger=50), BLUE)
        time.sleep(0.5)
    assert load.failures == 0
    assert set(load.versions) == {"1", "2"}
    assert target.store.processes() == before  # gone on with, not begun again
    assert home.supervisor().pid != first.pid
    os.kill(home.pid("blue-1"), signal.SIGKILL)  # whose parent it is not
    until(lambda: home.pid("blue-1") != before.running["blue-1"].pid)


def test_a_second_supervisor_is_refused(home: Environment) -> None:
    home.up()
    command = [sys.executable, "-m", "mlops.release.targets.supervisor", "dev"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode
    assert "dev has a supervisor already" in done.stderr


def test_a_stranger_is_left_alone(home: Environment) -> None:
    target = home.up()
    home.supervisor().kill()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        processes = target.store.processes()
        os.kill(processes.running["green-0"].pid, signal.SIGKILL)
        processes.running["green-0"].pid = stranger.pid  # the system gives numbers anew
        target.store.processes_path.write_text(processes.model_dump_json())
        until(lambda: not target.store.has_supervisor())
        target.mark()
        until(lambda: home.pid("green-0") != stranger.pid)
        target.remove("green")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_lease_runs_out(home: Environment) -> None:
    target, split = home.up(), Traffic(champion=50, challenger=50)
    with home.load() as load:
        for _ in range(4):
            target.route(split, BLUE, 2)
            time.sleep(0.7)
        assert target.state().traffic == split  # renewed in time
        until(lambda: target.state().traffic == CHAMPION)
        time.sleep(0.5)
    assert load.failures == 0
    assert set(home.send(300).versions) == {"1"}
    desired = target.store.desired()
    assert desired
    assert desired.lapsed
    assert desired.lease is None


def test_a_lease_runs_out_unsupervised(home: Environment) -> None:
    target = home.up()
    target.route(Traffic(champion=50, challenger=50), BLUE, 0.5)
    home.supervisor().kill()
    time.sleep(1)
    target.state()
    until(lambda: set(home.send(100).versions) == {"1"})


def test_figures(home: Environment) -> None:
    target = home.up()
    home.send(200)
    home.fault(2, slow=60, errors=0.2, version="9", shift=0.5)
    target.route(Traffic(champion=50, challenger=50), BLUE)
    time.sleep(1)
    mark = target.mark()
    load = home.send(1000)
    ask(home, "POST", "/feedback", b'{"outcome": -2}')
    time.sleep(1)
    seen = target.observe(mark)
    blue, green = seen["blue"], seen["green"]
    assert blue.requests + green.requests == 1001
    assert load.statuses[500] > 50
    assert green.errors - load.statuses[500] in (0, 1)  # the feedback's answer may be one
    assert blue.errors == 0
    assert blue.versions == {"1": load.versions["1"]}
    assert green.versions == {"9": load.versions["9"]}
    assert sum(blue.latency.counts) == blue.requests
    assert p99(green) >= 60 > p99(blue) * 0.9
    assert sum(blue.predictions.counts) == load.versions["1"]
    below = sum(green.predictions.counts[:5])
    assert below == 0 < sum(blue.predictions.counts[:5])
    assert blue.outcomes + green.outcomes == 1
    assert (blue.total + green.total, blue.squares + green.squares) == (-2, 4)
    os.kill(home.pid("blue-0"), signal.SIGKILL)  # its counts begin anew
    until(lambda: target.state().ready["blue"])
    again = target.observe(mark)["blue"]
    assert 0 < again.versions["1"] <= blue.versions["1"]
    os.kill(home.pid("envoy"), signal.SIGSTOP)  # and without Envoy nothing is known
    try:
        assert target.observe(mark) == {}
    finally:
        os.kill(home.pid("envoy"), signal.SIGCONT)


def p99(window: Any) -> float:
    reached, total = 0.0, sum(window.latency.counts)
    for edge, count in zip(window.latency.edges, window.latency.counts, strict=False):
        reached += count
        if reached >= 0.99 * total:
            return float(edge)
    return float("inf")


def ask(
    home: Environment, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", home.settings.serving.port, timeout=10)
    connection.request(method, path, body, {"x-request-id": "mine"})
    response = connection.getresponse()
    told = response.read()
    connection.close()
    return response.status, {**dict(response.getheaders()), "body": told.decode()}


def test_what_callers_reach(home: Environment) -> None:
    home.up()
    status, answer = ask(home, "POST", "/predict", BODY)
    assert status == 200
    assert "server" not in {name.lower() for name in answer}
    assert json.loads(answer["body"])["request_id"] == "mine"
    assert ask(home, "GET", "/ready")[0] == 200
    for method, path in (("GET", "/metrics"), ("GET", "/predict"), ("POST", "/admin")):
        assert ask(home, method, path)[0] == 404


def test_calls_can_be_repeated(home: Environment) -> None:
    target = home.up()
    before = target.store.processes()
    home.up()
    target.route(CHAMPION, BLUE)
    assert target.store.processes() == before
    with pytest.raises(MlopsError, match="answers callers"):
        target.remove("blue")
    with pytest.raises(MlopsError, match="answers callers"):
        target.deploy("blue", 2, home.models[2])
    target.remove("green")
    target.remove("green")
    with pytest.raises(MlopsError, match="nothing in the green slot"):
        target.route(Traffic(champion=50, challenger=50), BLUE)
    assert target.state().versions == {"blue": 1}
    assert target.ask("blue", "/ready")[1]["version"] == "1"
    assert target.ask(None, "/predict", {"records": [{}]})[1]["version"] == "1"


def test_a_model_that_crashes(home: Environment) -> None:
    target = home.target
    target.deploy("blue", 1, home.models[1])
    target.route(CHAMPION, BLUE)
    home.fault(2, crash=True)
    with home.load() as load:
        with pytest.raises(DeployError, match=r"(?s)crashed.*planted: this model does not load"):
            target.deploy("green", 2, home.models[2])
        target.remove("green")
    assert load.failures == 0
    home.fault(2)
    target.deploy("green", 2, home.models[2])


def test_what_hangs_is_ended(home: Environment) -> None:
    target = home.up()
    home.fault(2, hang=True)
    target.route(Traffic(mirror=100), BLUE)
    home.send(20)
    target.route(CHAMPION, BLUE)
    os.kill(home.pid("green-0"), signal.SIGSTOP)
    pids = [home.pid("green-0"), home.pid("green-1")]
    target.remove("green")
    for pid in pids:
        gone(pid)


def test_a_port_that_is_taken(home: Environment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", home.settings.serving.port))
        taken.listen()
        port = home.settings.serving.port
        with pytest.raises(MlopsError, match=rf"Port {port} .*serving\.port in environments/dev"):
            home.target.deploy("blue", 1, home.models[1])
    assert home.target.state().versions == {}


def test_a_disk_that_is_full(home: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    target = home.up()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(MlopsError, match=r"state\.json cannot be written: No space left"):
            target.route(CHALLENGER, BLUE)
    assert target.state().traffic == CHAMPION
    assert set(home.send(50).versions) == {"1"}


def test_stopped(home: Environment) -> None:
    target = home.up()
    pids = [one.pid for one in target.store.processes().running.values()]
    assert len(pids) == 5
    target.stop()
    target.stop()
    for pid in pids:
        gone(pid)
    assert target.state().address == ""
    home.up()


def test_a_project_that_is_deleted_leaves_nothing_behind(home: Environment) -> None:
    target = home.up()
    supervisor = home.supervisor()
    left = [psutil.Process(one.pid) for one in target.store.processes().running.values()]
    assert len(left) == 5
    shutil.rmtree(target.store.folder)
    _ended, alive = psutil.wait_procs([*left, supervisor], timeout=30)
    assert alive == []
