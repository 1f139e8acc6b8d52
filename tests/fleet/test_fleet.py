"""The fleet file and its errors, and a folder of repositories."""

from pathlib import Path

import pytest
import yaml

from factory.errors import FactoryError
from factory.fleet import ANSWERS, Fleet, Member, load

FULL = """
template: https://git.example.com/ai/copier-mlops
formerly: [git@git.example.com:old/copier-mlops]
policy: rules/policy.yaml
rings: [canary, all]
repositories:
  - source: https://git.example.com/team-a/flight-delays.git/
    ring: canary
    labels: {stage: production, owner: team-a}
    forge: gitlab
  - source: ../churn
  - {source: "git@git.example.com:team-b/pricing.git", branch: trunk, name: prices}
  - {source: "git@git.example.com:mono.git", subfolder: models/churn}
  - {source: "git@git.example.com:mono.git", subfolder: models/prices}
  - {source: ~/mine}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "fleets/fleet.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_fleet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, FULL)
    monkeypatch.chdir(path.parent)
    fleet = load(Path("fleet.yaml"))  # paths are relative to the file, wherever one is
    monkeypatch.chdir(tmp_path)
    assert load(path) == fleet
    assert fleet.template == "https://git.example.com/ai/copier-mlops"
    assert fleet.policy == tmp_path / "fleets/rules/policy.yaml"
    assert [(one.name, one.ring, one.subfolder) for one in fleet.repositories] == [
        ("flight-delays", "canary", "."),
        ("churn", "all", "."),
        ("prices", "all", "."),
        ("mono/churn", "all", "models/churn"),
        ("mono/prices", "all", "models/prices"),
        ("mine", "all", "."),
    ]
    assert fleet.repositories[0].source == "https://git.example.com/team-a/flight-delays.git/"
    assert fleet.repositories[0].forge == "gitlab"
    assert fleet.repositories[0].labels == {"stage": "production", "owner": "team-a"}
    assert fleet.repositories[1].source == str(tmp_path / "churn")
    assert fleet.repositories[2].branch == "trunk"
    assert fleet.repositories[-1].source == str(Path.home() / "mine")


def test_a_path_of_a_template_is_beside_the_file(tmp_path: Path) -> None:
    fleet = load(write(tmp_path, "template: ../template\nrepositories: [{source: a:b}]\n"))
    assert fleet.template == str(tmp_path / "template")
    assert (fleet.rings, fleet.repositories[0].ring) == (["all"], "all")


A, B = "{source: a}", "{source: b}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: None: a mapping is needed here"),
        ("[]", r"the file: \[\]: a mapping is needed here"),
        ("repositories: [", "is no YAML: "),
        ("template: x", "repositories is missing"),
        ("repositories: 3", "repositories: 3: a list is needed here"),
        ("repositories: [a]", "repositories.0: 'a': `source: …` is needed here"),
        ("repositories: [{}]", "repositories.0.source is missing"),
        ("repositories: [{source: ''}]", "repositories.0.source: '': String should have at least"),
        ("repositories: [{source: 3}]", "repositories.0.source: 3: Input should be a valid string"),
        (
            "repositories: [{sorce: a, source: b}]",
            "repositories.0.sorce: there is no sorce; there are source, name, ring, branch, ",
        ),
        ("repos: []", "repos: there is no repos; there are template, .*repositories"),
        (
            "repositories: []\nring: [a]",
            "ring: there is no ring; there are template, formerly, policy, rings, repositories",
        ),
        (
            "repositories: [{source: a, forge: gitea}]",
            "repositories.0.forge: 'gitea': Input should be 'github', 'gitlab' or 'azure-devops'",
        ),
        ("repositories: [{source: a, labels: {x: 3}}]", "repositories.0.labels.x: 3: .* string"),
        ("rings: []\nrepositories: []", r"rings: \[\]: List should have at least 1 item"),
        (
            "rings: [canary]\nrepositories: [{source: a, ring: canari}]",
            "fleet.yaml: a: there is no ring canari; `rings` has canary",
        ),
        (
            "repositories: [{source: x/a}, {source: y/a}]",
            "two repositories are called a, .*/x/a and .*/y/a: give one of them another `name`",
        ),
        (
            "repositories: [{source: a}, {source: ../fleets/a, name: b}]",
            "/a is there twice, as a and b: take one away",
        ),
    ],
)
def test_what_no_fleet_has(text: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(FactoryError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(FactoryError, match="no such fleet file or folder of repositories"):
        load(tmp_path / "none.yaml")
    path = write(tmp_path, "")
    path.write_bytes(b"\xff")
    with pytest.raises(FactoryError, match="is no YAML"):
        load(path)


def test_one_repository_of_two_branches(tmp_path: Path) -> None:
    rows = [{"source": "a", "name": name, "branch": name} for name in ("one", "two")]
    fleet = load(write(tmp_path, yaml.safe_dump({"repositories": rows})))
    assert [one.branch for one in fleet.repositories] == ["one", "two"]


def test_a_thousand_members(tmp_path: Path) -> None:
    rows = [{"source": f"https://git.example.com/team/{n}", "ring": "b"} for n in range(1000)]
    text = yaml.safe_dump({"rings": ["a", "b"], "repositories": rows})
    fleet = load(write(tmp_path, text))
    assert len({member.name for member in fleet.repositories}) == 1000
    assert Fleet.model_validate_json(fleet.model_dump_json()) == fleet


def test_a_folder_of_repositories(tmp_path: Path) -> None:
    inside = ["b", "a", "group/c", "group/.hidden/x", "mono/models/d", "a/inner", "too/deep/for/it"]
    for name in inside:
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / ANSWERS).touch()
    (tmp_path / "all/none").mkdir()
    (tmp_path / "all/link").symlink_to(tmp_path / "all/b")
    fleet = load(tmp_path / "all")
    assert [one.name for one in fleet.repositories] == ["a", "b", "group/c", "mono/models/d"]
    assert fleet.repositories[2] == Member(
        source=str(tmp_path / "all/group/c"), name="group/c", ring="all"
    )
    assert fleet.rings == ["all"]
    assert [one.name for one in load(tmp_path / "all/a").repositories] == ["a"]
    with pytest.raises(FactoryError, match=f"/none: no {ANSWERS} here or 3 levels below"):
        load(tmp_path / "all/none")
