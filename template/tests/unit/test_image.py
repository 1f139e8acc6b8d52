"""With fakes of docker, podman, buildah and cosign, which write down what they were asked."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import candidate, image
from mlops.errors import GateError, MlopsError
from mlops.lineage import git, sha256

DIGEST = "sha256:" + "0123456789abcdef" * 4
FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys
name = os.path.basename(sys.argv[0])
with open({{log!r}}, "a") as log:
    log.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
for option in sys.argv:
    if option.startswith("--digestfile="):
        pathlib.Path(option.partition("=")[2]).write_text("{DIGEST}")
if name == "docker" and sys.argv[1] == "push":
    print("a1b2c3: Pushed\\n3: digest: {DIGEST} size: 1234")
sys.exit(sys.argv[1] == os.environ.get("FAILS"))
"""


class Tools:
    """The fakes on the PATH, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.bin.mkdir()

    def add(self, *names: str) -> None:
        for name in names:
            (self.bin / name).write_text(FAKE.format(log=str(self.log)))
            (self.bin / name).chmod(0o755)

    @property
    def asked(self) -> list[list[str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [words for words in map(json.loads, lines) if words[1] != "info"]


@pytest.fixture
def tools(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """No tool but git yet; version 3 is the candidate."""
    model = Path("models/candidate")
    verified = SimpleNamespace(signature="abc")
    monkeypatch.setattr(candidate, "verify_version", lambda number: verified)
    monkeypatch.setattr(candidate, "fetch", lambda number: model)
    monkeypatch.delenv("TF_BUILD", raising=False)
    made = Tools(tmp_path)
    (made.bin / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.mark.parametrize("tool", image.BUILD)
def test_an_image_is_built_and_pushed_by_whichever_tool_is_there(tools: Tools, tool: str) -> None:
    tools.add(tool)
    assert image.build(3, "ghcr.io/team/name", "") == f"ghcr.io/team/name@{DIGEST}"
    build, push = tools.asked
    assert build[:2] == [tool, "build"]
    assert {
        "--build-arg=MODEL=models/candidate",
        "--build-arg=VERSION=3",
        f"--build-arg=REVISION={git('rev-parse', 'HEAD')}",
        "--label=mlops.gate=abc",
        "--tag=ghcr.io/team/name:3",
    } < set(build)
    assert ("--format=docker" in build) == (tool != "docker")
    assert push[:2] == [tool, "push"]
    assert image.MADE.read_text() == f"ghcr.io/team/name@{DIGEST}\n"


def test_without_a_repository_it_stays_here(tools: Tools) -> None:
    tools.add("buildah")
    name = image.build(3, "", "")
    assert [words[1] for words in tools.asked] == ["build"]
    assert (
        image.sign("") == f"{name} is on this machine only (IMAGE is not set): nothing is signed."
    )


def test_a_tool_whose_engine_is_not_there_is_passed_over(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MlopsError, match="none of docker, podman, buildah is there"):
        image.build(3, "", "")
    tools.add("docker")
    monkeypatch.setenv("FAILS", "info")
    with pytest.raises(MlopsError, match="none of docker, podman, buildah is there"):
        image.build(3, "", "")


@pytest.mark.parametrize("step", ["build", "push"])
def test_nothing_can_be_signed_after_a_failure(
    tools: Tools, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.add("podman", "cosign")
    image.build(3, "ghcr.io/team/name", "")
    monkeypatch.setenv("FAILS", step)
    with pytest.raises(MlopsError, match=f"podman {step} failed"):
        image.build(4, "ghcr.io/team/name", "")
    with pytest.raises(MlopsError, match="nothing to sign"):
        image.sign("")


def test_what_has_no_good_record_or_no_commit_is_not_built(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.add("docker")
    Path("new.py").touch()
    with pytest.raises(MlopsError, match="Not everything is committed"):
        image.build(3, "ghcr.io/team/name", "")

    def refuse(number: int) -> None:
        raise GateError("record.signature: edited")

    monkeypatch.setattr(candidate, "verify_version", refuse)
    with pytest.raises(GateError, match="edited"):
        image.build(3, "", "")
    assert tools.asked == []


PEM = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE " + "KEY-----\nxyz"


@pytest.mark.parametrize(
    ("key", "option"),
    [
        ("", []),
        (PEM, ["--key=env://COSIGN_KEY"]),
        ("awskms:///alias/x", ["--key=awskms:///alias/x"]),
    ],
)
def test_the_digest_is_signed_and_both_documents_are_attested(
    tools: Tools, key: str, option: list[str]
) -> None:
    tools.add("docker", "cosign")
    name = image.build(3, "ghcr.io/team/name", "https://github.com/team/name/actions/runs/1")
    image.SBOM.write_text("{}")
    assert "is signed" in image.sign(key)
    attest = ["cosign", "attest", "--yes", *option]
    assert tools.asked[2:] == [
        ["cosign", "sign", "--yes", *option, name],
        [*attest, "--type=cyclonedx", "--predicate=dist/sbom.cdx.json", name],
        [*attest, "--type=slsaprovenance1", "--predicate=dist/provenance.json", name],
    ]


def test_nothing_is_signed_unless_all_is_there(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MlopsError, match=r"nothing to sign: dist/image\.txt is missing"):
        image.sign("")
    tools.add("docker")
    image.build(3, "ghcr.io/team/name", "")
    with pytest.raises(MlopsError, match=r"sbom\.cdx\.json is missing.*`make sbom`"):
        image.sign("")
    image.SBOM.write_text("{}")
    with pytest.raises(MlopsError, match="cosign is not installed"):
        image.sign("")
    tools.add("cosign")
    monkeypatch.setenv("TF_BUILD", "True")
    with pytest.raises(MlopsError, match="set COSIGN_KEY"):
        image.sign("")
    assert [words[0] for words in tools.asked] == ["docker"] * 2
    monkeypatch.setenv("FAILS", "sign")
    with pytest.raises(MlopsError, match="cosign sign failed"):
        image.sign("awskms:///alias/x")
    assert tools.asked[-1][1] == "sign"


def test_the_provenance_names_the_commit_the_builder_and_what_went_in(tools: Tools) -> None:
    git("remote", "add", "origin", "https://oauth2:" + "t0ken@gitlab.example.com/team/name.git")
    run = "https://gitlab.example.com/team/name/-/pipelines/7"
    made: dict[str, Any] = image.provenance(3, Path("models/candidate"), run)
    commit = git("rev-parse", "HEAD")
    source, *files = made["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == f"git+https://gitlab.example.com/team/name.git@{commit}"
    assert source["digest"] == {"gitCommit": commit}
    assert {one["name"]: one["digest"]["sha256"] for one in files} == {
        name: sha256(Path(name)) for name in ("uv.lock", "dvc.lock", "models/candidate/model.onnx")
    }
    assert made["runDetails"]["builder"] == {"id": "https://gitlab.example.com"}
    assert made["runDetails"]["metadata"]["invocationId"] == run
    assert "t0ken" not in json.dumps(made)
