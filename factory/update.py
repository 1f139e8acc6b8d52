"""Brings one project to another version of the template, or to other answers, and loses nothing."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

from packaging.version import InvalidVersion

from factory.ask import ask
from factory.errors import FactoryError, RefusedError
from factory.fleet import ANSWERS, Member
from factory.forges.base import BusyError, Forge, Request
from factory.git import Entry, entries, require
from factory.merge import Conflict, Merged, Workshop, prepare
from factory.render import Rendering
from factory.repository import Repository
from factory.template import Release, Template, is_url, same
from factory.worktree import alone, bring, carry_out, commit_of, in_the_way, ready, resume

BRANCH = "factory/update"
_TRAILER = "Factory-Update"


State = Literal["current", "updated", "proposed", "conflicts", "refused"]


class AheadError(RefusedError):
    """A project is at a newer version than the one that is asked for."""


class How(Enum):
    """What becomes of a clean merge."""

    STAGE = "stage"  # in the working tree and the index, to be looked at and committed
    COMMIT = "commit"  # a commit on the branch that is checked out
    PROPOSE = "pr"  # a branch and a pull request; no working tree is touched
    DRY = "dry-run"  # nothing: what would change is told
    CONFLICTS = "with-conflicts"  # like STAGE, and with markers where there are conflicts


@dataclass(frozen=True)
class Outcome:
    """What became of one project."""

    name: str
    state: State
    before: str | None = None
    after: str | None = None
    conflicts: tuple[Conflict, ...] = ()
    stays_deleted: tuple[str, ...] = ()
    reason: str | None = None
    diff: str | None = None
    request: Request | None = None


@dataclass(frozen=True)
class Plan:
    """A merge that was made beside the project.

    Attributes:
        result: The whole repository's tree after it.
        files: The project's files after it.
        changed: They differ from what is committed.
    """

    before: Release
    after: Release
    merged: Merged
    result: str
    files: dict[str, Entry]
    changed: bool


def update(
    member: Member,
    template: Template,
    *,
    to: str | None = None,
    data: Mapping[str, Any] | None = None,
    how: How = How.STAGE,
    formerly: tuple[str, ...] = (),
    open_forge: Callable[[str], Forge] | None = None,
) -> Outcome:
    """Update one project.

    Args:
        member: The project.
        template: Where the versions are.
        to: The version; the latest, if not given.
        data: Answers that change.
        how: What becomes of a clean merge.
        formerly: Addresses that the template had before.
        open_forge: Finds the platform of a remote, for `How.PROPOSE`.

    Returns:
        What became of it: a refusal is an outcome, too, so that a fleet goes on.

    Raises:
        BusyError: The platform asks to wait; the same call may succeed later.
    """
    try:
        require()
        if how is How.PROPOSE:
            return _propose(member, template, to, data or {}, formerly, open_forge)
        repository = Repository.open(member)
        if how is How.DRY:
            with Workshop([repository.objects, template.objects]) as workshop:
                plan = _plan(repository, template, workshop, to, data or {}, formerly)
                return replace(_outcome(member.name, plan), diff=_diff(workshop, plan))
        with alone(repository.git):
            resume(repository.git)
            repository = Repository.open(member)
            ready(repository)
            with Workshop([repository.objects, template.objects]) as workshop:
                plan = _plan(repository, template, workshop, to, data or {}, formerly)
                return _write(repository, workshop, plan, how)
    except AheadError as error:
        if to:
            return Outcome(member.name, "refused", reason=str(error))
        return Outcome(member.name, "current")  # it has more than the latest release
    except BusyError:  # the same call may succeed later: no refusal
        raise
    except (FactoryError, OSError) as error:  # e.g. a repository that may not be written
        return Outcome(member.name, "refused", reason=str(error))


def _diff(workshop: Workshop, plan: Plan) -> str:
    options = ("--no-ext-diff", "--no-textconv", "--find-renames")
    return workshop.git("diff", *options, "team", plan.merged.tree).decode(errors="replace")


def _write(repository: Repository, workshop: Workshop, plan: Plan, how: How) -> Outcome:
    outcome = _outcome(repository.member.name, plan)
    if outcome.state == "current":
        return outcome
    found = plan.merged.conflicts
    conflicts = in_the_way(repository, plan.files)
    if conflicts or (found and how is not How.CONFLICTS):
        return replace(outcome, state="conflicts", conflicts=(*found, *conflicts))
    stages = plan.merged.stages
    commit = commit_of(repository, workshop, plan.result, _message(plan))
    bring(repository, workshop, commit, {stage.name for stage in stages})
    folder = repository.subfolder
    carry_out(repository.git, repository.commit, commit, how is How.COMMIT, stages, folder)
    return outcome


def _outcome(name: str, plan: Plan) -> Outcome:
    conflicts = plan.merged.conflicts
    state: State = "updated" if plan.changed else "current"
    return Outcome(
        name,
        "conflicts" if conflicts else state,
        plan.before.name,
        plan.after.name,
        conflicts,
        plan.merged.stays_deleted,
    )


def _known(repository: Repository, template: Template, formerly: tuple[str, ...]) -> str:
    """Return the address to record; refuse a project of another template."""
    source = repository.answers.get("_src_path")
    if not isinstance(source, str):
        return template.source
    here = repository.git.folder / repository.subfolder
    address = str(here / source) if source.startswith(".") else source
    if same(address, template.source):
        return source
    if any(same(address, other) for other in formerly):
        return template.source
    raise RefusedError(
        f"{repository.member.name} was made from {source}, not from {template.source}; "
        "if the template has moved, name its old address: --formerly, or `formerly` in the fleet"
    )


# The merge ----------------------------------------------------------------------
def _plan(
    repository: Repository,
    template: Template,
    workshop: Workshop,
    to: str | None,
    data: Mapping[str, Any],
    formerly: tuple[str, ...],
) -> Plan:
    source = _known(repository, template, formerly)
    before = template.resolve(repository.version)
    after = template.resolve(to) if to else template.latest
    _forwards(repository.member.name, template, before, after)
    recorded = repository.answers
    old = _rendered(repository, template, before, recorded, source)
    new = _rendered(repository, template, after, ask(template.at(after), recorded, data), source)
    ours = repository.files

    def team(path: str) -> bool:  # what was the team's is not taken away with its row, either
        return new.team(path) or (old.team(path) and path not in new.files)

    # The team's files take no part: they are the same on each side, and so not where a file of the
    # factory's went that the team took away.
    kept = {path: entry for path, entry in ours.items() if team(path)}
    base = {path: entry for path, entry in old.files.items() if not team(path)} | kept
    # They are written once: when a version or an answer first brings them.
    brought = {p: entry for p, entry in new.files.items() if not team(p) or p not in old.files}
    theirs = brought | kept
    # Nobody's to edit: the template's word on the answers is taken.
    base[ANSWERS] = ours[ANSWERS]
    sides = (base, dict(old.made)), (theirs, dict(new.made))
    large = prepare(*sides, ours, workshop.git)
    tree = repository.git.text("rev-parse", repository.tree)
    workshop.commit(base=sides[0], team=tree, template=sides[1])
    merged = workshop.merge("team", "template")
    merged = replace(merged, conflicts=(*merged.conflicts, *large))
    result = workshop.whole(repository.commit, repository.subfolder, merged.tree)
    files = entries(workshop.git, merged.tree)
    return Plan(before, after, merged, result, files, merged.tree != tree)


def _rendered(
    repository: Repository,
    template: Template,
    release: Release,
    answers: Mapping[str, Any],
    source: str,
) -> Rendering:
    name = repository.member.name
    made = template.at(release).render(answers, source=source, version=release.name)
    for path in made.files:
        if {"", ".", "..", ".git"} & set(path.lower().split("/")):
            raise FactoryError(f"{name}: version {release.name} has the path {path}: no file's")
    return made


def _forwards(name: str, template: Template, before: Release, after: Release) -> None:
    try:
        back = after.version < before.version
    except InvalidVersion:  # a commit between two releases: its order is git's
        ancestor = ("merge-base", "--is-ancestor", after.commit, before.commit)
        back = after.commit != before.commit and not template.git.attempt(*ancestor).returncode
    if back:
        raise AheadError(
            f"{name} is at {before.name}, which is newer than {after.name}: "
            "an update goes forwards; to go back, revert the commit that updated it"
        )


def _title(plan: Plan) -> str:
    if plan.before.name == plan.after.name:
        return f"Change answers at template {plan.after.name}"
    return f"Update from template {plan.before.name} to {plan.after.name}"


def _message(plan: Plan) -> str:
    return f"{_title(plan)}\n\n{_TRAILER}: {plan.after.name} {plan.result}\n"


# A pull request -------------------------------------------------------------------
def _propose(
    member: Member,
    template: Template,
    to: str | None,
    data: Mapping[str, Any],
    formerly: tuple[str, ...],
    open_forge: Callable[[str], Forge] | None,
) -> Outcome:
    """Push a branch of the result, and open or refresh its pull request."""
    there = origin(member)
    repository = Repository.open(there)
    with alone(repository.git), Workshop([repository.objects, template.objects]) as workshop:
        plan = _plan(repository, template, workshop, to, data, formerly)
        outcome = _outcome(member.name, plan)
        if outcome.state != "updated":
            return outcome
        branch = _branch(repository)
        forge = open_forge(there.source) if open_forge else None  # no token: nothing is pushed
        _push(repository, workshop, plan, branch)
        if forge is None:
            return replace(outcome, state="proposed")
        head = repository.git.text("symbolic-ref", "HEAD").removeprefix("refs/heads/")
        base = member.branch or head
        request = forge.propose(branch, base, _title(plan), _body(template, plan))
        return replace(outcome, state="proposed", request=request)


def origin(member: Member) -> Member:
    """Return the project at the address to push to: its own, or that of its clone's `origin`."""
    if is_url(member.source):
        return member
    local = Repository.open(member.model_copy(update={"branch": None}))  # it may be there alone
    said = local.git.attempt("remote", "get-url", "--push", "origin")
    if said.returncode:
        raise RefusedError(
            f"{member.source} has no remote `origin` to propose to: git remote add origin URL, "
            "or give its URL in the fleet file"
        )
    remote = said.stdout.decode().strip()
    source = remote if is_url(remote) else (local.git.folder / remote).resolve().as_uri()
    return member.model_copy(update={"source": source, "subfolder": local.subfolder})


def _branch(repository: Repository) -> str:
    """Return the branch of a project: two of one repository have one each."""
    parts = (repository.member.branch or "", repository.subfolder)
    return "-".join(
        [BRANCH, *(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in parts if part)]
    )


def _push(repository: Repository, workshop: Workshop, plan: Plan, branch: str) -> None:
    """Push the branch, unless it is there already; never over what people added to it."""
    git, ref = repository.git, f"refs/heads/{branch}"
    tip = git.attempt("rev-parse", "--verify", "--quiet", ref).stdout.decode().strip()
    if tip:
        form = f"--format=%T %(trailers:key={_TRAILER},valueonly,separator=%x2C)"
        said = git.text("log", form, tip, f"^{repository.commit}").splitlines()
        # A commit of the factory's records its tree: one that a person amended has another.
        if not all(line.endswith(f" {line.split()[0]}") for line in said):
            raise RefusedError(
                f"{repository.member.name}: branch {branch} has commits of people, which a new "
                "update would drop; merge it, or delete it"
            )
        if git.text("log", "-1", "--format=%T %P", tip) == f"{plan.result} {repository.commit}":
            return
    commit = commit_of(repository, workshop, plan.result, _message(plan))
    lease = f"--force-with-lease={ref}:{tip}"
    workshop.git("push", "--quiet", lease, "--", repository.member.source, f"{commit}:{ref}")


def _body(template: Template, plan: Plan) -> str:
    """Return what a reviewer is told: what the versions bring, and what stays the team's."""
    lines = [
        f"Template {plan.before.name} → {plan.after.name}, merged three ways: no edit is lost."
    ]
    if plan.merged.stays_deleted:
        kept = ", ".join(f"`{path}`" for path in plan.merged.stays_deleted)
        lines += ["", f"Deleted here, changed in the template, and still deleted: {kept}"]
    news = template.changelog(plan.before.name, plan.after.name)
    return "\n".join([*lines, "", news]).strip() + "\n"
