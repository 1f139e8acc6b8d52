"""The state of a project, whatever its repository has in it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from templates import ANSWERS_FILE, STRICT, commit, git, project

from factory.fleet import ANSWERS, Member
from factory.status import Row, row
from factory.template import Template

CONFIG = STRICT + "_exclude: [copier.yml]\nname: Zoo\nsecret: {secret: true, default: hush}\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "template"
    files = {"copier.yml": CONFIG, f"{ANSWERS}.jinja": ANSWERS_FILE, "a": "1\n", "b": "1\n"}
    commit(folder, {**files, "c": "1\n"}, "1.0.0")
    commit(folder, {"a": "2\n"}, "2.0.0")
    commit(folder, {"a": "3\n"}, "2.1.0")
    return folder


@pytest.fixture
def template(source: Path) -> Template:
    return Template.open(str(source))


@pytest.fixture
def made(source: Path, tmp_path: Path) -> Member:
    made = project(tmp_path / "zoo", source, "1.0.0", name="Berlin")
    return made.model_copy(update={"labels": {"owner": "me"}, "ring": "canary"})


def test_a_row(made: Member, template: Template) -> None:
    fresh = Row(
        name="zoo",
        source=made.source,
        ring="canary",
        version="1.0.0",
        latest="2.1.0",
        behind=2,
        edited=0,
        stale=0,
        deleted=0,
        answers={"name": "Berlin"},
        labels={"owner": "me"},
    )
    assert row(made, template) == fresh
    commit(Path(made.source), {"a": "3\n", "b": "ours\n", "c": None})
    assert row(made, template) == replace(fresh, edited=1, stale=1, deleted=1, closest="2.1.0")


def test_by_url_and_branch(
    made: Member, template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path(made.source)
    url = Member(source=folder.as_uri())
    assert row(url, template).edited == 0
    git(folder, "checkout", "--quiet", "-b", "trunk")
    commit(folder, {"b": "ours\n"})
    git(folder, "checkout", "--quiet", "main")
    assert row(url, template).edited == 0
    assert row(url.model_copy(update={"branch": "trunk"}), template).edited == 1


def test_a_template_that_has_moved(made: Member, template: Template) -> None:
    folder = Path(made.source)
    text = (folder / ANSWERS).read_text()
    moved = text.replace(template.source, "https://git.example.com/old/template")
    assert moved != text
    commit(folder, {ANSWERS: moved})
    said = row(made, template).error
    assert (
        said
        == f"zoo was made from https://git.example.com/old/template, not from {template.source}"
    )
    assert row(made, template, ("git@git.example.com:old/template.git",)).error is None
    commit(folder, {ANSWERS: text.replace(f"_src_path: {template.source}\n", "")})
    assert row(made, template).error is None


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (None, "no .copier-answers.yml is committed"),
        ("", "has no _commit"),
        ("_commit: [1]\n", "has no _commit"),
        ("a: [\n", "can't be read"),
        (b"\xff\0", "can't be read"),
        ("_commit: 9.0.0\n", "version 9.0.0 is not in"),
        ('_commit: "a\\0b"\n', "is not in"),
        ("_commit: --help\n", "version --help is not in"),
        ("_commit: 1.0.0\nname: [x]\n", "name: .* is no answer of type str"),
        ('_commit: 1.0.0\n_src_path: "a\\0b"\n', "not from"),
        ("_commit: 1.0.0\n_src_path: https://[\n", "not from"),
        ("_commit: 1.0.0\n_src_path: [x]\n", "not from"),
        ("a: &a [x]\nb: [*a, *a]\n_commit: 1.0.0\n", "can't be read"),
        ("[" * 20_000, "can't be read"),
        ("x" * 200_000, "larger"),
    ],
)
def test_answers_that_can_not_be_read(
    answers: str | bytes | None, said: str, made: Member, template: Template
) -> None:
    """One repository's trouble is its own: the others are told of."""
    import re

    commit(Path(made.source), {ANSWERS: answers})
    found = row(made, template)
    assert re.search(said, found.error or "")
    assert (found.version, found.behind, found.labels) == (None, None, {"owner": "me"})


def test_repositories_that_are_not_there(made: Member, template: Template, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "--quiet")
    for source, said in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "folder", "not a git repository"),
        (tmp_path / "empty", "no commit on HEAD"),
        (Path(made.source) / "a", "no such folder"),
    ):
        assert said in (row(Member(source=str(source)), template).error or "")
    other = made.model_copy(update={"branch": "none"})
    assert "no commit on none" in (row(other, template).error or "")
    other = made.model_copy(update={"subfolder": "none"})
    assert "none" in (row(other, template).error or "")


def test_nothing_is_written_and_nothing_is_run(
    made: Member, template: Template, tmp_path: Path
) -> None:
    folder = Path(made.source)
    (tmp_path / "ran").write_text("#!/bin/sh\ntouch %s\n" % (tmp_path / "trace"))
    (tmp_path / "ran").chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "diff.external", "core.sshCommand"):
        git(folder, "config", key, str(tmp_path / "ran"))
    git(folder, "config", "filter.x.smudge", str(tmp_path / "ran"))
    git(folder, "config", "filter.x.clean", str(tmp_path / "ran"))
    commit(folder, {"c": "ours\n"})
    (tmp_path / "trace").unlink(missing_ok=True)
    (folder / ".git/info/attributes").write_text("* filter=x diff=x\n")
    before = sorted((path, os.lstat(path).st_mtime_ns) for path in folder.rglob("*"))
    assert row(made, template).edited == 1
    assert not (tmp_path / "trace").exists()
    assert sorted((path, os.lstat(path).st_mtime_ns) for path in folder.rglob("*")) == before
