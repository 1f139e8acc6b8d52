from pathlib import Path

from mlops import gates, report
from mlops.settings import Paths, load_gates


def test_the_report_says_who_was_refused_by_what(home: Path) -> None:
    limits, paths = load_gates(), Paths()
    limits.absolute["accuracy"].min = 0.999
    rows = paths.prepared / "test.parquet"
    record = gates.judge(paths.model, rows, limits, 7, {3: paths.model})
    report.write(record, paths, paths.model)
    text = (paths.reports / "report.md").read_text()
    assert "challenger ❌ refused by 1 gate(s)" in text
    accuracy = record.scores["challenger"]["accuracy"]
    assert f"**absolute.accuracy: {accuracy:.4g}, allowed is at least 0.999**" in text
    assert "judged against champion v3" in text
    assert f"| accuracy | {record.scores['baseline']['accuracy']:.4f} | {accuracy:.4f} |" in text
    page = (paths.reports / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == text.count("](plots/") == 3
    assert "src=" not in page.replace('src="data:', "")
    assert "http" not in page  # one file, that needs nothing else
