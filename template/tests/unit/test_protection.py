"""What protects the project, against a fake of the platform's command line."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops import project
from mlops.ci import protection
from mlops.ci.protection import AtLeast, Rule, merge
from mlops.errors import MlopsError

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).with_name("protection")
NAME = project.CI.replace("-", "_")
sys.path.append(str(FOLDER))
fake: Any = import_module("fake_cli")
PLATFORM: Any = fake.load(NAME)
COPIED = [".github", ".gitlab", ".azuredevops", "azure-pipelines"]
SCRIPT = """#!{python} -SE
import sys
from pathlib import Path
sys.path.append({folder!r})
import fake_cli
sys.exit(fake_cli.main({name!r}, Path({state!r})))
"""


class Place:
    """A repository, and the state of its platform."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "platform.json"
        self.said: list[str] = []
        self.write(PLATFORM.START)

    def write(self, state: Any) -> None:
        self.file.write_text(json.dumps(state))

    def read(self) -> Any:
        return json.loads(self.file.read_text())

    def plant(self, at: tuple[str | int, ...], value: Any) -> None:
        """Change one place of the state; None takes it away."""
        state = inner = self.read()
        for key in at[:-1]:
            inner = inner[key]
        if value is None:
            del inner[at[-1]]
        elif isinstance(inner, list) and at[-1] == len(inner):
            inner.append(value)
        else:
            inner[at[-1]] = value
        self.write(state)

    def at(self, at: tuple[str | int, ...]) -> Any:
        inner = self.read()
        for key in at:
            inner = inner[key]
        return inner

    def setup(self, dry_run: bool = False) -> None:
        protection.setup(self.said.append, dry_run)

    def verify(self) -> None:
        protection.verify(self.said.append)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A repository whose platform knows nothing of it yet."""
    for folder in COPIED:
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "environments").mkdir()
    for name, approvals in (("dev", 0), ("prod", 1)):
        (tmp_path / f"environments/{name}.yaml").write_text(f"approvals: {approvals}\n")
    (tmp_path / "CODEOWNERS").write_text("# all\n* @Some-Team\n/src/ @Some-Team\n")
    for command in (["init", "--quiet"], ["remote", "add", "origin", PLATFORM.ORIGIN]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    values = {"NAME": "thing", "TEAM": "some/Some Team", "ENVIRONMENTS": ["dev", "prod"]}
    for key, value in {**values, "REGISTRY": "mlflow", "PROVIDER": "local"}.items():
        monkeypatch.setattr(project, key, value)
    place, script = Place(tmp_path), tmp_path / "bin" / PLATFORM.TOOL
    script.parent.mkdir()
    names = {"python": sys.executable, "folder": str(FOLDER), "name": NAME}
    script.write_text(SCRIPT.format(**names, state=str(place.file)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return place


@pytest.fixture
def quick(bare: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same without a process for each request."""
    start = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if command[0] != PLATFORM.TOOL:
            return start(command, **options)
        done = fake.run(NAME, bare.file, command[1:], options.get("input") or "")
        return subprocess.CompletedProcess(command, *done)

    monkeypatch.setattr(subprocess, "run", run)
    return bare


@pytest.fixture
def ready(quick: Place) -> Place:
    """A repository that is set up."""
    quick.setup()
    quick.write({**quick.read(), "log": []})
    return quick


def wrong(action: Callable[[], None]) -> str:
    with pytest.raises(MlopsError) as caught:
        action()
    return str(caught.value)


def test_what_is_missing_is_named_then_made_then_nothing_is_wrong(bare: Place) -> None:
    assert "environment prod: is missing" in wrong(bare.verify)
    assert {method for method, _ in bare.read()["log"]} == {"GET"}
    bare.setup()
    bare.verify()


def test_a_second_time_changes_nothing(ready: Place) -> None:
    ready.setup()
    assert {method for method, _ in ready.read()["log"]} == {"GET"}


@pytest.mark.parametrize(("at", "value", "said"), PLATFORM.PLANTS)
def test_a_change_is_named(ready: Place, at: Any, value: Any, said: str) -> None:
    ready.plant(at, value)
    message = wrong(ready.verify)
    assert said in message
    assert "Fix: " in message


def test_what_somebody_added_stays(ready: Place) -> None:
    for at, value in [*PLATFORM.ADDED, *PLATFORM.BROKEN]:
        ready.plant(at, value)
    assert "not as wanted" in wrong(ready.verify)
    ready.setup()
    ready.verify()
    assert [ready.at(at) for at, _ in PLATFORM.ADDED] == [value for _, value in PLATFORM.ADDED]


def test_a_dry_run_says_the_commands_and_does_none(quick: Place) -> None:
    quick.setup(dry_run=True)
    assert any(line.startswith(PLATFORM.TOOL) and "<<<" in line for line in quick.said)
    assert {method for method, _ in quick.read()["log"]} == {"GET"}


def test_what_is_refused_is_named_and_the_rest_is_done(quick: Place) -> None:
    refused, title = PLATFORM.REFUSED
    quick.plant(("refused",), refused)
    assert "the plan has no such thing" in wrong(quick.setup)
    left = wrong(quick.verify).splitlines()[1:]
    assert all(line.startswith(title) for line in left)


def test_without_the_command_line_or_a_login_nothing_is_asked(
    bare: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.plant(("login",), False)
    assert "has no login" in wrong(bare.setup)
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"`{PLATFORM.TOOL}` is not on the PATH. Install it: http" in wrong(bare.verify)
    assert bare.read()["log"] == []


def test_a_project_that_cannot_be_seen_is_a_refusal(quick: Place) -> None:
    quick.plant(("gone",), True)
    assert re.search("Not Found|has no repository", wrong(quick.setup))


def test_stricter_is_no_difference_and_stays() -> None:
    wanted = {"rules": [{"type": "a", "count": AtLeast(1), "on": True}], "kind": "x"}
    found = {
        "rules": [{"type": "b"}, {"type": "a", "count": 3, "on": True, "more": 1}],
        "kind": "x",
    }
    assert Rule("it", wanted, found).differences() == []
    assert merge(wanted, found)["rules"] == [{**found["rules"][1]}, {"type": "b"}]  # type: ignore[index]
    found = {"rules": [{"type": "a", "count": 0, "on": False}]}
    assert [line.partition(". Fix")[0] for line in Rule("it", wanted, found).differences()] == [
        "it.rules.count: is 0, wanted 1 or more",
        "it.rules.on: is false, wanted true",
        'it.kind: is null, wanted "x"',
    ]
    assert merge(wanted, found)["rules"] == [{"type": "a", "count": 1, "on": True}]


if project.CI == "github":

    def test_main_waits_for_every_job_of_candidate() -> None:
        workflow = yaml.safe_load((ROOT / ".github/workflows/candidate.yml").read_text())
        jobs = [job.get("name", key) for key, job in workflow["jobs"].items()]
        rules = json.loads((ROOT / ".github/rulesets/main.json").read_text())["rules"]
        waits = next(rule for rule in rules if rule["type"] == "required_status_checks")
        checks = waits["parameters"]["required_status_checks"]
        jobs.remove("candidate-scan")  # a private repository needs a paid plan for it
        assert sorted(check["context"] for check in checks) == sorted(jobs)

    def test_a_person_alone_approves_alone(quick: Place) -> None:
        quick.plant(("owner",), {"login": "ann", "id": 5, "type": "User"})
        # No organisation shares its variables.
        names = ("MLOPS_TRACKING_URI", "MLOPS_DEPLOYMENTS")
        quick.plant(("actions", "variables"), [{"name": name} for name in names])
        quick.setup()
        quick.verify()
        made = quick.at(("environments", "prod"))
        assert made["reviewers"] == [{"type": "User", "id": 5}]
        assert "prevent_self_review" not in made

    def test_more_approvals_than_github_asks_are_no_silent_promise(ready: Place) -> None:
        Path("environments/prod.yaml").write_text("approvals: 2\n")
        assert "environment prod, approvals: is 1, wanted 2" in wrong(ready.verify)

    def test_another_branch_that_deploys_is_named(ready: Place) -> None:
        ready.plant(("policies", 1), {"environment": "prod", "name": "*"})
        assert 'branches that deploy: is "main, *", wanted "main"' in wrong(ready.verify)


if project.CI != "gitlab":  # there it is the maintainers who approve

    def test_a_team_that_is_not_there_is_refused_before_anything_is_done(quick: Place) -> None:
        quick.plant(("teams",), [])
        assert "team" in wrong(quick.setup)
        assert {method for method, _ in quick.read()["log"]} == {"GET"}


if project.CI == "gitlab":

    def test_the_free_tier_is_told_and_is_no_difference(quick: Place) -> None:
        quick.plant(("premium",), False)
        quick.setup()
        quick.verify()
        assert any("prod needs Premium" in line for line in quick.said)
        quick.plant(("branches", 0, "allow_force_push"), True)
        assert "allow_force_push" in wrong(quick.verify)


if project.CI == "azure-devops":
    AZURE: Any = import_module("mlops.ci.azure_devops.protection")

    @pytest.fixture(autouse=True)
    def _no_origin_is_kept() -> None:
        AZURE._origin.cache_clear()

    def where() -> set[str]:
        return {value for value in AZURE._origin().values() if value}

    @pytest.mark.parametrize(
        "origin",
        [
            "https://dev.azure.com/some/Project/_git/thing",
            "git@ssh.dev.azure.com:v3/some/Project/thing",
            "https://some.visualstudio.com/DefaultCollection/Project/_git/thing",
            "https://some.visualstudio.com/Project/_git/thing",
        ],
    )
    def test_the_repository_is_found(bare: Place, origin: str) -> None:
        subprocess.run(["git", "remote", "set-url", "origin", origin], check=True)
        assert where() == {"some", "Project", "thing"}

    def test_another_origin_is_refused(bare: Place) -> None:
        subprocess.run(["git", "remote", "set-url", "origin", "https://x.example/y"], check=True)
        with pytest.raises(MlopsError, match="origin is https"):
            where()

    def test_two_approvals_are_asked_of_people(ready: Place) -> None:
        Path("environments/prod.yaml").write_text("approvals: 2\n")
        ready.setup()
        settings = ready.at((*PLATFORM.APPROVAL,))
        assert settings["minRequiredApprovers"] == 2
        assert {one["id"] for one in settings["approvers"]} == {"t-1", "ann", "bob"}

    def test_each_team_reviews_the_files_whose_last_match_it_is(quick: Place) -> None:
        quick.plant(("teams", 1), {"id": "t-2", "name": "Other"})
        Path("CODEOWNERS").write_text("* @Some-Team\n/src/mlops/ @other\n")
        quick.setup()
        owners = {
            one["settings"]["requiredReviewerIds"][0]: one["settings"]["filenamePatterns"]
            for one in quick.read()["policies"]
            if "requiredReviewerIds" in one["settings"]
        }
        assert owners == {"t-1": ["*", "!/src/mlops/*"], "t-2": ["/src/mlops/*"]}
