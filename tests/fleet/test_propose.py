"""A pull request: a branch is pushed, and nothing of a person's is written over."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, commit, files, git, lines, state

from factory import worktree
from factory.fleet import ANSWERS, Member
from factory.forges.base import Request
from factory.template import Template
from factory.update import BRANCH, How, Outcome, update

pytest_plugins = ["scenario"]


class FakeForge:
    """The pull requests of a repository, kept in memory."""

    def __init__(self) -> None:
        self.remote = ""
        self.calls: list[tuple[str, str, str, str]] = []

    def __call__(self, remote: str) -> "FakeForge":
        self.remote = remote
        return self

    def find(self, branch: str) -> Request | None:
        """Return the open request of a branch."""
        found = any(call[0] == branch for call in self.calls)
        return Request(1, "http://forge/1", "open", "none") if found else None

    def propose(self, branch: str, base: str, title: str, body: str) -> Request:
        """Open or refresh."""
        self.calls.append((branch, base, title, body))
        return self.look(1)

    def look(self, number: int) -> Request:
        """Return a request."""
        return Request(number, f"http://forge/{number}", "open", "none")


class Remote:
    """A project's remote on this disk."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.forge = scenario, FakeForge()
        self.folder = scenario.root / "remote.git"
        git(scenario.root, "clone", "--quiet", "--bare", str(scenario.project), str(self.folder))
        git(scenario.project, "remote", "add", "origin", str(self.folder))

    def propose(self, member: Member | None = None, **options: Any) -> Outcome:
        """Update by a pull request; the working tree and its repository are to stay as they are."""
        before = state(self.scenario.project)
        template = Template.open(str(self.scenario.template))
        outcome = update(
            member or self.scenario.member,
            template,
            how=How.PROPOSE,
            open_forge=self.forge,
            **options,
        )
        assert state(self.scenario.project) == before
        return outcome

    def refs(self) -> dict[str, str]:
        """Return the branches and where they are."""
        form = "--format=%(refname:short) %(objectname)"
        rows = git(self.folder, "for-each-ref", form, "refs/heads").splitlines()
        return dict(row.split(" ") for row in rows)

    def files(self, branch: str = BRANCH) -> dict[str, tuple[bool, bytes]]:
        """Return the files of a branch."""
        target = self.scenario.root / "seen"
        git(self.scenario.root, "clone", "--quiet", "-b", branch, str(self.folder), str(target))
        found = files(target)
        shutil.rmtree(target)
        return found

    def push(self, branch: str, changes: dict[str, str], *options: str) -> str:
        """Push a commit of a person onto a branch."""
        person = self.scenario.root / "person"
        if not person.exists():
            git(self.scenario.root, "clone", "--quiet", str(self.folder), str(person))
        git(person, "fetch", "--quiet")
        git(person, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
        for path, content in changes.items():
            (person / path).write_text(content)
        git(person, "add", "--all")
        git(person, "commit", "--quiet", *(options or ("--message", "By hand")))
        git(person, "push", "--quiet", "--force", "origin", f"HEAD:{branch}")
        return git(person, "rev-parse", "HEAD").strip()


@pytest.fixture
def remote(scenario: Scenario) -> Remote:
    """The project's remote; the template's next version is there."""
    log, first = scenario.template / "CHANGELOG.md", "## 1.0.0\n\nThe first.\n"
    log.write_text(first)
    commit(scenario.template)
    git(scenario.template, "tag", "--force", "1.0.0")
    log.write_text(f"## 2.0.0\n\nA better Makefile.\n\n{first}")
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new"), "notes.md": None})
    return Remote(scenario)


def test_a_branch_and_a_request(scenario: Scenario, remote: Remote) -> None:
    main = remote.refs()["main"]
    (scenario.project / "Makefile").write_text("being worked on")  # which does not matter
    outcome = remote.propose()
    assert outcome.state == "proposed", outcome
    assert outcome.request == Request(1, "http://forge/1", "open", "none")
    ((branch, base, title, body),) = remote.forge.calls
    assert (branch, base) == (BRANCH, "main")
    assert title == "Update from template 1.0.0 to 2.0.0"
    assert "A better Makefile." in body
    assert "The first." not in body
    assert remote.files() == scenario.fresh()
    assert remote.refs().keys() == {"main", BRANCH}
    assert remote.refs()["main"] == main == git(remote.folder, "rev-parse", f"{BRANCH}^").strip()
    assert git(remote.folder, "fsck", "--no-dangling") == ""


def test_again_refreshes_and_pushes_only_what_is_new(
    scenario: Scenario, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.propose()
    first = remote.refs()
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2030-01-01T00:00:00Z")  # another commit by its date
    assert remote.propose().state == "proposed"
    assert remote.refs() == first  # the same commit: nothing was pushed
    assert len(remote.forge.calls) == 2
    scenario.release("3.0.0", {"Makefile": lines("make", n2="newer")})
    assert remote.propose().after == "3.0.0"
    assert remote.files() == scenario.fresh()
    assert git(remote.folder, "rev-list", "--count", f"main..{BRANCH}") == "1\n"
    main = remote.push("main", {"mine.txt": "mine"})
    remote.propose()
    assert git(remote.folder, "rev-parse", f"{BRANCH}^").strip() == main
    git(remote.folder, "branch", "--delete", "--force", BRANCH)
    assert remote.propose().state == "proposed"
    assert BRANCH in remote.refs()


def test_after_it_was_merged(scenario: Scenario, remote: Remote) -> None:
    remote.propose()
    git(remote.folder, "update-ref", "refs/heads/main", BRANCH)
    assert remote.propose().state == "current"
    scenario.release("3.0.0", {"Makefile": lines("make", n2="newer")})
    assert remote.propose().state == "proposed"


@pytest.mark.parametrize("amended", [False, True])
def test_a_commit_of_a_person_is_refused(scenario: Scenario, remote: Remote, amended: bool) -> None:
    remote.propose()
    options = ("--amend", "--no-edit") if amended else ()
    remote.push(BRANCH, {"mine.txt": "mine"}, *options)
    before = remote.refs()
    scenario.release("3.0.0", {"Makefile": lines("make", n2="newer")})
    outcome = remote.propose()
    assert outcome.state == "refused"
    assert "commits of people" in str(outcome.reason)
    assert remote.refs() == before


def test_a_commit_that_comes_in_the_same_moment(
    scenario: Scenario, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.propose()
    scenario.release("3.0.0", {"Makefile": lines("make", n2="newer")})
    real, theirs = worktree.commit_of, []

    def late(*arguments: Any) -> str:
        theirs.append(remote.push(BRANCH, {"mine.txt": "mine"}))
        return real(*arguments)

    monkeypatch.setattr("factory.update.commit_of", late)
    outcome = remote.propose()
    assert outcome.state == "refused"
    assert remote.refs()[BRANCH] == theirs[0]


def test_conflicts_push_nothing(scenario: Scenario, remote: Remote) -> None:
    remote.push("main", {"Makefile": lines("make", n2="mine")})
    before = remote.refs()
    outcome = remote.propose()
    assert outcome.state == "conflicts"
    assert [one.path for one in outcome.conflicts] == ["Makefile"]
    assert remote.refs() == before
    assert not remote.forge.calls


def test_by_address(scenario: Scenario, remote: Remote) -> None:
    member = Member(source=remote.folder.as_uri())
    assert remote.propose(member).state == "proposed"
    assert remote.forge.remote == remote.folder.as_uri()
    git(scenario.project, "remote", "remove", "origin")
    outcome = remote.propose()
    assert (outcome.state, "origin" in str(outcome.reason)) == ("refused", True)


def test_another_branch(scenario: Scenario, remote: Remote) -> None:
    git(remote.folder, "branch", "release/1", "main")
    member = scenario.member.model_copy(update={"branch": "release/1"})
    for one in (scenario.member, member):
        outcome = remote.propose(one)
        assert outcome.state == "proposed", outcome
    assert remote.refs().keys() == {"main", "release/1", BRANCH, f"{BRANCH}-release-1"}
    assert [call[1] for call in remote.forge.calls] == ["main", "release/1"]


def test_two_projects_of_one_repository(scenario: Scenario, remote: Remote) -> None:
    project = files(scenario.project)
    git(scenario.project, "rm", "--quiet", "-r", ".")
    for folder in ("a b", "c"):
        for path, (_, content) in project.items():
            (scenario.project / folder / path).parent.mkdir(parents=True, exist_ok=True)
            (scenario.project / folder / path).write_bytes(content)
    commit(scenario.project)
    git(scenario.project, "push", "--quiet", "origin", "main")
    for folder in ("a b", "c"):
        member = Member(source=str(scenario.project / folder))
        outcome = remote.propose(member)
        assert outcome.state == "proposed", outcome
    assert remote.refs().keys() == {"main", f"{BRANCH}-a-b", f"{BRANCH}-c"}
    found = remote.files(f"{BRANCH}-a-b")
    assert found["a b/Makefile"][1].decode() == lines("make", n2="new")
    assert found["c/Makefile"][1].decode() == lines("make")
    assert found[f"c/{ANSWERS}"] == project[ANSWERS]


def test_a_remote_that_is_not_there(scenario: Scenario, remote: Remote) -> None:
    Path(remote.folder).rename(scenario.root / "moved")
    outcome = remote.propose()
    assert outcome.state == "refused"
    assert "remote.git" in str(outcome.reason)
