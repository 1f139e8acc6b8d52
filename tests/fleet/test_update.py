"""An update loses nothing: each way in which a team and a template change the same project.

What `copier update` does with the same is held beside it: the test turns red when Copier mends it.
"""

import os
import shutil
from pathlib import Path

import pytest
from copier.errors import UserMessageError
from scenario import BINARY, Scenario, commit, files, git, lines, state, write

from factory.fleet import ANSWERS, Member
from factory.git import require
from factory.update import How

pytest_plugins = ["scenario"]

MINE = "as the team has it"
MARKERS = ("<<<<<<<", ">>>>>>>")


def staged(scenario: Scenario) -> dict[str, str]:
    """Return what is staged: how each path changed."""
    rows = git(scenario.project, "diff", "--cached", "--name-status", "--no-renames").splitlines()
    return {path: kind for kind, path in (row.split("\t") for row in rows)}


# Edits ---------------------------------------------------------------------------
def test_nothing_new(scenario: Scenario) -> None:
    before = state(scenario.project)
    for how in (How.STAGE, How.COMMIT, How.DRY):
        outcome = scenario.update(how)
        assert (outcome.state, outcome.before, outcome.after) == ("current", "1.0.0", "1.0.0")
    assert state(scenario.project) == before


def test_without_edits_it_is_a_fresh_copy(scenario: Scenario) -> None:
    changes = {"Makefile": lines("make", n2="new"), "notes.md": None, "docs/more.md": "more\n"}
    scenario.release("2.0.0", changes)
    outcome = scenario.update()
    assert (outcome.state, outcome.before, outcome.after) == ("updated", "1.0.0", "2.0.0")
    assert files(scenario.project) == scenario.fresh()
    # Staged, and nothing else: a look at it, then a commit.
    assert git(scenario.project, "diff", "--name-only") == ""
    assert staged(scenario) == {
        ANSWERS: "M",
        "Makefile": "M",
        "notes.md": "D",
        "docs/more.md": "A",
    }
    commit(scenario.project)
    assert scenario.update().state == "current"


def test_a_dry_run_tells_the_change_and_makes_none(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    before = state(scenario.project)
    outcome = scenario.update(How.DRY)
    assert outcome.state == "updated"
    assert outcome.diff
    assert "-make 2\n+new\n" in outcome.diff
    assert "-_commit: 1.0.0\n+_commit: 2.0.0\n" in outcome.diff
    assert state(scenario.project) == before
    write_only = scenario.project / ".git/factory.lock"
    assert not write_only.exists()


def test_a_commit_is_one_on_the_branch(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    assert scenario.update(How.COMMIT).state == "updated"
    assert git(scenario.project, "status", "--porcelain") == ""
    said = git(scenario.project, "log", "--format=%s,%an,%ae,%cn", "--max-count=2").splitlines()
    who = "Tester,tester@example.com,Tester"
    assert said == [f"Update from template 1.0.0 to 2.0.0,{who}", f"Start,{who}"]
    assert git(scenario.project, "fsck", "--no-dangling") == ""
    assert scenario.update(How.COMMIT).state == "current"


def test_edits_elsewhere_in_a_file(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": lines("make", n18=MINE)})
    both = lines("make", n2="new", n18=MINE)
    assert scenario.update().state == "updated"
    assert scenario.text("Makefile") == both
    git(scenario.project, "reset", "--quiet", "--hard")
    assert (scenario.by_copier() / "Makefile").read_text() == both


def test_edits_in_the_same_lines(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new"), "docs/guide.md": "other\n"})
    scenario.edit({"Makefile": lines("make", n2=MINE)})
    scenario.conflicts({"Makefile": "contents"})
    # Copier reports success, and leaves markers.
    text = (scenario.by_copier() / "Makefile").read_text()
    assert all(marker in text for marker in MARKERS)


def test_with_conflicts_markers_and_stages_are_left(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new"), "docs/guide.md": "other\n"})
    scenario.edit({"Makefile": lines("make", n2=MINE)})
    head = git(scenario.project, "rev-parse", "HEAD")
    outcome = scenario.update(How.CONFLICTS)
    assert outcome.state == "conflicts"
    text = scenario.text("Makefile")
    assert all(word in text for word in (*MARKERS, MINE, "new\n"))
    assert scenario.text("docs/guide.md") == "other\n"
    assert git(scenario.project, "rev-parse", "HEAD") == head
    # git knows: it refuses to commit before each is decided, and each side is there to choose.
    assert git(scenario.project, "diff", "--name-only", "--diff-filter=U") == "Makefile\n"
    git(scenario.project, "commit", "--message", "Markers", fails=True)
    for stage, line in ((1, "make 2"), (2, MINE), (3, "new")):
        assert git(scenario.project, "show", f":{stage}:Makefile") == lines("make", n2=line)
    assert "missing" not in git(scenario.project, "fsck")
    scenario.refused("not committed", "Makefile")
    git(scenario.project, "checkout", "--quiet", "--ours", "Makefile")
    scenario.edit()
    assert scenario.update().state == "current"
    assert scenario.text("Makefile") == lines("make", n2=MINE)


# Renames and deletions ------------------------------------------------------------
def test_renamed_by_the_template_and_edited_by_the_team(scenario: Scenario) -> None:
    scenario.rename("Makefile", "build/Makefile")
    scenario.release("2.0.0")
    scenario.edit({"Makefile": lines("make", n18=MINE)})
    assert scenario.update().state == "updated"
    assert scenario.text("build/Makefile") == lines("make", n18=MINE)
    assert not (scenario.project / "Makefile").exists()
    git(scenario.project, "reset", "--quiet", "--hard")
    copied = scenario.by_copier()  # Copier loses the edit
    assert (copied / "build/Makefile").read_text() == lines("make")
    assert not (copied / "Makefile").exists()


def test_moved_by_the_team_and_changed_by_the_template(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": None, "mk/main.mk": lines("make", n18=MINE)})
    assert scenario.update().state == "updated"
    assert scenario.text("mk/main.mk") == lines("make", n2="new", n18=MINE)
    assert not (scenario.project / "Makefile").exists()
    git(scenario.project, "reset", "--quiet", "--hard")
    copied = scenario.by_copier()  # Copier leaves the change out, silently
    assert (copied / "mk/main.mk").read_text() == lines("make", n18=MINE)
    assert not (copied / "Makefile").exists()


def test_moved_by_both(scenario: Scenario) -> None:
    scenario.rename("Makefile", "theirs.mk")
    scenario.release("2.0.0")
    scenario.edit({"Makefile": None, "mine.mk": lines("make", n18=MINE)})
    outcome = scenario.update()
    assert outcome.state == "conflicts"
    assert {one.path for one in outcome.conflicts} == {"Makefile", "theirs.mk", "mine.mk"}
    scenario.update(How.CONFLICTS)
    assert MINE in scenario.text("mine.mk")


def test_deleted_by_the_template_and_edited_by_the_team(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": None})
    scenario.edit({"Makefile": lines("make", n18=MINE)})
    scenario.conflicts({"Makefile": "modify/delete"})
    scenario.update(How.CONFLICTS)
    assert scenario.text("Makefile") == lines("make", n18=MINE)
    git(scenario.project, "reset", "--quiet", "--hard")
    assert not (scenario.by_copier() / "Makefile").exists()  # Copier loses it


@pytest.mark.parametrize("renamed", [False, True])
def test_deleted_by_the_team_and_changed_by_the_template(scenario: Scenario, renamed: bool) -> None:
    if renamed:
        scenario.rename("Makefile", "build/Makefile")
    target = "build/Makefile" if renamed else "Makefile"
    scenario.release("2.0.0", {target: lines("make", n2="new")})
    scenario.edit({"Makefile": None})
    outcome = scenario.update()
    assert (outcome.state, outcome.stays_deleted) == ("updated", (target,))
    assert not (scenario.project / target).exists()
    git(scenario.project, "reset", "--quiet", "--hard")
    assert (scenario.by_copier() / target).exists() == renamed


def test_deleted_by_the_team_beside_a_conflict(scenario: Scenario) -> None:
    scenario.release(
        "2.0.0", {"Makefile": lines("make", n2="new"), "notes.md": lines("notes", n2="new")}
    )
    scenario.edit({"Makefile": None, "notes.md": lines("notes", n2=MINE)})
    assert scenario.conflicts({"notes.md": "contents"}).stays_deleted == ("Makefile",)
    scenario.update(How.CONFLICTS)
    assert not (scenario.project / "Makefile").exists()
    assert git(scenario.project, "diff", "--name-only", "--diff-filter=U") == "notes.md\n"


def test_a_file_that_the_team_made_a_folder(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": None})
    scenario.edit({"Makefile/mine.mk": MINE})
    outcome = scenario.update()
    assert outcome.state == "updated"
    assert [path.split("~")[0] for path in outcome.stays_deleted] == ["Makefile"]
    assert {path for path in files(scenario.project) if "Makefile" in path} == {"Makefile/mine.mk"}


def test_the_same_new_file_added_by_both(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"new.md": lines("new"), "same.md": "same\n"})
    scenario.edit({"new.md": lines("new", n2=MINE), "same.md": "same\n"})
    scenario.conflicts({"new.md": "contents"})
    text = (scenario.by_copier() / "new.md").read_text()
    assert all(marker in text for marker in MARKERS)


# What is no text -------------------------------------------------------------------
def test_a_binary_changed_by_the_team(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"logo.bin": BINARY + b"mine"})
    assert scenario.update().state == "updated"
    assert (scenario.project / "logo.bin").read_bytes() == BINARY + b"mine"
    git(scenario.project, "reset", "--quiet", "--hard")
    # Copier overwrites it, though the template did not change it.
    assert (scenario.by_copier() / "logo.bin").read_bytes() == BINARY


def test_a_binary_changed_by_both(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"logo.bin": BINARY + b"theirs"})
    scenario.edit({"logo.bin": BINARY + b"mine"})
    scenario.conflicts({"logo.bin": "binary"})
    scenario.update(How.CONFLICTS)
    assert (scenario.project / "logo.bin").read_bytes() == BINARY + b"mine"
    git(scenario.project, "reset", "--quiet", "--hard")
    assert (scenario.by_copier() / "logo.bin").read_bytes() == BINARY + b"theirs"


def test_a_binary_changed_by_the_template(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"logo.bin": BINARY + b"theirs"})
    assert scenario.update().state == "updated"
    assert (scenario.project / "logo.bin").read_bytes() == BINARY + b"theirs"


def test_no_utf8(scenario: Scenario) -> None:
    latin = lines("caf\u00e9").encode("latin-1")
    scenario.release("2.0.0", {"latin.txt": latin, "docs/guide.md": lines("guide", n2="new")})
    scenario.edit({"docs/guide.md": lines("guide").encode() + b"\xe9 mine\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    assert (scenario.project / "latin.txt").read_bytes() == latin
    assert scenario.project.joinpath("docs/guide.md").read_bytes() == (
        lines("guide", n2="new").encode() + b"\xe9 mine\n"
    )
    scenario.release("3.0.0", {"latin.txt": latin.replace(b"caf\xe9 2\n", b"new\n")})
    scenario.edit({"latin.txt": latin.replace(b"caf\xe9 18\n", b"mine\n")})
    assert scenario.update().state == "updated"
    both = latin.replace(b"caf\xe9 2\n", b"new\n").replace(b"caf\xe9 18\n", b"mine\n")
    assert (scenario.project / "latin.txt").read_bytes() == both


NAMES = [
    "with space.md",
    "\u00fcml\u00e4ut/\u65e5\u672c.md",
    'quo"te.md',
    '"quoted".md',
    "new\nline.md",
    "tab\tbed.md",
    "back\\slash.md",
    "-x",
    "--help",
    " leading",
    "trailing ",
    "[glob]*?.md",
    ":(top)magic",
    "a~HEAD",
    "#hash",
    "$(touch x)",
]


def test_names_of_files(scenario: Scenario) -> None:
    """Each is the template's and the team's: changed by both, and in conflict."""
    scenario.release("2.0.0", {name: lines("x") for name in NAMES})
    assert scenario.update(How.COMMIT).state == "updated"
    fresh = scenario.fresh()
    assert all(files(scenario.project)[name] == fresh[name] for name in NAMES)
    scenario.release("3.0.0", {name: lines("x", n2="new") for name in NAMES})
    scenario.edit({name: lines("x", n18=MINE) for name in NAMES})
    assert scenario.update(How.COMMIT).state == "updated"
    assert all(scenario.text(name) == lines("x", n2="new", n18=MINE) for name in NAMES)
    scenario.release("4.0.0", {name: lines("x", n2="newer") for name in NAMES})
    scenario.edit({name: lines("x", n2=MINE) for name in NAMES})
    scenario.conflicts(dict.fromkeys(NAMES, "contents"))
    assert scenario.update(How.CONFLICTS).state == "conflicts"
    assert all(MINE in scenario.text(name) and "newer" in scenario.text(name) for name in NAMES)
    scenario.edit({name: None for name in NAMES})
    scenario.release("5.0.0", {name: lines("x", n2="newest") for name in NAMES})
    assert scenario.update().stays_deleted == tuple(sorted(NAMES))


def test_empty_files(scenario: Scenario) -> None:
    """An empty file has no likeness: one that goes and one that comes are no rename."""
    scenario.release("2.0.0", {"empty.txt": None, "pkg/__init__.py": "", "pkg/b/__init__.py": ""})
    scenario.edit({"mine.txt": ""})
    assert scenario.update(How.COMMIT).state == "updated"
    found = files(scenario.project)
    assert "empty.txt" not in found
    assert found["mine.txt"][1] == found["pkg/__init__.py"][1] == b""
    scenario.release("3.0.0", {"pkg/__init__.py": "theirs\n"})
    scenario.edit({"pkg/b/__init__.py": MINE})
    assert scenario.update().state == "updated"
    assert scenario.text("pkg/b/__init__.py") == MINE
    assert scenario.text("pkg/__init__.py") == "theirs\n"


# Line ends, modes, links -----------------------------------------------------------
@pytest.mark.parametrize("edit", ["make 18", MINE])
def test_line_ends_of_the_team(scenario: Scenario, edit: str) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": lines("make", n18=edit).replace("\n", "\r\n")})
    assert scenario.update().state == "updated"
    assert scenario.text("Makefile") == lines("make", n2="new", n18=edit).replace("\n", "\r\n")
    git(scenario.project, "reset", "--quiet", "--hard")
    text = (scenario.by_copier() / "Makefile").read_bytes().decode()
    assert all(marker in text for marker in MARKERS)


def test_line_ends_of_a_rendered_file(scenario: Scenario) -> None:
    path = "README.md.jinja"
    text = (scenario.template / "template" / path).read_text().replace("readme 2\n", "new\n")
    scenario.release("2.0.0", {path: text})
    scenario.edit({"README.md": scenario.text("README.md").replace("\n", "\r\n")})
    assert scenario.update().state == "updated"
    assert scenario.text("README.md") == scenario.fresh()["README.md"][1].decode().replace(
        "\n", "\r\n"
    )


def test_line_ends_of_the_template(scenario: Scenario) -> None:
    """git keeps LF in the repository, where .gitattributes says so; the template has CRLF."""
    windows = lines("run").replace("\n", "\r\n")
    scenario.release("1.1.0", {"run.bat": windows})
    scenario.edit({".gitattributes": "* text=auto\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    (scenario.project / "run.bat").write_text(lines("run", n18=MINE))
    scenario.edit()
    scenario.release("2.0.0", {"run.bat": windows.replace("run 2\r", "new\r")})
    assert scenario.update().state == "updated"
    assert scenario.text("run.bat").replace("\r", "") == lines("run", n2="new", n18=MINE)


def test_mixed_line_ends(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": lines("make", n18=f"{MINE}\r")})
    assert scenario.update().state == "updated"
    assert scenario.text("Makefile") == lines("make", n2="new", n18=f"{MINE}\r")
    scenario.edit()
    scenario.release("3.0.0", {"Makefile": lines("make", n18="newer")})
    scenario.conflicts({"Makefile": "contents"})


def test_executable_bits(scenario: Scenario) -> None:
    """The template's, the team's, both: what one changed stays changed, whatever the other did."""
    theirs = scenario.template / "template"
    (theirs / "docs/guide.md").chmod(0o755)
    (theirs / "cloud/local.py").chmod(0o755)
    scenario.release("2.0.0", {"notes.md": lines("notes", n2="new"), "Makefile": None})
    for path, mode in (("notes.md", 0o755), ("cloud/local.py", 0o755), ("Makefile", 0o755)):
        (scenario.project / path).chmod(mode)
    scenario.edit({"docs/guide.md": lines("guide", n2=MINE)})
    scenario.conflicts({"Makefile": "modify/delete"})  # a bit is an edit, too
    (scenario.project / "Makefile").chmod(0o644)
    scenario.edit()
    assert scenario.update().state == "updated"
    found = files(scenario.project)
    assert found["docs/guide.md"] == (True, lines("guide", n2=MINE).encode())
    assert found["notes.md"] == (True, lines("notes", n2="new").encode())
    assert found["cloud/local.py"][0]
    assert found["run.sh"][0]
    assert not found["logo.bin"][0]


def test_a_factory_file_that_the_team_made_a_link(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    scenario.edit({"Makefile": None, "mine.mk": MINE})
    (scenario.project / "Makefile").symlink_to("mine.mk")
    scenario.edit()
    before = state(scenario.project)
    outcome = scenario.update()
    assert outcome.state == "conflicts"
    assert {one.path.split("~")[0] for one in outcome.conflicts} == {"Makefile"}
    assert state(scenario.project) == before
    scenario.release("3.0.0", {"Makefile": lines("make")})  # as it was: nothing clashes
    assert scenario.update().state == "updated"
    assert (scenario.project / "Makefile").is_symlink()
    assert scenario.text("mine.mk") == MINE


def test_a_folder_that_the_team_made_a_link_out(scenario: Scenario) -> None:
    outside = scenario.root / "outside"
    outside.mkdir()
    (outside / "guide.md").write_text(MINE)
    scenario.edit({"docs/guide.md": None})
    (scenario.project / "docs").rmdir() if (scenario.project / "docs").exists() else None
    (scenario.project / "docs").symlink_to(outside)
    scenario.edit()
    scenario.release("2.0.0", {"docs/guide.md": lines("guide", n2="new")})
    assert scenario.update(How.COMMIT).stays_deleted  # the file went when the link came
    scenario.release("3.0.0", {"docs/more.md": "more\n"})
    before = state(scenario.project)
    assert scenario.update().state == "conflicts"
    assert state(scenario.project) == before
    scenario.update(How.CONFLICTS)
    assert files(outside) == {"guide.md": (False, MINE.encode())}


def test_a_link_that_git_does_not_know(scenario: Scenario) -> None:
    outside = scenario.root / "outside"
    outside.mkdir()
    scenario.edit({".gitignore": "data\n"})
    (scenario.project / "data").symlink_to(outside)
    scenario.release("2.0.0", {"data/new.csv": "1\n"})
    scenario.conflicts_in_the_way("data/new.csv", "link")
    assert not list(outside.iterdir())


# What git does not know ------------------------------------------------------------
@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.parametrize(
    ("there", "comes"),
    [("new.md", "new.md"), ("new.md/mine", "new.md"), ("new", "new/deep/er.md")],
)
def test_in_the_way(scenario: Scenario, ignored: bool, there: str, comes: str) -> None:
    if ignored:
        scenario.edit({".gitignore": f"/{there.split('/')[0]}\n"})
    target = scenario.project / there
    target.parent.mkdir(exist_ok=True)
    target.write_text(MINE)
    scenario.release("2.0.0", {comes: "theirs\n", "Makefile": lines("make", n2="new")})
    scenario.conflicts_in_the_way(comes, "in the way")
    scenario.update(How.CONFLICTS)
    assert target.read_text() == MINE
    if ignored and there == comes:
        text = (scenario.by_copier() / comes).read_text()
        assert MINE not in text  # Copier overwrites it


def test_a_tracked_file_that_git_ignores(scenario: Scenario) -> None:
    scenario.edit({".gitignore": "Makefile\n", "Makefile": lines("make", n18=MINE)})
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    assert scenario.update().state == "updated"
    assert scenario.text("Makefile") == lines("make", n2="new", n18=MINE)


def test_untracked_files_elsewhere_stay(scenario: Scenario) -> None:
    (scenario.project / "mine.txt").write_text(MINE)
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    assert scenario.update(How.COMMIT).state == "updated"
    assert scenario.text("mine.txt") == MINE


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_git_was_told_not_to_see(scenario: Scenario, flag: str) -> None:
    git(scenario.project, "update-index", flag, "Makefile")
    (scenario.project / "Makefile").write_text(MINE)
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new"), "docs/guide.md": "new\n"})
    scenario.refused("Makefile", "nothing was changed")
    assert scenario.text("Makefile") == MINE


# Answers -----------------------------------------------------------------------------
def test_a_new_question(scenario: Scenario) -> None:
    scenario.release(
        "2.0.0", {"lang.txt.jinja": "{{ lang }}\n"}, lang={"type": "str", "default": "en"}
    )
    assert scenario.update().state == "updated"
    assert (scenario.answers()["lang"], scenario.text("lang.txt")) == ("en", "en\n")
    git(scenario.project, "reset", "--quiet", "--hard")
    assert scenario.update(data={"lang": "de"}).state == "updated"
    assert scenario.text("lang.txt") == "de\n"


def test_a_new_question_without_a_default(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"lang.txt.jinja": "{{ lang }}\n"}, lang={"type": "str"})
    scenario.refused("lang")
    assert scenario.update(data={"lang": "de"}).state == "updated"


def test_a_renamed_choice_keeps_its_meaning(scenario: Scenario) -> None:
    scenario.start(provider="aws")
    provider = {"type": "str", "choices": ["on-premises", "amazon"]}
    scenario.release(
        "2.0.0",
        {"cloud/aws.py": lines("aws", n2="new")},
        provider=None,
        cloud=provider
        | {"default": "{{ 'amazon' if provider | default('') == 'aws' else 'on-premises' }}"},
        _exclude=[
            "{% if cloud | default('on-premises') != 'on-premises' %}cloud/local.py{% endif %}",
            "{% if cloud | default('amazon') != 'amazon' %}cloud/aws.py{% endif %}",
        ],
        **{"provider_name": {"type": "str", "when": False, "default": "{{ cloud }}"}},
    )
    text = (scenario.template / "template/README.md.jinja").read_text()
    scenario.release(
        "2.0.1", {"README.md.jinja": text.replace("{{ provider }}", "{{ provider_name }}")}
    )
    assert scenario.update(How.COMMIT).state == "updated"
    assert scenario.answers()["cloud"] == "amazon"
    assert "provider" not in scenario.answers()
    assert scenario.text("README.md").endswith("provider: amazon\n")
    assert scenario.text("cloud/aws.py") == lines("aws", n2="new")
    scenario.release("3.0.0", {"Makefile": "new\n"})  # the old answer is gone; its meaning is not
    assert scenario.update().state == "updated"
    assert scenario.answers()["cloud"] == "amazon"


def test_a_choice_that_is_gone(scenario: Scenario) -> None:
    scenario.start(provider="aws")
    choices = {"type": "str", "choices": ["local", "gcp"], "default": "local"}
    scenario.release("2.0.0", provider=choices)
    scenario.refused("provider", "--data")
    assert scenario.update(data={"provider": "gcp"}).state == "updated"
    git(scenario.project, "reset", "--quiet", "--hard")
    # Copier takes the default, and says nothing.
    assert "provider: local" in (scenario.by_copier() / ANSWERS).read_text()


def test_a_validator_that_became_stricter(scenario: Scenario) -> None:
    scenario.start(name="Old Name")
    strict = "{% if ' ' in name %}no spaces{% endif %}"
    scenario.release("2.0.0", name={"type": "str", "default": "demo", "validator": strict})
    scenario.refused("name", "no spaces")
    git(scenario.project, "reset", "--quiet", "--hard")
    assert "name: demo" in (scenario.by_copier() / ANSWERS).read_text()


def test_a_question_that_there_is_not(scenario: Scenario) -> None:
    scenario.refused("no question is called providr", "provider?", data={"providr": "aws"})


def test_a_dropped_option(scenario: Scenario) -> None:
    scenario.release(
        "2.0.0",
        {"notes.md": None},
        notes=None,
        _exclude=[row for row in scenario.config["_exclude"] if "notes" not in row],
    )
    scenario.edit({"Makefile": lines("make", n2=MINE)})
    assert scenario.update(How.COMMIT).state == "updated"
    assert "notes" not in scenario.answers()
    assert "notes.md" not in files(scenario.project)


@pytest.mark.parametrize("edited", [False, True])
def test_an_option_that_is_switched_off(scenario: Scenario, edited: bool) -> None:
    if edited:
        scenario.edit({"notes.md": lines("notes", n2=MINE)})
        scenario.conflicts({"notes.md": "modify/delete"}, data={"notes": False})
        assert not (scenario.by_copier(notes=False) / "notes.md").exists()  # Copier loses it
    else:
        assert scenario.update(data={"notes": False}).state == "updated"
        assert "notes.md" not in files(scenario.project)


def test_a_provider_switched_and_back(scenario: Scenario) -> None:
    mine = {"team/code.py": MINE, "cloud/mine.py": MINE, "Makefile": lines("make", n2=MINE)}
    scenario.edit(mine)
    start = files(scenario.project)
    assert scenario.update(How.COMMIT, data={"provider": "aws"}).state == "updated"
    found = files(scenario.project)
    assert "cloud/local.py" not in found
    assert found["cloud/aws.py"][1].decode() == lines("aws")
    assert found["team/aws.py"][1].decode() == lines("team aws")  # the team's, from now on
    assert all(found[path][1].decode() == content for path, content in mine.items())
    scenario.edit({"team/aws.py": MINE})
    # Back: what the switch brought goes, but what it brought to the team stays.
    assert scenario.update(How.COMMIT, data={"provider": "local"}).state == "updated"
    found = files(scenario.project)
    assert found.pop("team/aws.py")[1].decode() == MINE
    assert found == start


def test_edits_in_the_old_providers_files(scenario: Scenario) -> None:
    scenario.edit({"cloud/local.py": lines("local", n2=MINE)})
    scenario.conflicts({"cloud/local.py": "modify/delete"}, data={"provider": "aws"})
    assert not (scenario.by_copier(provider="aws") / "cloud/local.py").exists()  # lost


def test_a_team_file_of_an_unedited_switch_stays(scenario: Scenario) -> None:
    scenario.start(provider="aws")
    scenario.edit()
    assert scenario.update(data={"provider": "local"}).state == "updated"
    assert scenario.text("team/aws.py") == lines("team aws")


# The team's files -----------------------------------------------------------------------
def test_the_teams_files_are_not_touched(scenario: Scenario) -> None:
    scenario.edit({"team/code.py": lines("code", n2=MINE), "team/mine.py": MINE})
    scenario.release("2.0.0", {"team/code.py": "theirs\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    assert scenario.text("team/code.py") == lines("code", n2=MINE)
    scenario.release("3.0.0", {"team/code.py": None})
    assert scenario.update(How.COMMIT).state == "updated"
    assert scenario.text("team/code.py") == lines("code", n2=MINE)
    scenario.edit({"team/code.py": None})
    scenario.release("4.0.0", {"Makefile": "new\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    assert not (scenario.project / "team/code.py").exists()


def test_a_team_file_like_one_of_the_factorys(scenario: Scenario) -> None:
    """No rename, though it looks like one: the team's files take no part."""
    scenario.edit({"Makefile": None, "team/code.py": lines("make", n18=MINE)})
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    assert scenario.update().stays_deleted == ("Makefile",)
    assert scenario.text("team/code.py") == lines("make", n18=MINE)


def test_a_new_file_like_one_that_the_team_deleted(scenario: Scenario) -> None:
    scenario.edit({"team/code.py": None})
    scenario.release("2.0.0", {"like.py": lines("code", n2="new")})
    assert scenario.update().stays_deleted == ()
    assert scenario.text("like.py") == lines("code", n2="new")


def test_a_team_file_that_nobody_edited_is_not_touched_either(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"team/code.py": "theirs\n"})
    scenario.update(How.COMMIT)
    assert scenario.text("team/code.py") == lines("code")
    scenario.release("3.0.0", {"team/code.py": None})
    scenario.update(How.COMMIT)
    assert scenario.text("team/code.py") == lines("code")


def test_a_team_file_that_was_deleted_stays_deleted(scenario: Scenario) -> None:
    scenario.edit({"team/code.py": None})
    scenario.release("2.0.0", {"team/code.py": "theirs\n"})
    outcome = scenario.update()
    assert (outcome.state, outcome.stays_deleted) == ("updated", ())
    assert not (scenario.project / "team/code.py").exists()


def test_a_new_team_file_comes_once(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"team/new.py": "theirs\n"})
    assert not (scenario.by_copier() / "team/new.py").exists()  # with Copier it never comes
    assert scenario.update(How.COMMIT).state == "updated"
    assert scenario.text("team/new.py") == "theirs\n"
    scenario.edit({"team/new.py": None})
    scenario.release("3.0.0", {"team/new.py": "theirs, newer\n"})
    assert scenario.update().state == "updated"
    assert not (scenario.project / "team/new.py").exists()


def test_a_new_team_file_where_the_team_has_one(scenario: Scenario) -> None:
    scenario.edit({"team/new.py": MINE})
    scenario.release("2.0.0", {"team/new.py": "theirs\n"})
    assert scenario.update().state == "updated"
    assert scenario.text("team/new.py") == MINE


def test_a_file_that_changes_hands(scenario: Scenario) -> None:
    rows = scenario.config["_exclude"]
    mine = "{% if _copier_operation == 'update' %}Makefile{% endif %}"
    scenario.edit({"Makefile": lines("make", n2=MINE)})
    scenario.release("2.0.0", {"Makefile": "theirs\n"}, _exclude=[*rows, mine])
    assert scenario.update(How.COMMIT).state == "updated"  # it becomes the team's
    assert scenario.text("Makefile") == lines("make", n2=MINE)
    scenario.release("3.0.0", {"Makefile": "theirs\nnewer\n"}, _exclude=rows)  # and the factory's
    scenario.conflicts({"Makefile": "contents"})


def test_a_package_that_is_renamed_leaves_the_teams_files(scenario: Scenario) -> None:
    row = "{% if _copier_operation == 'update' %}{{ name }}{% endif %}"
    rows = [*scenario.config["_exclude"], row]
    scenario.release("2.0.0", {"{{ name }}/own.py": lines("own")}, _exclude=rows)
    assert scenario.update(How.COMMIT).state == "updated"
    scenario.edit({"demo/mine.py": MINE})
    assert scenario.update(data={"name": "other"}).state == "updated"
    assert scenario.text("demo/own.py") == scenario.text("other/own.py") == lines("own")
    assert scenario.text("demo/mine.py") == MINE


# Versions and addresses -------------------------------------------------------------------
def test_the_newest_version_that_is_final(scenario: Scenario) -> None:
    scenario.release("1.9.0", {"Makefile": "1.9\n"})
    scenario.release("1.10.0", {"Makefile": "1.10\n"})
    scenario.release("2.0.0rc1", {"Makefile": "rc\n"})
    assert scenario.update(How.COMMIT, to="1.9.0").after == "1.9.0"
    assert scenario.text("Makefile") == "1.9\n"
    assert scenario.update(How.COMMIT).after == "1.10.0"
    assert scenario.update(to="2.0.0rc1").after == "2.0.0rc1"


def test_commits_that_answers_files_record(scenario: Scenario) -> None:
    """A tag, what `git describe` says of a commit, a hash; and one that is nowhere."""
    full = git(scenario.template, "rev-parse", "1.0.0").strip()
    write_to = scenario.template / "template/Makefile"
    write_to.write_text(lines("make", n2="between"))
    commit(scenario.template)
    between = git(scenario.template, "describe", "--tags").strip()
    assert between.startswith("1.0.0-1-g")
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    for name in ("1.0.0", full, full[:12]):
        scenario.record(_commit=name)
        assert scenario.update().state == "updated", name
        assert scenario.text("Makefile") == lines("make", n2="new")
        assert scenario.answers()["_commit"] == "2.0.0"
        git(scenario.project, "reset", "--quiet", "--hard")
    scenario.edit({"Makefile": lines("make", n2="between")})
    scenario.record(_commit=between)
    assert scenario.update().state == "updated"
    git(scenario.project, "reset", "--quiet", "--hard")
    scenario.refused("newer than 1.0.0", to="1.0.0")
    scenario.record(_commit="1.5.0")
    scenario.refused("1.5.0", "1.0.0, 2.0.0")
    scenario.record(_commit=None)
    scenario.refused("no _commit")


def test_backwards_is_refused(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    scenario.refused("is at 2.0.0, which is newer than 1.0.0", to="1.0.0")
    with pytest.raises(UserMessageError, match="owngrade"):
        scenario.by_copier(to="1.0.0")


def test_no_version_is_released(scenario: Scenario) -> None:
    git(scenario.template, "tag", "--delete", "1.0.0")
    scenario.refused("version 1.0.0 is not in")


def test_the_template_has_moved(scenario: Scenario) -> None:
    address = "git@git.example.com:old/template.git"
    scenario.record(_src_path=address)
    scenario.release("2.0.0", {"Makefile": "new\n"})
    scenario.refused(address, "formerly")
    scenario.refused(address, "formerly", formerly=("https://git.example.com/other/template",))
    same = "https://git.example.com/old/template"
    assert scenario.update(formerly=(same,)).state == "updated"
    assert scenario.answers()["_src_path"] == str(scenario.template)


def test_a_relative_address(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario.record(_src_path="../template")
    scenario.release("2.0.0", {"Makefile": "new\n"})
    monkeypatch.chdir(scenario.root)
    assert scenario.update().state == "updated"
    assert scenario.answers()["_src_path"] == "../template"
    with pytest.raises(ValueError, match="directory"):
        scenario.by_copier()


# The repository ----------------------------------------------------------------------------
def test_a_subfolder_of_a_repository(scenario: Scenario) -> None:
    """A monorepo with two projects and a neighbour who is at work."""
    mono = scenario.root / "mono"
    mono.mkdir()
    git(mono, "init", "--quiet")
    for folder in (":a [x]", "deep/b"):
        scenario.start(mono / folder)
    write(mono, {"side.txt": "side\n", "a x/side.txt": "side\n"})
    commit(mono)
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new"), "notes.md": None})
    write(mono, {"side.txt": MINE, "a x/side.txt": MINE})
    (mono / "deep/b/Makefile").write_text(MINE)
    (mono / "staged.txt").write_text(MINE)
    git(mono, "add", "staged.txt")
    member = Member(source=str(mono), subfolder=":a [x]")
    (mono / ":a [x]/run.sh").chmod(0o644)
    assert "run.sh" in str(scenario.update(How.COMMIT, member).reason)
    (mono / ":a [x]/run.sh").chmod(0o755)
    before = files(mono / "deep/b")
    assert scenario.update(How.COMMIT, member).state == "updated"
    assert files(mono / ":a [x]") == scenario.fresh()
    assert files(mono / "deep/b") == before
    assert git(mono, "status", "--porcelain").splitlines() == [
        ' M "a x/side.txt"',
        " M deep/b/Makefile",
        " M side.txt",
        "A  staged.txt",
    ]
    assert git(mono, "diff", "--name-only", "HEAD~", "HEAD").splitlines() == [
        f":a [x]/{ANSWERS}",
        ":a [x]/Makefile",
        ":a [x]/notes.md",
    ]
    refused = scenario.update(How.COMMIT, Member(source=str(mono / "deep/b")))
    assert refused.state == "refused"  # this one is dirty itself
    git(mono, "checkout", "--quiet", "deep/b")
    assert scenario.update(How.STAGE, Member(source=str(mono / "deep/b"))).state == "updated"
    assert files(mono / "deep/b") == files(mono / ":a [x]")
    # A conflict is in this folder, and its stages are.
    git(mono, "commit", "--quiet", "--all", "--message", "All")
    scenario.release("3.0.0", {"Makefile": lines("make", n2="newer")})
    (mono / ":a [x]/Makefile").write_text(lines("make", n2=MINE))
    commit(mono)
    assert scenario.update(How.CONFLICTS, member).state == "conflicts"
    assert git(mono, "diff", "--name-only", "--diff-filter=U") == ":a [x]/Makefile\n"
    rows = git(mono, "ls-files", "--stage").splitlines()
    assert [row.split()[2] for row in rows if row.endswith("\t:a [x]/Makefile")] == ["1", "2", "3"]


def test_a_dirty_tree(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    (scenario.project / "docs/guide.md").write_text(MINE)
    scenario.refused("docs/guide.md", "commit or stash")
    git(scenario.project, "add", "--all")
    scenario.refused("docs/guide.md", how=How.COMMIT)
    with pytest.raises(UserMessageError, match="dirty"):
        scenario.by_copier()
    assert scenario.update(How.DRY).state == "updated"


@pytest.mark.parametrize("what", ["merge", "cherry-pick", "revert"])
def test_something_is_under_way(scenario: Scenario, what: str) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    git(scenario.project, "switch", "--quiet", "--create", "other")
    scenario.edit({"mine.txt": "theirs"})
    git(scenario.project, "switch", "--quiet", "main")
    if what == "merge":
        git(scenario.project, "merge", "--no-commit", "--strategy", "ours", "other")
    else:
        scenario.edit({"mine.txt": MINE})
        scenario.edit({"mine.txt": f"{MINE}, later"})
        git(scenario.project, what, "HEAD~" if what == "revert" else "other", fails=True)
    git(scenario.project, "checkout", "--quiet", "HEAD", "--", ".")
    git(scenario.project, "reset", "--quiet", "--", ".")
    scenario.refused("in the middle of")


def test_a_detached_head(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    git(scenario.project, "checkout", "--quiet", "--detach")
    scenario.refused("detached", "git switch")


def test_a_branch_that_is_not_checked_out(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    git(scenario.project, "branch", "develop")
    develop = scenario.member.model_copy(update={"branch": "develop"})
    scenario.refused("main checked out, not develop", member=develop)
    scenario.refused("no commit on none", member=develop.model_copy(update={"branch": "none"}))
    git(scenario.project, "switch", "--quiet", "develop")
    assert scenario.update(member=develop).state == "updated"


def test_a_repository_with_a_submodule_and_one_that_is(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": lines("make", n2="new")})
    other = scenario.root / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other)
    allowed = ("-c", "protocol.file.allow=always")
    git(scenario.project, *allowed, "submodule", "--quiet", "add", str(other), "vendor/other")
    scenario.edit()
    (scenario.project / "vendor/other/dirt").write_text(MINE)
    git(other, *allowed, "submodule", "--quiet", "add", str(scenario.project), "project")
    commit(other)
    member = Member(source=str(other / "project"))
    for one in (scenario.member, member):
        assert scenario.update(How.COMMIT, one).state == "updated"
        assert (Path(one.source) / "Makefile").read_text() == lines("make", n2="new")
    assert (scenario.project / "vendor/other/dirt").exists()
    scenario.release("3.0.0", {"vendor/other": "in the way"})
    before = state(scenario.project)
    assert scenario.update().state == "conflicts"
    assert state(scenario.project) == before


def test_a_linked_working_tree(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n"})
    linked = scenario.root / "linked"
    git(scenario.project, "worktree", "add", "--quiet", str(linked))
    before = state(scenario.project)[:3]
    assert scenario.update(How.COMMIT, Member(source=str(linked))).state == "updated"
    assert (linked / "Makefile").read_text() == "new\n"
    assert state(scenario.project)[:3] == before


def test_a_shallow_clone(scenario: Scenario) -> None:
    for n in range(3):
        scenario.edit({"mine.txt": str(n)})
    scenario.release("2.0.0", {"Makefile": "new\n"})
    shallow = scenario.root / "shallow"
    git(scenario.root, "clone", "--quiet", "--depth=1", scenario.project.as_uri(), str(shallow))
    assert scenario.update(How.COMMIT, Member(source=str(shallow))).state == "updated"
    assert git(shallow, "fsck", "--no-dangling") == ""
    git(shallow, "push", "--quiet", "origin", "HEAD:refs/heads/pushed")


def test_a_partial_and_a_sparse_clone(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n", "docs/guide.md": "new\n"})
    git(scenario.project, "config", "uploadpack.allowFilter", "true")
    git(scenario.project, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = scenario.root / "clone"
    options = ("--filter=blob:none", "--sparse", scenario.project.as_uri(), str(clone))
    git(scenario.root, "clone", "--quiet", *options)
    outcome = scenario.update(How.COMMIT, Member(source=str(clone)))
    assert outcome.state == "updated", outcome
    assert (clone / "Makefile").read_text() == "new\n"
    assert not (clone / "docs").exists()
    assert git(clone, "show", "HEAD:docs/guide.md") == "new\n"


def test_a_bare_repository(scenario: Scenario) -> None:
    bare = scenario.root / "bare.git"
    git(scenario.root, "clone", "--quiet", "--bare", str(scenario.project), str(bare))
    for source in (str(bare), bare.as_uri()):
        outcome = scenario.update(member=Member(source=source))
        assert outcome.state == "refused"
        assert "--pr" in str(outcome.reason)
        assert scenario.update(How.DRY, Member(source=source)).state == "current"


def test_no_repository_and_no_commit(scenario: Scenario) -> None:
    for folder in ("none", "empty"):
        (scenario.root / folder).mkdir()
    git(scenario.root / "empty", "init", "--quiet")
    for folder, said in (("none", "not a git"), ("empty", "no commit"), ("absent", "no such")):
        outcome = scenario.update(member=Member(source=str(scenario.root / folder)))
        assert outcome.state == "refused"
        assert said in str(outcome.reason)


def test_no_answers_file(scenario: Scenario) -> None:
    scenario.edit({ANSWERS: None})
    scenario.refused("factory adopt")


def test_nobody_is_known_to_git(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    scenario.release("2.0.0", {"Makefile": "new\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    assert git(scenario.project, "log", "-1", "--format=%ae") == "factory@localhost\n"
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "bot@example.com")
    scenario.release("3.0.0", {"Makefile": "newer\n"})
    assert scenario.update(How.COMMIT).state == "updated"
    assert git(scenario.project, "log", "-1", "--format=%ae") == "bot@example.com\n"


def test_a_folder_that_may_not_be_written(scenario: Scenario) -> None:
    scenario.release("2.0.0", {"Makefile": "new\n", "docs/guide.md": "new\n"})
    (scenario.project / ".git/index.lock").touch()  # another git is at work
    before = state(scenario.project)
    assert scenario.update().state == "refused"
    assert (scenario.project / ".git/index.lock").exists()
    (scenario.project / ".git/index.lock").unlink()
    assert state(scenario.project)[:3] == before[:3]
    assert scenario.update().state == "updated"


def test_an_old_git(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scenario.root / "bin/git"
    old.parent.mkdir()
    real = shutil.which("git")
    script = f'[ "$1" = --version ] && echo "git version 2.37.1" || exec "{real}" "$@"'
    old.write_text(f"#!/bin/sh\n{script}\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    require.cache_clear()
    try:
        scenario.refused("git is 2.37.1", "2.38")
    finally:
        require.cache_clear()
