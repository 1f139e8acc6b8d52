"""docs/benchmarks.md: a section for each job, replaced when the job is measured anew."""

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import Figures, spread
from serving import BATCH, ROWS, SECONDS

INTRO = """# Benchmarks

Written by `make bench`, which measures again and writes this page and `bench/results.json`. With
`BENCH_CCDS=<URL or folder>` cookiecutter-data-science is cloned from elsewhere than GitHub;
`make bench ARGS="--only copy|dvc|pipeline|serving|status|update"` measures one section anew,
`--rounds` more often.

Each figure is the median over the rounds, with the lowest and highest in brackets. Every round
runs the commands of a section one after another, in an order that alternates; a first round that
warms up is not counted. Wall and CPU time are of the whole process, with all that it starts. Peak
memory is the largest resident set of any single process among them, not their sum; MB are 10^6
bytes. A ratio is one median wall time divided by another; in brackets are the lowest and
highest ratio within one round.
"""
COPY = """
Each template is a git repository of one commit and one tag on the same disk, cloned by the
command as it would be from a server, and every question is answered by its default. This template
is the working copy."""
PIPELINE = """
All stages over the default data of a generated project that is set up: ingest,
validate, prepare, train, evaluate."""
SERVING = f"""
The same model.onnx and {ROWS} rows of the test split, one server at a time: started, asked for each
row (the answers are equal within 1e-6, else the run ends), loaded, ended. One worker and one thread
of onnxruntime each; server and client share the machine's cores. Every request holds one record,
and one that fails ends the run: wrk counts answers of 400 and above, broken connections and
timeouts. Load lasts {SECONDS[1]:.0f} s at 1 connection and {SECONDS[16]:.0f} s at 16. Linux and
`wrk` are needed.

This server validates, counts and captures; authorisation is off. Through Envoy it has the local
target's own configuration, and memory and start are of both. MLflow serves the file in two ways:
by its ONNX flavor with a signature of tensors, and by a `PythonModel` with a signature of columns,
as a frame gives it (the flavor hands over flat columns, which this model's inputs refuse). LitServe
answers in one worker besides the process that takes requests; it batches up to 16 requests within
1 ms, BentoML as it adapts. Access logs are off everywhere. The floor is FastAPI with uvloop and
httptools, a body typed from the contract and one answer for all. Memory is the proportional set
size of all of a server's processes after the load; start is until the first answer."""
UPDATE = """
Repositories that `copier copy` made from a template of two versions, the working copy and one with
a line more in every tenth Python file; a team has edited every second repository. `factory update`
works on all of them in one process, four at a time, and `copier update` on one after another; both
leave the merge in the working tree, and all are taken back before the next. No round warms up:
Copier has made the repositories just before."""
STATUS = """
The same repositories and four copies of each. `factory status` renders each one's own version to
tell what was edited, and says versions and answers; `copier check-update` compares two versions. It
is run in every tenth repository: the ratio is to ten times as long."""
TITLES = {
    "copy": ("Generating a project", COPY),
    "pipeline": ("The pipeline", PIPELINE),
    "dvc": ("Nothing has changed", "In the same project, after its pipeline has run."),
    "serving": ("Serving", SERVING),
    "update": ("Updating a fleet", UPDATE),
    "status": ("The state of a fleet", STATUS),
}
MEANINGS = {
    "copy.ms_per_file": "ms for each file of this template's project",
    "copy.vs_ccds": "times as long as `ccds`",
    "copy.vs_empty_template": "times as long as the template of one file",
    "dvc.noop_vs_version": "times as long as `dvc --version`",
    "pipeline.peak_memory_mb": "MB in the largest process",
}
MEANINGS |= {
    "update.vs_copier": "times as fast as `copier update`, by the clock",
    "update.cpu_vs_copier": "times less CPU time than `copier update`",
    "update.linear": "times as long for each repository of all as for each of a tenth",
    "status.vs_check_update": "times as fast as `copier check-update`, for each repository",
}
for _n, _suffix in ((16, ""), (1, "_1")):
    MEANINGS |= {
        f"serving.vs_mlflow{_suffix}": f"times MLflow's with columns; {_n} connections",
        f"serving.vs_mlflow_tensors{_suffix}": f"times MLflow's with tensors; {_n} connections",
        f"serving.vs_best_peer{_suffix}": f"times the better peer's; {_n} connections",
        f"serving.vs_floor{_suffix}": f"times the floor's; {_n} connections",
        f"serving.envoy_hop{_suffix}": f"requests/s through Envoy over direct; {_n} connections",
    }
MEANINGS["serving.memory_vs_mlflow"] = "times MLflow's memory, the smaller"
MEANINGS["serving.start_vs_mlflow"] = "times MLflow's start, the quicker"

WHOLE = {  # columns: what is in them, and how many digits
    "wall, s": (lambda s: s.wall, 2),
    "CPU, s": (lambda s: s.cpu, 2),
    "peak memory, MB": (lambda s: s.peak, 0),
}
COLUMNS: dict[str, dict[str, tuple[Callable[[Any], float], int]]] = {
    "copy": WHOLE
    | {
        "files": (lambda s: s.files, 0),
        "wall per file, ms": (lambda s: s.wall / s.files * 1000, 1),
    },
    "pipeline": WHOLE,
    "dvc": WHOLE,
    "update": WHOLE,
    "status": WHOLE,
    "serving": {
        "requests/s, 1": (lambda s: s.rates[1], 0),
        "requests/s, 16": (lambda s: s.rates[16], 0),
        "p99 at 1, ms": (lambda s: s.p99[1], 1),
        "p99 at 16, ms": (lambda s: s.p99[16], 1),
        f"records/s, {BATCH} a request": (lambda s: s.records, 0),
        "memory, MB": (lambda s: s.memory, 0),
        "start, s": (lambda s: s.start, 2),
    },
}


def machine() -> str:
    """Say what was measured on: cores, processor, Python; nothing that tells which machine."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    model = found[1] if found else platform.processor() or platform.machine()
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {python}"


def section(job: str, samples: Mapping[str, Sequence[Any]], figures: Figures) -> str:
    """Return a job's section: its commands side by side, its results, how it was measured."""
    title, text = TITLES[job]
    columns = COLUMNS[job]
    rows = [["command", *columns], ["---", *["---:"] * len(columns)]]
    for name, found in samples.items():
        cells = (shown(spread(map(value, found)), n) for value, n in columns.values())
        rows.append([name, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    results = "\n".join(f"- `{k}`: {shown(v, 2)} {meaning(k)}" for k, v in figures.items())
    rounds = len(next(iter(samples.values())))
    return f"{title}\n\n{text.strip()}\n\n{table}\n\n{results}\n\n{rounds} rounds on {machine()}.\n"


def meaning(key: str) -> str:
    """Say what a figure is."""
    return MEANINGS.get(key) or f"MB for {key.rsplit('_', 1)[1]} repositories"


def shown(values: tuple[float, float, float], digits: int) -> str:
    """Return a median with its extremes, or alone where all are the same."""
    if values[0] != values[0]:  # not a number: was not measured
        return ""
    middle, low, high = (f"{value:.{digits}f}" for value in values)
    return middle if low == high else f"{middle} ({low}–{high})"  # noqa: RUF001


def write(page: Path, sections: Mapping[str, str]) -> None:
    """Write the page; sections that were not measured now stay as they are."""
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    kept = {part.partition("\n")[0]: part.rstrip() for part in old.split("\n## ")[1:]}
    kept |= {TITLES[job][0]: text.rstrip() for job, text in sections.items()}
    parts = [INTRO.rstrip(), *(kept[title] for title, _ in TITLES.values() if title in kept)]
    page.write_text("\n\n## ".join(parts) + "\n", encoding="utf-8")
