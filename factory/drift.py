"""What a project's factory files have become, by rendering its own version with its own answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from factory.errors import FactoryError
from factory.fleet import ANSWERS
from factory.git import Entry
from factory.merge import Workshop
from factory.render import Rendering
from factory.repository import Repository
from factory.template import Release, Template

Kind = Literal["edited", "deleted", "stale", "behind"]


@dataclass(frozen=True)
class Difference:
    """A factory file that is not as it would be.

    Attributes:
        kind: "edited" by the team, or "deleted" by it; "stale": as another version had it, so an
            update passed it by; "behind": as its own version has it, and the next one does not.
        like: The version of a stale file.
    """

    path: str
    kind: Kind
    like: str | None = None


@dataclass(frozen=True)
class Drift:
    """The differences of a project.

    Attributes:
        differences: By path.
        release: The version that the answers file records.
        closest: The version that most of the files are like, if it is not the recorded one.
    """

    differences: tuple[Difference, ...]
    release: Release
    closest: str | None = None

    def count(self, kind: Kind) -> int:
        """Return how many files differ in one way."""
        return sum(difference.kind == kind for difference in self.differences)


def rendered(repository: Repository, template: Template, release: Release) -> Rendering:
    """Return a project's files as a version gives them for its recorded answers."""
    answers = repository.answers
    source = str(answers.get("_src_path", template.source))
    return template.at(release).render(answers, source=source, version=release.name)


def drift(repository: Repository, template: Template) -> Drift:
    """Compare a project with a fresh render of its own version.

    The recorded version is where the comparison starts, not what is believed: a file that another
    version explains is told as such, and so is a version that explains more than the recorded one.

    Raises:
        FactoryError: The version or the answers are none of the template's.
    """
    release = template.resolve(repository.version)
    own = _factory(rendered(repository, template, release))
    have = repository.files
    differing = sorted(path for path in own if have.get(path) != own[path])
    if not differing:
        return Drift((), release)
    others = _others(repository, template, release)
    found = []
    for path in differing:
        if path not in have:
            found.append(Difference(path, "deleted"))
            continue
        like = next((name for name, files in others.items() if files.get(path) == have[path]), None)
        found.append(Difference(path, "stale" if like else "edited", like))

    def alike(files: Mapping[str, Entry]) -> int:
        return sum(have.get(path) == entry for path, entry in files.items())

    best = max(others, key=lambda name: alike(others[name]), default=None)
    closest = best if best and alike(others[best]) > alike(own) else None
    return Drift(tuple(found), release, closest)


def behind(repository: Repository, template: Template, found: Drift) -> tuple[Difference, ...]:
    """Return the files that nobody changed, and that the latest version has otherwise or not."""
    if not template.behind(found.release):  # it is there, or ahead of it
        return ()
    own = _factory(rendered(repository, template, found.release))
    latest = rendered(repository, template, template.latest).files
    have = repository.files
    return tuple(
        Difference(path, "behind")
        for path, entry in sorted(own.items())
        if have.get(path) == entry != latest.get(path)
    )


def _factory(rendering: Rendering) -> dict[str, Entry]:
    """Return the factory's own files, but for the answers, which always change."""
    return {
        path: entry
        for path, entry in rendering.files.items()
        if path != ANSWERS and not rendering.team(path)
    }


def _others(
    repository: Repository, template: Template, own: Release
) -> dict[str, dict[str, Entry]]:
    """Return the factory files of every other version, the newest first."""
    found = {}
    for release in reversed(template.releases):
        if release.commit != own.commit:
            try:
                found[release.name] = _factory(rendered(repository, template, release))
            except FactoryError:  # these answers are none of that version's
                continue
    return found


def diff(repository: Repository, template: Template, found: Drift) -> str:
    """Return the differences as one patch: from the template's files to the project's."""
    own = rendered(repository, template, found.release)
    paths = [difference.path for difference in found.differences]
    files = {path: own.files[path] for path in paths}
    have = {path: repository.files[path] for path in paths if path in repository.files}
    with Workshop([repository.objects, template.objects]) as workshop:
        workshop.commit(template=(files, own.made), team=(have, {}))
        plain = ("--no-color", "--no-ext-diff", "--no-textconv")
        return workshop.git("diff", *plain, "template", "team").decode(errors="replace")
