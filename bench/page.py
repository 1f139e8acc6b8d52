"""docs/benchmarks.md: a section for each job, replaced when the job is measured anew."""

import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from measure import Figures, Sample, Samples, spread

INTRO = """# Benchmarks

Written by `make bench`, which measures again and writes this page and `bench/results.json`. With
`BENCH_CCDS=<URL or folder>` cookiecutter-data-science is cloned from elsewhere than GitHub;
`.venv/bin/python bench/run.py --only copy|dvc|pipeline` measures one section anew, `--rounds`
more often.

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
TITLES = {
    "copy": ("Generating a project", COPY),
    "pipeline": ("The pipeline", PIPELINE),
    "dvc": ("Nothing has changed", "In the same project, after its pipeline has run."),
}
MEANINGS = {
    "copy.ms_per_file": "ms for each file of this template's project",
    "copy.vs_ccds": "times as long as `ccds`",
    "copy.vs_empty_template": "times as long as the template of one file",
    "dvc.noop_vs_version": "times as long as `dvc --version`",
    "pipeline.peak_memory_mb": "MB in the largest process",
}


def machine() -> str:
    """Say what was measured on: cores, processor, Python; nothing that tells which machine."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    model = found[1] if found else platform.processor() or platform.machine()
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {python}"


def section(job: str, samples: Samples, figures: Figures) -> str:
    """Return a job's section: its commands side by side, its results, how it was measured."""
    title, text = TITLES[job]
    columns: dict[str, tuple[Callable[[Sample], float], int]] = {
        "wall, s": (lambda s: s.wall, 2),
        "CPU, s": (lambda s: s.cpu, 2),
        "peak memory, MB": (lambda s: s.peak, 0),
    }
    if job == "copy":
        columns["files"] = (lambda s: s.files, 0)
        columns["wall per file, ms"] = (lambda s: s.wall / s.files * 1000, 1)
    rows = [["command", *columns], ["---", *["---:"] * len(columns)]]
    for name, found in samples.items():
        cells = (shown(spread(map(value, found)), n) for value, n in columns.values())
        rows.append([name, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    results = "\n".join(f"- `{k}`: {shown(v, 2)} {MEANINGS[k]}" for k, v in figures.items())
    rounds = len(next(iter(samples.values())))
    return f"{title}\n\n{text.strip()}\n\n{table}\n\n{results}\n\n{rounds} rounds on {machine()}.\n"


def shown(values: tuple[float, float, float], digits: int) -> str:
    """Return a median with its extremes, or alone where all are the same."""
    middle, low, high = (f"{value:.{digits}f}" for value in values)
    return middle if low == high else f"{middle} ({low}–{high})"  # noqa: RUF001


def write(page: Path, sections: Mapping[str, str]) -> None:
    """Write the page; sections that were not measured now stay as they are."""
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    kept = {part.partition("\n")[0]: part.rstrip() for part in old.split("\n## ")[1:]}
    kept |= {TITLES[job][0]: text.rstrip() for job, text in sections.items()}
    parts = [INTRO.rstrip(), *(kept[title] for title, _ in TITLES.values() if title in kept)]
    page.write_text("\n\n## ".join(parts) + "\n", encoding="utf-8")
