"""Which tools a repository uses: actions, container images and Python packages, from its files."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from factory.files import Files, UnreadableError

# Where tools are named. A provider's own image in environments/ is what the project makes.
_PIPELINES = [
    "/.github/**/*.y*ml",
    "/.gitlab-ci.yml",
    "/.gitlab/**/*.y*ml",
    "azure-pipelines*.y*ml",
]
_PIPELINES += ["/azure-pipelines/**/*.y*ml", "/.azuredevops/**/*.y*ml"]
_IMAGES = [*_PIPELINES, "compose*.y*ml", "docker-compose*.y*ml", "/deploy/**/*.y*ml"]
_IMAGES += ["/.devcontainer/**/devcontainer.json"]
_DOCKERFILES = ["Dockerfile*", "Containerfile*", "*.Dockerfile"]
_LONGEST = 200  # characters of a name that are told
_PROJECT = "/pyproject.toml"
_REQUIREMENTS = ["requirements*.txt", "requirements/*.txt"]
PLACES = [*_IMAGES, *_DOCKERFILES, _PROJECT, *_REQUIREMENTS]
"""The files that are looked at."""


class Tool(NamedTuple):
    """Something that a repository uses and does not make: where, and in which version."""

    kind: Literal["actions", "images", "packages"]
    name: str
    version: str
    path: str
    line: int


def tools(files: Files, own: str | None = None) -> list[Tool]:
    """Return every action, image and package that a repository names, once a file.

    What a pipeline keeps in a variable without a default comes with the variable. What an
    action, an image or a package brings along is not looked at.

    Args:
        files: The repository's files.
        own: The project's own name: an image or extra of that name is made here.
    """
    found: list[Tool] = []
    for path in sorted({*files.texts(_IMAGES), *files.texts(_DOCKERFILES)}):
        text = files.text(path)
        named = _dockerfile(text) if "ockerfile" in path or "ainerfile" in path else None
        for kind, value in named if named is not None else _named(files, path):
            found += _tool(kind, value, path, text, own)
    found += _packages(files, own)
    short = [
        tool._replace(name=tool.name[:_LONGEST], version=tool.version[:_LONGEST]) for tool in found
    ]
    return list(dict.fromkeys(short))


def _named(files: Files, path: str) -> Iterator[tuple[str, str]]:
    """Yield what a YAML file names: the key, and the value."""
    try:
        inside = list(files.documents(path))
    except UnreadableError:
        return
    seen: set[int] = set()  # an alias is the same object: what it names is visited once
    while inside:
        part = inside.pop()
        if not isinstance(part, dict | list) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list):
            inside.extend(part)
            continue
        for key, value in part.items():
            if isinstance(value, dict) and key == "image" and isinstance(value.get("name"), str):
                yield "image", value["name"]
            elif isinstance(value, str) and key in {"uses", "task", "component", "remote"}:
                yield "action", value
            elif isinstance(value, str) and key in {"image", "container"}:
                yield "image", value
            elif key == "services" and isinstance(value, list):
                yield from (("image", one) for one in value if isinstance(one, str))
        inside.extend(part.values())


def _dockerfile(text: str) -> Iterator[tuple[str, str]]:
    """Yield the images that a Dockerfile starts from, the defaults of its arguments put in."""
    stages: set[str] = set()
    values: dict[str, str] = {}
    for line in text.splitlines():
        words = [] if line.lstrip().startswith("#") else line.split()
        if len(words) > 1 and words[0].upper() == "ARG" and "=" in words[1]:
            name, value = words[1].split("=", 1)
            values.setdefault(name, value.strip("\"'"))
        rest = [word for word in words[1:] if not word.startswith("--")]
        if words and words[0].upper() == "FROM" and rest:
            image = re.sub(r"\$\{?(\w+)\}?", lambda hit: values.get(hit[1], hit[0]), rest[0])
            if image not in stages and image != "scratch":
                yield "image", image
            if len(rest) > 2:
                stages.add(rest[2])


def _tool(kind: str, value: str, path: str, text: str, own: str | None) -> Iterator[Tool]:
    line = _line_with(text, value)
    value = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", value.strip())  # a variable's default
    if kind == "action" and value.startswith("docker://"):
        kind, value = "image", value.removeprefix("docker://")
    if kind == "action" and not value.startswith("./"):
        name, _, version = value.partition("@")
        yield Tool("actions", name, version, path, line)
    if kind == "image":
        name, version = value, ""
        if "@" in value:
            name, version = value.split("@", 1)
        elif ":" in value.rsplit("/", 1)[-1]:
            name, version = value.rsplit(":", 1) if "$" not in value else value.split(":", 1)
        if name != own:
            yield Tool("images", name, version or "latest", path, line)


def _packages(files: Files, own: str | None) -> Iterator[Tool]:
    for path, text in files.texts([_PROJECT]).items():
        try:
            given = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            files.unreadable[path] = "is no TOML"
            continue
        for asked in _requirements(given):
            yield from _package(asked, path, text, own)
    for path, text in files.texts(_REQUIREMENTS).items():
        for asked in text.splitlines():
            yield from _package(asked.split("#")[0].split(" --")[0].strip(), path, text, own)


def _requirements(given: dict[str, Any]) -> Iterator[str]:
    """Yield what pyproject.toml asks for: to run, as extras, for developers, and to build."""
    project = given.get("project")
    build = given.get("build-system")
    lists: list[Any] = [build.get("requires") if isinstance(build, dict) else None]
    groups: list[Any] = [given.get("dependency-groups")]
    if isinstance(project, dict):
        lists.append(project.get("dependencies"))
        groups.append(project.get("optional-dependencies"))
    lists += [one for group in groups if isinstance(group, dict) for one in group.values()]
    for one in lists:
        yield from (
            (asked for asked in one if isinstance(asked, str)) if isinstance(one, list) else ()
        )


def _package(asked: str, path: str, text: str, own: str | None) -> Iterator[Tool]:
    if not asked or asked.startswith("-"):
        return
    try:
        requirement = Requirement(asked)
    except InvalidRequirement:
        yield Tool("packages", asked, "", path, 1)
        return
    name = canonicalize_name(requirement.name)
    if name != own:
        line = _line_with(text, asked)
        yield Tool("packages", name, str(requirement.specifier), path, line)


def _line_with(text: str, value: str) -> int:
    """Return the number of the first line that has a text, and not in a comment."""
    lines = enumerate(text.splitlines(), 1)
    return next((n for n, line in lines if value in line and not line.lstrip().startswith("#")), 1)


def line_of(text: str, pattern: str) -> int | None:
    """Return the number of the first line that a regular expression finds, from 1."""
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else None
