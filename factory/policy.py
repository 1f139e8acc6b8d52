"""The organisation's policy: which answers, labels and tools its repositories may have."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from factory.errors import FactoryError
from factory.files import Files, UnreadableError
from factory.fleet import ANSWERS
from factory.tools import PLACES, line_of, tools

_ADOPT = "factory adopt lays the template over it"
_SOON = timedelta(days=30)  # an exception that ends by then is told of
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
Model = TypeVar("Model", bound=BaseModel)
_WILD = re.compile(r"[*?\[]")

RULES = {
    "allowed": "An answer is one of those that the policy allows",
    "forced": "An answer is the one that the policy demands",
    "labels": "The fleet file gives a repository the labels that the policy demands",
    "tools": "Actions, images and packages are on the list of approved tools",
    "pinned": "What a pipeline runs is pinned by a full commit hash",
    "minimum": "A repository has the version and the maturity level that the policy demands",
    "exception": "Exceptions from the policy end",
    "unreadable": "A file that the policy is about can be read",
}
"""What each rule asks; a finding's rule is one of these, or it with a part: `allowed.provider`."""


@dataclass(frozen=True)
class Finding:
    """Something in a repository that is not as it should be.

    Attributes:
        repository: The repository's name in the fleet.
        rule: What was broken: ``allowed.provider``.
        level: error fails `factory assess`; warning and note do not. SARIF's words.
        message: What was found, and what the limit is.
        fix: What mends it.
        path: The file, from the repository's root.
        line: The line in it, from 1.
    """

    repository: str
    rule: str
    level: Literal["error", "warning", "note"]
    message: str
    fix: str
    path: str | None = None
    line: int | None = None


class Strict(BaseModel):
    """A part of a file that people write: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tools(Strict):
    """Approved tools, by name or pattern; a kind that is left out is not judged.

    Attributes:
        actions: What pipelines run: GitHub actions, GitLab components, tasks of Azure Pipelines.
        images: Container images, with registry and tag.
        packages: Python packages that the project asks for itself.
    """

    actions: list[str] | None = None
    images: list[str] | None = None
    packages: list[str] | None = None


class Minimum(Strict):
    """The least that a repository may be at.

    Attributes:
        version: Of the template.
        level: Of the maturity model, 0 to 4.
    """

    version: str | None = Field(default=None, pattern=r"^\d+(\.\d+)*$")
    level: int | None = Field(default=None, ge=0, le=4)


class Excuse(Strict):
    """An exception: a repository may break a rule until a day.

    Attributes:
        repository: Its name in the fleet, or a pattern.
        rule: A finding's rule, or a pattern: ``tools.*``.
        reason: Why; who reads the result is told.
        until: The last day on which it holds.
    """

    repository: str
    rule: str
    reason: str = Field(min_length=1)
    until: date

    def covers(self, finding: Finding) -> bool:
        """Tell whether this exception is about a finding."""
        return fnmatchcase(finding.repository, self.repository) and fnmatchcase(
            finding.rule, self.rule
        )

    @model_validator(mode="after")
    def _known(self) -> Self:
        head = self.rule.split(".")[0]
        if not _WILD.search(head) and head not in RULES:
            raise ValueError(f"no rule is called {self.rule}{nearest(head, RULES)}")
        return self


class Policy(Strict):
    """What an organisation asks of its repositories.

    Attributes:
        allowed: Answers that a question may have, by name of the question; patterns for free text.
        forced: The one answer that a question must have.
        defaults: Answers that a new project starts with.
        patterns: Named sets of answers that a new project can start with: online, batch, edge.
        required_labels: Labels that each repository has in the fleet file.
        tools: Approved tools.
        minimum: The least version and level.
        exceptions: Who may break what, until when.
    """

    allowed: dict[str, list[Any]] = Field(default_factory=dict)
    forced: dict[str, Any] = Field(default_factory=dict)
    defaults: dict[str, Any] = Field(default_factory=dict)
    patterns: dict[str, dict[str, Any]] = Field(default_factory=dict)
    required_labels: list[str] = Field(default_factory=list)
    tools: Tools = Tools()
    minimum: Minimum = Minimum()
    exceptions: list[Excuse] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse a policy that no repository can meet."""
        given = [("forced", self.forced), ("defaults", self.defaults)]
        given += [(f"patterns.{name}", preset) for name, preset in self.patterns.items()]
        for where, answers in given:
            for name, value in answers.items():
                if name in self.allowed and (bad := _outside(value, self.allowed[name])):
                    raise ValueError(
                        f"{where}.{name} is {bad[0]}, which allowed.{name} leaves out: "
                        f"{_listed(self.allowed[name])}"
                    )
                if (
                    where != "forced"
                    and name in self.forced
                    and not _same(value, self.forced[name])
                ):
                    raise ValueError(
                        f"{where}.{name} is {_said(value)}, but forced.{name} is "
                        f"{_said(self.forced[name])}: leave it out of {where}"
                    )
        return self


def load(path: Path, questions: Mapping[str, Any] | None = None) -> Policy:
    """Return the policy of a file.

    Args:
        path: The file, in YAML.
        questions: A template's copier.yml: what the policy says of answers is held against it.

    Raises:
        FactoryError: The file is absent or no YAML, says what a policy does not have, or names a
            question or a choice that the template does not have.
    """
    policy = read_model(path, Policy, "policy")
    for where, answers in _of_answers(policy):
        for name, values in answers.items() if questions else ():
            _check(f"{path}: {where}", name, values, questions or {})
    return policy


def read_model(path: Path, model: type[Model], kind: str) -> Model:
    """Return a YAML file as a model of it.

    Raises:
        FactoryError: The file is absent, no YAML, or not what the model says; keys that are not
            known are named with the nearest that is.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        return model.model_validate({} if given is None else given)
    except FileNotFoundError as error:
        raise FactoryError(f"{path}: no such {kind} file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FactoryError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise FactoryError(f"{path}: {_explained(error, model)}") from error


def answers(
    policy: Policy, questions: Mapping[str, Any] | None = None, pattern: str | None = None
) -> dict[str, Any]:
    """Return the answers that a project needs to obey, for `copier copy --data-file`.

    Copier does not ask for what such a file answers; ``--data name=value`` still wins over it.

    Args:
        policy: The policy.
        questions: The template's copier.yml; with it, a default of the template's that the policy
            does not allow is seen.
        pattern: One of the policy's `patterns`.

    Raises:
        FactoryError: There is no such pattern, or a default is missing.
    """
    if pattern is not None and pattern not in policy.patterns:
        raise FactoryError(
            f"the policy has no pattern {pattern}{nearest(pattern, policy.patterns)}; "
            f"it has {_listed(policy.patterns) or 'none'}"
        )
    found = policy.defaults | (policy.patterns[pattern] if pattern else {}) | policy.forced
    for name, allowed in policy.allowed.items():
        if name in found:
            continue
        if len(allowed) == 1 and not _WILD.search(str(allowed[0])):
            several = bool(questions and questions.get(name, {}).get("multiselect"))
            found[name] = list(allowed) if several else allowed[0]
        elif questions and _outside(default := questions[name].get("default"), allowed):
            raise FactoryError(
                f"allowed.{name} leaves out the template's own default, {_said(default)}: "
                f"say defaults.{name} in the policy"
            )
    return found


def violations(
    policy: Policy,
    repository: str,
    *,
    answers: Mapping[str, Any],
    files: Files,
    labels: Mapping[str, str],
    today: date,
    version: str | None = None,
    level: int | None = None,
) -> list[Finding]:
    """Return what in a repository the policy does not allow, exceptions taken into account.

    Args:
        policy: The policy.
        repository: The repository's name in the fleet.
        answers: What its answers file records.
        files: Its files.
        labels: Its labels in the fleet file.
        today: The day on which exceptions are looked at.
        version: The template's version that it was made with.
        level: The maturity level that it reaches, if that was assessed.
    """
    found = [
        *_answers(policy, repository, answers, files),
        *_labels(policy, repository, labels),
        *_tools(policy, repository, files, answers),
        *_least(policy, repository, version, level),
    ]
    return _excused(policy, repository, found, today)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that comes nearest, as the end of a message."""
    close = get_close_matches(name, list(known), n=1)
    return f"; nearest is {close[0]}" if close else ""


# Of the policy file ----------------------------------------------------------


def _of_answers(policy: Policy) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "allowed", policy.allowed
    yield "forced", policy.forced
    yield "defaults", policy.defaults
    for name, preset in policy.patterns.items():
        yield f"patterns.{name}", preset


def _check(where: str, name: str, values: Any, questions: Mapping[str, Any]) -> None:
    asked = {
        key: row
        for key, row in questions.items()
        if not key.startswith("_") and isinstance(row, dict) and row.get("when", True) is not False
    }
    if name not in asked:
        raise FactoryError(f"{where}: the template does not ask {name}{nearest(name, asked)}")
    given = asked[name].get("choices")
    choices = [str(one) for one in (given.values() if isinstance(given, dict) else given or [])]
    for value in values if isinstance(values, list) else [values]:
        if choices and not any(fnmatchcase(choice, str(value)) for choice in choices):
            raise FactoryError(
                f"{where}.{name}: {value} is no choice{nearest(str(value), choices)}; "
                f"choices are {', '.join(choices)}"
            )


def _explained(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where or 'the file'}: {first['msg'].removeprefix('Value error, ')}"
    known: set[str] = set()
    inside: list[Any] = [model]
    while inside:  # a key of any part may be meant
        part = inside.pop()
        known |= set(part.model_fields)
        inside += [
            inner
            for field in part.model_fields.values()
            for inner in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(inner, type) and issubclass(inner, BaseModel)
        ]
    return f"{where} is not known{nearest(str(first['loc'][-1]), sorted(known))}"


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _outside(value: Any, allowed: list[Any]) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [
        str(one) for one in values if not any(fnmatchcase(str(one), str(good)) for good in allowed)
    ]


def _same(value: Any, other: Any) -> bool:
    """Tell whether two answers mean the same: of several choices, the order means nothing."""
    if isinstance(value, list) and isinstance(other, list):
        return sorted(map(str, value)) == sorted(map(str, other))
    return str(value) == str(other)


# Of a repository -------------------------------------------------------------


def _answers(
    policy: Policy, repository: str, answers: Mapping[str, Any], files: Files
) -> Iterator[Finding]:
    for name, wanted in policy.forced.items():
        if name not in answers or not _same(answers[name], wanted):
            found = f"is {_said(answers[name])}" if name in answers else "is not answered"
            yield Finding(
                repository,
                f"forced.{name}",
                "error",
                f"{name} {found}; the policy demands {_said(wanted)}",
                _change(name, wanted) if answers else _ADOPT,
                ANSWERS if answers else None,
                _line_of_answer(files, name),
            )
    for name, allowed in policy.allowed.items():
        bad = _outside(answers[name], allowed) if name in answers else []
        if bad and name not in policy.forced:
            yield Finding(
                repository,
                f"allowed.{name}",
                "error",
                f"{name} is {_said(bad)}; the policy allows {_listed(allowed)}",
                _change(name, allowed[0] if allowed else "…"),
                ANSWERS,
                _line_of_answer(files, name),
            )


def _change(name: str, value: Any) -> str:
    shown = f"[{_said(value)}]" if isinstance(value, list) else _said(value)
    shown = "…" if _WILD.search(shown.strip("[")) else shown
    return f'factory update --data "{name}={shown}", or ask for an exception'


def _line_of_answer(files: Files, name: str) -> int | None:
    try:
        return line_of(files.text(ANSWERS), rf"^{re.escape(name)}:")
    except UnreadableError:
        return None


def _labels(policy: Policy, repository: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    for name in policy.required_labels:
        if not labels.get(name, "").strip():
            close = nearest(name, labels)
            yield Finding(
                repository,
                f"labels.{name}",
                "error",
                f"no label {name}{close}",
                f"add labels: {{{name}: …}} to {repository} in the fleet file",
            )


def _least(
    policy: Policy, repository: str, version: str | None, level: int | None
) -> Iterator[Finding]:
    least = policy.minimum
    number = re.match(r"\D{0,1}(\d+(?:\.\d+)*)", version or "")
    if least.version and (not number or Version(number[1]) < Version(least.version)):
        yield Finding(
            repository,
            "minimum.version",
            "error",
            f"made with version {version or 'unknown'}; the policy demands {least.version}",
            "factory update" if version else _ADOPT,
            ANSWERS if version else None,
        )
    if least.level is not None and level is not None and level < least.level:
        yield Finding(
            repository,
            "minimum.level",
            "error",
            f"maturity level {level}; the policy demands {least.level}",
            "factory assess lists what is missing for the next level, with the fix of each",
        )


def _tools(
    policy: Policy, repository: str, files: Files, answers: Mapping[str, Any]
) -> Iterator[Finding]:
    asked = {kind: list_ for kind, list_ in policy.tools.model_dump().items() if list_ is not None}
    if not asked:
        return
    own = answers.get("project_slug")
    for tool in tools(files, str(own) if own else None):
        approved = asked.get(tool.kind)
        if approved is None:
            continue
        where = {"path": tool.path, "line": tool.line}
        full = f"{tool.name}:{tool.version}" if tool.kind == "images" else tool.name
        if "$" in full:
            message = f"{full} holds a variable, so that it was not judged"
            fix = "name the image, or give the variable a default"
            yield Finding(repository, "tools.unknown", "note", message, fix, **where)  # type: ignore[arg-type]
            continue
        if not any(fnmatchcase(one, good) for one in (tool.name, full) for good in approved):
            one = tool.kind.removesuffix("s")
            yield Finding(
                repository,
                f"tools.{tool.kind}",
                "error",
                f"{full} is no approved {one}{nearest(tool.name, approved)}",
                f"use an approved {one}, or have it added to tools.{tool.kind} of the policy",
                tool.path,
                tool.line,
            )
        if tool.kind == "actions" and "/" in tool.name and not _SHA.fullmatch(tool.version):
            yield Finding(
                repository,
                "pinned.actions",
                "error",
                f"{tool.name} is at {tool.version or 'no version'}, which can be moved",
                "pin it to the full hash of a commit, with the version as a comment",
                tool.path,
                tool.line,
            )
    for path in files.named(PLACES):
        if path in files.unreadable:
            yield Finding(
                repository,
                "unreadable",
                "error",
                f"{path} {files.unreadable[path]}: the tools in it were not judged",
                "mend the file, or take it out of the repository",
                path,
            )


def _excused(policy: Policy, repository: str, found: list[Finding], today: date) -> list[Finding]:
    result = []
    for finding in found:
        excuses = [one for one in policy.exceptions if one.covers(finding) and one.until >= today]
        if not excuses or finding.level == "note":
            result.append(finding)
            continue
        excuse = max(excuses, key=lambda one: one.until)
        told = f"{finding.message}; excused until {excuse.until}: {excuse.reason}"
        result.append(replace(finding, level="note", message=told))
        if excuse.until <= today + _SOON:
            days = (excuse.until - today).days
            message = f"the exception from {excuse.rule} ends in {days} days, on {excuse.until}"
            result.append(Finding(repository, "exception.ends", "warning", message, finding.fix))
    for one in policy.exceptions:
        if one.until < today and fnmatchcase(repository, one.repository):
            message = f"the exception from {one.rule} ended on {one.until}: {one.reason}"
            fix = "take it out of the policy, or agree on another day"
            result.append(Finding(repository, "exception.ended", "error", message, fix))
    return result
