"""Shows states, assessments and findings: as a table, as JSON, as SARIF, as a page."""

import base64
import hashlib
import json
import shutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import cache
from io import StringIO
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from factory.assess import Assessment, Checklist, Item, Scope, checklist
from factory.errors import FactoryError
from factory.policy import RULES, Finding
from factory.status import Row

FORMAT = 1
"""The version of the JSON; it is raised when a key goes or changes its meaning."""

FORMS = ("table", "json", "sarif", "html")
_NARROW = 70  # columns below which a table shows less
_SARIF = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
_WORST = {"error": 0, "warning": 1, "note": 2}


def fleet(rows: Sequence[Row], form: str) -> str:
    """Return the states of a fleet.

    Args:
        rows: The states.
        form: table, json or html.

    Raises:
        FactoryError: There is no such form.
    """
    if form == "table":
        return _printed(lambda width: status_table(rows, width))
    if form == "json":
        return status_json(rows)
    if form == "html":
        return status_html(rows, _today())
    raise FactoryError(f"states have no form {form}; they have table, json and html")


def assessed(assessments: Sequence[Assessment], findings: Sequence[Finding], form: str) -> str:
    """Return assessments, and what the policy does not allow.

    Args:
        assessments: One for each repository.
        findings: The policy's.
        form: table, json, sarif or html.

    Raises:
        FactoryError: There is no such form.
    """
    if form == "table":
        return _printed(lambda _: assessment_table(assessments, findings))
    if form == "json":
        return assessment_json(assessments, findings)
    if form == "sarif":
        return sarif([*findings, *(found for one in assessments for found in one.findings())])
    if form == "html":
        return assessment_html(assessments, findings, _today())
    raise FactoryError(f"assessments have no form {form}; they have {', '.join(FORMS)}")


# States ----------------------------------------------------------------------


def status_table(rows: Sequence[Row], width: int = 80) -> RenderableType:
    """Return the states of a fleet as a table for a terminal of that many columns."""
    wide = width >= _NARROW
    known = [row for row in rows if row.error is None]
    table = _table()
    texts: dict[str, Callable[[Row], object]] = {"version": lambda row: row.version or "?"}
    if wide and len({row.ring for row in rows}) > 1:
        texts["ring"] = lambda row: row.ring
    if wide:
        texts["provider"] = lambda row: row.answers.get("provider", "")
    counts: dict[str, Callable[[Row], int | None]] = {
        "behind": lambda row: row.behind,
        "edited": lambda row: row.edited,
    }
    if wide and any(row.stale for row in known):
        counts["stale"] = lambda row: row.stale
    if wide and any(row.deleted for row in known):
        counts["deleted"] = lambda row: row.deleted
    for name in texts:
        table.add_column(name, overflow="fold", min_width=len(name))
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for row in known:
        told = [Text(_plain(text(row))) for text in texts.values()]
        counted = [_count(count(row), "yellow") for count in counts.values()]
        table.add_row(Text(_plain(row.name)), *told, *counted)
    errors = [_hanging(Text(_plain(_error(row)), "red")) for row in rows if row.error]
    return Group(table, *errors)


def status_json(rows: Sequence[Row]) -> str:
    """Return the states of a fleet as JSON."""
    return _json({"format": FORMAT, "repositories": [asdict(row) for row in rows]})


def status_html(rows: Sequence[Row], when: date) -> str:
    """Return the states of a fleet as a page: one file, without network."""
    known = [row for row in rows if row.error is None]
    rings = list(dict.fromkeys(row.ring for row in rows))
    return _page(
        "status.html.jinja",
        when=when,
        rows=rows,
        latest=rows[0].latest if rows else "",
        counts={
            "current": sum(row.behind == 0 for row in known),
            "behind": sum(bool(row.behind) for row in known),
            "edited": sum(bool(row.edited or row.deleted) for row in known),
            "unreadable": len(rows) - len(known),
        },
        versions=_versions(known),
        providers=Counter(str(row.answers.get("provider", "?")) for row in known).most_common(),
        rings=[
            (ring, sum(row.behind == 0 for row in known if row.ring == ring), of)
            for ring in rings
            if (of := sum(row.ring == ring for row in rows))
        ],
        labels=sorted({name for row in rows for name in row.labels}),
    )


# Assessments and findings ----------------------------------------------------


def assessment_table(
    assessments: Sequence[Assessment], findings: Sequence[Finding] = ()
) -> RenderableType:
    """Return levels, readiness, and what is missing for the next level, with the fix of each.

    Args:
        assessments: One for each repository.
        findings: What the policy does not allow.
    """
    list_ = checklist()
    table = _table()
    table.add_column("level", overflow="fold", min_width=len("level"))
    for name in ("team", "release", "errors"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for one in assessments:
        errors = sum(f.level == "error" for f in findings if f.repository == one.repository)
        table.add_row(
            Text(_plain(one.repository)),
            Text(f"{one.level} {list_.levels[one.level]}"),
            _share(one.readiness("team")),
            _share(one.readiness("release")),
            _count(errors, "red"),
        )
    parts: list[RenderableType] = [table]
    for one in assessments if len(assessments) == 1 else ():
        parts += _missing(one, list_)
    parts.append(findings_table(findings))
    return Group(*parts)


def findings_table(findings: Sequence[Finding]) -> RenderableType:
    """Return findings, the worst first; nothing if there are none."""
    parts: list[RenderableType] = []
    for one in sorted(findings, key=lambda f: (f.repository, _WORST[f.level])):
        where = f"{one.path}:{one.line}" if one.path and one.line else one.path or ""
        head = Text.assemble(
            (f"{one.level} ", _COLOURS[one.level]),
            (f"{_plain(one.rule)} ", "bold"),
            f"{_plain(one.repository)} {_plain(where)}".rstrip(),
        )
        parts += [
            head,
            _hanging(Text(_plain(one.message))),
            _hanging(Text(f"fix: {_plain(one.fix)}", "dim")),
        ]
    return Group(*parts)


def assessment_json(assessments: Sequence[Assessment], findings: Sequence[Finding] = ()) -> str:
    """Return assessments, each with every practice, and the policy's findings, as JSON."""
    list_ = checklist()
    repositories = [
        {
            "repository": one.repository,
            "team": one.team,
            "level": one.level,
            "level_name": list_.levels[one.level],
            "possible_level": one.possible,
            "readiness": {
                "team": round(one.readiness("team"), 4),
                "release": round(one.readiness("release"), 4),
            },
            "practices": [
                {
                    "id": item.practice.id,
                    "title": item.practice.title,
                    "level": item.practice.level,
                    "readiness": item.practice.readiness,
                    "state": item.state,
                    "seen": item.seen,
                    "fix": None if item.state == "held" else item.practice.fix,
                }
                for item in one.items
            ],
            "unreadable": dict(one.unreadable),
            "services": dict(one.services),
        }
        for one in assessments
    ]
    teams = [
        {
            "team": team,
            "repositories": len(several),
            "lowest_level": min(one.level for one in several),
            "readiness": {
                "team": round(_average(several, "team"), 4),
                "release": round(_average(several, "release"), 4),
            },
        }
        for team, several in _teams(assessments)
    ]
    return _json(
        {
            "format": FORMAT,
            "source": list_.source,
            "repositories": repositories,
            "teams": teams,
            "findings": [asdict(finding) for finding in findings],
        }
    )


def sarif(findings: Iterable[Finding]) -> str:
    """Return findings as SARIF 2.1.0, a run for each repository."""
    runs: dict[str, list[Finding]] = {}
    for finding in findings:
        runs.setdefault(finding.repository, []).append(finding)
    return _json(
        {
            "$schema": _SARIF,
            "version": "2.1.0",
            "runs": [_run(name, found) for name, found in sorted(runs.items())] or [_run("", [])],
        }
    )


def assessment_html(
    assessments: Sequence[Assessment], findings: Sequence[Finding], when: date
) -> str:
    """Return assessments and the policy's findings as a page: one file, without network."""
    list_ = checklist()
    lacking = Counter(
        item.practice.id for one in assessments for item in one.items if item.state != "held"
    )
    return _page(
        "assess.html.jinja",
        when=when,
        assessments=assessments,
        findings=sorted(findings, key=lambda f: (_WORST[f.level], f.repository)),
        errors=Counter(f.repository for f in findings if f.level == "error"),
        levels=list_.levels,
        source=list_.source,
        reached=Counter(one.level for one in assessments),
        teams=_teams(assessments),
        practices=[
            (practice, lacking[practice.id])
            for practice in sorted(list_.practices, key=lambda p: -lacking[p.id])
            if lacking[practice.id]
        ],
        average=_average,
        unknown=sorted(
            {
                item.seen.removeprefix("the fact ").removesuffix(" was not given")
                for one in assessments
                for item in one.items
                if item.state == "unknown"
            }
        ),
    )


# Parts -----------------------------------------------------------------------


def _teams(assessments: Iterable[Assessment]) -> list[tuple[str, list[Assessment]]]:
    teams: dict[str, list[Assessment]] = {}
    for one in assessments:
        teams.setdefault(one.team, []).append(one)
    return sorted(teams.items())


def _average(several: Sequence[Assessment], scope: Scope) -> float:
    return sum(one.readiness(scope) for one in several) / len(several) if several else 0


def _missing(one: Assessment, list_: Checklist) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if one.level < max(list_.levels):
        name = list_.levels[one.level + 1]
        parts.append(Text(f"\nFor level {one.level + 1}, {name}:", "bold"))
        for item in one.next:
            parts += _lacking(item)
    unknown = [item for item in one.items if item.state == "unknown"]
    if unknown:
        level = f" Level {one.possible} if they hold." if one.possible > one.level else ""
        told = f"\n{len(unknown)} practices need facts that were not given (--facts).{level}"
        parts.append(Text(told, "yellow"))
    others = [i for i in one.items if i.state != "held" and i.practice.level is None]
    if others:
        parts.append(Text("\nFor readiness:", "bold"))
    for item in others:
        parts += _lacking(item)
    return parts


def _lacking(item: Item) -> list[RenderableType]:
    mark = "?" if item.state == "unknown" else "-"
    return [
        Text(f"{mark} {_plain(item.practice.title)}"),
        _hanging(Text(_plain(item.seen))),
        _hanging(Text(f"fix: {_plain(item.practice.fix)}", "dim")),
    ]


def _run(repository: str, findings: list[Finding]) -> dict[str, Any]:
    names = sorted({finding.rule for finding in findings})
    practices = {f"practice.{one.id}": one for one in checklist().practices}
    rules = []
    for name in names:
        practice = practices.get(name)
        told = practice.title if practice else RULES.get(name.split(".")[0], name)
        rules.append(
            {
                "id": name,
                "shortDescription": {"text": told},
                "help": {"text": practice.fix if practice else told},
            }
        )
    return {
        "tool": {"driver": {"name": "factory assess", "rules": rules}},
        "automationDetails": {"id": f"factory assess/{repository}/"},
        "results": [_result(finding, names.index(finding.rule)) for finding in findings],
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    identity = "\0".join([finding.rule, finding.path or "", finding.message])
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.level,
        "message": {"text": f"{finding.message}. Fix: {finding.fix}"},
        "partialFingerprints": {
            "finding/v1": hashlib.sha256(identity.encode(errors="replace")).hexdigest()
        },
    }
    # Code scanning shows only what has a place; the answers file stands for the repository.
    place: dict[str, Any] = {
        "artifactLocation": {
            "uri": quote(finding.path or ".copier-answers.yml", errors="replace"),
            "uriBaseId": "%SRCROOT%",
        },
        "region": {"startLine": finding.line or 1},
    }
    return result | {"locations": [{"physicalLocation": place}]}


def _versions(rows: Iterable[Row]) -> list[tuple[str, int, int | None]]:
    """Return each version, how many have it, and how far behind it is; the newest first."""
    counted = Counter((row.version or "?", row.behind) for row in rows)
    far = sorted(counted.items(), key=lambda one: (one[0][1] is None, one[0][1] or 0, one[0][0]))
    return [(version, count, behind) for (version, behind), count in far]


def _printed(made: Callable[[int], RenderableType]) -> str:
    """Return what a terminal shows: as wide as it is, in colour if it is one and wants it."""
    # What goes elsewhere is read by other programs: a name there is not broken.
    width = shutil.get_terminal_size((160, 24)).columns
    into = StringIO()
    console = Console(file=into, width=width, force_terminal=sys.stdout.isatty(), highlight=False)
    console.print(made(width))
    return "\n".join(line.rstrip() for line in into.getvalue().splitlines()) + "\n"


def _today() -> date:
    return datetime.now(UTC).date()


def _error(row: Row) -> str:
    told = row.error or ""
    return told if told.startswith(row.name) else f"{row.name}: {told}"


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, padding=(0, 1, 0, 0))
    table.add_column("repository", overflow="fold", min_width=len("repository"))
    return table


def _hanging(text: Text) -> RenderableType:
    """Return a text whose later lines begin further in."""
    return Padding(text, (0, 0, 0, 2))


def _count(value: int | None, style: str) -> Text:
    return Text("?" if value is None else str(value), style if value else "dim")


def _share(value: float) -> Text:
    style = "green" if value >= 0.8 else "yellow" if value >= 0.5 else "red"
    return Text(f"{value:.0%}", style)


def _plain(value: object) -> str:
    """Return a text that moves no cursor and hides nothing: repositories are others'."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return "".join("\ufffd" if unicodedata.category(c) in hidden else c for c in str(value))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=False, default=str) + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("factory", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    return environment


def _page(name: str, **values: Any) -> str:
    """Return a page whose only style and script are those whose hashes it names."""
    environment = _environment()
    loader = environment.loader
    assert loader is not None
    style = loader.get_source(environment, "page.css")[0]
    script = loader.get_source(environment, "page.js")[0]
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(name).render(
        style=style, script=script, security=policy, **values
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
