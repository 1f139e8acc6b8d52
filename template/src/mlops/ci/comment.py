"""The pull request's comment: the report, with charts that a comment can show in place of plots."""

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

from .. import project
from ..errors import MlopsError
from ..settings import Paths
from .forge import MARKER, DeniedError, Forge

PICTURES = re.compile(r"(?:!\[[^\]]*\]\(plots/[^)]*\)\n*)+")
TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
FOLDED = 8  # rows from which on a table is folded
POINTS = 60  # of a learning curve
SLICES = 8  # the largest
GREY, BLUE, ORANGE = "#94a3b8", "#2563eb", "#d97706"  # as in the report
# Azure DevOps draws Mermaid in wikis and files, not in comments.
MERMAID = project.CI != "azure-devops"


def post(forge: Forge, paths: Paths) -> str:
    """Put the report into the pull request's one comment; return what was done."""
    return show(forge, compose(paths, forge.run_url()))


def show(forge: Forge, text: str, marker: str = MARKER) -> str:
    """Put a text into the one comment with this marker; return what was done.

    Where that is not possible the text goes on the run's page, and it is said why.
    """
    number = forge.change()
    if number is None:
        forge.summary(text)
        return "No pull request: the report is on the run's page."
    try:
        return f"Commented: {forge.comment(number, text, marker)}"
    except DeniedError as error:
        forge.summary(text)
        why = "a fork's jobs have no right to." if forge.fork() else str(error)
        return f"The report is on the run's page, and not in a comment: {why}"


def cites(text: str) -> bool:
    """Tell whether a pull request's text names a work item; a template's comments do not count."""
    said = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    item = r"(?<![\w&])(AB)?#\d+\b|[\w.-]+/[\w.-]+#\d+\b|/(issues|work_items|_workitems/edit)/\d+"
    return re.search(item, said) is not None


def refuse_uncited(forge: Forge) -> None:
    """Refuse a pull request that names no work item.

    Raises:
        MlopsError: its text has none.
    """
    number = forge.change()
    try:
        text = forge.description(number) if number is not None else None
    except DeniedError:
        return  # what it may not read is for people to look at
    if text is not None and not cites(text):
        raise MlopsError(
            "The pull request cites no work item: add one to its text, such as #12, and run this "
            "job again."
        )


def compose(paths: Paths, run: str) -> str:
    """Return the comment's Markdown, from whatever this run has left in reports/ and build/."""
    report = paths.reports / "report.md"
    sample = Paths(paths.root / "build/sample").metrics
    if report.is_file():
        text = report.read_text(encoding="utf-8")
        text = PICTURES.sub(lambda match: _charts(paths), text, count=1)
        text = TABLE.sub(_fold, PICTURES.sub("", text))
        head, _, rest = text.partition("\n\n")
        plots = f"With all plots: `report.html`, in the artefacts of [this run]({run})."
        return "\n\n".join([head, _qualities(paths), plots, rest])
    if sample.is_file():
        return _sample(json.loads(sample.read_text(encoding="utf-8")), run)
    return (
        f"# {project.TITLE}: no report\n\n"
        f"What comes before it has failed: [this run]({run}) says where.\n"
    )


def _sample(metrics: dict[str, Any], run: str) -> str:
    names = ["baseline", "model", "delta"]
    rows = [[key, *(f"{metrics[name][key]:.4f}" for name in names)] for key in metrics["model"]]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [["metric", *names], ["---"] * 4, *rows])
    return (
        f"# {project.TITLE}: trained on a sample\n\n"
        f"These are numbers of a **sample**, of {metrics['rows']:,} test rows: they show that the "
        "pipeline works, not how good the model is. The gates judge after the merge. "
        f"[This run]({run}).\n\n{table}\n"
    )


def _qualities(paths: Paths) -> str:
    """Return one line on code, model and data."""
    quality, data = _read(paths.reports / "quality.json"), _read(paths.validation)
    measured = ", ".join(f"{key} {value}" for key, value in quality.items())
    passed = [check["passed"] for check in _read(paths.gates)["checks"]]
    skews = {
        name: skew for period in data.get("skew", {}).values() for name, skew in period.items()
    }
    most = max(skews, key=lambda name: skews[name], default="")
    return " · ".join([
        f"**Code**: {measured or 'lint, types and tests passed'}",
        f"**Model**: {sum(passed)} of {len(passed)} gates passed",
        f"**Data**: {sum(data.get('rows', {}).values()):,} rows valid"
        + (f", largest skew {skews[most]:.2g} ({most})" if most else ""),
    ])  # fmt: skip


def _charts(paths: Paths) -> str:
    if not MERMAID:
        return ""
    gates = _read(paths.gates)
    charts = [_curves(paths), _metrics(gates), _slices(gates)]
    return "".join(f"{chart}\n\n" for chart in charts if chart)


def _curves(paths: Paths) -> str:
    with paths.curves.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: math.ceil(len(rows) / POINTS) or 1]
    names = [name for name in (rows[0] if rows else {}) if name != "round"]
    lines = {name: [float(row[name]) for row in rows] for name in names}
    if len(rows) < 2 or not lines:
        return ""
    said = ", ".join(f"{a}: {b}" for a, b in zip(("grey", "blue"), names, strict=False))
    axis = f'"round" {rows[0]["round"]} --> {rows[-1]["round"]}'
    series = [("line", line) for line in lines.values()]
    return _chart(f"Learning curves ({said})", axis, "loss", (GREY, BLUE), series)


def _metrics(gates: dict[str, Any]) -> str:
    other = "champion" if "champion" in gates["scores"] else "baseline"
    mine, theirs = gates["scores"]["challenger"], gates["scores"][other]
    return _bars(
        f"Challenger's metrics (line: {other})", other, {n: (mine[n], theirs[n]) for n in mine}
    )


def _slices(gates: dict[str, Any]) -> str:
    largest = sorted(gates["slices"], key=lambda entry: -entry["rows"])[:SLICES]
    if any(entry["champion"] is None for entry in largest):
        loss = gates["scores"]["challenger"]["loss"]
        title, other = "Challenger's loss by slice (line: all rows)", "all rows"
        pairs = {entry["slice"]: (entry["challenger"], loss) for entry in largest}
    else:
        title, other = "Challenger's loss by slice (line: champion)", "champion"
        pairs = {entry["slice"]: (entry["challenger"], entry["champion"]) for entry in largest}
    return _bars(title, other, pairs)


def _bars(title: str, other: str, pairs: dict[str, tuple[float, float]]) -> str:
    """Return bars in percent of a reference: numbers of every size go into one chart."""
    shares = {name: 100 * mine / theirs for name, (mine, theirs) in pairs.items() if theirs}
    if not shares:
        return ""
    # What is not plain is data's, and could end the chart's syntax.
    names = ", ".join('"' + re.sub(r"[^\w .:=+-]", "_", name) + '"' for name in shares)
    series = [("bar", list(shares.values())), ("line", [100.0] * len(shares))]
    return _chart(title, f"[{names}]", f"% of {other}", (BLUE, ORANGE), series)


def _chart(
    title: str, x: str, y: str, colours: tuple[str, str], series: list[tuple[str, list[float]]]
) -> str:
    numbers = [number for _, line in series for number in line]
    if not all(map(math.isfinite, numbers)):
        return ""
    # Of equal numbers, too, the axis needs a length.
    margin = max(0.05 * (max(numbers) - min(numbers)), 0.01 * max(map(abs, numbers)), 1e-6)
    palette = {"themeVariables": {"xyChart": {"plotColorPalette": ", ".join(colours)}}}
    return "\n".join([
        "```mermaid",
        f"%%{{init: {json.dumps(palette)}}}%%",
        "xychart-beta",
        f'  title "{title}"',
        f"  x-axis {x}",
        f'  y-axis "{y}" {min(numbers) - margin:.6g} --> {max(numbers) + margin:.6g}',
        *(f"  {kind} [{', '.join(f'{number:.6g}' for number in line)}]" for kind, line in series),
        "```",
    ])  # fmt: skip


def _fold(match: re.Match[str]) -> str:
    rows = match[0].count("\n") - 2  # without its head
    if rows < FOLDED:
        return match[0]
    return f"<details><summary>{rows} rows</summary>\n\n{match[0]}\n</details>\n"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
