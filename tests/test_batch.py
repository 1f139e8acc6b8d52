"""Batch for real: equal to online, flat in memory, killed and resumed, on two workers of Ray."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

pytestmark = pytest.mark.long

SCORE = """
import json, sys
from pathlib import Path
from mlops.serve import batch

model, source, target = map(Path, sys.argv[1:4])
summary = batch.score(model, source, target, 1)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"rows": summary.rows, "refused": summary.refused, "peak": int(peak.split()[1])}))
"""
REPEAT = """
import sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq

source, target, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
table = pa.concat_tables([pq.read_table(path) for path in sorted(source.glob("*.parquet"))])
pq.write_table(pa.concat_tables([table] * times), target, row_group_size=1 << 30)
"""
# A worker leaves its process's number, and waits for a second one: the work would be too quick.
RAY = """
import os, sys, time
from pathlib import Path
import ray
from mlops.serve import batch

model, source, target, seen = map(Path, sys.argv[1:])
original = batch._answer

def told(records, model, version):
    (seen / str(os.getpid())).touch()
    waiting = time.monotonic() + 60
    while len(os.listdir(seen)) < 2 and time.monotonic() < waiting:
        time.sleep(0.05)
    return original(records, model, version)

batch._answer = told
ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1")
# A task takes 128 MB else, which is all of it.
ray.data.DataContext.get_current().target_max_block_size = 1 << 20
batch.score(model, source, target, 1, ray=True)
"""
# Goes on, and keeps the parts at the end.
KEEPING = """
import os
from pathlib import Path
from mlops.serve import batch

batch.shutil.rmtree = lambda path, **_: os.rename(path, "seen")
batch.score(Path("models/candidate"), Path("10.parquet"), Path("resumed.parquet"), 1)
"""
LOAD = "import pyarrow.parquet as pq; print(pq.read_table({!r}, columns=['{}'])[0].to_pylist())"


def python(project: Project, code: str, *arguments: object) -> str:
    return project.run("python", "-c", code, *map(str, arguments))


def score(project: Project, source: object, target: object) -> dict[str, int]:
    last = python(project, SCORE, "models/candidate", source, target).splitlines()[-1]
    found: dict[str, int] = json.loads(last)
    return found


def test_equal_to_online(trained: Project) -> None:
    found = score(trained, "data/raw/2013-07.parquet", "answers.parquet")
    assert found["rows"] > 20_000
    assert found["refused"] == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    records = json.loads(
        python(
            trained,
            "import pandas as pd; from mlops import project\n"
            "names = list(project.schema.Inputs.to_schema().columns)\n"
            "rows = pd.read_parquet('data/raw/2013-07.parquet')[names].head(2000)\n"
            "print(rows.to_json(orient='records', double_precision=15))",
        )
    )
    arguments = ["--model", "models/candidate", "--version", "1", "--port", str(port)]
    server = subprocess.Popen(
        [trained.environment / "bin/python", "-m", "mlops.serve", *arguments],
        cwd=trained.root,
        env=os.environ | {"PYTHONPATH": str(trained.root / "src"), "MLOPS_ENV": "dev"},
    )
    try:
        online = [
            prediction
            for start in range(0, len(records), 500)
            for prediction in ask(port, records[start : start + 500])
        ]
    finally:
        server.terminate()
        server.wait()
    batch = json.loads(python(trained, LOAD.format("answers.parquet", "prediction")))
    assert online == batch[: len(online)]


def ask(port: int, records: list[dict[str, Any]]) -> list[float]:
    """Return the server's predictions, once it answers."""
    body = json.dumps({"records": records}).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
    for _ in range(600):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: list[float] = json.load(answer)["predictions"]
                return found
        except ConnectionError:
            time.sleep(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            time.sleep(0.1)
    raise TimeoutError("the server does not come up")


def test_flat_memory_and_resumed_after_a_kill(trained: Project) -> None:
    """Ten times the rows, in one group of rows, take hardly more memory."""
    for times in (1, 10):
        python(trained, REPEAT, "data/raw", f"{times}.parquet", times)
    once = score(trained, "1.parquet", "once.parquet")
    ten = score(trained, "10.parquet", "whole.parquet")
    assert ten["rows"] == 10 * once["rows"] > 1_000_000
    print(
        f"peak: {once['peak'] / 1024:.0f} MB, with ten times the rows {ten['peak'] / 1024:.0f} MB"
    )
    assert ten["peak"] < 1.25 * once["peak"]

    parts = trained.root / "resumed.parquet.parts"
    command = ["-c", SCORE, "models/candidate", "10.parquet", "resumed.parquet"]
    running = subprocess.Popen(
        [trained.environment / "bin/python", *command],
        cwd=trained.root,
        env=os.environ | {"PYTHONPATH": str(trained.root / "src")},
    )
    while len(list(parts.glob("*.parquet"))) < 3 and running.poll() is None:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = {path.name: path.stat().st_ino for path in parts.glob("*.parquet")}
    assert 3 <= len(done) < ten["rows"] / 20_000
    assert not (trained.root / "resumed.parquet").exists()
    python(trained, KEEPING)
    again = {path.name: path.stat().st_ino for path in (trained.root / "seen").glob("*.parquet")}
    assert len(again) > len(done)
    assert done == {name: again[name] for name in done}  # a part written again is another file
    same = (trained.root / name for name in ("whole.parquet", "resumed.parquet"))
    assert len({path.read_bytes() for path in same}) == 1


def test_two_workers_of_ray_give_the_same_file(trained: Project, tmp_path: Path) -> None:
    found = score(trained, "data/raw", "here.parquet")
    trained.run("uv", "sync", "--locked", "--no-dev", "--extra", "ray", "--quiet")
    worker = Project(trained.root, trained.root / ".venv")
    seen = tmp_path / "seen"
    seen.mkdir()
    paths = ("models/candidate", "data/raw", "ray.parquet")
    model, source, target = (trained.root / path for path in paths)
    # Its own network, in which there is nothing but loopback.
    variables = {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": "/tmp"}
    command = ["python", "-c", RAY, str(model), str(source), str(target), str(seen)]
    worker.run(*offline(), *command, variables=variables)
    assert len(list(seen.iterdir())) >= 2
    compare = (
        "import sys, pyarrow.parquet as pq\n"
        "here, there = map(pq.read_table, ('here.parquet', 'ray.parquet'))\n"
        "assert here.equals(there)\nprint(here.num_rows)"
    )
    assert int(python(trained, compare)) == found["rows"]


def offline() -> list[str]:
    """Return what a command is started with to have no network but loopback, where that can be."""
    prefix = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    can = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return [] if can.returncode else prefix
