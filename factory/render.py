"""What one version of the template gives for a set of answers, file by file.

Copier's rules for a template that needs no trust, with everything that does not depend on the
answers done once for a whole fleet: a file without a value in it is the template's own blob, and
the others are compiled once. That it gives what Copier gives, byte for byte, is held by
tests/fleet/test_pairs.py for every pair of answers.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any
from unicodedata import normalize

import yaml
from jinja2 import FunctionLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment
from pathspec import PathSpec

from factory.errors import FactoryError
from factory.git import Entry
from factory.questions import Question

# What `copier.yml` may set. Anything else would mean something that this module does not do.
_KNOWN = {
    "_answers_file",
    "_envops",
    "_exclude",
    "_message_after_copy",
    "_message_after_update",
    "_message_before_copy",
    "_message_before_update",
    "_min_copier_version",
    "_subdirectory",
}
_STRICT = "jinja2.StrictUndefined"
# Copier leaves these out of a template that is a whole repository.
_EXCLUDE = ["copier.yaml", "copier.yml", "~*", "*.py[co]"]
_EXCLUDE += ["__pycache__", ".git", ".DS_Store", ".svn"]
_SUFFIX = ".jinja"


@dataclass(frozen=True)
class Rendering:
    """The files of a project as the template makes it.

    Attributes:
        files: Every file by its path.
        made: The contents of those files that are not blobs of the template.
        team: Tells whether a path is the team's, and so written once.
        answers: Every answer, the computed ones too.
    """

    files: dict[str, Entry]
    made: dict[str, bytes] = field(repr=False)
    team: Callable[[str], bool]
    answers: dict[str, Any]


def blob(content: bytes) -> str:
    """Return the name that git gives to a content (SHA-1)."""
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


class Source:
    """One version of a template.

    Args:
        files: Every file of the template's repository by its path.
        read: Returns the contents of blobs by their names.

    Raises:
        FactoryError: It is no template of Copier, or sets what factory does not do.
    """

    def __init__(
        self, files: dict[str, Entry], read: Callable[[list[str]], dict[str, bytes]]
    ) -> None:
        if "copier.yml" not in files:
            raise FactoryError("no copier.yml at the top: this is no template of Copier")
        self._files = files
        self._read = read
        (content,) = read([files["copier.yml"][1]]).values()
        self.config = _configuration(content)
        self._strings: dict[str, Template] = {}
        self._env = self._environment()
        self.questions = {
            name: Question(name, row, self._string)
            for name, row in self.config.items()
            if not name.startswith("_")
        }
        top = PurePosixPath(self.config.get("_subdirectory") or ".")
        self._prefix = "" if top == PurePosixPath() else f"{top}/"
        self._static, self._made = self._split()

    @property
    def answers_file(self) -> str:
        """Where a project keeps its answers."""
        return str(self.config.get("_answers_file", ".copier-answers.yml"))

    def _environment(self) -> SandboxedEnvironment:
        options = {"keep_trailing_newline": True, **self.config["_envops"]}

        def load(name: str) -> str | None:
            path = PurePosixPath(name).as_posix()  # ./one is one
            return self._text(path) if path in self._files else None

        return SandboxedEnvironment(
            loader=FunctionLoader(load),
            extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
            cache_size=-1,
            **options | {"undefined": StrictUndefined},
        )

    @cached_property
    def _templates(self) -> dict[str, bytes]:
        """Every templated file by the name of its blob, read in one process."""
        return self._read(sorted({self._files[path][1] for path, *_ in self._made}))

    def _text(self, path: str) -> str:
        name = self._files[path][1]
        if name not in self._templates:  # what a template includes
            self._templates.update(self._read([name]))
        return self._templates[name].decode()

    def _split(self) -> tuple[dict[str, Entry], list[tuple[str, str, str]]]:
        """Return the files that are the same in every project, and the others."""
        starts = [self._env.variable_start_string, self._env.block_start_string]
        starts += [self._env.comment_start_string]
        static: dict[str, Entry] = {}
        made = []
        for path, (mode, name) in self._files.items():
            if not path.startswith(self._prefix):
                continue
            inner = path.removeprefix(self._prefix)
            if mode not in ("100644", "100755"):
                raise FactoryError(f"{path} is no file: factory renders no links")
            if inner.endswith(_SUFFIX) or any(start in inner for start in starts):
                made.append((path, inner.removesuffix(_SUFFIX), mode))
            elif f"{inner}{_SUFFIX}" not in self._files:  # by its name in the whole repository
                static[inner] = (mode, name)
        return static, made

    def complete(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return every answer: the recorded ones, defaults for the rest, and the computed ones.

        Args:
            recorded: Answers as an answers file has them.

        Raises:
            FactoryError: One is missing, or of another type than its question.
        """
        known = {name: value for name, value in recorded.items() if not name.startswith("_")}
        for name, question in self.questions.items():
            asked = question.asked(known)
            if asked and name in recorded:
                known[name] = question.answer(recorded[name], known)
            elif asked or "default" in question.row:
                known[name] = question.default(known)
        return known

    def recorded(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        """Return those answers that an answers file keeps."""
        return {
            name: answers[name]
            for name, question in self.questions.items()
            if name in answers and question.asked(answers) and not question.row.get("secret")
        }

    def render(self, recorded: Mapping[str, Any], *, source: str, version: str) -> Rendering:
        """Return the project of these answers.

        Args:
            recorded: The answers; those that are absent take their default.
            source: The template's address, as the answers file keeps it.
            version: The version's name, as the answers file keeps it.

        Raises:
            FactoryError: A template names what has no answer, or can't take one.
        """
        at = "copier.yml"
        try:
            answers = self.complete(recorded)
            kept = {"_commit": version, "_src_path": source, **self.recorded(answers)}
            context = {
                **answers,
                "_copier_answers": kept,
                "_copier_conf": {"answers_file": self.answers_file},
            }
            excluded = self._matcher(context, "copy")
            later = self._matcher(context, "update")
            files = {path: entry for path, entry in self._static.items() if not excluded(path)}
            made: dict[str, bytes] = {}
            for at, inner, mode in self._made:
                target = self._string(inner).render(context)
                parts = target.split("/")
                templated = at.endswith(_SUFFIX)
                if not all(parts) or excluded(target):
                    continue
                if not templated and f"{target}{_SUFFIX}" in self._files:
                    continue
                if ".." in parts:
                    raise FactoryError(f"{target!r} is outside the project: change the answers")
                name = self._files[at][1]
                if templated:
                    content = self._env.get_template(at).render(context).encode()
                    name = blob(content)
                    made[name] = content
                files[target] = (mode, name)
        except Exception as error:  # an answer of another kind fails in any filter, in any way
            said = " ".join(str(error).split())
            raise FactoryError(f"version {version}, {at}: {said}") from error
        return Rendering(files, made, lambda path: later(path) and not excluded(path), answers)

    def _string(self, text: str) -> Template:
        if text not in self._strings:
            self._strings[text] = self._env.from_string(text)
        return self._strings[text]

    def _matcher(self, context: Mapping[str, Any], operation: str) -> Callable[[str], bool]:
        """Return what tells whether a path is left out by the rows of ``_exclude``."""
        rows: Iterable[str] = self.config.get("_exclude", [] if self._prefix else _EXCLUDE)
        known = {**context, "_copier_operation": operation}
        rendered = (self._string(row).render(known) for row in rows)
        lines = (line for text in rendered for line in re.split(r"\r\n|\r|\n", text) if line)
        return _matching(tuple(normalize("NFD", line) for line in lines))


@lru_cache(64)
def _matching(lines: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what matches paths; projects of alike answers share it, and what it found."""
    return lru_cache(10_000)(PathSpec.from_lines("gitignore", lines).match_file)


def _configuration(content: bytes) -> dict[str, Any]:
    """Return what `copier.yml` says.

    Raises:
        FactoryError: It can't be read, or sets what this module does not do.
    """
    try:
        config = yaml.safe_load(content)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise FactoryError(
            f"copier.yml can't be read ({said}): factory knows one YAML document without !include"
        ) from error
    if not isinstance(config, dict):
        raise FactoryError("copier.yml has no questions")
    unknown = sorted(name for name in config if name.startswith("_") and name not in _KNOWN)
    if unknown:
        raise FactoryError(
            f"copier.yml sets {', '.join(unknown)}: factory renders only what needs no trust "
            f"and knows {', '.join(sorted(_KNOWN))}"
        )
    options = config.get("_envops", {})
    if options.get("undefined") != _STRICT:
        raise FactoryError(
            f"copier.yml: factory renders strictly; set undefined: {_STRICT} under _envops"
        )
    for name in ("_subdirectory", "_answers_file"):
        if "{" in str(config.get(name)):
            raise FactoryError(f"copier.yml: {name} depends on answers, which factory does not do")
    return config
