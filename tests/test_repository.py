"""The promises of this repository itself: README, versions, locks, the demo."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, Project, render

IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Tester"), ("EMAIL", "tester@example.com"))
}


def commands(readme: Path) -> list[str]:
    """Return the lines of a README's sh blocks, comments removed."""
    blocks = re.findall(r"```sh\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def version() -> str:
    """Return the version of the working copy."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def test_changelog_and_version_agree() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changes, re.MULTILINE)
    assert headings[0] == version()
    for heading in headings:
        assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", heading), "not PEP 440"


def test_releases_name_commits_of_their_version() -> None:
    releases = tomllib.loads((ROOT / "releases.toml").read_text(encoding="utf-8"))["releases"]
    assert set(releases) <= set(
        re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for name, commit in releases.items():
        assert re.fullmatch(r"[0-9a-f]{40}", commit), name
        command = ["git", "show", f"{commit}:pyproject.toml"]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if shown.returncode:
            pytest.skip(f"this clone is too shallow to hold {name}, {commit}")
        assert tomllib.loads(shown.stdout)["project"]["version"] == name


def test_locks_are_hashed_and_name_no_host() -> None:
    found = [
        path for part in ("bench", "tests") for path in (ROOT / part).rglob("requirements.txt")
    ]
    assert len(found) == 3
    for path in (ROOT / "requirements.txt", *found):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        pins = [line for line in text.splitlines() if line and not line.startswith(" ")]
        assert len(pins) == len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE))


def test_links_of_the_documentation_lead_somewhere(tmp_path: Path) -> None:
    render(tmp_path / "project")
    for root in (ROOT, tmp_path / "project"):
        pages = [page for page in root.glob("*.md")] + list((root / "docs").rglob("*.md"))
        for page in pages:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
                assert (page.parent / link).exists(), f"{page.relative_to(root)}: {link}"


def clone(target: Path) -> Path:
    """Copy what git tracks, and what it does not ignore, as a fresh clone would have it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.splitlines()):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "Copy"]):
        subprocess.run(["git", *command], cwd=target, check=True, env={**os.environ, **IDENTITY})
    return target


@pytest.mark.long
def test_demo_ends_with_a_released_version(tmp_path: Path) -> None:
    root = clone(tmp_path / "template")
    made = root / "build/flight-delays"
    try:
        done = subprocess.run(
            ["make", "demo"], cwd=root, capture_output=True, text=True, check=False
        )
    finally:
        if made.exists():
            subprocess.run(["make", "stop"], cwd=made, check=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "Version 2 answers." in done.stdout
    assert (made / "reports/report.html").is_file()
    assert re.search(r"[\d,]+ by version 1, [\d,]+ by version 2; \d+ met the fault", done.stdout)
    steps = re.findall(r"^  (\S.*?) +\d+\.\d s$", done.stdout, re.MULTILINE)
    assert steps[-3:] == ["make status", "make deployments", "all"]


@pytest.mark.long
@pytest.mark.parametrize(
    "provider",
    ["aws", *(pytest.param(p, marks=pytest.mark.nightly) for p in ("azure", "gcp", "kubernetes"))],
)
def test_demo_goes_the_whole_way_on_a_provider(provider: str, tmp_path: Path) -> None:
    root = clone(tmp_path / "template")
    # The SDKs are there, and take long to bring; nothing is newer than them.
    (root / ".venv").symlink_to(ROOT / ".venv")
    for path in root.rglob("requirements.txt"):
        os.utime(path, (0, 0))
    done = subprocess.run(
        ["make", "demo", f"PROVIDER={provider}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "Version 2 is rolled back. errors" in done.stdout
    assert "Version 2 is dev's champion" in done.stdout
    assert f"Version 2 answered on {provider}." in done.stdout


@pytest.mark.long
def test_commands_of_the_readmes_work(tmp_path: Path) -> None:
    mine = commands(ROOT / "README.md")
    # The first two: above.
    assert mine[:2] == ["make demo", "make demo PROVIDER=aws"]
    assert mine[2] == "uvx copier copy TEMPLATE flight-delays"
    address = tmp_path / "template"  # without what is not committed, which no version is
    subprocess.run(["git", "clone", "--quiet", ROOT, address], check=True)
    command = mine[2].replace("TEMPLATE", str(address)).replace("copy", "copy --vcs-ref HEAD -l", 1)
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    root = tmp_path / "flight-delays"
    project = Project(root, root / ".venv")
    theirs = commands(root / "README.md")
    assert "make register" in theirs
    for line in theirs:
        project.run("sh", "-c", line, variables=IDENTITY)
    assert "champion-dev" in project.mlops("model", "list")
    fleet = mine[3:]
    assert [line.split()[4] for line in fleet] == ["status", "diff"]
    project.commit()
    for line in fleet:
        line = line.replace("git+TEMPLATE", f"git+{address.as_uri()}")
        assert "flight-delays" in project.run(*line.replace("TEMPLATE", str(address)).split())
