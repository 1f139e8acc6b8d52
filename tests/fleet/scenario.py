"""A small template with its versions, and a project of it: what the tests of updates play with.

No conftest.py: `from conftest import ...` in tests/ would find it instead of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy, run_update

from factory.fleet import ANSWERS, Member
from factory.template import Template
from factory.update import How, Outcome, update

Files = Mapping[str, str | bytes | None]
"""Contents by path; nothing takes the file away."""

BINARY = bytes(range(256))


def lines(word: str, **changed: str) -> str:
    """Return twenty lines; ``n3="..."`` is another third one."""
    return "".join(changed.get(f"n{n}", f"{word} {n}") + "\n" for n in range(1, 21))


CONFIG: dict[str, Any] = {
    "_subdirectory": "template",
    "_answers_file": ANSWERS,
    "_envops": {"keep_trailing_newline": True, "undefined": "jinja2.StrictUndefined"},
    "name": {"type": "str", "default": "demo"},
    "provider": {"type": "str", "choices": ["local", "aws"], "default": "local"},
    "notes": {"type": "bool", "default": True},
    "_exclude": [
        "{% if provider | default('local') != 'local' %}cloud/local.py{% endif %}",
        "{% if provider | default('aws') != 'aws' %}cloud/aws.py{% endif %}",
        "{% if provider | default('aws') != 'aws' %}team/aws.py{% endif %}",
        "{% if not notes | default(false) %}notes.md{% endif %}",
        "{% if _copier_operation == 'update' %}team{% endif %}",
    ],
}
FILES: dict[str, str | bytes | None] = {
    "{{ _copier_conf.answers_file }}.jinja": "# Do not edit.\n{{ _copier_answers | to_nice_yaml }}",
    "README.md.jinja": "# {{ name }}\n\n" + lines("readme") + "provider: {{ provider }}\n",
    "Makefile": lines("make"),
    "docs/guide.md": lines("guide"),
    "notes.md": lines("notes"),
    "logo.bin": BINARY,
    "empty.txt": "",
    "run.sh": "#!/bin/sh\n" + lines("run"),
    "cloud/local.py": lines("local"),
    "cloud/aws.py": lines("aws"),
    "team/code.py": lines("code"),
    "team/aws.py": lines("team aws"),
}


def git(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run git as a person would, and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, check=False, env=os.environ
    )
    assert bool(done.returncode) == fails, f"git {arguments}: {done.stderr.decode()}"
    return done.stdout.decode(errors="surrogateescape")


def write(folder: Path, files: Files) -> None:
    """Write files, or take them away."""
    for path, content in files.items():
        file = folder / path
        if content is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(folder: Path, message: str = "Change") -> None:
    """Commit all that is there."""
    person = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    git(folder, "add", "--all")
    git(folder, *person, "commit", "--quiet", "--allow-empty", "--message", message)


def files(folder: Path) -> dict[str, tuple[bool, bytes]]:
    """Return every file outside of .git: whether it may be run, and what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        found[name] = (bool(path.lstat().st_mode & 0o100), content)
    return found


def state(folder: Path) -> tuple[Any, ...]:
    """Return all that an update that is not carried out must leave alone."""
    index = git(folder, "ls-files", "--stage", "-z")
    return files(folder), index, git(folder, "rev-parse", "HEAD"), git(folder, "for-each-ref")


class Scenario:
    """A template and a project beside each other."""

    def __init__(self, root: Path) -> None:
        self.root, self.template, self.project = root, root / "template", root / "project"
        self.config = CONFIG

    def release(self, version: str, changes: Files | None = None, **config: Any) -> None:
        """Release a version of the template: paths are those below its payload."""
        new = not self.template.exists()
        if new:
            self.template.mkdir()
            git(self.template, "init", "--quiet")
        self.config = {k: v for k, v in (self.config | config).items() if v is not None}
        write(self.template, {"copier.yml": yaml.safe_dump(self.config, sort_keys=False)})
        changes = {**(FILES if new else {}), **(changes or {})}
        write(self.template / "template", changes)
        commit(self.template, version)
        git(self.template, "tag", version)

    def rename(self, old: str, new: str) -> None:
        """Rename a file of the template; the next release has it."""
        target = self.template / "template" / new
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.template / "template" / old).rename(target)

    def start(self, folder: Path | None = None, *, version: str | None = None, **data: Any) -> None:
        """Make the project, by Copier."""
        target = folder or self.project
        shutil.rmtree(target, ignore_errors=True)
        run_copy(str(self.template), target, data=data, vcs_ref=version, defaults=True, quiet=True)
        if not folder:
            git(target, "init", "--quiet", "--initial-branch", "main")
            commit(target, "Start")

    def edit(self, changes: Files | None = None) -> None:
        """Change the project as a team does, and commit."""
        write(self.project, changes or {})
        commit(self.project)

    @property
    def member(self) -> Member:
        """The project as a fleet has it."""
        return Member(source=str(self.project))

    def update(self, how: How = How.STAGE, member: Member | None = None, **options: Any) -> Outcome:
        """Update the project by factory."""
        return update(member or self.member, Template.open(str(self.template)), how=how, **options)

    def refused(self, *words: str, how: How = How.STAGE, **options: Any) -> Outcome:
        """Update the project, which is to be refused with these words and without a trace."""
        before = state(self.project)
        outcome = self.update(how, **options)
        assert outcome.state == "refused", outcome
        assert outcome.reason
        for word in words:
            assert word in outcome.reason, outcome.reason
        assert state(self.project) == before
        return outcome

    def conflicts(self, expected: Mapping[str, str], **options: Any) -> Outcome:
        """Update the project in every way; all are to tell these conflicts and to write nothing."""
        before = state(self.project)
        for how in (How.STAGE, How.COMMIT, How.DRY):
            outcome = self.update(how, **options)
            assert outcome.state == "conflicts", outcome
            assert {one.path: one.kind for one in outcome.conflicts} == dict(expected), outcome
            assert state(self.project) == before
        return outcome

    def conflicts_in_the_way(self, path: str, words: str) -> None:
        """Update the project; a file that git does not know is to stop it."""
        before = state(self.project)
        for how in (How.STAGE, How.COMMIT, How.CONFLICTS):
            outcome = self.update(how)
            assert outcome.state == "conflicts", outcome
            (conflict,) = outcome.conflicts
            assert (conflict.path, words in conflict.kind) == (path, True), conflict
            assert state(self.project) == before

    def by_copier(self, to: str | None = None, **data: Any) -> Path:
        """Update a copy of the project by Copier, and return where it is."""
        target = self.root / "by-copier"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.project, target, symlinks=True)
        run_update(target, data, vcs_ref=to, defaults=True, overwrite=True, quiet=True)
        return target

    def fresh(self, version: str | None = None, **data: Any) -> dict[str, tuple[bool, bytes]]:
        """Return the files of a new project."""
        target = self.root / "fresh"
        self.start(target, version=version, **data)
        return files(target)

    def text(self, path: str) -> str:
        """Return what a file of the project says, line ends and all."""
        return (self.project / path).read_bytes().decode()

    def answers(self) -> dict[str, Any]:
        """Return what the project's answers file says."""
        answers: dict[str, Any] = yaml.safe_load(self.text(ANSWERS))
        return answers

    def record(self, **changes: Any) -> None:
        """Change the answers file by hand, and commit."""
        answers = {k: v for k, v in (self.answers() | changes).items() if v is not None}
        self.edit({ANSWERS: yaml.safe_dump(answers)})


def isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep a person's own settings and caches out, and the test's out of theirs."""
    folder.mkdir(exist_ok=True)
    settings = folder / "gitconfig"
    person = "[user]\nname = Tester\nemail = tester@example.com\n[init]\ndefaultBranch = main\n"
    settings.write_text(person)
    (folder / "copier.yml").write_text("{}\n")
    patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setenv("COPIER_SETTINGS_PATH", str(folder / "copier.yml"))


@pytest.fixture(scope="session")
def _first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's first version and a project of it, made once."""
    root = tmp_path_factory.mktemp("scenario")
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, root)
        scenario = Scenario(root)
        scenario.release("1.0.0")
        (scenario.template / "template/run.sh").chmod(0o755)
        commit(scenario.template, "1.0.0")
        git(scenario.template, "tag", "--force", "1.0.0")
        scenario.start()
    return root


@pytest.fixture
def scenario(_first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """A template with version 1.0.0, and a project of it as it was made."""
    isolate(monkeypatch, tmp_path)
    made = Scenario(tmp_path)
    for name in ("template", "project"):
        shutil.copytree(_first / name, tmp_path / name, symlinks=True)
    answers = made.text(ANSWERS).replace(str(_first / "template"), str(made.template))
    write(made.project, {ANSWERS: answers})
    git(made.project, "commit", "--quiet", "--all", "--amend", "--message", "Start")
    return made
