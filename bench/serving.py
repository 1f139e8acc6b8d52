"""The generated server beside others that answer with the same ONNX model, under load.

One server at a time, on loopback: started, asked for every row, loaded by wrk, measured, ended.
Memory is the proportional set size (PSS) of all its processes in megabytes (MB, 10^6 bytes).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from measure import Figures, environment, progress, run

ROOT = Path(__file__).resolve().parents[1]
PEERS, VENV = ROOT / "bench/peers", ROOT / "build/bench/peers"
ROWS, BATCH = 200, 100
SECONDS = {1: 2.0, 16: 3.0}  # of load, by connections
START = 90  # seconds in which a server must answer
ENDED = 3  # seconds it has to end by itself
QUIET = {
    "BENTOML_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "UVICORN_ACCESS_LOG": "false",  # MLflow has no option for it
}
OURS, PROXIED = "this server", "this server, through Envoy"
MLFLOW, FLOOR = "`mlflow models serve`, a signature of ", "the floor: FastAPI, a constant"
Record = dict[str, Any]


def plain(records: list[Record]) -> Any:
    """Return the body that all but MLflow take."""
    return {"records": records}


def table(records: list[Record]) -> Any:
    """Return MLflow's body for a signature of columns."""
    names = list(records[0])
    data = [[record[name] for name in names] for record in records]
    return {"dataframe_split": {"columns": names, "data": data}}


def tensors(records: list[Record]) -> Any:
    """Return MLflow's body for a signature of tensors."""
    kinds: dict[str, list[str]] = {"columns:number": [], "columns:text": []}
    for name, value in records[0].items():
        kinds["columns:text" if isinstance(value, str) else "columns:number"].append(name)
    return {"inputs": {k: [[r[n] for n in names] for r in records] for k, names in kinds.items()}}


@dataclass(frozen=True)
class Service:
    """A server: its commands (the last one is asked), its port, its bodies and answers."""

    commands: list[list[str]]
    port: int
    path: str = "/predict"
    body: Callable[[list[Record]], Any] = plain
    predictions: Callable[[Any], list[float]] = lambda answer: answer["predictions"]
    constant: bool = False
    batches: bool = True

    def ask(self, records: list[Record]) -> Any:
        """Return the answer for some records."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.path}",
            json.dumps(self.body(records)).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Load:
    """One round of a server: s to the first answer, MB, and what it did at each load."""

    start: float
    memory: float
    rates: dict[int, float]  # requests/s by connections
    p99: dict[int, float]  # ms by connections
    records: float  # per s, in requests of BATCH


Loads = dict[str, list[Load]]


def services(folder: Path, work: Path, rows: Path) -> dict[str, Service]:
    """Return what is measured; the models and files they need are written."""
    python, theirs = str(folder / ".venv/bin/python"), str(VENV / "bin/python")
    onnx = folder / "models/candidate/model.onnx"
    os.environ |= QUIET | {"BENCH_MODEL": str(onnx), "BENTOML_HOME": str(work / "bentoml")}
    ports = free(10)
    ours = [python, "-m", "mlops.serve", "--model", str(onnx.parent), "--version", "1"]
    ours += ["--host", "127.0.0.1", "--port", str(ports[0])]
    envoy = [str(folder / ".venv/bin/envoy"), "--concurrency", "1", "--log-level", "error"]
    envoy += ["--disable-hot-restart", "--config-path", str(work / "envoy/bootstrap.json")]
    where = map(str, (ports[1], ports[0], ports[9]))
    run(folder, python, str(PEERS / "envoy.py"), str(work / "envoy"), *where)
    found = {
        OURS: Service([ours], ports[0]),
        PROXIED: Service([ours, envoy], ports[1]),
    }
    for kind, body, port in (("tensors", tensors, ports[2]), ("table", table, ports[3])):
        made = str(work / kind)
        run(folder, theirs, str(PEERS / "with_mlflow.py"), kind, str(rows), made)
        command = [str(VENV / "bin/mlflow"), "models", "serve", "--env-manager", "local"]
        command += ["--workers", "1", "-m", made, "-h", "127.0.0.1", "-p", str(port)]
        read = positive if kind == "tensors" else Service.predictions
        name = f"{MLFLOW}{'columns' if kind == 'table' else kind}"
        found[name] = Service([command], port, "/invocations", body, read)
    for size, port in ((1, ports[4]), (16, ports[5])):
        command = [theirs, str(PEERS / "with_litserve.py"), str(port), str(size)]
        name = "LitServe, batching" if size > 1 else "LitServe"
        found[name] = Service([command], port, batches=size == 1)
    for kind, port in (("Plain", ports[6]), ("Batched", ports[7])):
        command = [theirs, "-m", "bentoml", "serve", f"with_bentoml:{kind}"]
        command += ["--working-dir", str(PEERS), "--host", "127.0.0.1", "--port", str(port)]
        name = "BentoML, batching" if kind == "Batched" else "BentoML"
        found[name] = Service([command], port, predictions=list)
    floor = [python, "-m", "uvicorn", "--app-dir", str(PEERS), "floor:app", "--loop", "uvloop"]
    floor += ["--http", "httptools", "--no-access-log", "--no-server-header"]
    floor += ["--log-level", "warning", "--port", str(ports[8])]
    found[FLOOR] = Service([floor], ports[8], constant=True)
    return found


def positive(answer: Any) -> list[float]:
    """Return the probabilities of the positive class from MLflow's tensors."""
    return [pair[1] for pair in answer["predictions"]["probabilities"]]


def free(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


@contextmanager
def running(service: Service, folder: Path, record: Record) -> Iterator[tuple[float, list[Any]]]:
    """Start a server; yield the seconds until its first answer, and its processes; end it."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        parents = [
            psutil.Popen(
                command,
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            for command in service.commands
        ]
        everything = parents
        try:
            while True:
                try:
                    service.ask([record])
                    break
                except (OSError, urllib.error.URLError):
                    gone = any(parent.poll() is not None for parent in parents)
                    if gone or time.perf_counter() - started > START:
                        log.seek(0)
                        sys.exit(f"{log.read().decode()}\n{service.commands} does not answer")
                    time.sleep(0.005)
            seconds = time.perf_counter() - started
            everything = parents + [c for p in parents for c in p.children(recursive=True)]
            yield seconds, everything
        finally:
            end(parents, everything)


def end(parents: list[Any], everything: list[Any]) -> None:
    """End a server; what does not go by itself is ended, by its id."""
    for parent in parents:
        everything = everything + parent.children(recursive=True) if parent.is_running() else []
        parent.terminate()
    for process in psutil.wait_procs(everything, timeout=ENDED)[1]:
        process.kill()
    psutil.wait_procs(everything, timeout=ENDED)


def load(service: Service, bodies: Path, connections: int, seconds: float) -> dict[str, float]:
    """Post the bodies in turn for some seconds; one that fails ends the run."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--latency"]
    command += ["--duration", f"{seconds:.0f}s", "--timeout", "10s"]
    command += ["--script", str(PEERS / "load.lua")]
    command += [f"http://127.0.0.1:{service.port}{service.path}", "--", str(bodies)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["failed"] or not found["requests"]:
        sys.exit(f"{done.stdout}\n{service.commands[-1]}: {found['failed']:.0f} requests failed")
    return found | {"rate": found["requests"] / found["seconds"]}


def once(service: Service, folder: Path, records: list[Record], truth: list[float]) -> Load:
    """Start, check, load and end a server."""
    with tempfile.TemporaryDirectory() as place, running(service, folder, records[0]) as (s, all_):
        answers = [service.predictions(service.ask([record]))[0] for record in records]
        worst = max(abs(a - b) for a, b in zip(answers, truth, strict=True))
        if worst > 1e-6 and not service.constant:
            sys.exit(f"{service.commands[-1]}: another answer, by {worst:g}")
        single, many = Path(place) / "1", Path(place) / str(BATCH)
        write(single, service, [[record] for record in records])
        write(many, service, [records[:BATCH], records[-BATCH:]])
        found = {n: load(service, single, n, seconds) for n, seconds in SECONDS.items()}
        memory = sum(process.memory_full_info().pss for process in all_) / 1e6
        rates = {n: each["rate"] for n, each in found.items()}
        full = service.batches and not service.constant
        rate = load(service, many, 1, 1)["rate"] * BATCH if full else float("nan")
        return Load(s, memory, rates, {n: each["p99"] for n, each in found.items()}, rate)


def write(path: Path, service: Service, requests: list[list[Record]]) -> None:
    """Write the bodies of requests, one a line."""
    lines = (json.dumps(service.body(records)) + "\n" for records in requests)
    path.write_text("".join(lines), encoding="utf-8")


def install() -> None:
    """Bring the peers into an environment of their own."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: it makes the load (apt-get install wrk, brew install wrk).")
    VENV.parent.mkdir(parents=True, exist_ok=True)
    python = str(VENV / "bin/python")
    run(ROOT, "uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV))
    sync = ["uv", "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
    run(ROOT, *sync, "--python", python, str(PEERS / "requirements.txt"))


def measure_all(folder: Path, work: Path, rounds: int) -> Loads:
    """Measure every server in turn, back and forth; the first round is dropped."""
    rows = work / "rows.json"
    listed = [str(folder / ".venv/bin/python"), str(PEERS / "rows.py"), str(folder), str(ROWS)]
    rows.write_bytes(subprocess.run(listed, check=True, capture_output=True).stdout)
    records: list[Record] = json.loads(rows.read_text(encoding="utf-8"))
    cases = services(folder, work, rows)
    ours = next(iter(cases.values()))
    with running(ours, folder, records[0]):
        truth = [ours.predictions(ours.ask([record]))[0] for record in records]
    loads: Loads = {name: [] for name in cases}
    turns = [n for i in range(rounds + 1) for n in (list(cases) if i % 2 else reversed(cases))]
    for name in progress(turns, "serving"):
        loads[name].append(once(cases[name], folder, records, truth))
    return {name: found[1:] for name, found in loads.items()}


def compared(
    loads: Loads,
    value: Callable[[Load], float],
    rivals: tuple[str, ...],
    best: Callable[..., float] = max,
) -> tuple[float, float, float]:
    """Return ours over the best of the rivals: of the medians, lowest and highest of a round.

    ``rivals`` are what their names start with.
    """
    theirs = [found for name, found in loads.items() if name.startswith(rivals)]
    ours = loads[OURS]
    middle = median(map(value, ours)) / best(median(map(value, found)) for found in theirs)
    pairs = [value(o) / best(map(value, t)) for o, *t in zip(ours, *theirs, strict=True)]
    return middle, min(pairs), max(pairs)


def figures(loads: Loads) -> Figures:
    """Return the results: rates at 16 connections, and with the suffix _1 at one."""
    found: Figures = {}
    for suffix, n in (("", 16), ("_1", 1)):

        def rate(load: Load, n: int = n) -> float:
            return load.rates[n]

        # A signature of columns is what ``infer_signature`` makes of a frame; tensors are quicker.
        found[f"serving.vs_mlflow{suffix}"] = compared(loads, rate, (f"{MLFLOW}columns",))
        found[f"serving.vs_mlflow_tensors{suffix}"] = compared(loads, rate, (MLFLOW,))
        found[f"serving.vs_best_peer{suffix}"] = compared(loads, rate, ("LitServe", "BentoML"))
        found[f"serving.vs_floor{suffix}"] = compared(loads, rate, (FLOOR,))
        direct, low, high = compared(loads, rate, (PROXIED,))
        found[f"serving.envoy_hop{suffix}"] = (1 / direct, 1 / high, 1 / low)
    found["serving.memory_vs_mlflow"] = compared(loads, lambda load: load.memory, (MLFLOW,), min)
    found["serving.start_vs_mlflow"] = compared(loads, lambda load: load.start, (MLFLOW,), min)
    return found
