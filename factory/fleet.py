"""Which repositories there are: a fleet file, or a folder of repositories."""

import re
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from factory.errors import FactoryError
from factory.template import is_url

ANSWERS = ".copier-answers.yml"
_DEPTH = 3  # levels below a folder: groups, their repositories, and projects inside of one


class Member(BaseModel):
    """One project of the fleet.

    Attributes:
        source: The path or git URL of its repository.
        name: What it is called; the source's last part, if not given.
        ring: When its turn comes in a rollout; the last, if not given.
        branch: The branch that is updated; the repository's default branch, if not given.
        subfolder: Where in the repository the project lies.
        labels: What the organisation knows of it: stage, owner, use_case …
        forge: The platform, where the address does not tell it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1)
    name: str = ""
    ring: str = ""
    branch: str | None = None
    subfolder: str = "."
    labels: dict[str, str] = Field(default_factory=dict)
    forge: Literal["github", "gitlab", "azure-devops"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("source") and not given.get("name"):
            parts = [str(given["source"]).removesuffix("/").removesuffix(".git")]
            parts += [str(given["subfolder"])] if given.get("subfolder", ".") != "." else []
            return given | {"name": "/".join(re.split(r"[/\\:]", part)[-1] for part in parts)}
        return given


class Fleet(BaseModel):
    """The repositories of an organisation, and the template that they come from.

    Attributes:
        template: The template's address.
        formerly: Addresses that it had before.
        policy: The organisation's policy file.
        rings: The rings of a rollout, the canaries first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str | None = None
    formerly: list[str] = Field(default_factory=list)
    policy: Path | None = None
    rings: list[str] = Field(default_factory=lambda: ["all"], min_length=1)
    repositories: list[Member]


def load(path: Path) -> Fleet:
    """Return the fleet of a file, or of a folder: every project in it, and itself.

    Raises:
        FactoryError: The file is absent, is no YAML, or says what no fleet has.
    """
    path = path.expanduser()
    if path.is_dir():
        return _found(path.resolve())
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FactoryError(f"{path}: no such fleet file or folder of repositories") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FactoryError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        fleet = Fleet.model_validate(given)
    except ValidationError as error:
        # A key that there is not explains one that is missing.
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise FactoryError(f"{path}: {_said(errors[0])}") from error
    here = path.resolve().parent

    def placed(source: str) -> str:
        return source if is_url(source) else str((here / Path(source).expanduser()).resolve())

    members = [
        member.model_copy(
            update={"source": placed(member.source), "ring": member.ring or fleet.rings[-1]}
        )
        for member in fleet.repositories
    ]
    _distinct(path, fleet.rings, members)
    return fleet.model_copy(
        update={
            "template": fleet.template and placed(fleet.template),
            "policy": fleet.policy and here / fleet.policy.expanduser(),
            "repositories": members,
        }
    )


def _said(error: ErrorDetails) -> str:
    """Return which key has which value, and what it may have."""
    *_, key = where = [str(part) for part in error["loc"]] or ["the file"]
    if error["type"] == "extra_forbidden":
        model = Member if "repositories" in where else Fleet
        return f"{'.'.join(where)}: there is no {key}; there are {', '.join(model.model_fields)}"
    if error["type"] == "missing":
        return f"{'.'.join(where)} is missing"
    if error["type"] in ("model_type", "model_attributes_type", "list_type"):
        kinds = {"list_type": "a list"}
        wanted = kinds.get(error["type"], "`source: …`" if "repositories" in where else "a mapping")
        return f"{'.'.join(where)}: {short(error['input'])}: {wanted} is needed here"
    return f"{'.'.join(where)}: {short(error['input'])}: {error['msg']}"


def _distinct(path: Path, rings: list[str], members: list[Member]) -> None:
    """Refuse what is there twice, and rings that are not there."""
    names: dict[str, str] = {}
    places: dict[tuple[str, str, str | None], str] = {}
    for member in members:
        place = (member.source, member.subfolder, member.branch)
        if member.name in names:
            raise FactoryError(
                f"{path}: two repositories are called {member.name}, {names[member.name]} and "
                f"{member.source}: give one of them another `name`"
            )
        if place in places:
            raise FactoryError(
                f"{path}: {member.source} is there twice, as {places[place]} and {member.name}: "
                "take one away"
            )
        if member.ring not in rings:
            raise FactoryError(
                f"{path}: {member.name}: there is no ring {member.ring}; `rings` has "
                f"{', '.join(rings)}"
            )
        names[member.name], places[place] = member.source, member.name


def _found(folder: Path) -> Fleet:
    """Return the projects below a folder: what has an answers file is one."""
    found: list[Path] = []
    level = [folder]
    for _ in range(_DEPTH + 1):
        found += [path for path in level if (path / ANSWERS).is_file()]
        level = [
            child
            for path in level
            if not (path / ANSWERS).is_file()
            for child in sorted(path.iterdir())
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        ]
    if not found:
        raise FactoryError(
            f"{folder}: no {ANSWERS} here or {_DEPTH} levels below: no project of a template; "
            "`factory adopt` lays the template over a repository"
        )
    members = [
        Member(
            source=str(path),
            name=folder.name if path == folder else path.relative_to(folder).as_posix(),
            ring="all",
        )
        for path in sorted(found)
    ]
    return Fleet(repositories=members)
