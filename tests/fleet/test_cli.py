"""The commands, as a person calls them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_adopt import git, template  # noqa: F401

from factory import cli
from factory.template import Template

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command and gives its exit code, its output and what it told."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["factory", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), said.out, said.err

    return run


@pytest.fixture
def fleet(template: Template, tmp_path: Path) -> Path:  # noqa: F811
    """Three projects of 9.0.0: as it is, with an edit, and with a clash; and a fleet file."""
    from copier import run_copy

    for name in ("plain", "edited", "clash"):
        folder = tmp_path / name
        run_copy(template.source, folder, vcs_ref="9.0.0", defaults=True, quiet=True)
        if name == "edited":
            (folder / "Makefile").write_text("# Ours.\n" + (folder / "Makefile").read_text())
        if name == "clash":
            with (folder / "Dockerfile").open("a") as file:
                file.write("# Our line.\n")
        git(folder, "init")
        git(folder, "add", "--all")
        git(folder, "commit", "--message", "Start")
    members = [
        {"source": "plain", "ring": "canary", "labels": {"stage": "production"}},
        {"source": "edited"},
        {"source": "clash"},
    ]
    text = {"template": template.source, "rings": ["canary", "all"], "repositories": members}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(text))
    return tmp_path / "fleet.yaml"


def test_status(run: Run, fleet: Path) -> None:
    code, out, _ = run("status", fleet)
    assert code == 0
    assert {"plain", "edited", "clash", "9.0.0"} <= set(out.split())
    code, out, _ = run("status", fleet, "--format", "json")
    rows = {row["name"]: row for row in json.loads(out)["repositories"]}
    assert [(row["behind"], row["edited"]) for row in rows.values()] == [(1, 0), (1, 1), (1, 1)]
    page = fleet.with_name("page.html")
    assert run("status", fleet, "--format", "html", "--out", page)[0] == 0
    assert "edited" in page.read_text()


def test_a_folder_is_a_fleet(run: Run, fleet: Path, template: Template) -> None:  # noqa: F811
    code, _, err = run("status", fleet.parent)
    assert (code, "which template?" in err) == (1, True)
    code, out, _ = run("status", fleet.parent, "--template", template.source, "--format", "json")
    assert {row["name"] for row in json.loads(out)["repositories"]} == {"plain", "edited", "clash"}


def test_diff(run: Run, fleet: Path) -> None:
    code, out, _ = run("diff", fleet, "--only", "edited", "--only", "plain")
    assert code == 0
    assert "plain 9.0.0\n  behind   Dockerfile\n" in out
    assert "edited   Makefile" in out
    assert "+# Ours." in run("diff", fleet, "--only", "edited", "--patch")[1]


def test_update(run: Run, fleet: Path) -> None:
    code, out, _ = run("update", fleet, "--dry-run", "--only", "plain")
    assert (code, "+# A later line." in out) == (0, True)
    assert "plain: would be updated 9.0.0 → 9.1.0" in out
    code, out, _ = run("update", fleet, "--commit")
    assert code == cli.CONFLICTS
    assert "plain: updated, committed 9.0.0 → 9.1.0" in out
    assert "clash: conflicts, nothing was changed 9.0.0 → 9.1.0" in out
    assert "conflict: Dockerfile" in out
    for name in ("plain", "edited", "clash"):
        assert git(fleet.parent / name, "status", "--porcelain") == ""
    assert (fleet.parent / "edited/Makefile").read_text().startswith("# Ours.\n")
    code, out, _ = run("update", fleet, "--only", "plain")
    assert (code, "plain: current" in out) == (0, True)
    (fleet.parent / "plain/Makefile").write_text("dirty\n")
    code, out, _ = run("update", fleet, "--only", "plain", "--data", "registry=gto")
    assert (code, "not committed: Makefile" in out) == (cli.REFUSED, True)
    code, _, err = run("update", fleet, "--pr", "--commit")
    assert (code, "do not go together" in err) == (1, True)
    assert "no repository is called plane" in run("update", fleet, "--only", "plane")[2]
    assert "NAME=VALUE" in run("update", fleet, "--data", "registry")[2]


def test_assess_and_answers(run: Run, fleet: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("allowed: {registry: [gto]}\nforced: {team: platform}\n")
    code, out, _ = run("assess", fleet, "--only", "plain", "--policy", policy)
    assert (code, "allowed.registry" in out) == (cli.BROKEN, True)
    assert run("assess", fleet, "--only", "plain")[0] == 0
    code, _, err = run("assess", fleet, "--only", "plain", "--level", "4")
    assert (code, "4 is asked" in err) == (cli.BROKEN, True)
    (tmp_path / "facts.yaml").write_text("plane: {ci: {main: green}}\n")
    code, _, err = run("assess", fleet, "--facts", tmp_path / "facts.yaml")
    assert (code, "no repository is called plane" in err) == (1, True)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("forced: {licence: MIT}\n")
    assert "license" in run("assess", fleet, "--policy", wrong)[2]
    code, out, _ = run("answers", policy)
    assert yaml.safe_load(out) == {"registry": "gto", "team": "platform"}


def test_rollout_without_a_platform_stops(run: Run, fleet: Path) -> None:
    code, out, _ = run("rollout", fleet, "--no-wait")
    assert code == 6
    assert "has no remote `origin`" in out
    assert fleet.with_name("fleet.yaml.rollout.jsonl").exists()


def test_adopt(run: Run, fleet: Path, template: Template) -> None:  # noqa: F811
    bare = fleet.parent / "bare"
    bare.mkdir()
    (bare / "README.md").write_text("ours\n")
    git(bare, "init")
    git(bare, "add", "--all")
    git(bare, "commit", "--message", "Ours")
    code, out, _ = run("adopt", bare, "--template", template.source, "--dry-run")
    assert (code, "files would come" in out) == (0, True)
    code, out, _ = run("adopt", bare, "--template", template.source, "--data", "registry=gto")
    assert code == 0
    assert "README.md: stayed as it is" in out


def test_wrong_use(run: Run, tmp_path: Path) -> None:
    assert run("statu")[0] == 2
    assert "no such fleet file" in run("status", tmp_path / "absent.yaml")[2]
    done = subprocess.run([sys.executable, "-m", "factory", "--help"], capture_output=True)
    assert done.returncode == 0
