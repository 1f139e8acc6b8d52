"""Lays the template over a repository that it did not make, and changes no file that is there."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from factory.ask import ask
from factory.errors import RefusedError
from factory.fleet import ANSWERS, Member
from factory.git import Entry, Git, GitError
from factory.merge import Workshop
from factory.render import Rendering
from factory.repository import Repository
from factory.template import Release, Template
from factory.worktree import alone, bring, carry_out, commit_of, ready

# What tells the pipelines that a repository has.
_PIPELINES = {
    ".github/workflows": "github",
    ".gitlab-ci.yml": "gitlab",
    "azure-pipelines.yml": "azure-devops",
}
# How the reasons end that no update can mend later.
_NEEDED = ("the template needs a folder", "the template needs a file")
# What other ways of making and building a project leave, and what is to become of it.
_LEFT = {
    ".cruft.json": "cruft's answers: its updates end here; remove it",
    "requirements.txt": "dependencies: move them to pyproject.toml",
    "environment.yml": "dependencies: move them to pyproject.toml",
    "setup.py": "the build: move it to pyproject.toml",
    "setup.cfg": "the build: move it to pyproject.toml",
    "Pipfile": "dependencies: move them to pyproject.toml",
    "poetry.lock": "a lock of another tool: `make setup` makes uv.lock",
}


@dataclass(frozen=True)
class Obstacle:
    """What a person has to look at: a file that stayed as it was, or one that is of no use now."""

    path: str
    reason: str


@dataclass(frozen=True)
class Adoption:
    """What an adoption did, or would do.

    Attributes:
        answers: What the template was asked with.
        added: The files that came.
        obstacles: What stands in the way of the template's machinery.
    """

    name: str
    version: str
    answers: dict[str, Any]
    added: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]


def adopt(
    member: Member,
    template: Template,
    *,
    to: str | None = None,
    data: Mapping[str, Any] | None = None,
    dry: bool = False,
) -> Adoption:
    """Add what a repository lacks of the template, staged; every file that is there stays as it is.

    From then on `factory update` merges: what differs is the team's edit.

    Args:
        member: The repository; it needs a working tree.
        template: Where the versions are.
        to: The version; the latest, if not given.
        data: Answers; the rest are guessed from the repository, or have their defaults.
        dry: Only tell.

    Raises:
        RefusedError: It is a project of the template already, or can't be worked on.
        FactoryError: An answer is none.
    """
    repository = Repository.open(member)
    with alone(repository.git):
        if not dry:
            ready(repository)
        if ANSWERS in repository.files:
            raise RefusedError(f"{member.name} is a project of a template already: factory update")
        release = template.resolve(to) if to else template.latest
        answers = ask(template.at(release), {}, guessed(repository) | dict(data or {}))
        made = template.at(release).render(answers, source=template.source, version=release.name)
        taken = {path: _why(repository, made, path) for path in made.files}
        added = {path: made.files[path] for path, reason in taken.items() if reason is None}
        blocked = [f"{path}: {why}" for path, why in taken.items() if why and why.endswith(_NEEDED)]
        if blocked and not dry:
            raise RefusedError(
                f"{member.name}: rename yours, and adopt again: {'; '.join(blocked)}"
            )
        if not dry:
            _add(repository, template, made, added, release)
        obstacles = [
            *(Obstacle(path, reason) for path, reason in taken.items() if reason),
            *_ignored(repository, added),
            *(Obstacle(path, why) for path, why in _LEFT.items() if path in repository.files),
        ]
    return Adoption(
        member.name, release.name, answers, tuple(sorted(added)), tuple(sorted(obstacles, key=str))
    )


def guessed(repository: Repository) -> dict[str, Any]:
    """Return the answers that a repository gives by what is in it."""
    name = re.sub(r"[^A-Za-z0-9]+", " ", repository.git.folder.name).strip()
    found: dict[str, Any] = {"project_name": name[:1].upper() + name[1:]} if name else {}
    packages = {
        parts[1]
        for path in repository.files
        if (parts := PurePosixPath(path).parts)[0] == "src"
        and parts[-1] == "__init__.py"
        and len(parts) == 3
    } - {"mlops"}
    if len(packages) == 1:
        found["package_name"] = packages.pop()
    for path, ci in _PIPELINES.items():
        if any(name == path or name.startswith(f"{path}/") for name in repository.files):
            found["ci"] = ci
    return found


def _why(repository: Repository, made: Rendering, path: str) -> str | None:
    """Return why a file of the template does not come; "" if it is there already, the same."""
    have, wanted = repository.files.get(path), made.files[path]
    if have:
        return "" if have == wanted else _differs(repository, made, have, wanted)
    for parent in PurePosixPath(path).parents:
        if str(parent) in repository.files:
            return f"{parent} is a file here, and the template needs a folder"
    if any(name.startswith(f"{path}/") for name in repository.files):
        return "a folder here, and the template needs a file"
    if os.path.lexists(repository.git.folder / repository.subfolder / path):
        return "there, and not known to git: it stayed as it is"
    return None


def _differs(repository: Repository, made: Rendering, have: Entry, wanted: Entry) -> str:
    theirs = repository.git.blobs([have[1]]).get(have[1], b"")
    lines = made.made[wanted[1]].splitlines() if wanted[1] in made.made else None
    missing = len([line for line in lines if line.strip() and line not in theirs]) if lines else 0
    more = f"; {missing} lines of the template's are not in it" if missing else ""
    return f"stayed as it is{more}"


def _ignored(repository: Repository, added: Mapping[str, Entry]) -> list[Obstacle]:
    given = "".join(f"{repository.subfolder}{path}\0" for path in added).encode()
    git = Git(repository.git.folder, GIT_LITERAL_PATHSPECS="0")  # it knows of no other
    said = git.attempt("check-ignore", "-z", "--no-index", "--stdin", given=given)
    if said.returncode not in (0, 1):
        raise GitError(f"git check-ignore: {said.stderr.decode(errors='replace').strip()}")
    names = said.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    if not names:
        return []
    came = ", ".join(sorted(name.removeprefix(repository.subfolder) for name in names))
    return [Obstacle(".gitignore", f"has rows for what came; change them: {came}")]


def _add(
    repository: Repository,
    template: Template,
    made: Rendering,
    added: Mapping[str, Entry],
    release: Release,
) -> None:
    with Workshop([repository.objects, template.objects]) as workshop:
        workshop.commit(team=({**repository.files, **added}, made.made))
        tree = workshop.whole(repository.commit, repository.subfolder, "team^{tree}")
        commit = commit_of(repository, workshop, tree, f"Adopt template {release.name}")
        bring(repository, workshop, commit)
        carry_out(repository.git, repository.commit, commit, commit=False)
