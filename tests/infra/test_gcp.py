"""Google Cloud: as whom Terraform acts, and what environments may do in each other's projects."""

import json
import re
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote_plus

import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
import yaml
from mlops.cloud.gcp import Cloud
from mlops.errors import MlopsError
from mlops.infra import gcp

from .conftest import Plans, Roots
from .terraform import Terraform

TRUST, MAY = "google_service_account_iam_member", "roles/iam.workloadIdentityUser"


class Google(BaseHTTPRequestHandler):
    """Google's exchange of tokens, and a bucket with a state."""

    asked: list[str]

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(f"{self.path} {self.headers['Authorization']} {asked}")
        if self.path.endswith(":generateAccessToken"):
            self.answer(accessToken="account", expireTime="2099-01-01T00:00:00Z")
        else:
            self.answer(
                access_token="job",
                token_type="Bearer",
                expires_in=3600,
                issued_token_type="urn:ietf:params:oauth:token-type:access_token",
            )

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers['Authorization']}")
        if self.path.startswith("/storage/"):
            self.answer(items=[])
        else:
            self.answer(version=4, serial=1, lineage="example", resources=[], outputs={})

    def answer(self, **content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("identity", ["plan", "apply"])
def test_the_token_is_exchanged_for_an_account_that_bootstrap_makes(
    identity: Any,
    roots: Roots,
    plans: Plans,
    terraform: Terraform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = roots("gcp")
    settings = yaml.safe_load((root / "../../environments/prod.yaml").read_text())
    names = Cloud(**settings["cloud"])
    (tmp_path / "backend.tf").write_text((root / "backend.tf").read_text())
    (tmp_path / "token").write_text("from-the-platform")
    variables = gcp.login(names, "prod", identity, tmp_path / "token")
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    Google.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{server.server_port}"
        file = Path(variables["GOOGLE_APPLICATION_CREDENTIALS"])
        text = file.read_text()
        file.write_text(re.sub(r"https://(sts|iamcredentials)\.googleapis\.com", there, text))
        monkeypatch.setenv("GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT", f"{there}/storage/v1/b")
        state = [f"-backend-config={key}={value}" for key, value in gcp.backend(names).items()]
        terraform.run(tmp_path, "init", "-input=false", *state)
        server.shutdown()
    exchange, account, bucket = Google.asked[:3]
    assert "subject_token=from-the-platform" in exchange
    assert quote_plus(gcp.audience(names).removeprefix("https:")) in exchange
    planned = plans(root, "prod")["prod"]
    made = dict(planned.of("google_service_account"))
    name = made[f'bootstrap.google_service_account.this["{identity}"]']["account_id"]
    email = f"{name}@{names.project}.iam.gserviceaccount.com"
    assert f"/{email}:generateAccessToken Bearer job" in account
    assert bucket.startswith(f"/storage/v1/b/{names.bucket}-state/o?")
    assert bucket.endswith("Bearer account")
    trusted = {one["service_account_id"] for _, one in planned.of(TRUST) if one["role"] == MAY}
    assert f"projects/{names.project}/serviceAccounts/{email}" in trusted


def test_without_a_provider_nobody_logs_in(tmp_path: Path) -> None:
    names = Cloud(project="example", region="europe-west4", bucket="example")
    with pytest.raises(MlopsError, match=r"cloud\.provider is missing"):
        gcp.login(names, "prod", "plan", tmp_path / "token")
    assert not list(tmp_path.iterdir())


def test_the_others_use_devs_images_data_and_models_and_nobody_uses_prods(
    roots: Roots, plans: Plans, tmp_path: Path
) -> None:
    tree = shutil.copytree(roots("gcp").parents[1], tmp_path / "tree", symlinks=True)
    for number, file in enumerate(sorted((tree / "environments").iterdir()), start=1):
        if file.stem != "staging":  # which nobody has filled in yet
            file.write_text(file.read_text().replace("/000000000000/", f"/{number}/"))
    sets = "principalSet://cloudresourcemanager.googleapis.com/projects"
    found: dict[str, set[str]] = {}
    for name, one in plans(tree / "infra/gcp", "dev", "prod").items():
        members = {
            (values["member"].removeprefix(sets), values["role"].split(".")[-1], *titles(values))
            for _, values in one.of()
            if values.get("member", "").startswith(sets) and values.get("role")
        }
        found[name] = {" ".join(each) for each in members}
        guests = [
            key for key, one in one.of("google_project_iam_member") if f'"guest {sets}' in key
        ]
        assert len(guests) == (3 if name == "dev" else 0)
    theirs = [f"/{number}/type/ServiceAccount" for number in (2, 3, 5)]  # prod, shadow, test
    agents = [one.replace("Account", "Agent") for one in theirs]
    assert found == {
        "dev": {f"{one} reader" for one in theirs + agents}
        | {f"{one} objectViewer only dvc/" for one in theirs}
        | {f"{one} objectUser only registry/" for one in theirs},
        "prod": set(),
    }


def titles(values: Any) -> list[str]:
    return [one["title"] for one in values.get("condition") or []]
