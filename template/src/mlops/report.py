"""The candidate's report: report.md for a pull request, report.html, one file, for reading."""

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import project
from .gates import Record
from .lineage import Lineage
from .pipeline.prepare import TARGET
from .scorer import SERVED, Scorer
from .settings import Paths

Array = NDArray[np.floating[Any]]
Row = Iterable[object]

COLOURS = {"challenger": "#2563eb", "champion": "#d97706", "baseline": "#94a3b8"}
STYLE = Path(__file__).with_name("report.css")
SHOWN = 12


def write(record: Record, paths: Paths, champion: Path | None) -> None:
    """Write report.md, report.html and their plots to reports/. ``champion`` is its folder."""
    plots = draw(record, paths, champion)
    text = markdown(record, paths, champion, plots)
    (paths.reports / "report.md").write_text(text, encoding="utf-8")
    (paths.reports / "report.html").write_text(html(text, paths.reports), encoding="utf-8")


def markdown(record: Record, paths: Paths, champion: Path | None, plots: list[str]) -> str:
    """Return the report as Markdown."""
    lineage = Lineage.read(paths.model)
    failed = [check for check in record.checks if not check.passed]
    verdict = "✅ accepted" if record.passed else f"❌ refused by {len(failed)} gate(s)"
    against = f"champion v{record.champion}" if champion else "the baseline (no champion yet)"
    name = "champion" if champion else "baseline"
    parts = [
        f"# {project.TITLE}: challenger {verdict}",
        f"Model `{record.model[:12]}` of commit `{lineage.git.commit[:10] or 'none'}`"
        f"{' (dirty)' if lineage.git.dirty else ''}, judged against {against} on "
        f"{_rows(paths)} rows of {', '.join(lineage.periods['test'])}.",
        *([f"**{check}**" for check in failed]),
        "## Metrics",
        _metrics(record, name),
        *(f"![{Path(plot).stem.replace('_', ' ')}]({plot})" for plot in plots),
        "## Gates",
        _table(
            ["", "gate", "number", "limit"],
            (
                (
                    "✅" if c.passed else "❌",
                    c.gate,
                    f"{c.value:.4g}",
                    f"{c.rule} {c.limit:.4g}{c.note}",
                )
                for c in sorted(record.checks, key=lambda c: c.passed)
                if not (c.passed and c.gate.startswith("slice."))
            ),
        ),
        _passed_slices(record),
        "## Slices",
        _slices(record),
        "## Data",
        _data(paths, lineage, Lineage.read(champion) if champion else None),
        "## Footprint",
        _footprint(record),
        "## Lineage",
        _table(["", ""], _lineage(lineage, paths)),
    ]
    return "\n\n".join(parts) + "\n"


def html(text: str, folder: Path) -> str:
    """Return Markdown as one page that needs nothing else: styles and pictures are inside."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)

    def inline(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="([^":]+\.png)"', inline, body)
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width"><title>{project.TITLE}</title>\n'
        f"<style>\n{style}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )


def draw(record: Record, paths: Paths, champion: Path | None) -> list[str]:
    """Draw the plots and return their paths below reports/."""
    import matplotlib

    matplotlib.use("agg")
    test = pd.read_parquet(paths.prepared / "test.parquet")
    y = test[TARGET].to_numpy()
    models = {"challenger": paths.model} | ({"champion": champion} if champion else {})
    predictions = {
        n: Scorer(folder / SERVED, threads=2).predict(test) for n, folder in models.items()
    }
    folder = paths.reports / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = ["learning", "predictions", "slices"]
    _learning(paths, folder / "learning.png")
    if next(iter(predictions.values())).ndim > 1:
        drawn.remove("predictions")
    elif project.TASK == "classification":
        _calibration(y, predictions, folder / "predictions.png")
    else:
        _residuals(y, predictions, folder / "predictions.png")
    _slice_bars(record, folder / "slices.png")
    return [f"plots/{name}.png" for name in drawn]


def _figure(columns: int) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, columns, figsize=(9, 3.4), layout="constrained", squeeze=False)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes[0]


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _learning(paths: Paths, path: Path) -> None:
    figure, (axis,) = _figure(1)
    curves = pd.read_csv(paths.curves, index_col="round")
    for name, colour in zip(curves, ("#94a3b8", "#2563eb"), strict=False):
        axis.plot(curves.index, curves[name], label=name, color=colour)
    if "valid" in curves and len(curves):
        axis.axvline(curves["valid"].idxmin(), color="#16a34a", linestyle=":", label="best round")
    axis.set(title="Learning curves", xlabel="round", ylabel="loss")
    if len(curves.columns):
        axis.legend(frameon=False)
    _save(figure, path)


def _calibration(y: Array, predictions: dict[str, Array], path: Path) -> None:
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_curve

    figure, (left, right) = _figure(2)
    for name, prediction in predictions.items():
        style = {"label": name, "color": COLOURS[name]}
        false, true, _ = roc_curve(y, prediction)
        left.plot(false, true, **style)
        happened, said = calibration_curve(y, prediction, n_bins=12, strategy="quantile")
        right.plot(said, happened, marker="o", markersize=3, **style)
    for axis in (left, right):
        axis.axline((0, 0), slope=1, color="#94a3b8", linestyle=":")
    left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    right.set(title="Calibration", xlabel="predicted", ylabel="observed")
    left.legend(frameon=False)
    _save(figure, path)


def _residuals(y: Array, predictions: dict[str, Array], path: Path) -> None:
    figure, (left, right) = _figure(2)
    edge = float(np.quantile(np.abs(y - next(iter(predictions.values()))), 0.98))
    for name, prediction in predictions.items():
        style = {"label": name, "color": COLOURS[name]}
        left.hist(y - prediction, bins=60, range=(-edge, edge), histtype="step", **style)
        pairs = pd.DataFrame({"said": prediction, "was": y})
        means = pairs.groupby(pd.qcut(prediction, 12, duplicates="drop"), observed=True).mean()
        right.plot(means["said"], means["was"], marker="o", markersize=3, **style)
    left.set(title="Residuals", xlabel="observed - predicted", ylabel="rows")
    right.axline((float(y.mean()), float(y.mean())), slope=1, color="#94a3b8", linestyle=":")
    right.set(title="Observed by predicted", xlabel="predicted", ylabel="observed")
    left.legend(frameon=False)
    _save(figure, path)


def _slice_bars(record: Record, path: Path) -> None:
    figure, (axis,) = _figure(1)
    entries = sorted(record.slices, key=lambda entry: -entry["rows"])[:20]
    names = [entry["slice"].partition("=")[2] for entry in entries]
    places = np.arange(len(entries))
    sides = ["challenger"] + (["champion"] if entries and entries[0]["champion"] else [])
    for index, side in enumerate(sides):
        width = 0.8 / len(sides)
        values = [entry[side] for entry in entries]
        axis.bar(places + index * width, values, width, label=side, color=COLOURS[side])
    axis.set_xticks(places + 0.4 - 0.4 / len(sides), names, rotation=60)
    axis.set(title="Loss by slice, the largest slices first", ylabel="loss")
    axis.legend(frameon=False)
    _save(figure, path)


def _table(head: list[str], rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _metrics(record: Record, other: str) -> str:
    mine, theirs = record.scores["challenger"], record.scores[other]
    columns = [name for name in record.scores if name not in ("challenger", other)]
    return _table(
        ["metric", *columns, other, "**challenger**", "delta"],
        (
            (
                name,
                *(f"{record.scores[column][name]:.4f}" for column in columns),
                f"{theirs[name]:.4f}",
                f"**{value:.4f}**",
                f"{value - theirs[name]:+.4f}",
            )
            for name, value in mine.items()
        ),
    )


def _passed_slices(record: Record) -> str:
    count = sum(check.passed and check.gate.startswith("slice.") for check in record.checks)
    return f"And {count} slices on which it is not worse." if count else "No slice was compared."


def _slices(record: Record) -> str:
    def rise(entry: dict[str, Any]) -> float:
        reference = entry["champion"]
        return float(entry["challenger"] / reference - 1 if reference else entry["challenger"])

    worst = sorted(record.slices, key=rise, reverse=True)[:SHOWN]
    return _table(
        ["slice, worst first", "rows", "champion", "challenger", "change"],
        (
            (
                entry["slice"],
                f"{entry['rows']:,}",
                f"{entry['champion']:.4f}" if entry["champion"] else "",
                f"{entry['challenger']:.4f}",
                f"{rise(entry):+.1%}" if entry["champion"] else "",
            )
            for entry in worst
        ),
    )


def _data(paths: Paths, mine: Lineage, theirs: Lineage | None) -> str:
    def span(lineage: Lineage | None, part: str) -> str:
        periods = lineage.periods[part] if lineage else []
        return f"{periods[0]} to {periods[-1]}" if len(periods) > 1 else "".join(periods)

    parts = _table(
        ["periods", "champion", "challenger"],
        ((part, span(theirs, part), span(mine, part)) for part in mine.periods),
    )
    versions = _table(
        ["data version", "champion", "challenger"],
        (
            (path, f"`{(theirs.data if theirs else {}).get(path, '')[:12]}`", f"`{md5[:12]}`")
            for path, md5 in mine.data.items()
        ),
    )
    found = json.loads(paths.validation.read_text(encoding="utf-8"))["skew"]
    newest = next(reversed(found), "")
    largest = sorted(found.get(newest, {}).items(), key=lambda item: -item[1])[:8]
    moved = _table([f"column of {newest}", "distance to the training profile"], largest)
    return "\n\n".join([parts, versions, moved])


def _footprint(record: Record) -> str:
    rows = record.footprints
    return _table(
        ["", *rows],
        ((key, *(getattr(row, key) for row in rows.values())) for key in
         ("size_mb", "memory_mb", "p50_ms", "p99_ms")),
    )  # fmt: skip


def _lineage(lineage: Lineage, paths: Paths) -> list[Row]:
    rows: list[Row] = [
        ("trained", f"{lineage.created}, {lineage.reason}, {lineage.kind}"),
        ("run", f"`{lineage.run}`"),
        ("parent", f"v{lineage.parent}" if lineage.parent else "none"),
        ("lock file", f"`{lineage.lock[:12]}`"),
        (
            "compute",
            f"{lineage.compute.machine}, {lineage.compute.cpus} CPUs, GPU {lineage.compute.gpu}",
        ),
        (
            "parameters",
            ", ".join(f"{key} {value}" for key, value in lineage.params["model"].items()),
        ),
    ]
    quality = paths.reports / "quality.json"
    if quality.is_file():
        measured = json.loads(quality.read_text(encoding="utf-8"))
        rows.append(("code", ", ".join(f"{key} {value}" for key, value in measured.items())))
    return rows


def _rows(paths: Paths) -> str:
    return f"{json.loads(paths.metrics.read_text(encoding='utf-8'))['rows']:,}"
