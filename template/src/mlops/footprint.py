"""What a served model costs: size on disk, memory, time per prediction.

Measured in a process of its own, ``python -m mlops.footprint FOLDER``, which prints JSON.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from .errors import MlopsError
from .lineage import Lineage
from .scorer import Scorer

PREDICTIONS = 500
TIMEOUT = 300
PAPERS = {"gates.json", "report.md", "report.html"}  # lie beside a registered model


class Footprint(BaseModel):
    """Megabytes are 10^6 bytes; times are of one prediction of one row."""

    size_mb: float
    memory_mb: float
    p50_ms: float
    p99_ms: float


def measure(folder: Path) -> Footprint:
    """Measure the model in ``folder``; raise :class:`MlopsError` if it cannot be loaded or run."""
    command = [sys.executable, "-m", "mlops.footprint", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise MlopsError(
            f"{folder}: {PREDICTIONS} predictions took longer than {TIMEOUT} s."
        ) from None
    if done.returncode:
        raise MlopsError(f"{folder} cannot be served: {done.stderr.strip()[-500:]}")
    return Footprint.model_validate_json(done.stdout)


def _measure(folder: Path) -> Footprint:
    example = Lineage.read(folder).example
    scorer = Scorer(folder / "model.onnx")
    record = {name: [float("nan") if value is None else value] for name, value in example.items()}
    times: list[float] = []
    deadline = time.perf_counter() + TIMEOUT / 5
    while len(times) < PREDICTIONS and time.perf_counter() < deadline:
        started = time.perf_counter()
        scorer.predict(record)
        times.append((time.perf_counter() - started) * 1000)
    times = sorted(times[len(times) // 10 :])  # the first ones warm up
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in PAPERS]
    size = sum(path.stat().st_size for path in files)
    return Footprint(
        size_mb=round(size / 1e6, 3),
        memory_mb=round(_peak_memory() / 1e6, 1),
        p50_ms=round(times[len(times) // 2], 4),
        p99_ms=round(times[int(len(times) * 0.99)], 4),
    )


def _peak_memory() -> int:
    """Return this process's peak resident memory in bytes.

    Linux's getrusage counts what the parent had before exec, so /proc is read where it is.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(li for li in status.read_text().splitlines() if li.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1])).model_dump()))
