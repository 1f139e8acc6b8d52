"""Readiness and maturity of a repository, by the checklist in practices.yaml."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, RootModel, field_validator, model_validator

from factory.errors import FactoryError
from factory.files import Files, UnreadableError
from factory.policy import Finding, Strict, nearest, read_model

PRACTICES = Path(__file__).with_name("practices.yaml")
SERVICES = Path(__file__).with_name("services.yaml")
_KINDS = ("file", "target", "answer", "fact", "any")
_LONGEST = 500  # characters of a line or value that a regular expression looks at
_MAKEFILES = ["/Makefile", "/GNUmakefile", "/makefile"]

Scope = Literal["team", "release"]
State = Literal["held", "missing", "unknown"]


class Evidence(Strict):
    """What shows that a practice is followed; practices.yaml says what each key means."""

    file: list[str] | None = None
    has: str | None = None
    lacks: str | None = None
    least: int = 1
    key: str | None = None
    target: str | None = None
    answer: str | None = None
    fact: str | None = None
    any: list["Evidence"] | None = None
    one_of: list[Any] | None = None
    min: float | None = None
    max: float | None = None
    matches: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}, not {', '.join(given) or 'none'}")
        return self

    @field_validator("has", "lacks", "matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"{pattern} is no regular expression: {error}") from error
        return pattern


class Practice(Strict):
    """One item of the checklist.

    Attributes:
        id: Its name.
        title: What is asked.
        level: The maturity level that asks it; None asks it for readiness only.
        readiness: Whether a team, or a release, is not ready without it.
        when: Answers with which it is asked at all.
        evidence: What shows it; all of these.
        fix: What to do when it is missing.
    """

    id: str
    title: str
    level: int | None = Field(default=None, ge=1, le=4)
    readiness: list[Scope] = Field(default_factory=list)
    when: dict[str, list[Any]] = Field(default_factory=dict)
    evidence: list[Evidence] = Field(min_length=1)
    fix: str


class Checklist(Strict):
    """The practices, and the levels that they are of.

    Attributes:
        source: Where the levels are defined.
        levels: What each level is called.
        patterns: What the file says once and uses often; of no meaning of its own.
        practices: The items.
    """

    source: str
    levels: dict[int, str]
    patterns: dict[str, Any] = Field(default_factory=dict)
    practices: list[Practice]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [practice.id for practice in self.practices]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two practices are called {twice[0]}")
        return self

    @property
    def facts(self) -> set[str]:
        """Every fact that a practice asks for."""
        return {
            one.fact
            for practice in self.practices
            for one in _flat(practice.evidence)
            if one.fact is not None
        }


@dataclass(frozen=True)
class Item:
    """One practice in one repository.

    Attributes:
        practice: What was looked for.
        state: held, missing, or unknown: it takes a fact that was not given.
        seen: Where it was found, or what is missing.
    """

    practice: Practice
    state: State
    seen: str


@dataclass(frozen=True)
class Assessment:
    """What a repository reaches.

    Attributes:
        repository: Its name in the fleet.
        team: Who owns it.
        level: The highest level of which, and below which, every practice is held.
        possible: The level if everything unknown were held.
        items: Every practice that is asked here.
        unreadable: Files that were asked for and could not be read, and why.
        services: Which service does each stage of the work; empty without answers.
    """

    repository: str
    team: str
    level: int
    possible: int
    items: tuple[Item, ...]
    unreadable: Mapping[str, str]
    services: Mapping[str, str]

    def readiness(self, scope: Scope) -> float:
        """Return the share of a team's, or a release's, items that are held."""
        asked = [item for item in self.items if scope in item.practice.readiness]
        return sum(item.state == "held" for item in asked) / len(asked) if asked else 1.0

    @property
    def next(self) -> tuple[Item, ...]:
        """What the next level takes."""
        return tuple(
            item
            for item in self.items
            if item.state != "held" and item.practice.level in range(1, self.level + 2)
        )

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each practice that is not held, and each file that can't be read."""
        soon = self.next
        for item in self.items:
            if item.state != "held":
                path = _place(item)
                yield Finding(
                    self.repository,
                    f"practice.{item.practice.id}",
                    "warning" if item in soon and item.state == "missing" else "note",
                    f"{item.practice.title}: {item.seen}",
                    item.practice.fix,
                    path,
                    1 if path else None,
                )
        for path, why in self.unreadable.items():
            message = f"{path} {why}: what it may show was not seen"
            yield Finding(self.repository, "unreadable", "warning", message, "mend it", path, 1)


@cache
def checklist(path: Path = PRACTICES) -> Checklist:
    """Return the checklist of a file.

    Raises:
        FactoryError: The file is absent, or not a checklist.
    """
    return read_model(path, Checklist, "checklist")


def load_facts(path: Path, list_: Checklist | None = None) -> dict[str, dict[str, Any]]:
    """Return what is known of repositories beside their files: facts by the repository's name.

    Raises:
        FactoryError: The file is absent or no YAML, or has a fact that no practice asks for.
    """
    known = (list_ or checklist()).facts
    given = read_model(path, _Facts, "facts").root
    found: dict[str, dict[str, Any]] = {}
    for name, facts in given.items():
        found[name] = _dotted(facts, known)
        for fact in found[name]:
            if fact not in known:
                raise FactoryError(
                    f"{path}: {name}: no practice asks for {fact}{nearest(fact, known)}; "
                    f"facts are {', '.join(sorted(known))}"
                )
    return found


def assess(
    repository: str,
    *,
    answers: Mapping[str, Any],
    files: Files,
    facts: Mapping[str, Any] | None = None,
    list_: Checklist | None = None,
) -> Assessment:
    """Return what a repository reaches.

    Args:
        repository: Its name in the fleet.
        answers: What its answers file records; none for a repository of another template.
        files: Its files.
        facts: What is known beside: `ci.main`, `registry.champion.prod` …
        list_: Another checklist than practices.yaml.
    """
    look = _Look(answers, files, facts or {})
    items = tuple(
        look.item(practice)
        for practice in (list_ or checklist()).practices
        if _match(practice.when, answers)
    )
    return Assessment(
        repository,
        str(answers.get("team") or "unknown"),
        _level(items, {"held"}),
        _level(items, {"held", "unknown"}),
        items,
        dict(sorted(files.unreadable.items())),
        services(answers),
    )


def services(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return the service of each stage, from data to serving, as services.yaml has them."""
    found = {}
    for stage, rows in _services().items():
        row = next((row for row in rows if _match(row.when, answers)), None)
        if answers and row:
            found[stage] = row.service
    return found


class _Service(Strict):
    service: str
    when: dict[str, list[Any]] = Field(default_factory=dict)


class _Services(RootModel[dict[str, list[_Service]]]):
    """The services of each stage, and with which answers."""


@cache
def _services() -> dict[str, list[_Service]]:
    return read_model(SERVICES, _Services, "services").root


class _Facts(RootModel[dict[str, dict[str, Any]]]):
    """Facts by the repository's name."""


class _Look:
    """Looks for evidence in one repository."""

    def __init__(self, answers: Mapping[str, Any], files: Files, facts: Mapping[str, Any]) -> None:
        self._answers, self._files, self._facts = answers, files, facts
        package = answers.get("package_name")
        if "package_name" not in answers:
            package = "**"  # another template's: wherever it is
        elif not (isinstance(package, str) and package.isidentifier()):
            package = "-"  # no pattern of somebody's, and no folder
        self._package = package

    def item(self, practice: Practice) -> Item:
        seen = []
        unknown = ""
        for evidence in practice.evidence:
            state, where = self._evidence(evidence)
            if state == "missing":
                return Item(practice, state, where)
            unknown = where if state == "unknown" and not unknown else unknown
            seen.append(where)
        if unknown:
            return Item(practice, "unknown", unknown)
        return Item(practice, "held", ", ".join(dict.fromkeys(seen)))

    def _evidence(self, evidence: Evidence) -> tuple[State, str]:
        if evidence.any is not None:
            return self._any(evidence.any)
        if evidence.file is not None:
            return self._file(evidence, evidence.file)
        if evidence.target is not None:
            made = any(
                evidence.target in line.split(":")[0].split()
                for text in self._files.texts(_MAKEFILES).values()
                for line in text.splitlines()
                if re.match(r"[\w.% -]+:(?!=)", line)
            )
            name = f"make {evidence.target}"
            return ("held", name) if made else ("missing", f"no target {evidence.target}")
        if evidence.answer is not None:
            value = self._answers.get(evidence.answer)
            said = f"the answer {evidence.answer} is {value}" if value else f"no {evidence.answer}"
            return ("held" if _holds(evidence, [value]) else "missing"), said
        fact = str(evidence.fact)
        if fact not in self._facts:
            return "unknown", f"the fact {fact} was not given"
        said = f"the fact {fact} is {self._facts[fact]}"
        return ("held" if _holds(evidence, [self._facts[fact]]) else "missing"), said

    def _any(self, several: list[Evidence]) -> tuple[State, str]:
        found = [self._evidence(one) for one in several]
        for wanted in ("held", "unknown"):
            for state, where in found:
                if state == wanted:
                    return state, where
        # What comes nearest: a file that is there, and lacks something.
        return next((one for one in found if not one[1].startswith("no ")), found[0])

    def _file(self, evidence: Evidence, patterns: list[str]) -> tuple[State, str]:
        wanted = [pattern.replace("{package}", self._package) for pattern in patterns]
        named = [name for name in self._files.match(wanted) if self._files.size(name)]
        if not named:
            return "missing", f"no {_readable(wanted)}"
        if not (evidence.key or evidence.has or evidence.lacks or evidence.least > 1):
            return "held", named[0]
        self._files.texts(wanted)
        why = ""
        for name in named:
            why = self._shortfall(evidence, name)
            if not why:
                return "held", name
        return "missing", why if len(named) == 1 else f"none of {len(named)} files: {why}"

    def _shortfall(self, evidence: Evidence, name: str) -> str:
        """Return what a file lacks to be evidence; "" if nothing."""
        try:
            if evidence.key is not None:
                values = [
                    value
                    for inside in self._files.documents(name)
                    for value in _reach(inside, evidence.key.split("."))
                ]
                if _holds(evidence, values):
                    return ""
                shown = ", ".join(_short(value) for value in values[:3]) if values else "absent"
                return f"{evidence.key} in {name} is {shown}"
            text = self._files.text(name)
        except UnreadableError as error:
            return f"{name} {error}"
        comment = "<!--" if name.endswith(".md") else "#"
        lines = [line for line in text.splitlines() if not line.lstrip().startswith(comment)]
        if sum(len(line.strip()) for line in lines) < evidence.least:
            return f"{name} says too little: {len(text.strip())} of {evidence.least} characters"
        lines = [line[:_LONGEST] for line in lines]
        for line in lines if evidence.lacks else ():
            if found := re.search(str(evidence.lacks), line):
                return f"{name} still has {found[0].strip()}"
        if evidence.has and not any(re.search(evidence.has, line) for line in lines):
            return f"{name} has nothing of the kind"
        return ""


def _match(when: Mapping[str, list[Any]], answers: Mapping[str, Any]) -> bool:
    """Tell whether the answers are those; of several choices, one is enough."""
    for name, wanted in when.items():
        value = answers.get(name)
        if not any(one in wanted for one in (value if isinstance(value, list) else [value])):
            return False
    return True


def _level(items: Iterable[Item], good: set[str]) -> int:
    bad = [item.practice.level for item in items if item.state not in good]
    return min([level for level in bad if level is not None], default=5) - 1


def _holds(evidence: Evidence, values: list[Any]) -> bool:
    return bool(values) and all(_good(evidence, value) for value in values)


def _good(evidence: Evidence, value: Any) -> bool:
    if evidence.min is not None or evidence.max is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low = evidence.min if evidence.min is not None else value
        high = evidence.max if evidence.max is not None else value
        return bool(low <= value <= high)  # NaN is neither
    if evidence.one_of is not None:
        given = value if isinstance(value, list) else [value]
        return any(one in evidence.one_of and type(one) is not int for one in given)  # 1 == True
    if evidence.matches is not None:
        return isinstance(value, str) and bool(re.search(evidence.matches, value[:_LONGEST]))
    return bool(value)


def _reach(inside: Any, keys: list[str]) -> list[Any]:
    """Return what a path leads to: nothing, one value, or those of every child."""
    found = [inside]
    for key in keys:
        children: list[Any] = []
        for part in found:
            if key == "*" and isinstance(part, dict | list):
                children.extend(part.values() if isinstance(part, dict) else part)
            elif isinstance(part, dict):
                # YAML reads the key `on` as true.
                children.extend(part[name] for name in (key, key == "on") if name and name in part)
        found = children
    return found


def _flat(evidence: Iterable[Evidence]) -> Iterator[Evidence]:
    for one in evidence:
        yield one
        yield from _flat(one.any or ())


def _dotted(facts: Mapping[str, Any], known: set[str], prefix: str = "") -> dict[str, Any]:
    """Return facts by their full names: {ci: {main: green}} as {ci.main: green}."""
    found: dict[str, Any] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in known:
            found |= _dotted(value, known, f"{name}.")
        else:
            found[name] = str(value) if hasattr(value, "isoformat") else value
    return found


def _readable(patterns: list[str]) -> str:
    names = [pattern.lstrip("/").replace(".y*ml", ".yaml") for pattern in patterns[:3]]
    return " or ".join(names) + (" …" if len(patterns) > 3 else "")


def _short(value: Any) -> str:
    text = "empty" if value in ("", None, [], {}) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _place(item: Item) -> str | None:
    """Return the file that a missing practice is about, if what was seen names it."""
    for one in _flat(item.practice.evidence):
        for pattern in one.file or ():
            name = pattern.lstrip("/")
            if "*" not in name and name in item.seen:
                return name
    return None
