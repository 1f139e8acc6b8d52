"""The commands. What they do is in the modules of the same names."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from factory.errors import FactoryError
from factory.fleet import ANSWERS, Fleet, Member
from factory.fleet import load as load_fleet
from factory.git import require
from factory.template import Template
from factory.update import How, Outcome

app = typer.Typer(
    help="Keeps a fleet of generated repositories current.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)  # what is told; what is asked for goes to standard output
CONFLICTS, REFUSED, BROKEN = 3, 4, 5
_UPDATED = {
    "stage": "updated, staged: look at it, and commit;",
    "dry-run": "would be updated",
    "commit": "updated, committed",
}
_CLASHED = {
    "dry-run": "would have conflicts",
    "with-conflicts": "updated, with markers: resolve, add, and commit;",
}
T = TypeVar("T")

Where = Annotated[
    Path, typer.Argument(metavar="FLEET", help="A fleet file, a folder of repositories, or one.")
]
From = Annotated[
    str, typer.Option("--template", envvar="FACTORY_TEMPLATE", help="The template's URL or path.")
]
Formerly = Annotated[list[str], typer.Option(help="An address that the template had before.")]
Only = Annotated[list[str], typer.Option(help="A repository's name; more than once for several.")]
Data = Annotated[list[str], typer.Option("--data", "-d", help="An answer: NAME=VALUE, in YAML.")]
DataFile = Annotated[Path | None, typer.Option(help="Answers that change, in YAML.")]
To = Annotated[str, typer.Option(help="A version; else the latest.")]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="How many repositories at once.")]
File = Annotated[Path | None, typer.Option("--out", "-o", help="Where to; else standard output.")]


class Form(StrEnum):
    """How a result is given."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


class Findings(StrEnum):
    """How findings are given."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"
    SARIF = "sarif"


class Until(StrEnum):
    """What a ring's requests must be before the next ring begins."""

    GREEN = "green"
    MERGED = "merged"


As = Annotated[Form, typer.Option("--format", "-f", help="The form of the result.")]


def _fleet(path: Path, template: str, only: Iterable[str] = ()) -> tuple[Fleet, Template]:
    """Return the fleet, as much of it as is wanted, and its template."""
    require()
    fleet = _wanted(load_fleet(path), only)
    address = template or fleet.template
    if not address:
        raise FactoryError(
            "which template? --template URL, FACTORY_TEMPLATE, or `template` in a fleet file; "
            "what a repository says of it is not taken on trust"
        )
    return fleet, Template.open(address)


def _wanted(fleet: Fleet, only: Iterable[str]) -> Fleet:
    """Return as much of a fleet as is wanted."""
    wanted = set(only)
    unknown = wanted - {member.name for member in fleet.repositories}
    if unknown:
        names = ", ".join(member.name for member in fleet.repositories)
        raise FactoryError(f"no repository is called {min(unknown)}; there are {names}")
    members = [one for one in fleet.repositories if not wanted or one.name in wanted]
    return fleet.model_copy(update={"repositories": members})


def _answers(data: Iterable[str]) -> dict[str, Any]:
    found = {}
    for item in data:
        name, equals, value = item.partition("=")
        if not equals:
            raise FactoryError(f"--data {item}: an answer is given as NAME=VALUE")
        found[name] = yaml.safe_load(value)
    return found


def _each(members: list[Member], work: Callable[[Member], T], jobs: int, what: str) -> list[T]:
    """Return what ``work`` gives for every repository, in their order; show how far it is."""
    with (
        Progress(console=console, transient=True, disable=len(members) < 2) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task(what, total=len(members))
        results = []
        for result in pool.map(work, members):
            results.append(result)
            progress.advance(task)
        return results


def _give(text: str, out: Path | None) -> None:
    """Write a result where it is wanted."""
    if out:
        out.write_text(text, encoding="utf-8")
        console.print(f"{out} is written.")
    else:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


@app.command()
def status(
    fleet: Where = Path(),
    template: From = "",
    formerly: Formerly = [],  # noqa: B006
    only: Only = [],  # noqa: B006
    form: As = Form.TABLE,
    out: File = None,
    jobs: Jobs = 4,
) -> None:
    """Version, versions behind, and drift of every repository."""
    from factory import output
    from factory.status import row

    repositories, source = _fleet(fleet, template, only)
    old = (*repositories.formerly, *formerly)
    rows = _each(repositories.repositories, lambda one: row(one, source, old), jobs, "reading")
    _give(output.fleet(rows, form.value), out)
    if any(one.error for one in rows):
        raise typer.Exit(REFUSED)


@app.command()
def diff(
    fleet: Where = Path(),
    template: From = "",
    only: Only = [],  # noqa: B006
    patch: Annotated[bool, typer.Option(help="The changes themselves, as a patch.")] = False,
) -> None:
    """What a team changed in the template's files, and what is merely stale."""
    from factory import drift
    from factory.repository import Repository

    repositories, source = _fleet(fleet, template, only)
    refused = False
    for member in repositories.repositories:
        try:
            repository = Repository.open(member)
            found = drift.drift(repository, source)
            if patch:
                sys.stdout.write(drift.diff(repository, source, found))
                continue
            newer = drift.behind(repository, source, found)
        except FactoryError as error:
            refused = True
            print(f"{member.name}: {error}")
            continue
        at = f"{member.name} {found.release.name}"
        print(at if found.differences or newer else f"{at}: as the latest version makes it")
        for one in (*found.differences, *newer):
            print(f"  {one.kind:8} {one.path}{f'  (as in {one.like})' if one.like else ''}")
        if found.closest:
            print(f"  its files are most like {found.closest}, whatever it records")
    if refused:
        raise typer.Exit(REFUSED)


@app.command()
def update(
    fleet: Where = Path(),
    template: From = "",
    formerly: Formerly = [],  # noqa: B006
    only: Only = [],  # noqa: B006
    to: To = "",
    data: Data = [],  # noqa: B006
    data_file: DataFile = None,
    dry_run: Annotated[
        bool, typer.Option(help="Tell what would change, and change nothing.")
    ] = False,
    commit: Annotated[bool, typer.Option(help="Commit on the branch that is checked out.")] = False,
    pr: Annotated[
        bool, typer.Option(help="Push a branch; open or refresh a pull request.")
    ] = False,
    with_conflicts: Annotated[
        bool, typer.Option(help="Leave markers in the working tree where both sides changed.")
    ] = False,
    jobs: Jobs = 4,
) -> None:
    """Bring repositories to a version; a clean merge is staged, a conflict changes nothing."""
    from factory.forges import BusyError, open_forge
    from factory.update import update

    chosen = {How.DRY: dry_run, How.COMMIT: commit, How.PROPOSE: pr, How.CONFLICTS: with_conflicts}
    ways = [way for way, wanted in chosen.items() if wanted] or [How.STAGE]
    if len(ways) > 1:
        raise FactoryError(
            f"--{ways[0].value} and --{ways[1].value} do not go together: choose one"
        )
    repositories, source = _fleet(fleet, template, only)
    answers = _read(data_file) | _answers(data)
    old = (*repositories.formerly, *formerly)

    def turn(one: Member) -> Outcome:
        try:
            return update(
                one,
                source,
                to=to or None,
                data=answers,
                how=ways[0],
                formerly=old,
                open_forge=lambda address: open_forge(address, one.forge),
            )
        except BusyError as error:
            return Outcome(one.name, "refused", reason=str(error))

    outcomes = _each(repositories.repositories, turn, jobs, "updating")
    for outcome in outcomes:
        _tell(outcome, ways[0])
    if any(outcome.state == "conflicts" for outcome in outcomes) and not with_conflicts:
        console.print("--with-conflicts leaves markers to be resolved.")
    states = {outcome.state for outcome in outcomes}
    if "conflicts" in states:
        raise typer.Exit(CONFLICTS)
    if "refused" in states:
        raise typer.Exit(REFUSED)


def _tell(outcome: Outcome, how: How) -> None:
    """Say what became of one repository, and what comes next."""
    words = {"current": "current", "refused": "refused", "proposed": "proposed"}
    words["updated"] = _UPDATED.get(how.value, "updated")
    words["conflicts"] = _CLASHED.get(how.value, "conflicts, nothing was changed")
    moved = f" {outcome.before} → {outcome.after}" if outcome.before != outcome.after else ""
    if not moved and outcome.state in ("updated", "proposed"):
        moved = f" {outcome.after}, other answers"
    where = f": {outcome.request.url}" if outcome.request else ""
    print(f"{outcome.name}: {words[outcome.state]}{moved}{where}")
    if outcome.reason:
        print(f"  {outcome.reason}")
    for conflict in outcome.conflicts:
        print(f"  conflict: {conflict.path} ({conflict.kind})")
    for path in outcome.stays_deleted:
        print(f"  stays deleted: {path}")
    if outcome.diff:
        print(outcome.diff, end="")


@app.command()
def rollout(
    fleet: Where,
    template: From = "",
    formerly: Formerly = [],  # noqa: B006
    to: To = "",
    until: Annotated[Until, typer.Option(help="What a ring must be for the next.")] = Until.GREEN,
    stop_first: Annotated[float, typer.Option(help="Share of the first ring that may fail.")] = 0.0,
    stop_at: Annotated[float, typer.Option(help="Share of a later ring that may fail.")] = 0.1,
    jobs: Jobs = 4,
    poll: Annotated[float, typer.Option(help="Seconds between two looks.")] = 60,
    hours: Annotated[float, typer.Option("--wait", help="Hours a ring is waited for.")] = 4,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do one step and return.")] = False,
    journal: Annotated[
        Path | None, typer.Option(help="Where it goes on from; else beside the fleet file.")
    ] = None,
) -> None:
    """Propose a version ring by ring: the canaries first, the rest when they are green."""
    from factory.forges import open_forge
    from factory.rollout import Options, Rollout
    from factory.update import How, origin, update

    repositories, source = _fleet(fleet, template)
    version = to or source.latest.name
    old = (*repositories.formerly, *formerly)
    report = Rollout(
        repositories.model_copy(update={"template": source.source}),
        version,
        update=lambda one: update(
            one,
            source,
            to=version,
            how=How.PROPOSE,
            formerly=old,
            open_forge=lambda address: open_forge(address, one.forge),
        ),
        open_forge=lambda one: open_forge(origin(one).source, one.forge),
        journal=journal or Path(f"{fleet.resolve()}.rollout.jsonl"),
        options=Options(until.value, stop_first, stop_at, jobs, poll, hours * 3600),
        say=print,
    ).run(wait=not no_wait)
    print(report.reason)
    raise typer.Exit(report.code)


@app.command()
def assess(
    fleet: Where = Path(),
    policy: Annotated[Path | None, typer.Option(help="The organisation's policy.")] = None,
    facts: Annotated[
        Path | None, typer.Option(help="What CI and registry know, by repository.")
    ] = None,
    level: Annotated[int, typer.Option(min=0, max=4, help="The least level; below it: 5.")] = 0,
    template: From = "",
    only: Only = [],  # noqa: B006
    form: Annotated[
        Findings, typer.Option("--format", "-f", help="The form of the result.")
    ] = Findings.TABLE,
    out: File = None,
    jobs: Jobs = 4,
) -> None:
    """Readiness, the level of the MLOps maturity model, and what the policy does not allow."""
    from datetime import UTC, datetime

    from factory import output
    from factory.assess import Assessment, assess, load_facts
    from factory.files import Files
    from factory.policy import Finding, load, violations
    from factory.repository import Repository

    every = load_fleet(fleet)
    repositories = _wanted(every, only)
    rules, address = policy or every.policy, template or every.template
    questions = None
    if rules and address:  # what the policy says of answers is held against it
        source = Template.open(address)
        questions = source.at(source.latest).config
    held = load(rules, questions) if rules else None
    known = load_facts(facts) if facts else {}
    names = {member.name for member in every.repositories}
    if known.keys() - names:
        raise FactoryError(
            f"{facts}: no repository is called {min(known.keys() - names)}; "
            f"there are {', '.join(sorted(names))}"
        )

    def look(member: Member) -> tuple[Assessment, list[Finding]]:
        name, files, answers, found = member.name, Files.of({}), {}, []
        try:
            repository = Repository.open(member)
            files = Files.of_tree(repository.git, repository.tree)
            # One that the template did not make gets a level all the same.
            answers = repository.answers if ANSWERS in repository.files else {}
        except FactoryError as error:
            found = [Finding(name, "unreadable", "error", str(error), "mend it, and ask again")]
        reached = assess(name, answers=answers, files=files, facts=known.get(name))
        if held is None:
            return reached, found
        broken = violations(
            held,
            name,
            answers=answers,
            files=files,
            labels=member.labels,
            today=datetime.now(UTC).date(),
            version=answers.get("_commit"),
            level=reached.level,
        )
        return reached, found + broken

    looked = _each(repositories.repositories, look, jobs, "assessing")
    assessments = [one for one, _ in looked]
    findings = [finding for _, several in looked for finding in several]
    _give(output.assessed(assessments, findings, form.value), out)
    below = [one for one in assessments if one.level < level]
    for one in below:
        console.print(f"{one.repository} is at level {one.level}; {level} is asked", style="red")
    if below or any(finding.level == "error" for finding in findings):
        raise typer.Exit(BROKEN)


@app.command()
def answers(
    policy: Annotated[Path, typer.Argument(help="The organisation's policy.")],
    pattern: Annotated[str, typer.Option(help="One of the policy's patterns.")] = "",
    template: From = "",
    out: File = None,
) -> None:
    """Write the policy's answers as a file for `copier copy --data-file`."""
    from factory.policy import answers, load

    questions = None
    if template:
        source = Template.open(template)
        questions = source.at(source.latest).config
    given = answers(load(policy, questions), questions, pattern or None)
    _give(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), out)


@app.command()
def adopt(
    repository: Annotated[Path, typer.Argument(help="A repository with a working tree.")] = Path(),
    template: From = "",
    to: To = "",
    data: Data = [],  # noqa: B006
    data_file: DataFile = None,
    dry_run: Annotated[
        bool, typer.Option(help="Tell what would come, and change nothing.")
    ] = False,
) -> None:
    """Lay the template over a repository; every file that is there stays as it is."""
    from factory.adopt import adopt

    require()
    if not template:
        raise FactoryError("which template? --template URL")
    given = _read(data_file) | _answers(data)
    member = Member(source=str(repository.resolve()))
    done = adopt(member, Template.open(template), to=to or None, data=given, dry=dry_run)
    print(f"{done.name}: {len(done.added)} files {'would come' if dry_run else 'came, staged'}")
    for obstacle in done.obstacles:
        print(f"  {obstacle.path}: {obstacle.reason}")


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FactoryError(f"{path}: no answers can be read: {error}") from error
    if not isinstance(found, dict):
        raise FactoryError(f"{path}: answers are NAME: VALUE, a line each")
    found.pop("intake", None)  # an intake form is a file of answers, too
    return found


def main() -> None:
    """Run a command; an error that a person can mend is one line."""
    for stream in (sys.stdout, sys.stderr):  # git's file names may be in no encoding
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FactoryError as error:
        console.print(f"[red]factory:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.code)
