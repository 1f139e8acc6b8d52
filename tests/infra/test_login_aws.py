"""At AWS: the roles and the bucket that mlops.infra.aws names are those that infra/ makes."""

import logging
import os
import shutil
import subprocess
from pathlib import Path

import boto3
import clouds  # noqa: F401 (makes `mlops` importable)
import pytest
import yaml
from conftest import ROOT
from mlops.cloud.aws import Cloud
from mlops.infra import aws
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from .conftest import Plans, Roots

CLOUD = Cloud(
    account="123456789012",
    region="eu-west-1",
    role="arn:aws:iam::123456789012:role/example",
    bucket="example-dev",
    image="example",
)


def test_who_logs_in_and_where_the_state_lies_is_made(roots: Roots, plans: Plans) -> None:
    root = roots("aws")
    for name, environment in plans(root).items():
        file = root.parents[1] / f"environments/{name}.yaml"
        cloud = Cloud.model_validate(yaml.safe_load(file.read_text())["cloud"])
        made = {values["name"] for _, values in environment.of("aws_iam_role")}
        for identity in ("plan", "apply"):
            role = aws.login(cloud, name, identity, Path("token"))["AWS_ROLE_ARN"]
            assert role.partition(":role/")[2] in made
        buckets = {values["bucket"] for _, values in environment.of("aws_s3_bucket")}
        assert aws.backend(cloud)["bucket"] in buckets


@pytest.mark.parametrize("token", ["a token", None])
def test_terraform_takes_up_a_role_for_a_token(token: str | None, tmp_path: Path) -> None:
    if not shutil.which("terraform"):
        pytest.skip("NOBODY LOGS IN HERE: it takes terraform")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto_api_backend.reset()
    shutil.copy(ROOT / "template/infra/aws/backend.tf", tmp_path)
    if token:
        (tmp_path / "token").write_text(token)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        state = aws.backend(CLOUD)
        s3 = boto3.client(
            "s3",
            region_name=CLOUD.region,
            endpoint_url=address,
            aws_access_key_id="nobody",
            aws_secret_access_key="nobody",
        )
        s3.create_bucket(
            Bucket=state["bucket"], CreateBucketConfiguration={"LocationConstraint": CLOUD.region}
        )
        variables = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": address,
            "AWS_ENDPOINT_URL_STS": address,  # else the token goes to Amazon's
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": "of another login",
            "AWS_SECRET_ACCESS_KEY": "of another login",
        } | aws.login(CLOUD, "dev", "plan", tmp_path / "token")
        backend = (f"-backend-config={key}={value}" for key, value in state.items())
        done = subprocess.run(
            ["terraform", "init", "-no-color", *backend, "-backend-config=use_path_style=true"],
            cwd=tmp_path,
            env={key: value for key, value in variables.items() if value},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.stop()
    assert (done.returncode == 0) == bool(token), done.stderr
    if not token:
        assert "No valid credential sources found" in done.stderr
