"""A repository that means harm: no code of it runs, and nothing is written outside of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scenario import Scenario, files, git, lines

from factory.fleet import ANSWERS, Member
from factory.update import How

pytest_plugins = ["scenario"]

HOOKS = """
applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit
post-index-change post-merge post-rewrite pre-applypatch pre-auto-gc pre-commit pre-merge-commit
pre-push pre-rebase prepare-commit-msg push-to-checkout reference-transaction sendemail-validate
update
"""


class Trap:
    """A canary that any code that runs leaves behind."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.canary = scenario, scenario.root / "canary"
        self.script = scenario.root / "trap.sh"
        self.script.write_text(f"#!/bin/sh\ntouch '{self.canary}'\ncat\n")
        self.script.chmod(0o755)

    def sprung(self) -> bool:
        """Tell whether code ran, and set the trap anew."""
        found = self.canary.exists()
        self.canary.unlink(missing_ok=True)
        return found


@pytest.fixture
def trap(scenario: Scenario) -> Trap:
    """A trap, and a version to update to."""
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    return Trap(scenario)


def outside(scenario: Scenario) -> set[str]:
    """Return what lies beside the project."""
    return {path.name for path in scenario.root.iterdir()}


# The answers file --------------------------------------------------------------------
@pytest.mark.parametrize(
    "source",
    [
        "ext::sh -c {script}",
        "--upload-pack={script}",
        "ssh://-oProxyCommand={script}/x",
        "git@-oProxyCommand={script}:x",
        "https://example.com/$({script})",
        "file:///etc",
        "~nobody-of-this-name/x",
        "http://[",
        "a\0b",
        "",
        "/",
        "x" * 5000,
    ],
)
def test_a_strange_address(scenario: Scenario, trap: Trap, source: str) -> None:
    scenario.record(_src_path=source.format(script=trap.script))
    before = outside(scenario)
    scenario.refused("was made from")
    assert not trap.sprung()
    assert outside(scenario) == before


@pytest.mark.parametrize(
    "version",
    [
        *("--exec={script}", "$({script})", "-x", "--output={script}", "HEAD", "HEAD@{{1}}"),
        *("@{{u}}", "1.0.0^{{/x}}", ":/x", "refs/heads/main", "main", "../1.0.0", "1.0.0\n2.0.0"),
        *("", "0000", "{{{{ 7 }}}}"),
    ],
)
def test_a_strange_version(scenario: Scenario, trap: Trap, version: str) -> None:
    scenario.record(_commit=version.format(script=trap.script))
    scenario.refused("version")
    assert not trap.sprung()


def test_a_template_in_an_answer_is_a_text(scenario: Scenario, trap: Trap) -> None:
    text = (scenario.template / "template/README.md.jinja").read_text()
    scenario.release("3.0.0", {"README.md.jinja": f"{text}Again: {{{{ name }}}}\n"})
    evil = "{{ 7 * 7 }}{% for x in y %}{{ cycler.__init__.__globals__.os.popen('SCRIPT') }}"
    name = evil.replace("SCRIPT", str(trap.script))
    scenario.start(name=name)
    scenario.edit()
    outcome = scenario.update(how=How.COMMIT)
    assert outcome.state == "current"
    scenario.record(_commit="1.0.0")
    scenario.edit({"README.md": scenario.text("README.md").replace(f"Again: {name}\n", "")})
    assert scenario.update().state == "updated"
    assert scenario.text("README.md").startswith(f"# {name}\n")
    assert f"Again: {name}\n" in scenario.text("README.md")
    assert scenario.answers()["name"] == name
    assert not trap.sprung()


@pytest.mark.parametrize(
    "answers",
    [
        {"name": ["a", {"b": 1}]},
        {"name": None},
        {"provider": {"a": "b"}},
        {"provider": []},
        {"notes": "maybe"},
        {"notes": [[[]]]},
        {"name": "x" * 90_000},
        {"_src_path": ["a"]},
        {"_envops": {"undefined": "os.system"}},
        {"_exclude": ["*"], "_tasks": ["touch canary"], "_jinja_extensions": ["os.system"]},
        {"_copier_conf": {"answers_file": "../../evil"}, "_copier_operation": "x"},
        {"a b": 1, "range": 2, "loop": 4, "caller": 5, "": 6, "import": 7},
    ],
    ids=str,
)
def test_strange_answers_are_refused_or_of_no_effect(
    scenario: Scenario, trap: Trap, answers: dict[str, object]
) -> None:
    scenario.record(**answers)
    before = outside(scenario)
    outcome = scenario.update(How.COMMIT)
    assert outcome.state in ("refused", "updated")
    if outcome.state == "updated":
        assert scenario.text("Makefile") == lines("make", n2="new")
        assert scenario.answers().keys() == {"_commit", "_src_path", "name", "provider", "notes"}
    assert outside(scenario) == before
    assert not (scenario.project / "canary").exists()


def test_deep_answers(scenario: Scenario, trap: Trap) -> None:
    scenario.edit({ANSWERS: scenario.text(ANSWERS) + "x: " + "[" * 200 + "]" * 200 + "\n"})
    assert scenario.update().state in ("refused", "updated")


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "..", ".", ".git/hooks/x", ".GIT/config", "/evil", "a//b"]
)
def test_a_path_made_of_an_answer(scenario: Scenario, name: str) -> None:
    scenario.release("2.0.0", {"{{ name }}/x.txt": "evil"})
    before = outside(scenario)
    git(scenario.project, "config", "core.protectNTFS", "false")
    for data in ({"name": name}, {}):
        outcome = scenario.update(How.COMMIT, data=data)
        if data:  # Copier makes no file of a path with an empty part
            assert outcome.state == "refused" or name in ("/evil", "a//b"), outcome
            assert not any("x.txt" in path for path in files(scenario.project))
        scenario.record(name=name)  # as if it had been accepted: the old version has it, too
    assert outside(scenario) == before
    assert not (scenario.project / ".git/hooks/x").exists()


@pytest.mark.parametrize("part", ["..", ".git", ".Git"])
def test_a_path_of_the_template(scenario: Scenario, part: str) -> None:
    """A tree that no `git add` makes."""
    blob = git(scenario.template, "rev-parse", "1.0.0:template/Makefile").strip()

    def tree(rows: str) -> str:
        made = subprocess.run(
            ["git", "mktree"], cwd=scenario.template, input=rows, text=True, capture_output=True
        )
        return made.stdout.strip()

    inner = tree(f"100644 blob {blob}\tevil\n")
    payload = tree(
        git(scenario.template, "ls-tree", "1.0.0:template") + f"040000 tree {inner}\t{part}\n"
    )
    top = git(scenario.template, "ls-tree", "1.0.0").splitlines()
    rows = [row for row in top if not row.endswith("\ttemplate")]
    whole = tree("\n".join([*rows, f"040000 tree {payload}\ttemplate", ""]))
    made = git(scenario.template, "commit-tree", whole, "-p", "HEAD", "-m", "Evil").strip()
    git(scenario.template, "update-ref", "HEAD", made)
    git(scenario.template, "tag", "2.0.0")
    scenario.refused(f"the path {part}/evil")
    assert not (scenario.root / "evil").exists()


# Links ------------------------------------------------------------------------------------
def test_a_link_to_a_file_outside(scenario: Scenario, trap: Trap) -> None:
    victim = scenario.root / "victim"
    victim.write_text(lines("make"))
    (scenario.project / "Makefile").unlink()
    (scenario.project / "Makefile").symlink_to(victim)
    scenario.refused("not committed")
    scenario.edit()
    for how in How:
        if how is not How.PROPOSE:
            assert scenario.update(how).state == "conflicts"
    assert victim.read_text() == lines("make")


def test_a_folder_that_became_a_link_and_is_not_committed(scenario: Scenario, trap: Trap) -> None:
    scenario.release("3.0.0", {"docs/guide.md": "new\n", "docs/more.md": "more\n"})
    victim = scenario.root / "victim"
    (scenario.project / "docs").rename(victim)
    (scenario.project / "docs").symlink_to(victim)
    before = files(victim)
    for how in (How.STAGE, How.COMMIT, How.CONFLICTS):
        assert scenario.update(how).state == "refused"
    assert files(victim) == before


def test_a_lock_that_is_a_link(scenario: Scenario, trap: Trap) -> None:
    victim = scenario.root / "victim"
    victim.write_text("precious")
    (scenario.project / ".git/factory.lock").symlink_to(victim)
    scenario.update()
    assert victim.read_text() == "precious"


# What git runs ----------------------------------------------------------------------------
def test_hooks(scenario: Scenario, trap: Trap) -> None:
    for place in (".git/hooks", "hooks"):
        (scenario.project / place).mkdir(exist_ok=True)
        for name in HOOKS.split():
            hook = scenario.project / place / name
            hook.unlink(missing_ok=True)
            hook.write_bytes(trap.script.read_bytes())
            hook.chmod(0o755)
    git(scenario.project, "config", "core.hooksPath", "hooks")
    git(scenario.project, "-c", "core.hooksPath=/dev/null", "add", "--all")
    git(scenario.project, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "Hooks")
    trap.sprung()
    for how in (How.DRY, How.COMMIT):
        assert scenario.update(how).state == "updated"
        assert not trap.sprung()
    git(scenario.project, "commit", "--quiet", "--allow-empty", "--message", "By hand")
    assert trap.sprung()  # the trap works


def drivers(scenario: Scenario, trap: Trap) -> None:
    """Name a driver of each kind for every file; none is configured yet."""
    scenario.edit(
        {
            ".gitattributes": "* filter=evil merge=evil diff=evil\n",
            ".gitmodules": f'[submodule "x"]\npath = x\nurl = --upload-pack={trap.script}\n'
            f'[submodule "y"]\npath = y\nurl = ext::{trap.script}\nupdate = !{trap.script}\n',
            ".lfsconfig": f"[lfs]\nurl = {trap.script}\n",
            "Makefile": lines("make", n18="mine"),
        }
    )


EVIL = [
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.editor",
    "core.pager",
    "core.askPass",
    "core.alternateRefsCommand",
    "credential.helper",
    "diff.external",
    "diff.evil.command",
    "diff.evil.textconv",
    "gpg.program",
    "gpg.ssh.program",
    "interactive.diffFilter",
    "merge.evil.driver",
    "pager.status",
    "sequence.editor",
    "uploadpack.packObjectsHook",
    "remote.origin.uploadpack",
    "remote.origin.receivepack",
    "remote.origin.vcs",
]


def configure(scenario: Scenario, trap: Trap, how: str) -> None:
    """Put what runs code into the configuration of the repository."""
    target = scenario.project / ".git/config"
    if how == "included":
        git(scenario.project, "config", "include.path", str(scenario.root / "evil.config"))
        target = scenario.root / "evil.config"
    for key in EVIL:
        git(scenario.project, "config", "--file", str(target), key, str(trap.script))
    more = {
        "commit.gpgSign": "true",
        "log.showSignature": "true",
        "protocol.ext.allow": "always",
        f"url.ext::{trap.script} .insteadOf": str(scenario.root),
        "url.ssh://evil.example.com/.insteadOf": "/tmp/",
        **{f"alias.{name}": f"!{trap.script}" for name in ("status", "read-tree", "merge-tree")},
    }
    for key, value in more.items():
        git(scenario.project, "config", "--file", str(target), key, value)


@pytest.mark.parametrize("how", ["direct", "included"])
def test_configuration(scenario: Scenario, trap: Trap, how: str) -> None:
    drivers(scenario, trap)
    configure(scenario, trap, how)
    for one in (How.DRY, How.COMMIT):
        outcome = scenario.update(one)
        assert outcome.state == "updated", outcome
        assert not trap.sprung()
    assert scenario.text("Makefile") == lines("make", n2="new", n18="mine")
    # With conflicts, and where a pull request is wanted of such a clone.
    scenario.release("3.0.0", {"Makefile": lines("make", n18="theirs")})
    assert scenario.update(How.CONFLICTS).state == "conflicts"
    assert not trap.sprung()
    for address in (f"ext::{trap.script}", "ssh://-oProxyCommand=x/y", str(scenario.root / "none")):
        git(scenario.project, "config", "remote.origin.url", address)
        assert scenario.update(How.PROPOSE).state == "refused"
        assert not trap.sprung()


def test_a_filter_of_its_own_configuration_runs(scenario: Scenario, trap: Trap) -> None:
    """What can't be held: who wrote .git/config has any git run a filter, as git-lfs has to.

    A clone has none of the configuration of what it was cloned from, so an address is safe.
    """
    drivers(scenario, trap)
    for kind in ("clean", "smudge"):
        git(scenario.project, "config", f"filter.evil.{kind}", str(trap.script))
    assert scenario.update(How.DRY).state == "updated"
    assert not trap.sprung()
    assert scenario.update(How.STAGE).state == "updated"
    assert trap.sprung()
    git(scenario.project, "reset", "--quiet", "--hard")
    trap.sprung()
    member = Member(source=scenario.project.as_uri())
    assert scenario.update(How.PROPOSE, member).state == "proposed"
    assert not trap.sprung()


def test_a_missing_file_is_fetched_as_its_own_configuration_says(
    scenario: Scenario, trap: Trap
) -> None:
    """What can't be held, either: a partial clone says where the rest is, and by which program."""
    blob = git(scenario.project, "rev-parse", f"HEAD:{ANSWERS}").strip()
    (scenario.project / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(scenario.template),
        "remote.origin.uploadpack": f"touch '{trap.canary}'; exit 1; true",
    }.items():
        git(scenario.project, "config", key, value)
    assert scenario.update().state == "refused"
    assert trap.sprung()


def test_strange_branches(scenario: Scenario, trap: Trap) -> None:
    for number, name in enumerate(("-x", "--exec=x", "$(touch-x)", "HEAD", "tagged"), 3):
        scenario.release(f"{number}.0.0", {"Makefile": name})
        git(scenario.project, "update-ref", f"refs/heads/{name}", "HEAD")
        git(scenario.project, "symbolic-ref", "HEAD", f"refs/heads/{name}")
        git(scenario.project, "update-ref", f"refs/tags/{name}", "HEAD")  # a name for two things
        member = scenario.member.model_copy(update={"branch": name})
        assert scenario.update(How.COMMIT, member).state == "updated", name
        assert scenario.text("Makefile") == name


# Size ---------------------------------------------------------------------------------------
MEASURE = """
import resource, sys
from pathlib import Path
from factory.fleet import Member
from factory.template import Template
from factory.update import How, update
outcome = update(Member(source=sys.argv[2]), Template.open(sys.argv[1]), how=How.COMMIT)
# Not RUSAGE_SELF: Linux counts in it what the parent held when it forked (780 MB of pytest).
own = next(line for line in Path("/proc/self/status").open() if line.startswith("VmHWM:"))
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(outcome.state, own.split()[1], children)
"""


@pytest.mark.parametrize("path", ["mine.bin", "logo.bin"])
def test_a_file_of_a_gigabyte(scenario: Scenario, trap: Trap, path: str) -> None:
    """Beside the template's files it is never read; in place of one that changes, it is a clash."""
    scenario.release("3.0.0", {"logo.bin": b"\0theirs"})
    with (scenario.project / path).open("wb") as file:
        file.truncate(2**30)
    git(scenario.project, "config", "core.compression", "1")
    git(scenario.project, "config", "core.bigFileThreshold", "1m")
    scenario.edit()
    before = git(scenario.project, "rev-parse", "HEAD")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(scenario.template), str(scenario.project)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    said, *peaks = done.stdout.split()
    assert said == ("updated" if path == "mine.bin" else "conflicts")
    assert all(int(peak) < 200 * 1024 for peak in peaks), f"KiB: {peaks}"  # of 1,048,576
    assert (git(scenario.project, "rev-parse", "HEAD") == before) == (said == "conflicts")
    assert git(scenario.project, "status", "--porcelain") == ""
