"""What a team changed, what is stale, and what the files say of a version that is not theirs."""

import os
import re
from pathlib import Path

import pytest
from templates import ANSWERS_FILE, STRICT, commit, git, project

from factory.drift import Difference, Drift, behind, diff, drift
from factory.errors import FactoryError
from factory.fleet import ANSWERS, Member
from factory.git import Git
from factory.repository import Repository
from factory.template import Template

CONFIG = (
    STRICT
    + """
_subdirectory: template
_exclude:
  - '{% if ci != "github" %}.github{% endif %}'
  - '{% if ci != "gitlab" %}.gitlab-ci.yml{% endif %}'
  - '{% if _copier_operation == "update" %}team{% endif %}'
name: Zoo
ci: {type: str, default: github, choices: [github, gitlab]}
"""
)
ONE: dict[str, str | bytes | None] = {
    "copier.yml": CONFIG,
    f"template/{ANSWERS}.jinja": ANSWERS_FILE,
    "template/README.md.jinja": "# {{ name }}\n",
    "template/Makefile": "all:\n\ttrue\n",
    "template/run.sh": "#!/bin/sh\n",
    "template/logo.png": bytes(range(256)),
    "template/.github/ci.yml": "on: push\n",
    "template/.gitlab-ci.yml": "stages: []\n",
    "template/team/code.py": "x = 1\n",
}
TWO: dict[str, str | bytes | None] = {
    "template/README.md.jinja": "# {{ name }}\n\nTwo.\n",
    "template/new": "n\n",
}
TWO |= {"template/team/code.py": "x = 2\n"}
THREE: dict[str, str | bytes | None] = {
    "template/Makefile": "all:\n\tfalse\n",
    "template/run.sh": None,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "template"
    commit(folder, ONE, "1.0.0")
    commit(folder, TWO, "2.0.0")
    commit(folder, THREE, "3.0.0")
    return folder


@pytest.fixture
def made(source: Path, tmp_path: Path) -> Member:
    """A project of the second version."""
    return project(tmp_path / "zoo", source, "2.0.0", name="Berlin")


def found(made: Member, source: Path) -> list[Difference]:
    differences = drift(Repository.open(made), Template.open(str(source))).differences
    assert [one.path for one in differences] == sorted(one.path for one in differences)
    return list(differences)


def test_a_fresh_project_has_none(made: Member, source: Path) -> None:
    told = drift(Repository.open(made), Template.open(str(source)))
    assert (told.differences, told.closest, told.release.name) == ((), None, "2.0.0")


def test_edited_deleted_stale_and_the_team_s(made: Member, source: Path) -> None:
    files = {"README.md": "# Berlin\n", "Makefile": "ours:\n", "new": None}
    commit(Path(made.source), {**files, "team/code.py": "ours", "ours": "", ".gitlab-ci.yml": ""})
    assert found(made, source) == [
        Difference("Makefile", "edited"),
        Difference("README.md", "stale", "1.0.0"),
        Difference("new", "deleted"),
    ]
    told = drift(Repository.open(made), Template.open(str(source)))
    assert [told.count(kind) for kind in ("edited", "stale", "deleted", "behind")] == [1, 1, 1, 0]
    assert told.closest == "1.0.0"  # which had no `new`, and this README


def test_what_is_not_committed_takes_no_part(made: Member, source: Path) -> None:
    (Path(made.source) / "Makefile").write_text("ours:\n")
    assert found(made, source) == []


def test_a_version_that_is_not_the_files(made: Member, source: Path) -> None:
    text = (Path(made.source) / ANSWERS).read_text()
    commit(Path(made.source), {ANSWERS: text.replace("2.0.0", "3.0.0")})
    told = drift(Repository.open(made), Template.open(str(source)))
    assert told.differences == (Difference("Makefile", "stale", "2.0.0"),)
    assert (told.release.name, told.closest) == ("3.0.0", "2.0.0")
    # Much of it is gone: an old version that had little is not what it is like.
    few = {"README.md": None, "logo.png": None, ".github/ci.yml": None, "new": "ours"}
    commit(Path(made.source), {ANSWERS: text, **few, "run.sh": None})
    assert drift(Repository.open(made), Template.open(str(source))).closest is None


def test_answers_that_were_edited_by_hand(made: Member, source: Path) -> None:
    text = (Path(made.source) / ANSWERS).read_text()
    commit(Path(made.source), {ANSWERS: text.replace("github", "gitlab").replace("Berlin", "Ulm")})
    assert found(made, source) == [
        Difference(".gitlab-ci.yml", "deleted"),
        Difference("README.md", "edited"),
    ]
    commit(Path(made.source), {ANSWERS: text.replace("2.0.0", "9.0.0")})
    with pytest.raises(FactoryError, match=r"version 9\.0\.0 is not in"):
        found(made, source)
    commit(Path(made.source), {ANSWERS: text.replace("Berlin", "[a]")})
    with pytest.raises(
        FactoryError, match=r"version 2.0.0, copier.yml: name: \['a'\] is no answer"
    ):
        found(made, source)


def test_modes_links_line_ends_and_folders(made: Member, source: Path) -> None:
    folder = Path(made.source)
    (folder / "run.sh").chmod(0o755)
    os.replace(folder / "logo.png", folder / "elsewhere.png")
    (folder / "logo.png").symlink_to("elsewhere.png")
    (folder / "new").unlink()
    commit(folder, {"Makefile": "all:\r\n\ttrue\r\n", "new/one": "n\n"})
    assert found(made, source) == [
        Difference("Makefile", "edited"),
        Difference("logo.png", "edited"),
        Difference("new", "deleted"),
        Difference("run.sh", "edited"),
    ]
    patch = diff(*_opened(made, source))
    assert "old mode 100644\nnew mode 100755" in patch
    assert "new file mode 120000" in patch
    assert "-all:\n-\ttrue\n+all:\r\n+\ttrue\r\n" in patch


def _opened(made: Member, source: Path) -> tuple[Repository, Template, Drift]:
    repository, template = Repository.open(made), Template.open(str(source))
    return repository, template, drift(repository, template)


def test_the_patch_leads_from_the_template_s_files_to_the_team_s(
    made: Member, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(made.source)
    files = {"README.md": "# Berlin\n\nOurs.\n", "Makefile": None, "logo.png": b"\0ours"}
    commit(folder, {**files, ".gitattributes": "*.md diff=x\n", "team/code.py": "ours"})
    git(folder, "config", "diff.x.textconv", "false")
    (tmp_path / "gitconfig").write_text("[color]\nui = always\n[diff]\nexternal = false\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    patch = diff(*_opened(made, source))
    assert "-Two.\n+Ours.\n" in patch
    assert "deleted file mode 100644" in patch
    assert "Binary files a/logo.png and b/logo.png differ" in patch
    assert re.findall(r"^diff --git a/(\S+)", patch, re.MULTILINE) == [
        "Makefile",
        "README.md",
        "logo.png",
    ]
    assert "\x1b" not in patch
    fresh = project(tmp_path / "fresh", source, "1.0.0")
    assert diff(*_opened(fresh, source)) == ""


def test_what_is_behind(made: Member, source: Path) -> None:
    repository, template, told = _opened(made, source)
    changed = [Difference("Makefile", "behind"), Difference("run.sh", "behind")]
    assert list(behind(repository, template, told)) == changed
    commit(Path(made.source), {"Makefile": "ours:\n"})  # the team's to merge, so not merely behind
    assert list(behind(*_opened(made, source))) == changed[1:]


def test_versions_that_do_not_know_these_answers_take_no_part(tmp_path: Path) -> None:
    folder = tmp_path / "template"
    commit(folder, {"copier.yml": STRICT + "_tasks: [x]\n"}, "1.0.0")
    commit(folder, {"copier.yml": STRICT, f"{ANSWERS}.jinja": ANSWERS_FILE, "x": "1"}, "2.0.0")
    commit(folder, {"copier.yml": STRICT + "new: {type: str}\n", "x": "2"}, "3.0.0")
    made = project(tmp_path / "zoo", folder, "2.0.0")
    commit(Path(made.source), {"x": "2"})
    assert found(made, folder) == [Difference("x", "edited")]


def test_a_project_in_a_subfolder_and_a_submodule(
    made: Member, source: Path, tmp_path: Path
) -> None:
    group = tmp_path / "group"
    os.renames(made.source, group / "a/zoo")
    (group / "a/zoo/.git").rename(tmp_path / "submodule")
    commit(group, {"README.md": "not of it", "a/zoo/Makefile": "ours:\n"})
    head = git(group, "rev-parse", "HEAD")
    git(group, "rm", "--quiet", "a/zoo/new")
    git(group, "update-index", "--add", "--cacheinfo", f"160000,{head},a/zoo/new")
    git(group, "commit", "--quiet", "--message", "x")
    wanted = [Difference("Makefile", "edited"), Difference("new", "edited")]
    for member in (
        Member(source=str(group / "a/zoo")),
        Member(source=str(group), subfolder="a/zoo"),
        Member(source=str(group / "a"), subfolder="zoo"),
    ):
        assert found(member, source) == wanted
        assert f"+Subproject commit {head}" in diff(*_opened(member, source))
    assert Git(group).text("status", "--porcelain", "--untracked-files=no") in ("", "D a/zoo/new")
