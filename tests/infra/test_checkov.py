"""checkov finds nothing; a finding that is none is skipped where it stands, with the reason.

Its pins (boto3, packaging) fit no other package's: uv gives it an environment of its own.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import PROVIDERS, Roots
from .terraform import Object

CHECKOV = "checkov==3.3.30"
WILDCARD = """
resource "kubernetes_role_v1" "planted" {
  metadata {
    name      = "planted"
    namespace = "example"
  }
  rule {
    api_groups = ["*"]
    resources  = ["*"]
    verbs      = ["*"]
  }
}
"""


def scan(root: Path) -> Object:
    """Return what checkov says of a folder; it asks nobody else."""
    command = f"uv tool run --quiet --from {CHECKOV} checkov --framework terraform --directory"
    options = ["--skip-download", "--compact", "--output", "json"]
    done = subprocess.run(
        [*command.split(), str(root), *options], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    found: Object = json.loads(done.stdout)["results"]
    return found


@pytest.fixture(scope="module", autouse=True)
def needs_uv() -> None:
    if not shutil.which("uv"):
        pytest.skip("CHECKOV DOES NOT RUN HERE: it takes uv")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_finds_nothing_that_is_not_explained(provider: str, roots: Roots) -> None:
    found = scan(roots(provider))
    assert found["parsing_errors"] == []
    assert [(one["check_id"], one["resource"]) for one in found["failed_checks"]] == []
    for one in found["skipped_checks"]:
        assert len(one["check_result"]["suppress_comment"].split()) > 2, one["check_id"]
    assert found["passed_checks"]


def test_finds_what_is_planted(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(WILDCARD)
    assert [one["check_id"] for one in scan(tmp_path)["failed_checks"]] == ["CKV_K8S_49"]
