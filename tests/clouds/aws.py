"""AWS on loopback: moto, and before it what moto lacks of endpoints and training jobs.

Real boto3 speaks to it, and every request to SageMaker is held against botocore's service model.
"""

import logging
import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import boto3
from mlops.settings import Settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from werkzeug.serving import WSGIRequestHandler, make_server

from clouds.aws_front import Front
from clouds.servers import Servers

REGION, BUCKET = "eu-west-1", "flight-delays-models"
Kind = Literal["error", "throttle", "expired", "denied", "quota", "slow"]


class Handler(WSGIRequestHandler):
    """Sends head and body without waiting for the client's acknowledgement between them."""

    disable_nagle_algorithm = True


class Platform:
    """An account with a bucket, and what happens in it as a test wills it."""

    provider = "aws"

    def __init__(self, folder: Path) -> None:
        self.servers, self.calls = Servers(), []
        self.faults: defaultdict[str, list[Kind]] = defaultdict(list)
        self.front = Front(self)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server(
            "127.0.0.1", 0, self.front, threaded=True, request_handler=Handler
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nobody",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",  # the SDK waits before each
        }
        self.reset()

    calls: list[str]

    def settings(self) -> Settings:
        """Return the settings of an environment in this account."""
        return Settings(
            target="aws",
            cloud={
                "account": DEFAULT_ACCOUNT_ID,
                "region": REGION,
                "role": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/flight-delays",
                "bucket": BUCKET,
                "image": f"{DEFAULT_ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/flight-delays",
                "job_image": f"{DEFAULT_ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/jobs:1",
            },
        )

    def reset(self) -> None:
        """Delete everything."""
        self.front.reset()
        moto_api_backend.reset()
        self.servers, self.calls = Servers(), []
        self.faults.clear()
        self.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.calls.clear()

    def close(self) -> None:
        """End everything that runs."""
        self.front.reset()
        self._server.shutdown()

    def client(self, service: str) -> Any:
        """Return a client of this account, for what a test does by hand."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="nobody",
            aws_secret_access_key="nobody",
        )

    def send(self, number: int) -> None:
        """Send so many requests as callers do."""
        for _ in range(number):
            self.front.invoke(None, {"records": [self.servers.record()]})
        self.front.publish()

    def fail(self, call: str, times: int, kind: Kind) -> None:
        """Let the next calls of this name fail."""
        self.faults[call] = [kind] * times

    def traffic(self) -> dict[str, int]:
        """Return what is routed, in percent."""
        return self.front.traffic()

    def left(self) -> list[str]:
        """Return what exists, without the journals."""
        listed = self.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
        keys = [one["Key"] for one in listed if "/deployments/" not in one["Key"]]
        return self.front.left() + keys

    def environment(self) -> dict[str, str]:
        """Return what a job's process needs of this machine, beside its own variables."""
        return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.variables}
