"""Random edits against random changes of the template: every line that the team added is there.

The examples are fixed (`derandomize`), so that a run is another's equal; to look further, give
`HYPOTHESIS_PROFILE=wide`, which prints the seed of what it finds.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scenario import Scenario, commit, files, git, isolate, lines

from factory.fleet import ANSWERS
from factory.git import Git
from factory.update import How

pytest_plugins = ["scenario"]

EXAMPLES = settings(
    max_examples=40,
    deadline=None,  # of a machine that others use, too
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
if os.environ.get("HYPOTHESIS_PROFILE") == "wide":
    EXAMPLES = settings(EXAMPLES, max_examples=400, derandomize=False, print_blob=True)

# What becomes of the lines of a file, at which of them, with which new one.
TEXTS: dict[str, Callable[[list[bytes], int, bytes], bytes]] = {
    "insert": lambda old, at, new: b"\n".join([*old[:at], new, *old[at:]]),
    "replace": lambda old, at, new: b"\n".join([*old[:at], new, *old[at + 1 :]]),
    "delete": lambda old, at, new: b"\n".join([*old[:at], *old[at + 1 :]]),
    "binary": lambda old, at, new: new + b"\n",
    "crlf": lambda old, at, new: b"\r\n".join(line.rstrip(b"\r") for line in old),
}
KINDS = [*TEXTS, "rename", "remove", "add", "mode"]
PATHS = [
    "Makefile",
    "docs/guide.md",
    "notes.md",
    "cloud/local.py",
    "logo.bin",
    "run.sh",
    "team/code.py",
]
NEW = ["new.md", "docs/new.md", "Makefile/new", "docs", "team/new.py"]


@dataclass(frozen=True)
class Edit:
    """What one side does to a file: ``number`` says where, ``to`` says to which path."""

    kind: str
    path: str
    number: int
    to: str


edits = st.builds(
    Edit,
    st.sampled_from(KINDS),
    st.sampled_from(PATHS),
    st.integers(0, 19),
    st.sampled_from(NEW),
)


def apply(folder: Path, side: str, made: list[Edit]) -> set[bytes]:
    """Edit a folder as one side; return the lines that it added."""
    added: set[bytes] = set()
    for at, edit in enumerate(made):
        source, target = folder / edit.path, folder / edit.to
        free = target.parent.is_dir() and not target.exists()
        line = f"{side} {at}".encode()
        if edit.kind == "add" and (free or not target.parent.exists()):
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(line + b"\n")
            added.add(line)
        elif edit.kind == "rename" and source.is_file() and free:
            source.rename(target)
        elif edit.kind == "remove" and source.is_file():
            source.unlink()
        elif edit.kind == "mode" and source.is_file():
            source.chmod(0o755 if edit.number % 2 else 0o644)
        elif edit.kind in TEXTS and source.is_file():
            line = b"\0" * (edit.kind == "binary") + line
            source.write_bytes(
                TEXTS[edit.kind](source.read_bytes().split(b"\n"), edit.number, line)
            )
            added.add(line)
    kept = b"\n".join(content for _, content in files(folder).values()).replace(b"\r", b"")
    return {line for line in added if line in kept.split(b"\n")}  # not those that a later edit took


def without_answers(found: dict[str, tuple[bool, bytes]]) -> dict[str, tuple[bool, bytes]]:
    """Leave out what no team edits."""
    return {path: one for path, one in found.items() if path != ANSWERS}


def start(scenario: Scenario) -> Scenario:
    """Return a copy of a scenario, for one example."""
    root = Path(tempfile.mkdtemp(dir=scenario.root))
    shutil.copytree(scenario.template, root / "template", symlinks=True)
    shutil.copytree(scenario.project, root / "project", symlinks=True)
    made = Scenario(root)
    text = made.text(ANSWERS).replace(str(scenario.template), str(made.template))
    (made.project / ANSWERS).write_text(text)
    git(made.project, "commit", "--quiet", "--all", "--amend", "--message", "Start")
    return made


def release(scenario: Scenario, changes: list[Edit]) -> None:
    """Release the template with these changes."""
    apply(scenario.template / "template", "template", changes)
    commit(scenario.template)
    git(scenario.template, "tag", "2.0.0")


@EXAMPLES
@given(st.lists(edits, max_size=6), st.lists(edits, max_size=6))
@example([Edit("replace", "Makefile", 3, "")], [Edit("rename", "Makefile", 0, "new.md")])
@example([Edit("rename", "Makefile", 0, "new.md")], [Edit("replace", "Makefile", 3, "")])
@example([Edit("replace", "Makefile", 3, "")], [Edit("remove", "Makefile", 0, "")])
@example([Edit("remove", "Makefile", 3, "")], [Edit("rename", "Makefile", 0, "new.md")])
@example([Edit("binary", "logo.bin", 3, "")], [Edit("binary", "logo.bin", 0, "")])
@example(
    [Edit("insert", "logo.bin", 0, ""), Edit("rename", "Makefile", 0, "new.md")],
    [Edit("rename", "logo.bin", 0, "new.md")],
)
@example([Edit("crlf", "Makefile", 3, "")], [Edit("replace", "Makefile", 9, "")])
def test_no_line_is_lost(scenario: Scenario, team: list[Edit], template: list[Edit]) -> None:
    one = start(scenario)
    added = apply(one.project, "team", team)
    commit(one.project)
    release(one, template)
    before = files(one.project)
    head = git(one.project, "rev-parse", "HEAD")
    outcome = one.update(How.COMMIT)
    after = files(one.project)
    assert outcome.state in ("updated", "conflicts")
    if outcome.state == "conflicts":
        assert after == before
        assert git(one.project, "rev-parse", "HEAD") == head
        assert outcome.conflicts
        outcome = one.update(How.CONFLICTS)
        after = files(one.project)
    else:
        assert not any(b"<<<<<<<" in content for _, content in after.values())
        assert git(one.project, "status", "--porcelain") == ""
        assert one.update().state == "current"
    mine = {path: one for path, one in before.items() if path.startswith("team/")}
    assert {path: after.get(path) for path in mine} == mine  # the team's files take no part
    listed = {conflict.path for conflict in outcome.conflicts}
    # A binary has no markers: its sides are in the index, for `git checkout --ours` or `--theirs`.
    stages = [row.split()[1] for row in git(one.project, "ls-files", "--unmerged").splitlines()]
    texts = [*(text for _, text in after.values()), *Git(one.project).blobs(stages).values()]
    found = {line.rstrip(b"\r") for text in texts for line in text.split(b"\n")}
    unlisted = {
        line
        for path, (_, text) in before.items()
        if path not in listed
        for line in text.replace(b"\r", b"").split(b"\n")
    }
    assert added & unlisted <= found
    assert added <= found  # even with conflicts: the markers have both sides
    if not template and outcome.state == "updated":
        assert without_answers(after) == without_answers(before)
    shutil.rmtree(one.root)


@settings(EXAMPLES, max_examples=10)
@given(st.lists(edits, max_size=8))
def test_without_edits_it_is_a_fresh_copy(scenario: Scenario, template: list[Edit]) -> None:
    one = start(scenario)
    before, path = files(one.project), "team/code.py"
    release(one, template)
    assert one.update(How.COMMIT).state == "updated"
    found, fresh = files(one.project), one.fresh()
    assert found.pop(path) == before[path]  # the team's is written once
    fresh.pop(path, None)
    assert found == fresh
    shutil.rmtree(one.root)


def test_the_edits_are_edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind changes a folder: else the tests above would hold of nothing."""
    isolate(monkeypatch, tmp_path / "settings")
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "Makefile").write_text(lines("make"))
        before = files(folder)
        added = apply(folder, "team", [Edit(kind, "Makefile", 3, "new.md")])
        assert files(folder) != before
        assert bool(added) == (kind in ("insert", "replace", "add", "binary"))
