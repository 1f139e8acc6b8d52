"""A machine that stops in the middle: run again, every project is untouched or done."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, commit, files, git, lines, state

from factory import worktree
from factory.fleet import Member
from factory.git import Git
from factory.template import Template
from factory.update import How, Outcome, update
from factory.worktree import alone

pytest_plugins = ["scenario"]

JOURNAL = "refs/worktree/factory-update"


class Killed(BaseException):
    """The machine stopped."""


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "_PATIENCE", 0.1)


@pytest.fixture
def changed(scenario: Scenario) -> Scenario:
    """A project with edits, and a version that changes, deletes, renames and brings files."""
    scenario.rename("docs/guide.md", "docs/manual.md")
    changes = {"Makefile": lines("make", n2="new"), "notes.md": None, "new/a.md": "a\n"}
    scenario.release("2.0.0", changes)
    scenario.edit({"docs/guide.md": lines("guide", n18="mine"), "mine.txt": "mine"})
    return scenario


def killed_at(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, how: How, step: int, after: bool
) -> bool:
    """Update, and stop before or after a git command that writes; tell whether there was one."""
    real, seen = Git.attempt, [0]

    def attempt(self: Git, *arguments: str, **options: Any) -> Any:
        # An index beside the repository's own is nobody's loss.
        writes = {"unpack-objects", "update-ref", "read-tree", "update-index"} & set(arguments)
        ours = self.folder == scenario.project and writes
        seen[0] += bool(ours)
        now = bool(ours) and seen[0] == step
        if now and not after:
            raise Killed
        done = real(self, *arguments, **options)
        if now:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Git, "attempt", attempt)
        try:
            scenario.update(how)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("how", [How.STAGE, How.COMMIT, How.CONFLICTS])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_step(
    changed: Scenario, monkeypatch: pytest.MonkeyPatch, how: How, after: bool
) -> None:
    if how is How.CONFLICTS:
        changed.edit({"Makefile": lines("make", n2="mine")})
    start = changed.root / "start"
    shutil.copytree(changed.project, start, symlinks=True)
    untouched = state(changed.project)[:3]
    changed.update(how)
    done = state(changed.project)[:2]
    step = 0
    while True:
        step += 1
        shutil.rmtree(changed.project)
        shutil.copytree(start, changed.project, symlinks=True)
        if not killed_at(changed, monkeypatch, how, step, after):
            break
        outcome = changed.update(how)
        if outcome.state in ("refused", "current"):  # it was done, and is not done again
            assert how is How.COMMIT or "not committed" in str(outcome.reason)
        assert state(changed.project)[:2] == done, (step, outcome)
        assert git(changed.project, "for-each-ref", JOURNAL) == ""
        assert untouched != state(changed.project)[:3]
    assert step >= 5


def half_done(scenario: Scenario) -> None:
    """Leave a project as a git that was killed while it wrote files does."""
    start = state(scenario.project)
    scenario.update(How.STAGE)
    new = files(scenario.project)
    tree = git(scenario.project, "write-tree").strip()
    said = git(scenario.project, "commit-tree", tree, "-p", "HEAD", "-m", "Update")
    git(scenario.project, "reset", "--quiet", "--hard")
    git(scenario.project, "update-ref", JOURNAL, said.strip())
    (scenario.project / "new").mkdir()
    (scenario.project / "new/a.md").write_bytes(b"")  # made, not yet written
    (scenario.project / "Makefile").write_bytes(new["Makefile"][1][:30])
    (scenario.project / "notes.md").unlink()
    (scenario.project / ".git/index.lock").touch()
    assert state(scenario.project)[1:3] == start[1:3]


def test_half_done(changed: Scenario) -> None:
    half_done(changed)
    assert changed.update(How.COMMIT).state == "updated"
    assert changed.text("docs/manual.md") == lines("guide", n18="mine")
    assert changed.text("new/a.md") == "a\n"
    assert git(changed.project, "status", "--porcelain", "--ignored") == ""
    assert git(changed.project, "for-each-ref", JOURNAL) == ""


@pytest.mark.parametrize("path", ["Makefile", "new/a.md", "run.sh", "mine.txt"])
def test_half_done_and_edited_since(changed: Scenario, path: str) -> None:
    """A file that moves, one that comes, and two that the update has nothing to do with."""
    half_done(changed)
    (changed.project / path).write_text("edited since")
    outcome = changed.update()
    assert outcome.state == "refused"
    assert path in str(outcome.reason)
    assert changed.text(path) == "edited since"
    (changed.project / ".git/index.lock").unlink(missing_ok=True)
    commit(changed.project)  # the way out that the message names
    assert changed.update().state in ("updated", "conflicts")
    assert "edited since" in changed.text(path)
    assert git(changed.project, "for-each-ref", JOURNAL) == ""


def test_half_done_and_staged_since(changed: Scenario) -> None:
    half_done(changed)
    (changed.project / ".git/index.lock").unlink()
    (changed.project / "added.txt").write_text("added since")
    git(changed.project, "add", "added.txt")
    outcome = changed.update()
    assert outcome.state == "refused"
    assert "added.txt" in str(outcome.reason)
    assert changed.text("added.txt") == "added since"


def test_half_done_and_reset_since(changed: Scenario) -> None:
    half_done(changed)
    (changed.project / ".git/index.lock").unlink()
    git(changed.project, "reset", "--quiet", "--hard")
    git(changed.project, "clean", "--quiet", "--force", "-d")
    assert changed.update().state == "updated"


# Two at once ---------------------------------------------------------------------------
def test_the_second_is_refused(changed: Scenario) -> None:
    with alone(Git(changed.project)):
        changed.refused("another update")
        assert changed.update(How.DRY).state == "updated"  # which only looks
    assert changed.update().state == "updated"


def test_two_at_once(changed: Scenario) -> None:
    outcomes: list[Outcome] = []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait()
        outcomes.append(changed.update(How.COMMIT))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.state for one in outcomes)[-1] == "updated"
    assert {one.state for one in outcomes} <= {"updated", "refused", "current"}
    assert [one.state for one in outcomes].count("updated") == 1
    assert git(changed.project, "rev-list", "--count", "HEAD") == "3\n"


# Fifty ---------------------------------------------------------------------------------
DRIVER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from factory.fleet import Member
from factory.template import Template
from factory.update import How, update

template = Template.open(sys.argv[1])
def one(folder):
    outcome = update(Member(source=str(folder)), template, how=How.COMMIT)
    print(folder.name, outcome.state, flush=True)
with ThreadPoolExecutor(2) as pool:
    list(pool.map(one, sorted(Path(sys.argv[2]).iterdir())))
"""


def many(scenario: Scenario, count: int) -> Path:
    """Make many projects that wait for a large update."""
    scenario.release("2.0.0", {f"many/{n}.txt": lines(f"many {n}") for n in range(100)})
    scenario.edit({"Makefile": lines("make", n18="mine")})
    fleet = scenario.root / "fleet"
    for n in range(count):
        shutil.copytree(scenario.project, fleet / f"{n:02}", symlinks=True)
    return fleet


@pytest.mark.parametrize("group", [True, False])
def test_killed_in_an_update_of_fifty(scenario: Scenario, group: bool) -> None:
    fleet = many(scenario, 50)
    before, head = state(scenario.project)[0], git(scenario.project, "rev-parse", "HEAD")
    command = [sys.executable, "-c", DRIVER, str(scenario.template), str(fleet)]
    root = str(Path(__file__).parents[2])
    variables = {**os.environ, "PYTHONPATH": root}
    chance = random.Random(7 if group else 8)
    for stop in (5, 12):
        with subprocess.Popen(
            command,
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=variables,
        ) as running:
            assert running.stdout
            for _ in range(stop):
                assert running.stdout.readline()
            time.sleep(chance.random() / 5)
            if group:
                os.killpg(running.pid, signal.SIGKILL)
            else:
                running.kill()
    assert 50 > sum(git(one, "rev-parse", "HEAD") != head for one in fleet.iterdir()) >= 5
    done = subprocess.run(
        command, cwd=root, env=variables, text=True, capture_output=True, check=True
    )
    said = dict(row.split(" ") for row in done.stdout.splitlines())
    assert set(said.values()) == {"updated", "current"}, said
    (scenario.project / ".git").rename(scenario.root / "kept")
    expected = {path for path in before} | {f"many/{n}.txt" for n in range(100)}
    for one in fleet.iterdir():
        assert files(one).keys() == expected
        assert (one / "Makefile").read_text() == lines("make", n18="mine")
        assert git(one, "status", "--porcelain") == ""
        assert git(one, "rev-list", "--count", "HEAD") == "3\n"
        assert git(one, "for-each-ref", JOURNAL) == ""


def test_what_a_driver_would_do(scenario: Scenario) -> None:
    """The same fifty's machinery without a kill: the test above is not green by refusing all."""
    fleet = many(scenario, 2)
    template = Template.open(str(scenario.template))
    for one in fleet.iterdir():
        assert update(Member(source=str(one)), template, how=How.COMMIT).state == "updated"
