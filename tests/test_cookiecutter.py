"""cookiecutter is a second door to the same house: the same questions, the same project."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import jinja2
import pytest
import trees
from checks import COMBINATIONS
from conftest import ROOT
from cookiecutter import hooks, prompt
from cookiecutter.exceptions import FailedHookException
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.utils import create_env_with_context
from copier import run_copy
from plumbum import local
from pytest_cookies.plugin import Cookies
from test_questions import REFUSED, refusal
from test_render import contents

DOOR = "{{cookiecutter.__folder}}"


def text(answer: Any) -> Any:
    """Return an answer as cookiecutter takes it: a selection as Copier reads it in a text."""
    return f"[{', '.join(answer)}]" if isinstance(answer, list) else answer


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run hooks in this process, which has Copier loaded; what they exit with is the error."""

    def run(script: str, cwd: Path) -> None:
        with chdir(cwd):
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                raise FailedHookException(end.code) from end

    monkeypatch.setattr(hooks, "run_script", run)


@pytest.fixture
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile every piece of the template once: Copier does so thousands of times a project."""

    def compile_(self: jinja2.Environment, *source: Any, **how: Any) -> Any:
        key = (type(self), *source, *how.items())
        if key not in _compiled:
            _compiled[key] = _compile(self, *source, **how)
        return _compiled[key]

    monkeypatch.setattr(jinja2.Environment, "compile", compile_)


@pytest.fixture
def without_git() -> Iterator[None]:
    """Hide git, which Copier asks for each file: neither template nor project is a repository."""
    with local.env(PATH=""):
        yield


_compile = jinja2.Environment.compile
_compiled: dict[Any, Any] = {}


# The questions ---------------------------------------------------------------
def test_questions_are_those_of_copier_yml(tmp_path: Path) -> None:
    """To mend it: make cookiecutter."""
    tree = shutil.copytree(trees.template(), tmp_path / "tree")
    written = tree / "cookiecutter.json"
    written.unlink()
    subprocess.run([sys.executable, tree / "hooks/write_cookiecutter_json.py"], check=True)
    assert written.read_bytes() == (ROOT / "cookiecutter.json").read_bytes()
    asked = [name for name in json.loads(written.read_bytes()) if not name.startswith("_")]
    assert asked == list(trees.ASKED)


def test_every_answer_can_be_chosen() -> None:
    """A selection too: cookiecutter has no question of several choices."""
    given = json.loads((ROOT / "cookiecutter.json").read_bytes())
    for name, row in trees.ASKED.items():
        if "choices" in row:
            assert given[name][0] == text(row["default"])
            assert sorted(given[name]) == sorted(text(value) for value in trees.values(name))


@pytest.mark.usefixtures("compiled_once", "without_git")
@pytest.mark.parametrize(
    "answers",
    [
        {"project_name": name}
        for name in (*trees.TEXTS["project_name"], "7 - X_v2.0", "x" * 39 + " y")
    ]
    + [{"project_slug": slug} for slug in trees.TEXTS["project_slug"]]
    + [{"task": task} for task in trees.values("task")],
    ids=repr,
)
def test_defaults_are_those_of_copier(answers: dict[str, str]) -> None:
    context = generate_context(str(ROOT / "cookiecutter.json"), extra_context=answers)
    given = prompt.prompt_for_config(context, no_input=True)
    kept = trees.answers_of(trees.rendered(**answers))
    assert {name: given[name] for name in trees.ASKED} == {
        name: text(kept[name]) for name in trees.ASKED
    }
    assert given["__folder"] == kept["project_slug"]


def test_there_is_one_door() -> None:
    """cookiecutter takes the first folder of such a name, whichever that is."""
    assert [path.name for path in trees.template().iterdir() if "{" in path.name] == [DOOR]


# The project -----------------------------------------------------------------
@pytest.mark.usefixtures("here", "compiled_once", "without_git")
@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
def test_the_same_project_comes_out(cookies: Cookies, number: int) -> None:
    answers = COMBINATIONS[number]
    given = {name: text(answer) for name, answer in answers.items()}
    made = cookies.bake(given, template=str(trees.template()))
    assert made.exception is None
    assert contents(made.project_path) == contents(trees.rendered(**answers))


@pytest.mark.parametrize(
    ("form", "checkout"),
    [
        ("{}", None),
        ("{}", "main"),
        ("file://{}", None),
        ("file://{}", "0.4.0"),
        ("git+file://{}", "main"),
    ],
)
@pytest.mark.usefixtures("here", "compiled_once")
def test_the_same_version_comes_out(
    form: str, checkout: str | None, released: Path, out: Path, settings: Path
) -> None:
    """Of a folder and of a URL, the newest release unless one is asked for."""
    template = form.format(released)
    made = cookiecutter(
        template, checkout, no_input=True, output_dir=str(out), config_file=str(settings)
    )
    copied = out / "copied"
    run_copy(template, copied, defaults=True, vcs_ref=checkout, quiet=True)
    assert contents(Path(made)) == contents(copied)
    recorded = trees.answers_of(copied)
    assert recorded["_src_path"] == template
    assert checkout in (None, "main", recorded["_commit"])


@pytest.mark.usefixtures("here", "compiled_once")
def test_a_relative_folder_is_found_again(
    released: Path, out: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the shell's folder, and from where the project goes; else the path is asked for."""

    def bake(cwd: Path, told: Path, to: Path) -> str:
        monkeypatch.setenv("PWD", str(told))
        template = os.path.relpath(released, cwd)
        with chdir(cwd):
            made = cookiecutter(
                template, no_input=True, output_dir=str(to), config_file=str(settings)
            )
        return str(trees.answers_of(Path(made))["_src_path"])

    (other := out / "a/b").mkdir(parents=True)
    assert bake(out, out, out / "one") == str(released)
    assert bake(out, other, out) == str(released)
    with pytest.raises(FailedHookException, match="give its absolute path"):
        bake(out, other, out / "a/b/c")
    assert not (out / "a/b/c/flight-delays").exists()


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("/a/b", "/a/b"),
        ("gh:a/b", "gh:a/b"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("me@example.com:a/b", "git+me@example.com:a/b"),
        ("https://github.com/a/b", "https://github.com/a/b"),
        ("https://git.example.com/a/b", "git+https://git.example.com/a/b"),
        ("https://git.example.com/a/b.git", "https://git.example.com/a/b.git"),
        ("ssh://git@example.com/a/b", "git+ssh://git@example.com/a/b"),
        ("b", "git+https://git.example.com/its/origin"),
        ("ours:b", "git+https://git.example.com/its/origin"),
    ],
)
def test_an_address_is_one_that_copier_takes(template: str, address: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    origin = ("remote", "add", "origin", "https://git.example.com/its/origin")
    for command in (("init", "--quiet", str(clone)), ("-C", str(clone), *origin)):
        subprocess.run(["git", *command], check=True)
    used = template if template.startswith("/") else str(clone)
    assert hook(tmp_path, _template=template, _repo_dir=used)["source"]() == address


def test_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.zip is an archive.*give the template's git URL"):
        hook(tmp_path, _template="x.zip", _repo_dir="/tmp/y")["source"]()


def hook(folder: Path, **context: str) -> dict[str, Any]:
    """Return what the hook defines, filled in by cookiecutter."""
    given = {"cookiecutter": context}
    source = (ROOT / "hooks/post_gen_project.py").read_text(encoding="utf-8")
    filled = create_env_with_context(given).from_string(source).render(given)
    (folder / "hook.py").write_text(filled, encoding="utf-8")
    return runpy.run_path(str(folder / "hook.py"))


def test_a_project_is_updated_by_copier(released: Path, out: Path, settings: Path) -> None:
    made = cli(out, "--no-input", "--checkout", "0.4.0", f"git+file://{released}")
    assert not made.returncode, made.stderr
    project = out / "flight-delays"
    git(project, "init")
    git(project, "add", "--all")
    git(project, "commit", "--message", "Start")
    (project / "README.md").write_text(
        (project / "README.md").read_text(encoding="utf-8") + "\nOurs.\n", encoding="utf-8"
    )
    git(project, "commit", "--all", "--message", "Change")
    command = [sys.executable, "-m", "copier", "update", "--defaults"]
    subprocess.run(command, cwd=project, env=alone(out), check=True, capture_output=True)
    assert (project / "later").read_text() == "since 0.4.0\n"
    assert (project / "README.md").read_text(encoding="utf-8").endswith("\nOurs.\n")
    assert trees.answers_of(project)["_commit"] == "0.5.0"


# Refusals --------------------------------------------------------------------
def typed(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """Answer cookiecutter's questions; what is not given gets its default."""

    def answer(name: str, default: Any, *_: Any) -> Any:
        return answers.get(name, default[0] if isinstance(default, list) else default)

    for kind in ("variable", "choice"):
        monkeypatch.setattr(prompt, f"read_user_{kind}", answer)


def refused(out: Path, settings: Path, **how: Any) -> str:
    """Return why a project is refused; nothing may have been written."""
    before = contents(out)
    with pytest.raises(FailedHookException) as caught:
        cookiecutter(str(trees.template()), output_dir=str(out), config_file=str(settings), **how)
    assert contents(out) == before
    assert not [path for path in out.iterdir() if not any(path.iterdir())]
    return str(caught.value)


@pytest.mark.usefixtures("here", "compiled_once", "without_git")
@pytest.mark.parametrize(("name", "answer"), REFUSED)
def test_bad_text_is_refused(
    name: str, answer: str, out: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, **{name: answer})
    assert refused(out, settings) == refusal(out, **{**trees.BASE, name: answer})


@pytest.mark.usefixtures("here", "compiled_once", "without_git")
@pytest.mark.parametrize(
    "answers",
    [
        {name: ["moon"] if row.get("multiselect") else "moon"}
        for name, row in trees.ASKED.items()
        if "choices" in row
    ]
    + [{"serving": []}, {"environments": ["dev"]}, {"environments": "[dev, prod, moon]"}]
    + [
        {"provider": provider, name: choice}
        for name, limits in trees.SUPPORT.items()
        for choice, limit in limits.items()
        for provider in trees.values("provider")
        if provider not in limit["providers"]
    ],
    ids=repr,
)
def test_bad_choice_is_refused(
    answers: dict[str, Any], out: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cookiecutter itself lets nobody choose, an older answer or a file may still hold."""
    typed(monkeypatch, **answers)
    assert refused(out, settings) == refusal(out, **{**trees.BASE, **answers})


@pytest.mark.usefixtures("here", "compiled_once", "without_git")
@pytest.mark.parametrize("name", sorted(trees.QUESTIONS.keys() - trees.ASKED.keys()))
def test_what_is_computed_is_no_answer(name: str, out: Path, settings: Path) -> None:
    """A replay file can hold it."""
    given = {**trees.BASE, "__folder": "project", name: "x"}
    (settings.parent / "replay.json").write_text(json.dumps({"cookiecutter": given}))
    said = refused(out, settings, replay=str(settings.parent / "replay.json"))
    assert said == refusal(out, **{name: "x"})


@pytest.mark.usefixtures("here", "compiled_once", "without_git")
def test_another_project_is_left_alone(out: Path, settings: Path) -> None:
    (out / "flight-delays").mkdir()
    (out / "flight-delays/README.md").write_text("ours")
    said = refused(out, settings, no_input=True, overwrite_if_exists=True)
    assert "flight-delays is not empty. To renew a project: copier update" in said


@pytest.mark.usefixtures("here", "compiled_once")
def test_no_answer_is_lost(released: Path, out: Path, settings: Path) -> None:
    """A question that was not yet there in the newest release."""
    ahead = shutil.copytree(released, settings.parent / "ahead")
    with (ahead / "copier.yml").open("a") as config:
        config.write("moon: {type: str, help: Which moon, default: io, choices: [io, europa]}\n")
    subprocess.run([sys.executable, ahead / "hooks/write_cookiecutter_json.py"], check=True)
    how: dict[str, Any] = {"output_dir": str(out), "config_file": str(settings), "no_input": True}
    (out / "flight-delays").mkdir()
    with pytest.raises(
        FailedHookException, match=r"0\.5\.0 does not ask for moon: give --checkout"
    ):
        cookiecutter(str(ahead), overwrite_if_exists=True, **how)
    assert not list((out / "flight-delays").iterdir())
    (out / "flight-delays").rmdir()
    with pytest.warns(match="Dirty"):
        made = cookiecutter(str(ahead), "HEAD", **how)
    assert trees.answers_of(Path(made))["moon"] == "io"


# The command line ------------------------------------------------------------
def alone(home: Path, **variables: str) -> dict[str, str]:
    """Return the variables of somebody who has no settings."""
    own = {"HOME": home.parent, "COPIER_CACHE_DIR": home.parent / "cache"}
    given = {name: str(value) for name, value in {**own, "COLUMNS": 400, **variables}.items()}
    return {**os.environ, **given}


def cli(
    cwd: Path, *arguments: str, typed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``cookiecutter`` as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", *arguments],
        cwd=cwd,
        env=alone(cwd, PWD=str(cwd), **variables),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def git(root: Path, *arguments: str) -> None:
    own = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    subprocess.run(["git", *own, "-C", root, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the template: releases 0.4.0 and 0.5.0, and a commit since."""
    root = tmp_path_factory.mktemp("released") / "template.git"
    shutil.copytree(trees.template(), root)
    git(root, "init", "--initial-branch", "main")
    for version in ("0.4.0", "0.5.0", None):
        git(root, "add", "--all", "--force")
        git(root, "commit", "--message", "Work")
        if version:
            git(root, "tag", version)
            with (root / "template/later").open("a") as file:
                file.write(f"since {version}\n")
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an empty folder, for projects."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return cookiecutter's settings: its folders are this test's."""
    monkeypatch.setenv("COPIER_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "settings.yml"
    folders = {name: str(tmp_path / name) for name in ("cookiecutters_dir", "replay_dir")}
    file.write_text(json.dumps(folders))
    return file


def test_defaults_and_replay_on_the_command_line(out: Path) -> None:
    template = str(trees.template())
    for arguments in (
        ["--no-input", template, "team=ours", "serving=[edge]"],
        ["--replay", template],
    ):
        done = cli(out, *arguments)
        assert not done.returncode, done.stderr
        assert f"cd {out}/flight-delays" in done.stderr
        expected = trees.rendered(team="ours", serving=["edge"])
        assert contents(out / "flight-delays") == contents(expected)
        shutil.rmtree(out / "flight-delays")


def test_questions_on_the_command_line(out: Path) -> None:
    given = {"team": "ours", "provider": "4", "registry": "4", "environments": "2"}
    lines = "".join(f"{given.get(name, '')}\n" for name in trees.ASKED)
    done = cli(out, str(trees.template()), typed=lines)
    assert not done.returncode, done.stderr
    answers = {"team": "ours", "provider": "aws", "registry": "sagemaker"}
    expected = trees.rendered(**answers, environments=["dev", "prod"])
    assert contents(out / "flight-delays") == contents(expected)
    for row in trees.ASKED.values():
        assert row["help"] in done.stdout
        for label in row.get("choices", []):
            assert label in done.stdout
    assert "How a new version goes out (if 'online' in serving)" in done.stdout
    assert " - online, edge\n" in done.stdout


def test_a_refusal_on_the_command_line(out: Path) -> None:
    lines = "".join("{{ 7*7 }}\n" if name == "team" else "\n" for name in trees.ASKED)
    done = cli(out, str(trees.template()), typed=lines)
    assert done.returncode == 1
    assert "'team': \"{{ 7*7 }}\" is not usable: 1 to 59 characters" in done.stderr.splitlines()[0]
    assert not list(out.iterdir())


def planted(folder: Path, code: str) -> dict[str, str]:
    """Return the variables with which every Python runs some code first."""
    (folder / "planted").mkdir()
    (folder / "planted/sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder / "planted")}


def test_a_missing_copier_is_told(out: Path) -> None:
    variables = planted(out.parent, "import sys; sys.modules['copier'] = None\n")
    done = cli(out, "--no-input", str(trees.template()), **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("Copier is not installed beside cookiecutter. Call uvx --with")
    assert not list(out.iterdir())


def test_an_interrupt_leaves_nothing(out: Path) -> None:
    """Ctrl-C, as a terminal gives it to all of its processes, at the fiftieth file."""
    code = """
import os, signal, sys

written = []

def interrupt(event, given):
    if event == "open" and given[1] == "w" and "/out/flight-delays/" in str(given[0]):
        written.append(given[0])
        if len(written) == 50:
            os.killpg(0, signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it
sys.addaudithook(interrupt)
"""
    done = cli(out, "--no-input", str(trees.template()), **planted(out.parent, code))
    assert done.returncode
    assert "Your project is in" not in done.stderr
    assert done.stderr.count(" create") >= 49
    assert not list(out.iterdir())
