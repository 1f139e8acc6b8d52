import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops.ci import comment
from mlops.ci.forge import DeniedError
from mlops.errors import MlopsError
from mlops.settings import Paths

RUN = "https://ci.example/run/42"


class Stub(SimpleNamespace):
    """A platform that remembers what it was told."""

    def __init__(self, number: int | None = 7, denied: bool = False, fork: bool = False) -> None:
        self.number, self.denied, self.is_fork = number, denied, fork
        self.comments: list[str] = []
        self.summaries: list[str] = []

    def change(self) -> int | None:
        return self.number

    def fork(self) -> bool:
        return self.is_fork

    def run_url(self) -> str:
        return RUN

    def comment(self, number: int, body: str, marker: str = "") -> str:
        if self.denied:
            raise DeniedError("403 Resource not accessible")
        self.comments.append(body)
        return f"https://ci.example/change/{number}#1"

    def summary(self, text: str) -> None:
        self.summaries.append(text)


def composed(champion: float = 0, **largest: Any) -> str:
    """Return the comment on the toy's candidate; the champion's numbers are a multiple of its."""
    paths = Paths()
    record = json.loads(paths.gates.read_text())
    if champion:
        mine = record["scores"]["challenger"]
        record["scores"]["champion"] = {name: value * champion for name, value in mine.items()}
        for entry in record["slices"]:
            entry["champion"] = entry["challenger"] * champion
    record["slices"][0] |= largest
    paths.gates.write_text(json.dumps(record))
    return comment.compose(paths, RUN)


def charts(text: str) -> list[str]:
    return re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)


def numbers(chart: str, kind: str) -> list[list[float]]:
    return [json.loads(line) for line in re.findall(rf"^  {kind} (\[.*\])$", chart, re.MULTILINE)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comment, "MERMAID", True)


@pytest.mark.parametrize("champion", [0, 1, 2])
def test_charts_stand_in_place_of_pictures(home: Path, drawn: None, champion: int) -> None:
    rounds = "".join(f"{n},{1 / (n + 1)},{2 / (n + 1)}\n" for n in range(200))
    (home / "reports/curves.csv").write_text(f"round,train,valid\n{rounds}")
    text = composed(champion)
    assert "](plots/" not in text
    curves, metrics, slices = charts(text)
    train, valid = numbers(curves, "line")
    assert (train[0], valid[0]) == (1, 2)
    assert len(train) == len(valid) <= comment.POINTS
    assert f"line: {'champion' if champion else 'baseline'}" in metrics
    for chart in (metrics, slices):
        (bars,), (line,) = numbers(chart, "bar"), numbers(chart, "line")
        labels = json.loads(re.findall(r"x-axis (\[.*\])", chart)[0])
        assert len(bars) == len(line) == len(labels) == len(set(labels)) > 0
        low, high = map(float, re.findall(r"y-axis \".*\" (\S+) --> (\S+)", chart)[0])
        assert low < min(bars + line) <= max(bars + line) < high
        assert set(line) == {100}
        assert not champion or set(bars) == {100 / champion}


def test_without_mermaid_there_are_tables_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comment, "MERMAID", False)
    text = composed()
    assert "mermaid" not in text
    assert "](plots/" not in text
    assert "| accuracy |" in text


def test_a_line_tells_of_code_model_and_data(home: Path) -> None:
    text = composed()
    line = next(line for line in text.splitlines() if line.startswith("**Code**"))
    assert "**Code**: lint, types and tests passed" in line
    passed = json.loads((home / "reports/gates.json").read_text())["checks"]
    assert f"**Model**: {len(passed)} of {len(passed)} gates passed" in line
    assert re.search(r"\*\*Data\*\*: \d+ rows valid, largest skew 0\.\d+ \(\w+\)", line)
    (home / "reports/quality.json").write_text('{"coverage": 91}')
    assert "**Code**: coverage 91" in composed()
    assert f"`report.html`, in the artefacts of [this run]({RUN})" in text


def test_data_cannot_end_a_chart(home: Path, drawn: None) -> None:
    name = 'shop="]\n```\n# <img src=x> {'
    slices = charts(composed(slice=name, rows=10**6))[-1]
    labels = json.loads(re.findall(r"x-axis (\[.*\])", slices)[0])
    assert re.fullmatch(r"shop=_+ _img src=x_ _", labels[0])
    assert "<" not in slices


def test_what_is_no_number_is_not_drawn(home: Path, drawn: None) -> None:
    (home / "reports/curves.csv").write_text("round,train,valid\n0,1,1\n1,inf,nan\n")
    assert len(charts(composed())) == 2  # metrics and slices
    (home / "reports/curves.csv").write_text("round\n")
    assert len(charts(composed())) == 2


def test_long_tables_are_folded(home: Path) -> None:
    text = composed()
    tables = re.findall(r"(<summary>.*</summary>\n\n)?((?:^\|.*\n)+)", text, re.MULTILINE)
    assert {bool(folded) for folded, _ in tables} == {True, False}
    for folded, table in tables:
        assert bool(folded) == (table.count("\n") - 2 >= comment.FOLDED)
    assert text.count("<details>") == text.count("</details>")


def test_a_samples_numbers_are_called_that(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "build/sample")
    paths.metrics.parent.mkdir(parents=True)
    scores = {"model": {"loss": 0.5}, "baseline": {"loss": 0.7}, "delta": {"loss": -0.2}}
    paths.metrics.write_text(json.dumps({"rows": 1234} | scores))
    text = comment.compose(Paths(tmp_path), RUN)
    assert "**sample**, of 1,234 test rows" in text
    assert "| metric | baseline | model | delta |\n| --- | --- | --- | --- |\n" in text
    assert "| loss | 0.7000 | 0.5000 | -0.2000 |" in text


def test_a_run_without_a_report_is_linked(tmp_path: Path) -> None:
    text = comment.compose(Paths(tmp_path), RUN)
    assert "no report" in text
    assert f"[this run]({RUN})" in text


def test_the_report_is_commented(tmp_path: Path) -> None:
    forge = Stub()
    assert comment.post(forge, Paths(tmp_path)) == "Commented: https://ci.example/change/7#1"
    assert len(forge.comments) == 1
    assert forge.summaries == []


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (Stub(number=None), "No pull request"),
        (Stub(denied=True), "403 Resource not accessible"),
        (Stub(denied=True, fork=True), "a fork's jobs have no right to"),
    ],
)
def test_else_it_goes_on_the_runs_page(forge: Stub, why: str, tmp_path: Path) -> None:
    assert why in comment.post(forge, Paths(tmp_path))
    assert len(forge.summaries) == 1
    assert forge.comments == []


# Work items ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["Closes #12", "AB#7", "team/thing#3", "https://x.example/issues/4", "/-/work_items/5"]
)
def test_a_work_item_is_cited(text: str) -> None:
    assert comment.cites(f"**Work item:** {text}\n")


@pytest.mark.parametrize("text", ["", "none", "<!-- such as #123 -->", "colour &#39;", "#hash"])
def test_no_work_item_is_cited(text: str) -> None:
    assert not comment.cites(f"**Work item:** {text}\n")


@pytest.mark.parametrize("number", [7, None])
@pytest.mark.parametrize("text", ["Closes #12", None])
def test_a_change_that_cites_a_work_item_goes_on(number: int | None, text: str | None) -> None:
    forge = Stub(number)
    forge.description = lambda number: text
    comment.refuse_uncited(forge)


def test_a_change_that_cites_none_is_refused() -> None:
    forge = Stub()
    forge.description = lambda number: "A better model."
    with pytest.raises(MlopsError, match="cites no work item"):
        comment.refuse_uncited(forge)


def test_what_a_job_may_not_read_is_for_people() -> None:
    def denied(number: int) -> str:
        raise DeniedError("403")

    forge = Stub()
    forge.description = denied
    comment.refuse_uncited(forge)
