"""Amazon Web Services: an account's names, its clients, and what its refusals mean."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from pydantic import Field, PrivateAttr

from .. import project
from ..errors import MlopsError
from .base import CloudError, Names
from .s3 import S3Store

# What to do about a refusal, by its code or, for some, by what its text says.
FIXES = {
    r"AccessDenied|Unauthorized|not authorized": (
        "Allow {operation} to the identity that runs this; where iam:PassRole is named, allow that "
        "on cloud.role ({role}). It must be an identity of cloud.account ({account})."
    ),
    r"Throttl|TooManyRequests|SlowDown|RequestLimitExceeded": (
        "Too many calls at once, even after the SDK's own retries: run the same command again."
    ),
    r"Expired": "Sign in again, or run the job anew: the token has run out. The command goes on.",
    r"LimitExceeded|QuotaExceeded": (
        "Ask for more of cloud.machine ({machine}) in Service Quotas, or set another machine or "
        "fewer cloud.instances ({instances})."
    ),
    r"ResourceInUse|Conflict|already exist": (
        "The name is taken in cloud.account {account}, cloud.region {region}: delete what has it, "
        "or choose another name."
    ),
    r"NoCredentials|PartialCredentials|Credential": (
        "Sign in (`aws sso login`), or give the job an identity of cloud.account ({account})."
    ),
    r"UnrecognizedClient|InvalidClientToken|InvalidAccessKeyId|Signature|AuthFailure": (
        "These credentials are not known in cloud.region ({region}): use those of cloud.account "
        "({account}), or correct the region."
    ),
    r"EndpointConnection|ConnectTimeout|ConnectionError|NoRegion|InvalidRegion": (
        "Correct cloud.region ({region}), or AWS_ENDPOINT_URL if it is set."
    ),
    r"NoSuchBucket|PermanentRedirect|IllegalLocation|AuthorizationHeaderMalformed": (
        "Correct cloud.bucket ({bucket}): it must be there, in cloud.region ({region})."
    ),
    r"Validation|Invalid": "Correct the value that it names.",
}
MISSING = re.compile(r"ResourceNotFound|could not find|does not exist|not found", re.IGNORECASE)


class MissingError(CloudError):
    """There is nothing of this name."""


class Client:
    """A client of boto3 whose refusals are :class:`CloudError`."""

    def __init__(self, client: Any, refusal: Callable[[Exception], CloudError]) -> None:
        self._client, self._refusal = client, refusal

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if not callable(call):
            return call

        def refusing(**arguments: Any) -> Any:
            from botocore.exceptions import BotoCoreError, ClientError

            try:
                return call(**arguments)
            except (BotoCoreError, ClientError) as error:
                raise self._refusal(error) from error

        return refusing

    def pages(self, call: str, key: str, **arguments: Any) -> Iterator[Any]:
        """Yield what a call lists under ``key``, page after page."""
        token: dict[str, str] = {}
        while True:
            page = getattr(self, call)(**arguments, **token)
            yield from page.get(key, [])
            found = next((k for k in ("NextToken", "nextToken") if page.get(k)), None)
            if found is None:
                return
            token = {found: page[found]}


class Cloud(Names):
    """The key ``cloud`` of an environment's file."""

    account: str = Field(pattern=r"^\d{12}$", coerce_numbers_to_str=True)
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    role: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$")  # endpoints and jobs run as
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")  # journals, models, jobs
    image: str  # the repository of images in ECR; a version is its tag
    job_image: str = ""  # the whole reference
    machine: str = Field(default="ml.m5.large", pattern=r"^ml\.")
    instances: int = Field(default=1, ge=1)  # of each slot
    package_group: str = project.NAME  # of the model registry; another account's by its ARN
    _checked: bool = PrivateAttr(default=False)

    def client(self, service: str) -> Client:
        """Return a client of the account.

        Raises:
            MlopsError: the credentials are another account's.
        """
        return Client(self._open(service), self._refused)

    def store(self) -> S3Store:
        """Return the project's part of the bucket."""
        return self.files(f"s3://{self.bucket}/{project.NAME}")

    def files(self, uri: str) -> S3Store:
        """Return the part of a bucket, maybe another account's, that a URI names."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix, self._open("s3"), self._refused)

    def image_login(self, host: str) -> tuple[str, str]:
        """Return a name and a password for ECR, which last twelve hours."""
        found = self.client("ecr").get_authorization_token()["authorizationData"][0]
        user, _, password = b64decode(found["authorizationToken"]).decode().partition(":")
        return user, password

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of something of SageMaker's in this account."""
        partition = _session(self.region).get_partition_for_region(self.region)
        return f"arn:{partition}:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def refusal(self, error: Exception, environment: str) -> CloudError:
        """Return what the SDK's error means: what was refused, the name, the file, the fix."""
        response = getattr(error, "response", {}).get("Error", {})
        code = response.get("Code", type(error).__name__)
        message = response.get("Message") or str(error)
        operation = getattr(error, "operation_name", "the call")
        fix = next(
            (
                fix.format(operation=operation, **self.model_dump())
                for pattern, fix in FIXES.items()
                if re.search(pattern, code) or re.search(pattern, message)
            ),
            "Run the same command again.",
        )
        named = [
            f"cloud.{key}" for key, value in self if len(str(value)) > 3 and str(value) in message
        ]
        where = f" It names {', '.join(named)}." if named else ""
        kind = MissingError if MISSING.search(f"{code} {message}") else CloudError
        return kind(
            f"AWS refused {operation} in {self.account}, {self.region}: {message.rstrip('.')} "
            f"({code}).{where} {fix} See environments/{environment}.yaml."
        )

    def _refused(self, error: Exception) -> CloudError:
        return self.refusal(error, self._environment)

    def _open(self, service: str) -> Any:
        """Return boto3's own client; on first use, see whose account it is."""
        from botocore.config import Config

        session = _session(self.region)
        config = Config(retries={"mode": "standard"})
        if not self._checked:
            sts = Client(session.client("sts", config=config), self._refused)
            found = sts.get_caller_identity()["Account"]
            if found != self.account:
                raise MlopsError(
                    f"These credentials are of account {found}, but environments/"
                    f"{self._environment}.yaml says cloud.account: {self.account}. Sign in to that "
                    "one, or correct the file."
                )
            self._checked = True
        return session.client(service, config=config)


@cache
def _session(region: str) -> Any:
    """Return the SDK's session: it reads its description of each service once."""
    import boto3

    return boto3.Session(region_name=region)
