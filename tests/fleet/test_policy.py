"""The organisation's policy: what it refuses, whom it excuses, and what Copier takes of it."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trees
import yaml

from factory import policy
from factory.errors import FactoryError
from factory.files import Files
from factory.policy import Finding, Policy
from factory.tools import tools

TODAY = date(2026, 11, 21)
ALL: dict[str, Any] = {
    "allowed": {"provider": ["aws", "azure"], "contact": ["*@factory.example"]},
    "forced": {"license": "Apache-2.0", "environments": ["dev", "staging", "prod"]},
    "defaults": {"provider": "aws", "contact": "ml@factory.example", "team": "ml/flights"},
    "patterns": {"edge": {"serving": ["edge"]}},
    "required_labels": ["stage"],
    "tools": {
        "actions": [
            "actions/*",
            "astral-sh/setup-uv",
            "aws-actions/*",
            "docker/*",
            "github/codeql-action/*",
            "sigstore/cosign-installer",
        ],
        "images": [
            "docker.io/envoyproxy/envoy:v1.*",
            "docker.io/library/python:3.*",
            "mcr.microsoft.com/devcontainers/*",
        ],
        "packages": ["*"],
    },
}


def written(folder: Path, content: dict[str, Any] | str) -> Path:
    path = folder / "policy.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    return path


def found(
    of: Policy | dict[str, Any],
    answers: dict[str, Any] | None = None,
    files: dict[str, str] | None = None,
    **more: Any,
) -> list[Finding]:
    given = of if isinstance(of, Policy) else Policy.model_validate(of)
    known: dict[str, Any] = {"answers": answers or {}, "labels": {}, "today": TODAY}
    return policy.violations(given, "churn", files=Files.of(files or {}), **known | more)


def rules(findings: list[Finding], level: str = "error") -> list[str]:
    return [one.rule for one in findings if one.level == level]


# The file --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"alowed": {}}, "alowed is not known; nearest is allowed"),
        ({"tools": {"action": []}}, "tools.action is not known; nearest is actions"),
        ({"exceptions": [{"repo": "a"}]}, "exceptions.0.repository"),
        ({"minimum": {"level": 5}}, "minimum.level: Input should be less than or equal to 4"),
        ({"minimum": {"version": "new"}}, "minimum.version"),
        (
            {"allowed": {"provider": ["aws"]}, "defaults": {"provider": "gcp"}},
            "defaults.provider is gcp, which allowed.provider leaves out: aws",
        ),
        (
            {"forced": {"license": "MIT"}, "defaults": {"license": "BSD-3-Clause"}},
            "forced.license is MIT: leave it out of defaults",
        ),
        ({"allowed": {"provder": ["aws"]}}, "does not ask provder; nearest is provider"),
        ({"allowed": {"provider": ["aw"]}}, "aw is no choice; nearest is aws"),
        ({"patterns": {"x": {"serving": ["onlin"]}}}, "patterns.x.serving: onlin is no choice"),
        ({"defaults": {"reserved_names": "x"}}, "does not ask reserved_names"),
        ("a: [", "is no YAML"),
        ("[]", "the file"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_name(
    tmp_path: Path, content: dict[str, Any] | str, told: str
) -> None:
    with pytest.raises(FactoryError, match=r"policy\.yaml") as raised:
        policy.load(written(tmp_path, content), trees.CONFIG)
    assert told in str(raised.value)


def test_an_exception_from_no_rule_is_refused(tmp_path: Path) -> None:
    one = {"repository": "a", "rule": "alowed.provider", "reason": "x", "until": "2027-01-01"}
    with pytest.raises(
        FactoryError, match=r"no rule is called alowed\.provider; nearest is allowed"
    ):
        policy.load(written(tmp_path, {"exceptions": [one]}))


def test_an_empty_policy_allows_everything(tmp_path: Path) -> None:
    assert found(policy.load(written(tmp_path, "")), {"provider": "local"}) == []


# Answers ---------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [None, "edge"])
def test_copier_takes_the_answers_of_a_policy_and_no_violation_is_left(
    tmp_path: Path, pattern: str | None
) -> None:
    of = policy.load(written(tmp_path, ALL), trees.CONFIG)
    data = tmp_path / "answers.yaml"
    data.write_text(yaml.safe_dump(policy.answers(of, trees.CONFIG, pattern)), encoding="utf-8")
    target = tmp_path / "project"
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--data-file"]
    subprocess.run([*command, data, trees.template(), target], check=True)
    given = trees.answers_of(target)
    files = Files.of_folder(target)
    assert given["team"] == "ml/flights"
    assert given["serving"] == (["edge"] if pattern else ["online", "batch"])
    labels = {"stage": "pilot"}
    assert not policy.violations(
        of, "churn", answers=given, files=files, labels=labels, today=TODAY
    )
    # The same policy refuses the template's own defaults, so that the above can fail.
    usual = trees.rendered()
    bad = policy.violations(
        of,
        "churn",
        answers=trees.answers_of(usual),
        files=Files.of_folder(usual),
        labels={},
        today=TODAY,
    )
    assert sorted(rules(bad)) == [
        "allowed.contact",
        "allowed.provider",
        "forced.license",
        "labels.stage",
    ]


def test_a_default_that_the_policy_leaves_out_is_asked_for() -> None:
    of = Policy.model_validate({"allowed": {"provider": ["aws", "azure"]}})
    with pytest.raises(FactoryError, match=r"own default, local: say defaults\.provider"):
        policy.answers(of, trees.CONFIG)
    one = Policy.model_validate({"allowed": {"provider": ["aws"], "serving": ["batch"]}})
    assert policy.answers(one, trees.CONFIG) == {"provider": "aws", "serving": ["batch"]}


def test_a_pattern_that_is_not_there_is_named() -> None:
    with pytest.raises(FactoryError, match="no pattern egde; nearest is edge; it has edge"):
        policy.answers(Policy.model_validate(ALL), pattern="egde")


def test_each_answer_that_is_not_allowed_is_told_with_its_line_and_fix() -> None:
    text = "# by the template\nprovider: local\nserving:\n- online\n- edge\n"
    of = {"allowed": {"provider": ["aws"], "serving": ["online", "batch"]}}
    provider, serving = found(of, yaml.safe_load(text), {".copier-answers.yml": text})
    assert (provider.rule, provider.path, provider.line) == (
        "allowed.provider",
        ".copier-answers.yml",
        2,
    )
    assert provider.message == "provider is local; the policy allows aws"
    assert 'factory update --data "provider=aws"' in provider.fix
    assert serving.message == "serving is edge; the policy allows online, batch"


def test_a_forced_answer_must_be_there_in_whatever_order() -> None:
    of = {"forced": {"environments": ["dev", "prod"], "oversight": "regulated"}}
    assert rules(found(of, {"environments": ["prod", "dev"]})) == ["forced.oversight"]
    assert "is not answered" in found(of, {"environments": ["prod", "dev"]})[0].message


def test_labels_versions_and_levels_have_a_least() -> None:
    of = {"required_labels": ["stage"], "minimum": {"version": "0.10.0", "level": 2}}
    good: dict[str, Any] = {"labels": {"stage": "pilot"}, "version": "v0.10.1", "level": 2}
    assert found(of, **good) == []
    assert rules(found(of, **(good | {"labels": {"stage": " "}}))) == ["labels.stage"]
    assert "nearest is stages" in found(of, **(good | {"labels": {"stages": "x"}}))[0].message
    assert rules(found(of, **(good | {"version": "0.9.0"}))) == ["minimum.version"]
    assert rules(found(of, **(good | {"version": None}))) == ["minimum.version"]
    assert rules(found(of, **(good | {"level": 1}))) == ["minimum.level"]


def test_a_repository_without_answers_is_sent_to_adopt() -> None:
    of = {"forced": {"license": "MIT"}, "allowed": {"ci": ["github"]}, "minimum": {"version": "1"}}
    findings = found(of)
    assert rules(findings) == ["forced.license", "minimum.version"]
    assert {(one.path, one.fix.split(" lays")[0]) for one in findings} == {(None, "factory adopt")}


# Exceptions ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2027-01-31", {"note": ["allowed.provider"]}),
        ("2026-11-21", {"note": ["allowed.provider"], "warning": ["exception.ends"]}),
        ("2026-12-21", {"note": ["allowed.provider"], "warning": ["exception.ends"]}),
        ("2026-12-22", {"note": ["allowed.provider"]}),
        ("2026-11-20", {"error": ["allowed.provider", "exception.ended"]}),
    ],
)
@pytest.mark.parametrize(
    ("repository", "rule"), [("churn", "allowed.provider"), ("c*", "allowed.*")]
)
def test_an_exception_excuses_until_its_day_and_is_told(
    until: str, expected: dict[str, list[str]], repository: str, rule: str
) -> None:
    one = {"repository": repository, "rule": rule, "reason": "moves in spring", "until": until}
    findings = found({"allowed": {"provider": ["aws"]}, "exceptions": [one]}, {"provider": "local"})
    assert {level: rules(findings, level) for level in ("error", "warning", "note")} == {
        "error": [],
        "warning": [],
        "note": [],
    } | expected
    assert "moves in spring" in " ".join(finding.message for finding in findings)


def test_an_exception_of_another_repository_or_rule_excuses_nothing() -> None:
    for change in ({"repository": "fraud"}, {"rule": "forced.*"}):
        one = {"repository": "churn", "rule": "allowed.provider", "reason": "x"} | change
        of: dict[str, Any] = {
            "allowed": {"provider": ["aws"]},
            "exceptions": [one | {"until": "2099-01-01"}],
        }
        assert rules(found(of, {"provider": "local"})) == ["allowed.provider"]


# Tools -----------------------------------------------------------------------

SHA = "a" * 40


@pytest.mark.parametrize(
    ("ci", "provider"),
    [("github", "aws"), ("github", "kubernetes"), ("gitlab", "local"), ("azure-devops", "azure")],
)
def test_the_tools_of_generated_projects_are_those_of_the_list(ci: str, provider: str) -> None:
    tasks = ["AzureCLI", "Cache", "CopyFiles", "DownloadPipelineArtifact"]
    actions = [*ALL["tools"]["actions"], *tasks, "PublishBuildArtifacts"]
    tree = trees.rendered(**trees.BASE | {"ci": ci, "provider": provider})
    files = Files.of_folder(tree)
    answers = trees.answers_of(tree)
    of = Policy.model_validate({"tools": ALL["tools"] | {"actions": actions}})
    findings = policy.violations(of, "churn", answers=answers, files=files, labels={}, today=TODAY)
    assert rules(findings) == []
    kinds = {tool.kind for tool in tools(files)}
    assert kinds >= {"images", "packages"}
    # Without the list's lines for images and packages, each is named.
    bare = Policy.model_validate({"tools": {"images": [], "packages": []}})
    found = policy.violations(bare, "x", answers=answers, files=files, labels={}, today=TODAY)
    assert set(rules(found)) == {"tools.images", "tools.packages"}


@pytest.mark.parametrize(
    ("path", "text", "rule", "line"),
    [
        (
            ".github/workflows/a.yml",
            f"# x\nsteps:\n  - uses: evil/action@{SHA}\n",
            "tools.actions",
            3,
        ),
        (".github/workflows/a.yml", f"steps: [{{uses: evil/action@{SHA}}}]", "tools.actions", 1),
        (".github/workflows/a.yml", "- uses: actions/checkout@v4\n", "pinned.actions", 1),
        (".github/workflows/a.yml", "- uses: actions/checkout\n", "pinned.actions", 1),
        (".github/workflows/a.yml", "- uses: docker://evil/image:1\n", "tools.images", 1),
        (".github/actions/x/action.yml", f"- uses: evil/x@{SHA}\n", "tools.actions", 1),
        (".github/workflows/a.yml", "jobs: {a: {container: evil/image}}\n", "tools.images", 1),
        (".gitlab-ci.yml", "x: !reference [.a]\nimage:\n  name: evil/image:1\n", "tools.images", 3),
        (".gitlab/ci/a.yml", "test:\n  services: [evil/image]\n", "tools.images", 2),
        (".gitlab-ci.yml", f"include:\n  - component: evil/x@{SHA}\n", "tools.actions", 2),
        ("azure-pipelines/a.yml", "steps:\n- task: Evil@1\n", "tools.actions", 2),
        (
            "Dockerfile",
            "# FROM x\nARG BASE=evil/image:1\nFROM ${BASE} AS a\nFROM a\n",
            "tools.images",
            2,
        ),
        ("Dockerfile.job", "from --platform=linux/amd64 evil/image\n", "tools.images", 1),
        ("compose.yaml", "services: {a: {image: '${X:-evil/image}:1'}}\n", "tools.images", 1),
        ("deploy/a.yaml", "a: 1\n---\nimage: evil/image\n", "tools.images", 3),
        ("pyproject.toml", '[project]\ndependencies = ["Evil_Pkg>=1"]\n', "tools.packages", 2),
        ("pyproject.toml", '[dependency-groups]\na = ["evil"]\n', "tools.packages", 2),
        ("pyproject.toml", '[build-system]\nrequires = ["evil"]\n', "tools.packages", 2),
        ("requirements.txt", "-r x\n# a\nevil==1 # why\n", "tools.packages", 3),
        ("requirements.txt", "not a requirement!\n", "tools.packages", 1),
    ],
)
def test_a_tool_that_is_not_approved_is_found_where_it_hides(
    path: str, text: str, rule: str, line: int
) -> None:
    of = {"tools": {"actions": ["actions/*"], "images": ["good/*"], "packages": ["good"]}}
    (finding,) = found(of, files={path: text})
    assert (finding.rule, finding.level, finding.path, finding.line) == (rule, "error", path, line)


def test_what_is_the_projects_own_is_not_judged_and_a_variable_is_told() -> None:
    of: dict[str, Any] = {"tools": {"actions": [], "images": [], "packages": []}}
    own = {
        ".github/workflows/a.yml": "- uses: ./.github/actions/setup\n",
        "compose.yaml": "image: ${IMAGE:-churn}:${BLUE:?a version}\n",
        "pyproject.toml": '[project]\ndependencies = ["churn[train]"]\n',
    }
    assert found(of, {"project_slug": "churn"}, own) == []
    assert found(of, files={".github/workflows/a.yml": "- uses: ''\n"})
    (note,) = found(of, files={".gitlab-ci.yml": "image: $BASE\n"})
    assert (note.rule, note.level) == ("tools.unknown", "note")


# Each mapping is nine of the one before: 9 ** 29 keys.
BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{k: 1, <<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "\x00",
        "[" * 100_000,
        "- " * 50_000,
        "x" * 300_000,
        "a: &a [*a]\nuses: evil/x@1\n",
        BOMB,
    ],
    ids=["broken", "binary", "deep", "nested", "large", "circular", "merges"],
)
def test_a_file_that_cannot_be_read_is_a_finding(text: str) -> None:
    findings = found({"tools": {"actions": ["*"]}}, files={".github/workflows/a.yml": text})
    assert findings
    assert findings[0].path == ".github/workflows/a.yml"
    assert findings[0].level == "error"
