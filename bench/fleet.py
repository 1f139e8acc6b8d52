"""A fleet of generated repositories: `factory` beside Copier, over the same ones.

BENCH_FLEET says how many are updated, 100 if it is not set; five times as many are looked at.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from statistics import median

import yaml
from measure import Case, Figures, Samples, alternate, run, spread

ROOT = Path(__file__).resolve().parents[1]
COUNT = int(os.environ.get("BENCH_FLEET", "100"))
ROUNDS = 2  # and none to warm up: a round of Copier takes minutes
COPIER = str(Path(sys.executable).parent / "copier")
FACTORY = [sys.executable, "-m", "factory"]
GIT = ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
EACH = 'for one in "$@"; do (cd "$one" && {command}) || exit; done'
EDITS = {
    "README.md": "\n## Our team\n\nAsk us in the corridor.\n",
    "Makefile": "\n.PHONY: ours\nours:\n\t@echo ours\n",
    "docs/ours.md": "# Ours\n",
}


def update(work: Path, rounds: int) -> tuple[Samples, Figures]:
    """Update a fleet by one version, in one process, beside `copier update` in each of it."""
    members = _fleet(work, COUNT)
    counts = sorted({max(1, COUNT // 10), max(1, COUNT // 2), COUNT})
    factory = {count: f"`factory update`, {count} repositories" for count in counts}
    copier = f"`copier update`, {COUNT} times"
    cases = {
        name: Case([*FACTORY, "update", str(_file(work, members[:count]))], ROOT)
        for count, name in factory.items()
    }
    cases[copier] = _each("update --quiet --skip-answered --defaults", members, work)
    samples = alternate(
        "update", cases, min(rounds, ROUNDS), before=lambda: _reset(members), warm=0
    )
    ours, theirs, small = samples[factory[COUNT]], samples[copier], samples[factory[counts[0]]]
    figures = {
        "update.vs_copier": _ratio([s.wall for s in theirs], [s.wall for s in ours]),
        "update.cpu_vs_copier": _ratio([s.cpu for s in theirs], [s.cpu for s in ours]),
        "update.linear": _ratio(
            [s.wall / COUNT for s in ours], [s.wall / counts[0] for s in small]
        ),
    }
    for count, name in factory.items():
        figures[f"update.memory_mb_{count}"] = spread(s.peak for s in samples[name])
    return samples, figures


def status(work: Path, rounds: int) -> tuple[Samples, Figures]:
    """Tell the state of five times as many, beside `copier check-update` in a tenth of them."""
    members = _fleet(work, COUNT)
    _reset(members)
    many = [*members, *_copies(work, members)]
    few = many[:: 10 if len(many) > 10 else 1]
    ours = f"`factory status`, {len(many)} repositories"
    copier = f"`copier check-update`, {len(few)} times"
    cases = {
        ours: Case([*FACTORY, "status", "--format", "json", str(_file(work, many))], ROOT),
        copier: _each("check-update --quiet || test $? -eq 2", few, work),
    }
    samples = alternate("status", cases, min(rounds, ROUNDS))
    times = len(many) / len(few)
    theirs = [s.wall * times for s in samples[copier]]
    return samples, {"status.vs_check_update": _ratio(theirs, [s.wall for s in samples[ours]])}


def _ratio(one: list[float], other: list[float]) -> tuple[float, float, float]:
    pairs = [a / b for a, b in zip(one, other, strict=True)]
    return median(one) / median(other), min(pairs), max(pairs)


def _each(command: str, members: Iterable[Path], work: Path) -> Case:
    """Return Copier's command in each repository, one after another."""
    script = EACH.format(command=f"{COPIER} {command}")
    return Case(["sh", "-c", script, "sh", *map(str, members)], work)


@cache
def _versions(work: Path) -> Path:
    """Return a template of two versions: the working copy, and one with some lines more."""
    folder = work / "versions"
    run(work, "git", "clone", "--quiet", str(work / "ours"), str(folder))
    code = sorted((folder / "template").rglob("*.py"))[::10]
    for path in [
        *code,
        folder / "template/Makefile.jinja",
        folder / "template/pyproject.toml.jinja",
    ]:
        path.write_text(f"# A line of the next version.\n{path.read_text('utf-8')}", "utf-8")
    run(folder, *GIT, "commit", "--quiet", "--no-verify", "--all", "--message", "Next")
    run(folder, *GIT, "tag", "--annotate", "0.2.0", "--message", "0.2.0")
    return folder


@cache
def _fleet(work: Path, count: int) -> list[Path]:
    """Return repositories of the older version; every second one has edits of its team."""
    template = _versions(work)
    members = []
    print(f"generating {count} repositories", flush=True)
    for number in range(count):
        folder = work / "fleet" / f"project-{number:03}"
        command = [COPIER, "copy", "--quiet", "--defaults", "--vcs-ref", "0.1.0"]
        command += ["--data", f"project_name=Project {number}", str(template), str(folder)]
        run(work, *command)
        run(folder, "git", "init", "--quiet", "--initial-branch", "main")
        for path, text in EDITS.items() if number % 2 else ():
            (folder / path).parent.mkdir(exist_ok=True)
            with (folder / path).open("a", encoding="utf-8") as file:
                file.write(text)
        run(folder, *GIT, "add", "--all")
        run(folder, *GIT, "commit", "--quiet", "--no-verify", "--message", "Start")
        members.append(folder)
    return members


def _copies(work: Path, members: list[Path]) -> list[Path]:
    """Return four copies of each repository."""
    made = [
        (member, work / "copies" / f"{member.name}-{number}")
        for number in range(4)
        for member in members
    ]
    return [Path(shutil.copytree(member, copy, symlinks=True)) for member, copy in made]


def _file(work: Path, members: list[Path]) -> Path:
    """Return a fleet file of these repositories."""
    path = work / f"fleet-{len(members)}.yaml"
    fleet = {
        "template": str(_versions(work)),
        "repositories": [{"source": str(member)} for member in members],
    }
    path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return path


def _reset(members: list[Path]) -> None:
    """Take the repositories back to before an update."""
    for member in members:
        run(member, "git", "reset", "--quiet", "--hard")
        run(member, "git", "clean", "--quiet", "--force", "-d")
