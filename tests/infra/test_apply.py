"""The root at AWS applied for real: Terraform, Amazon's own provider, state with a lock; and moto.

The provider is 5.100.0, which some machines have in a mirror; the roots ask for a later one, whose
schema test_terraform.py knows. What moto can't is left out by override files, which say why.
"""

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
import yaml
from conftest import render
from mlops.cloud.aws import Cloud
from mlops.infra import aws as infra
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from .policies import TAGS
from .terraform import Object

VERSION = "5.100.0"
ACCOUNT = "123456789012"  # moto's
LOCK = {"ID": "1", "Operation": "OperationTypeApply", "Who": "another"}
# Where Terraform itself looks for a mirror, if it is told of none.
MIRRORS = (
    os.environ.get("MLOPS_TF_MIRROR", ""),
    Path.home() / ".terraform.d/plugins",
    Path.home() / ".local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
)
PROVIDER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "%s" }
  }
}

provider "aws" {
  s3_use_path_style = true # buckets have no names of hosts on loopback
}
"""
NONE = 'resource "%s" "%s" {\n  count = 0\n}\n'
OVERRIDES = {
    "": PROVIDER % VERSION + 'module "images" {\n  feed = "" # moto has no CodeArtifact\n}\n',
    # moto takes "refuse what is not TLS" for "refuse all": it knows no conditions of a policy.
    "modules/storage": NONE % ("aws_s3_bucket_policy", "data")
    # What moto answers is never what the provider waits for, a minute long.
    + NONE % ("aws_s3_bucket_lifecycle_configuration", "data"),
    # moto's budgets have no tags: the provider asks again and again.
    "modules/budget": NONE % ("aws_budgets_budget", "month") + 'output "budget" { value = null }\n',
    # moto deletes no group of packages: the provider asks again and again.
    "modules/workspace": NONE % ("aws_sagemaker_model_package_group", "models")
    + 'output "group" { value = null }\n',
    "bootstrap": PROVIDER % VERSION
    + NONE % ("aws_s3_bucket_policy", "state")
    + NONE % ("aws_s3_bucket_lifecycle_configuration", "state"),
}


class Account(NamedTuple):
    """An account that is empty, and a project with names in it."""

    tree: Path
    variables: dict[str, str]

    def run(self, folder: str, *arguments: str, fails: bool = False, **variables: str) -> str:
        """Run terraform; return what it prints. ``fails`` is what is expected."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.tree / "infra/aws" / folder,
            env={k: v for k, v in (self.variables | variables).items() if v},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, f"{arguments}\n{done.stdout[-4000:]}"
        return done.stdout

    def client(self, service: str) -> Any:
        """Return a client of the account."""
        return boto3.client(
            service,
            region_name="eu-west-1",
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="nobody",
            aws_secret_access_key="nobody",
        )

    def left(self) -> dict[str, list[str]]:
        """Return what is there, by kind; a key that waits to be deleted has gone."""
        iam, kms = self.client("iam"), self.client("kms")
        keys = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
        watch, logs = self.client("cloudwatch"), self.client("logs")
        found = {
            "buckets": [one["Name"] for one in self.client("s3").list_buckets()["Buckets"]],
            "keys": [one["KeyId"] for one in keys if one["KeyState"] == "Enabled"],
            "roles": [one["RoleName"] for one in iam.list_roles()["Roles"]],
            "issuers": iam.list_open_id_connect_providers()["OpenIDConnectProviderList"],
            "images": self.client("ecr").describe_repositories()["repositories"],
            "topics": self.client("sns").list_topics()["Topics"],
            "alarms": watch.describe_alarms()["MetricAlarms"],
            "dashboards": watch.list_dashboards()["DashboardEntries"],
            "rules": self.client("events").list_rules()["Rules"],
            "logs": logs.describe_log_groups()["logGroups"],
        }
        return {kind: names for kind, names in found.items() if names}


def mirror() -> Path:
    """Return the mirror that has the provider, or skip."""
    for each in MIRRORS:
        if each and list(Path(each).glob(f"registry.terraform.io/hashicorp/aws/{VERSION}/*")):
            return Path(each)
    pytest.skip(
        f"NOTHING IS APPLIED HERE: no mirror has hashicorp/aws {VERSION}; MLOPS_TF_MIRROR names one"
    )


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    if not shutil.which("terraform"):
        pytest.skip("NOTHING IS APPLIED HERE: it takes terraform")
    settings = tmp_path / "settings.tfrc"
    settings.write_text(
        f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror()}" }}\n}}\n'
    )
    tree = render(
        tmp_path / "flight-delays",
        provider="aws",
        environments=["dev", "prod"],
        registry="sagemaker",
    )
    for file in (tree / "environments").glob("*.yaml"):
        file.write_text(file.read_text().replace("0" * 12, ACCOUNT))
    for folder, text in OVERRIDES.items():
        (tree / "infra/aws" / folder / "moto_override.tf").write_text(text)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto_api_backend.reset()  # which is one in a process
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        yield Account(
            tree,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "AWS_ENDPOINT_URL": address,
                "AWS_ENDPOINT_URL_STS": address,  # else the token goes to Amazon's
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nobody",
                "AWS_EC2_METADATA_DISABLED": "true",
                "CHECKPOINT_DISABLE": "1",
                "TF_CLI_ARGS": "-no-color",
                "TF_CLI_CONFIG_FILE": str(settings),
                "TF_INPUT": "0",
            },
        )
    finally:
        server.stop()


def test_an_environment_comes_and_goes(account: Account) -> None:
    names = yaml.safe_load((account.tree / "environments/dev.yaml").read_text())["cloud"]
    state, s3 = infra.backend(Cloud(**names)), account.client("s3")
    dev = "-var-file=environments/dev.tfvars"
    given = ["-var-file=../terraform.tfvars", "-var-file=../environments/dev.tfvars"]

    def run(folder: str, *command: str, fails: bool = False) -> str:
        workspace = {"TF_WORKSPACE": "dev"} if folder else {}
        return account.run(folder, *command, fails=fails, **workspace)

    def apply(folder: str, *files: str, protect: bool, fails: bool = False) -> str:
        switch = f"-var=protect={protect}".lower()
        return run(folder, "apply", "-auto-approve", *files, switch, fails=fails)

    def destroy(folder: str, *files: str, fails: bool = False) -> str:
        return run(folder, "destroy", "-auto-approve", *files, fails=fails)

    account.run("bootstrap", "init")
    apply("bootstrap", *given, protect=True)
    backend = (f"-backend-config={key}={one}" for key, one in state.items())
    account.run("", "init", *backend, "-backend-config=use_path_style=true")
    apply("", dev, protect=True)

    made: Object = json.loads(account.run("", "output", "-json"))
    cloud = made["cloud"]["value"]
    assert cloud == {key: names.get(key, one) for key, one in cloud.items()}
    tags = s3.get_bucket_tagging(Bucket=names["bucket"])["TagSet"]
    assert {one["Key"] for one in tags if one["Value"]} == set(TAGS)

    # Another one applies. Who plans takes no lock, and no key: a role, for a job's token.
    lock = {"Bucket": state["bucket"], "Key": "infra/terraform.tfstate.tflock"}
    s3.put_object(**lock, Body=json.dumps(LOCK).encode())
    assert "Error acquiring the state lock" in apply("", dev, protect=False, fails=True)
    token = account.tree / "token"
    token.write_text("a token")
    variables = infra.login(Cloud(**names), "dev", "plan", token)
    account.run("", "plan", "-lock=false", dev, **variables)
    s3.delete_object(**lock)

    full = account.left()
    assert len(full) == 10, full.keys()
    assert "dev is protected" in destroy("", dev, fails=True)
    assert "dev is protected" in destroy("bootstrap", *given, fails=True)
    assert account.left() == full

    apply("", dev, protect=False)
    destroy("", dev)
    # The provider suspends the versions first; after that moto deletes none.
    for kind in ("Versions", "DeleteMarkers"):
        for one in s3.list_object_versions(Bucket=state["bucket"]).get(kind, []):
            s3.delete_object(Bucket=state["bucket"], Key=one["Key"], VersionId=one["VersionId"])
    apply("bootstrap", *given, protect=False)
    destroy("bootstrap", *given)
    assert account.left() == {}
