"""The state of one project of a fleet."""

from dataclasses import dataclass
from typing import Any

from factory.drift import drift
from factory.errors import FactoryError, RefusedError
from factory.fleet import Member
from factory.repository import Repository
from factory.template import Template, same


@dataclass(frozen=True)
class Row:
    """One project.

    Attributes:
        version: What its answers file records.
        latest: The template's newest version.
        behind: How many released versions came since.
        edited: Factory files that the team changed.
        stale: Factory files that are as another version had them.
        deleted: Factory files that the team took away.
        closest: The version that the files are most like, if not the recorded one.
        error: Why nothing can be told.
    """

    name: str
    source: str
    ring: str
    version: str | None
    latest: str
    behind: int | None
    edited: int
    stale: int
    deleted: int
    answers: dict[str, Any]
    labels: dict[str, str]
    closest: str | None = None
    error: str | None = None


def row(member: Member, template: Template, formerly: tuple[str, ...] = ()) -> Row:
    """Return the state of one project; what can't be read is told in ``error``.

    Args:
        member: The project.
        template: Where the versions are.
        formerly: Addresses that the template had before.
    """
    latest = template.latest.name
    base = (member.name, member.source, member.ring)
    try:
        repository = Repository.open(member)
        answers = repository.answers
        source = answers.get("_src_path", template.source)
        if not any(same(str(source), other) for other in (template.source, *formerly)):
            raise RefusedError(f"{member.name} was made from {source}, not from {template.source}")
        found = drift(repository, template)
    except FactoryError as error:
        return Row(*base, None, latest, None, 0, 0, 0, {}, member.labels, error=str(error))
    return Row(
        *base,
        found.release.name,
        latest,
        template.behind(found.release),
        found.count("edited"),
        found.count("stale"),
        found.count("deleted"),
        {name: value for name, value in answers.items() if not name.startswith("_")},
        member.labels,
        found.closest,
    )
