"""Whole processes, measured from their start to their end, with all that they start.

Units: wall and CPU time in seconds (s), memory in megabytes (MB, 10^6 bytes).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median

# Byte code is written once and then read, as in everyday use.
DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Case:
    """A command to measure: how it is called, where it runs, what must come of it.

    ``made`` is a folder emptied before each run; the files in its ``out`` are counted after it.
    """

    command: list[str]
    folder: Path
    made: Path | None = None
    expected: str = ""


@dataclass(frozen=True)
class Sample:
    """One run: wall and CPU time in s, the largest process's memory in MB, files generated."""

    wall: float
    cpu: float
    peak: float
    files: int


Samples = dict[str, list[Sample]]
# A result, and the lowest and highest of any one round.
Figures = dict[str, tuple[float, float, float]]


def environment(folder: Path) -> dict[str, str]:
    """Return the variables for a command, with the folder's own environment first in PATH."""
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    return {k: v for k, v in os.environ.items() if k not in DROPPED} | {"PATH": path}


def measure(case: Case) -> Sample:
    """Run a command once; if it fails, or says the wrong thing, end with its output."""
    if case.made:
        shutil.rmtree(case.made, ignore_errors=True)
        (case.made / "out").mkdir(parents=True)
    variables = environment(case.folder)
    program = shutil.which(case.command[0], path=variables["PATH"]) or case.command[0]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, *case.command[1:]],
            cwd=case.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = code = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    files = sum(p.is_file() for p in (case.made / "out").rglob("*")) if case.made else 0
    if code or case.expected not in text or (case.made and not files):
        wanted = f", {case.expected!r} wanted" if case.expected else ""
        sys.exit(f"{text}\n{' '.join(case.command)}: exit code {code}, {files} files{wanted}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6, files)


def run(folder: Path, *command: str) -> None:
    """Run a command that is not timed; if it fails, end with its output."""
    measure(Case(list(command), folder))


def alternate(
    title: str,
    cases: dict[str, Case],
    rounds: int,
    before: Callable[[], object] = lambda: None,
    warm: int = 1,
) -> Samples:
    """Measure the cases in turn, back and forth; the first ``warm`` rounds are dropped.

    ``before`` is called before each, and not measured.
    """
    turns = [n for i in range(rounds + warm) for n in (list(cases) if i % 2 else reversed(cases))]
    samples: Samples = {name: [] for name in cases}
    for name in progress(turns, title):
        before()
        samples[name].append(measure(cases[name]))
    return {name: found[warm:] for name, found in samples.items()}


def progress(steps: list[str], title: str) -> Iterable[str]:
    """Show how far the steps are: a bar where rich is installed, else one line."""
    try:
        track: Callable[..., Iterable[str]] = import_module("rich.progress").track
    except ImportError:
        print(f"{title}: {len(steps)} runs", flush=True)
        return steps
    return track(steps, description=f"{title:<9}")


def ratio(samples: Samples, one: str, other: str) -> tuple[float, float, float]:
    """Return the ratio of two median wall times, and the extremes of the paired rounds."""
    pairs = [a.wall / b.wall for a, b in zip(samples[one], samples[other], strict=True)]
    medians = [median(s.wall for s in samples[name]) for name in (one, other)]
    return medians[0] / medians[1], min(pairs), max(pairs)


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Return median, lowest and highest."""
    found = list(values)
    return median(found), min(found), max(found)
