"""The template as it lies, its questions, and what it renders, once per set of answers."""

import atexit
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT
from copier import run_copy

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
QUESTIONS = {name: row for name, row in CONFIG.items() if not name.startswith("_")}
ASKED = {name: row for name, row in QUESTIONS.items() if row.get("when", True)}
ANSWERS = ".copier-answers.yml"

# Answers of every shape that is allowed: usual, shortest, longest, and with all that can hurt.
TEXTS: dict[str, list[str]] = {
    "project_name": ["Flight delays", "AI", "9" + " ._-" * 14 + "end"],
    "project_slug": ["flight-delays", "z", "a" + "-9" * 19 + "z"],
    "package_name": ["flight_delays", "z", "a" * 40],
    "description": [
        "Which flights will arrive late, told before they leave.",
        "é" * 200,
        "it's # 1: - yes, $(id) `id` <b>&amp;</b> [x](y) | * @ ! % ~ é 日本 🚀 'two' ''three''",
        "null",
    ],
    "team": ["ml-team", "7", "A/b .c_d-" * 6 + "e"],
    "contact": ["ml-team@example.com", "a@b.c", "a.b_c%d+e-f@" + "x-y." * 15 + "example1"],
}

# Where a choice works: the table of support.
SUPPORT: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(CONFIG["support"]["default"])

# What an answer of several choices must hold.
NEEDED = {"environments": {"dev", "prod"}}

# One answer to each question: to change one of them alone, the names are given, not derived.
BASE: dict[str, Any] = {name: row["default"] for name, row in ASKED.items()}
BASE |= {name: texts[0] for name, texts in TEXTS.items()}

_scratch = Path(tempfile.mkdtemp(prefix="copier-mlops-"))
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)


@cache
def template() -> Path:
    """Return a copy of the working tree without history: quick to render, and it holds still."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    target = _scratch / "template"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # a deleted file is listed until that is committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def copy(target: Path, **answers: Any) -> Path:
    """Render the template into ``target``, without trust."""
    run_copy(str(template()), target, data=answers, defaults=True, quiet=True)
    return target


@cache
def _rendered(answers: str) -> Path:
    return copy(Path(tempfile.mkdtemp(dir=_scratch)) / "tree", **json.loads(answers))


def rendered(**answers: Any) -> Path:
    """Return the tree of these answers. It is shared: do not change it."""
    return _rendered(json.dumps(answers, sort_keys=True))


def supported(answers: dict[str, Any]) -> bool:
    """Tell whether the table of support has these answers, of which some may not be given yet.

    Without requests to answer there is no strategy, so none is asked for.
    """
    provider = answers.get("provider")
    return all(
        provider in (None, *limits[answers[name]]["providers"])
        for name, limits in SUPPORT.items()
        if answers.get(name) in limits
        and (name != "strategy" or "online" in answers.get("serving", ["online"]))
    )


def home(name: str, value: Any) -> str:
    """Return a provider that goes with an answer."""
    limit = SUPPORT.get(name, {}).get(value) if isinstance(value, str) else None
    return str(limit["providers"][0]) if limit else str(BASE["provider"])


def changed(name: str, value: Any) -> Path:
    """Return the tree of ``BASE`` with another answer to one question."""
    return rendered(**{**BASE, "provider": home(name, value), name: value})


def choices(name: str) -> list[Any]:
    """Return the choices of a question."""
    given = ASKED[name]["choices"]
    return list(given.values() if isinstance(given, dict) else given)


def values(name: str) -> list[Any]:
    """Return every answer that a question with choices takes, or samples for a free text."""
    if name in TEXTS:
        return list(TEXTS[name])
    single = choices(name)
    if not ASKED[name].get("multiselect"):
        return single
    subsets = (list(part) for n in range(len(single) + 1) for part in combinations(single, n))
    return [part for part in subsets if part and NEEDED.get(name, set()) <= set(part)]


def files(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of every file, in order."""
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            yield path.relative_to(tree).as_posix(), path


def answers_of(tree: Path) -> dict[str, Any]:
    """Return the answers that a tree records."""
    answers: dict[str, Any] = yaml.safe_load((tree / ANSWERS).read_text(encoding="utf-8"))
    return answers
