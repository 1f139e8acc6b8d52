import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mlops import checks
from mlops.errors import MlopsError

QUIET = Console(quiet=True)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_first_failure_ends_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiers = {
        "lint": [python("open('lint', 'w')")],
        "types": [python("raise SystemExit(2)"), python("open('types', 'w')")],
        "unit": [python("open('unit', 'w')")],
    }
    monkeypatch.setattr(checks, "TIERS", tiers)
    with pytest.raises(MlopsError, match="types failed: "):
        checks.check([], QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["lint"]
    checks.check(["unit"], QUIET)
    assert (tmp_path / "unit").exists()


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(MlopsError, match="no tier 'unti': there are lint, types, unit"):
        checks.check(["unti"], QUIET)


@pytest.mark.parametrize(
    ("covered", "complexity", "source", "refusal"),
    [
        (80.04, 3, "", None),
        (59.9, 3, "", "quality.coverage: 59.9 %, the limit is 60 %"),
        (80, 3, "import os\n", "quality.lint: 1 findings"),
        (80, 1, "", "quality.complexity: 2, the limit is 1"),
    ],
)
def test_quality_is_measured_and_held(
    covered: float, complexity: int, source: str, refusal: str | None, home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Path("src").mkdir()
    Path("src/a.py").write_text(source + "def f(x):\n    if x:\n        return 1\n")
    limits = "[tool.ruff.lint]\nselect = ['F']\n"
    limits += f"[tool.mlops.quality]\ncoverage = 60\ncomplexity = {complexity}\n"
    Path("pyproject.toml").write_text(limits)
    report = json.dumps({"totals": {"percent_covered": covered}})
    run = python(f"open('coverage.json', 'w').write({report!r})")
    monkeypatch.setattr(checks, "TIERS", {"unit": [run]})
    if refusal is None:
        found = checks.quality(Path("quality.json"))
        assert (found["coverage"], found["lint"], found["complexity"]) == (80.0, 0, 2)
    else:
        with pytest.raises(MlopsError, match=refusal):
            checks.quality(Path("quality.json"))
    assert json.loads(Path("quality.json").read_text())["complexity"] == 2


@pytest.mark.parametrize("tier", ["security", "system"])
def test_what_asks_servers_runs_only_if_it_is_named(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tier in checks.TIERS
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "TIERS", {tier: [python("open('ran', 'w')")]})
    checks.check([], QUIET)
    assert not Path("ran").exists()
    checks.check([tier], QUIET)
    assert Path("ran").exists()


def test_packages_are_audited_or_it_is_said_that_they_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unreachable = python("raise SystemExit(2)")
    monkeypatch.setattr(checks, "AUDIT", unreachable)
    monkeypatch.setattr(checks, "TIERS", {"security": [unreachable]})
    with pytest.raises(MlopsError, match="security failed"):
        checks.check(["security"], QUIET)
    monkeypatch.setenv("MLOPS_OFFLINE", "1")
    console = Console(record=True, quiet=False, file=io.StringIO())
    checks.check(["security"], console)
    assert "packages are NOT audited" in console.export_text()
