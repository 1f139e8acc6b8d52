"""Only possible answers are taken, every answer counts, and copying needs no trust."""

import copy
import json
import keyword
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trees
from checks import idle, incomplete

# What people type, paste and try. Each question refuses all of it, but for ALLOWED.
HOSTILE = {
    "blank": ("", "  ", " ab", "ab "),
    "long": ("a" * 300,),
    "foreign": ("Café", "日本", "a🚀b"),
    "invisible": ("ab\u200fcd", "ab\u202ecd", "ab\u200bcd", "ab\u2028cd", "ab\ud800"),
    "control": ("ab\ncd", "abcd\n", "ab\rcd", "ab\tcd", "ab\0cd"),
    "path": ("../x", "/etc/x"),
    "quoting": ('ab"cd', "ab\\cd"),
    "braces": ("{{ 7*7 }}", "{% raw %}", "a {# b", "a %} b", "${x}"),  # the last is DVC's
    "hyphen": ("-ab",),
    "digits": ("123",),
    "reserved": ("class", "match", "json", "argparse", "mlops", "tests", "pandas", "null", "con"),
}
ALLOWED = {
    # The package follows from the project's name, and refuses what the name would make of it.
    "project_name": {"reserved"},
    "project_slug": set[str](),
    "package_name": set[str](),
    "description": {"foreign", "path", "hyphen", "digits", "reserved"},
    "team": {"digits", "reserved"},
    "contact": set[str](),
}
REFUSED = [
    (name, text)
    for name, allowed in ALLOWED.items()
    for kind, texts in HOSTILE.items()
    for text in texts
    if kind not in allowed
]


def refusal(tmp_path: Path, **answers: Any) -> str:
    """Return why these answers are refused; nothing may have been written."""
    with pytest.raises(ValueError, match=r"question|choice") as caught:
        trees.copy(tmp_path / "tree", **answers)
    assert not list(tmp_path.iterdir())
    return str(caught.value)


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_bad_text_is_refused(name: str, text: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, **{name: text})
    assert f"'{name}'" in message
    assert json.dumps(text)[:60] in message or f"has {len(text)} characters" in message
    assert re.search(r"such as \"|give 1 to 200|without braces", message), "what would do?"
    assert message.isprintable(), "a terminal would hide or obey a part of it"


@pytest.mark.parametrize("text", HOSTILE["reserved"])
def test_reserved_name_is_refused_however_it_came(text: str, tmp_path: Path) -> None:
    assert f'"{text}" is taken' in refusal(tmp_path, project_name=text)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("python_version", "3.9", "'3.9' is not in ['3.11', "),
        ("license", "GPL", "'GPL' is not in ['Proprietary', "),
        ("task", "clustering", "'clustering' is not in ['classification', "),
        ("registry", "foo", "'foo' is not in ['mlflow', "),
        ("environments", [], "[] is not enough: dev and prod are needed, such as [dev, "),
        ("environments", ["dev"], '["dev"] is not enough: dev and prod are needed, such as'),
        ("environments", ["prod"], '["prod"] is not enough: dev and prod are needed, such as'),
        ("environments", ["dev", "prod", "moon"], "'moon' is not in ['dev', "),
        ("reserved_names", "", "reserved_names is fixed: leave it out"),
        ("estimator", "x", "estimator follows from the task: leave it out"),
        ("metric", "x", "metric follows from the task: leave it out"),
    ],
)
def test_bad_choice_is_refused(name: str, value: Any, reason: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, **{name: value})
    assert f"'{name}'" in message
    assert reason in message


def test_names_in_use_are_reserved() -> None:
    """The list in copier.yml keeps up with Python, the dependencies and the folders."""
    reserved = re.sub(r"\{#.*?#\}", "", trees.QUESTIONS["reserved_names"]["default"]).split()
    lists: list[list[str]] = []
    for provider in trees.values("provider"):
        tree = trees.rendered(provider=provider, registry="gto", training="ray")
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
        lists += [
            project["project"]["dependencies"],
            *project["project"]["optional-dependencies"].values(),
            *project["dependency-groups"].values(),
            project["build-system"]["requires"],
        ]
    used = {re.split(r"[^\w-]", row)[0].replace("-", "_") for rows in lists for row in rows}
    used |= {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names, "src", "tests"}
    used |= {
        path.name.split(".")[0] for part in ("src", "tests") for path in (tree / part).iterdir()
    }
    usable = {name for name in used if re.fullmatch("[a-z][a-z0-9_]*", name)}
    assert usable - set(reserved) == {"flight_delays"}


@pytest.mark.parametrize(
    ("name", "text"), [(n, text) for n, row in trees.TEXTS.items() for text in row]
)
def test_good_text_is_kept(name: str, text: str) -> None:
    assert trees.answers_of(trees.changed(name, text))[name] == text


@pytest.mark.parametrize(
    ("name", "slug"),
    [("AI", "ai"), ("7 - X_v2.0", "x-v2-0"), ("x" * 60, "x" * 40), ("x" * 39 + " y", "x" * 39)],
)
def test_other_names_follow_from_the_first(name: str, slug: str) -> None:
    answers = trees.answers_of(trees.rendered(project_name=name))
    assert answers["project_slug"] == slug
    assert answers["package_name"] == slug.replace("-", "_")


def test_environments_are_in_the_order_of_releases() -> None:
    tree = trees.rendered(environments=["prod", "staging", "dev"])
    assert trees.answers_of(tree)["environments"] == ["dev", "staging", "prod"]


def test_answers_file_holds_what_was_asked() -> None:
    assert set(trees.answers_of(trees.rendered())) == {*trees.ASKED, "_src_path"}


@pytest.mark.parametrize("name", trees.ASKED)
def test_every_answer_has_an_effect(name: str) -> None:
    """On every provider that an answer needs."""
    values = trees.values(name)
    assert len(values) > 1
    for provider in {trees.home(name, value) for value in values}:
        given = [{**trees.BASE, "provider": provider, name: value} for value in values]
        assert not idle(
            {repr(one[name]): trees.rendered(**one) for one in given if trees.supported(one)}
        )


def test_an_idle_answer_is_reported(tmp_path: Path) -> None:
    rendered = {name: tmp_path / name for name in ("one", "two")}
    for name, tree in rendered.items():
        (tree / "docs").mkdir(parents=True)
        for file in ("LICENSE", trees.ANSWERS, "README.md", "docs/page.html"):
            (tree / file).write_text(name)
    assert idle(rendered) == ["one and two give the same"]
    (tmp_path / "one/Makefile").touch()
    assert not idle(rendered)


def test_questions_are_complete() -> None:
    assert not incomplete(trees.CONFIG)


@pytest.mark.parametrize(
    ("plant", "report"),
    [
        (lambda c: c["team"].pop("help"), "team: no help"),
        (lambda c: c["team"].pop("default"), "team: no default"),
        (lambda c: c["team"].pop("validator"), "team: takes anything"),
        (lambda c: c["team"].update(default="{{ contact }}"), "team: contact is not known here"),
        (lambda c: c["team"].update(when="{{ late }}"), "team: late is not known here"),
        (lambda c: c["_exclude"].append("{{ x }}"), "_exclude: x is not known here"),
        (
            lambda c: c["_envops"].pop("undefined"),
            "_envops: a typo in a template would be an empty",
        ),
        (lambda c: c.update(_tasks=["make"]), "_tasks needs --trust"),
    ],
)
def test_a_faulty_question_is_reported(plant: Callable[[dict[str, Any]], Any], report: str) -> None:
    config = copy.deepcopy(trees.CONFIG)
    plant(config)
    (found,) = incomplete(config)
    assert found.startswith(report)


# The command line ------------------------------------------------------------
def copier(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``copier copy`` as somebody who trusts nobody and has no settings."""
    own = {"COPIER_SETTINGS_PATH": str(cwd / "none.yml"), "COPIER_CACHE_DIR": str(cwd / "cache")}
    command = [sys.executable, "-m", "copier", "copy", "--defaults", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("team={{ 7*7 }}", '"{{ 7*7 }}" is not usable: 1 to 59 characters'),
        ("package_name=class", '"class" is taken'),
        ("python_version=3.9", "'3.9' is not in ['3.11', "),
        ("environments=[dev]", '["dev"] is not enough: dev and prod are needed'),
    ],
)
def test_bad_answer_on_the_command_line(answer: str, reason: str, tmp_path: Path) -> None:
    done = copier(tmp_path, "--data", answer, str(trees.template()), "tree")
    assert done.returncode
    assert reason in done.stderr.splitlines()[-1]
    assert not (tmp_path / "tree").exists()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the template: release 0.1.0, and a commit since."""
    root = tmp_path_factory.mktemp("released") / "template"
    shutil.copytree(trees.template(), root)

    def git(*arguments: str) -> None:
        own = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
        subprocess.run(["git", *own, "-C", root, *arguments], check=True, capture_output=True)

    git("init")
    git("add", "--all", "--force")
    git("commit", "--message", "Release")
    git("tag", "0.1.0")
    (root / "template/later").write_text("since the release\n")
    git("add", "--all")
    git("commit", "--message", "Later")
    return root


@pytest.mark.parametrize("form", ["{}", "git+file://{}", "--vcs-ref=0.1.0 git+file://{}"])
def test_copy_takes_the_release_without_trust(form: str, released: Path, tmp_path: Path) -> None:
    done = copier(tmp_path, *form.format(released).split(" "), "tree")
    assert not done.returncode, done.stderr
    assert trees.answers_of(tmp_path / "tree")["_commit"] == "0.1.0"
    there, here = trees.files(tmp_path / "tree"), trees.files(trees.rendered())
    assert [name for name, _ in there] == [name for name, _ in here]
