"""What the template costs, beside what others cost: `make bench` runs this.

BENCH_CCDS says where cookiecutter-data-science is cloned from, once and before anything is timed:
a URL or a folder. BENCH_FLEET says how many repositories are updated. Results are written when all
has been measured; a command that fails ends the run with its output. Times are in seconds (s),
memory is in megabytes (MB, 10^6 bytes).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import fleet
import page
import serving as servers
from measure import Case, Figures, Samples, alternate, ratio, run, spread
from serving import Loads

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "bench/results.json", ROOT / "docs/benchmarks.md"
BIN = Path(sys.executable).parent
CCDS = "https://github.com/drivendataorg/cookiecutter-data-science"
GIT = ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
GIT += ["-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", "-c", "advice.detachedHead=false"]


def publish(folder: Path, tag: str = "") -> Path:
    """Make a folder a git repository of one commit; with a tag, ignored files are in it too."""
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, *GIT, "add", "--all", *(["--force"] if tag else []))
    run(folder, *GIT, "commit", "--quiet", "--no-verify", "--message", "Start")
    if tag:
        run(folder, *GIT, "tag", "--annotate", tag, "--message", tag)
    return folder


def template(work: Path) -> Path:
    """Return a tagged repository with the working copy's files, those that git ignores left out."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (work / "ours" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, work / "ours" / name)
    return publish(work / "ours", "0.1.0")


def project(work: Path) -> Path:
    """Return a generated project, committed and set up; the second call finds it there."""
    made = work / "flight-delays"
    if not made.exists():
        print("setting up a project", flush=True)
        run(work, str(BIN / "copier"), "copy", "--defaults", str(work / "ours"), str(made))
        publish(made)
        run(made, "make", "setup")
        run(made, *GIT, "add", "--all")
        run(made, *GIT, "commit", "--quiet", "--no-verify", "--message", "Lock")
    return made


def copy(work: Path, rounds: int) -> tuple[Samples, Figures]:
    """Generate a project from this template, from cookiecutter-data-science, from next to none."""
    release = version("cookiecutter-data-science")
    tag, ccds, empty = f"v{release}", work / "ccds", work / "empty"  # the tag ccds itself takes
    source = os.environ.get("BENCH_CCDS") or CCDS
    source = str(Path(source).resolve()) if Path(source).exists() else source
    run(work, *GIT, "clone", "--quiet", "--depth", "1", "--branch", tag, source, str(ccds))
    shutil.rmtree(ccds / ".git")
    publish(ccds, tag)
    (empty / "template").mkdir(parents=True)
    (empty / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    (empty / "template/README.md").write_text("# Empty\n", encoding="utf-8")
    publish(empty, "0.1.0")
    clones = {"cookiecutters_dir": "made-ccds/clones", "replay_dir": "made-ccds/replay"}
    settings = {key: str(work / folder) for key, folder in clones.items()}
    (work / "ccds.yml").write_text(json.dumps(settings), encoding="utf-8")
    copier = [str(BIN / "copier"), "copy", "--defaults"]
    theirs = [str(BIN / "ccds"), "--no-input", "--config-file", str(work / "ccds.yml")]
    theirs += ["--output-dir", str(work / "made-ccds/out"), f"git+file://{ccds}"]
    ours, name = f"`copier copy`, this template (Copier {version('copier')})", f"`ccds` {release}"
    none = "`copier copy`, a template of one file"
    made = [work / f"made-{case}" for case in ("ours", "ccds", "empty")]
    cases = {
        ours: Case([*copier, str(work / "ours"), str(made[0] / "out")], work, made[0]),
        name: Case(theirs, work, made[1]),
        none: Case([*copier, str(empty), str(made[2] / "out")], work, made[2]),
    }
    samples = alternate("copy", cases, rounds)
    return samples, {
        "copy.ms_per_file": spread(s.wall / s.files * 1000 for s in samples[ours]),
        "copy.vs_ccds": ratio(samples, ours, name),
        "copy.vs_empty_template": ratio(samples, ours, none),
    }


def pipeline(work: Path, rounds: int) -> tuple[Samples, Figures]:
    """Run every stage over the default data, whether or not anything has changed."""
    name, command = "`dvc repro --force`", ["dvc", "repro", "--force"]
    samples = alternate("pipeline", {name: Case(command, project(work))}, rounds)
    return samples, {"pipeline.peak_memory_mb": spread(s.peak for s in samples[name])}


def dvc(work: Path, rounds: int) -> tuple[Samples, Figures]:
    """Find that nothing has changed, beside DVC saying its version."""
    folder = project(work)
    run(folder, "dvc", "repro")
    done = Case(["dvc", "repro"], folder, expected="Data and pipelines are up to date.")
    noop, said = "`dvc repro`, nothing has changed", "`dvc --version`"
    samples = alternate("dvc", {noop: done, said: Case(["dvc", "--version"], folder)}, rounds)
    return samples, {"dvc.noop_vs_version": ratio(samples, noop, said)}


def serving(work: Path, rounds: int) -> tuple[Loads, Figures]:
    """Answer requests with the pipeline's model, beside others that answer with it."""
    folder = project(work)
    run(folder, "dvc", "repro")
    loads = servers.measure_all(folder, work, rounds)
    return loads, servers.figures(loads)


# In this order `dvc` and `serving` find what `pipeline` has made.
JOBS: dict[str, Callable[[Path, int], tuple[Samples | Loads, Figures]]]
JOBS = {"copy": copy, "pipeline": pipeline, "dvc": dvc, "serving": serving}
JOBS |= {"update": fleet.update, "status": fleet.status}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Measure, and write what was measured.")
    parser.add_argument("--rounds", type=int, default=5, help="of each command, at least 5")
    parser.add_argument("--only", choices=JOBS, help="one job; the others' results stay")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("at least 5 rounds")
    if options.only in (None, "serving"):
        servers.install()  # what is missing is said before anything is measured
    figures: Figures = {}
    sections: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder).resolve()
        template(work)
        for name in [options.only] if options.only else JOBS:
            samples, found = JOBS[name](work, options.rounds)
            sections[name] = page.section(name, samples, found)
            figures |= found
    results = json.loads(RESULTS.read_text("utf-8")) if options.only and RESULTS.exists() else {}
    results |= {name: round(value, 3) for name, (value, _, _) in figures.items()}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    page.write(PAGE, sections)
    print("", *(f"## {text}" for text in sections.values()), sep="\n")


if __name__ == "__main__":
    main()
