"""Google Cloud: a project, its clients, and files in a bucket.

Vertex AI's own library is used over HTTP. Logs and metrics are one request each: they are asked for
without a library.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from .base import CloudError, ConflictError, Names, Store

if TYPE_CHECKING:
    from google.api_core.operation import Operation
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud.storage import Bucket

Result = TypeVar("Result")

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = 60.0  # seconds of one request
AGAIN = 120.0  # seconds for which a throttled request is made again
PAUSE = 1.0  # seconds before it is made again the first time
PAGE = 1000  # lines of a log in one answer
PROVIDER = r"^(projects/\d+/locations/global/workloadIdentityPools/[^/]+/providers/[^/]+)?$"

# By status: which keys may be wrong, the likeliest first, and what to do.
FIXES = {
    400: (("machine", "region", "image", "job_image", "service_account"), "Correct it."),
    401: (("project",), "Log in again: `gcloud auth application-default login`, or rerun the job."),
    403: (("project", "bucket", "service_account"), "Give whoever asks a role that may."),
    404: (("project", "bucket", "region", "image"), "Is it spelt right, and does it exist?"),
    409: (("project",), "The name is taken: delete what has it, or name another project."),
    429: (("machine", "region"), "Ask for more quota, or take less."),
}


class Cloud(Names):
    """An environment's names on Google Cloud. No key is among them: a login is found by itself."""

    project: str = Field(pattern=r"^[a-z][a-z0-9:.-]{4,61}[a-z0-9]$")  # its id, no number
    provider: str = Field(default="", pattern=PROVIDER)  # who vouches for pipelines' jobs
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")  # such as europe-west4
    bucket: str = Field(min_length=3, pattern=r"^[a-z0-9][a-z0-9._-]+$")  # without gs://
    image: str = ""  # the repository of the servers' images
    job_image: str = ""  # the image that jobs run in
    machine: str = "n1-standard-2"
    instances: int = Field(default=1, ge=1)  # of each slot
    service_account: str = ""  # the e-mail of who servers and jobs run as; empty: Vertex AI's own
    endpoint: str = ""  # where all APIs are instead of Google's address: a private cloud

    @property
    def parent(self) -> str:
        """Return what all of Vertex AI's names begin with."""
        return f"projects/{self.project}/locations/{self.region}"

    def client(self, service: str) -> Any:
        """Return the client of one of Vertex AI's services: Endpoint, Model or Job."""
        from google.cloud import aiplatform_v1

        make = getattr(aiplatform_v1, f"{service}ServiceClient")
        options = self.options("aiplatform")
        return make(credentials=self.credentials, transport="rest", client_options=options)

    def store(self) -> Store:
        """Return the bucket, as a place for files."""
        return BucketStore(self)

    def image_login(self, host: str) -> tuple[str, str]:
        """Return a name and a password for Artifact Registry, which last an hour."""
        from google.auth.transport.requests import Request

        self.call(lambda timeout: self.credentials.refresh(Request()))
        return "oauth2accesstoken", str(self.credentials.token)

    def address(self, service: str) -> str:
        """Return where a service is; whoever is logged in to a sovereign cloud is served there."""
        regional = f"{self.region}-" if service == "aiplatform" else ""
        return self.endpoint or f"https://{regional}{service}.{self.credentials.universe_domain}"

    def options(self, service: str) -> dict[str, str]:
        """Return what tells a client where its service is."""
        domain = self.credentials.universe_domain
        return {"api_endpoint": self.address(service), "universe_domain": domain}

    def call(self, method: Callable[..., Result], /, *values: Any, **named: Any) -> Result:
        """Make a request; one that is throttled is made again.

        Raises:
            CloudError: it is refused.
        """
        from google.api_core.exceptions import GoogleAPIError
        from google.api_core.retry import Retry
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        again = Retry(predicate=_throttled, initial=PAUSE, timeout=AGAIN)
        try:
            result: Result = again(method)(*values, timeout=TIMEOUT, **named)
            return result
        except (GoogleAPIError, GoogleAuthError, RequestException) as error:
            raise self.refusal(error, self._environment) from error

    def find(self, method: Callable[..., Result], /, *values: Any, **named: Any) -> Result | None:
        """Make a request for one thing; return None if there is no such thing."""
        from google.api_core.exceptions import NotFound

        try:
            return self.call(method, *values, **named)
        except CloudError as error:
            missing = isinstance(error.__cause__, NotFound)
            if missing and "bucket does not exist" not in str(error):
                return None
            raise

    def wait(self, operation: "Operation", poll: float, limit: float = 600.0) -> Any:
        """Return what a long operation makes; one that takes too long is cancelled."""
        from google.api_core.exceptions import GoogleAPIError
        from google.api_core.future.polling import DEFAULT_POLLING
        from google.api_core.retry import Retry

        looks = DEFAULT_POLLING.with_delay(initial=poll, maximum=poll, multiplier=1)
        again = Retry(predicate=_throttled, initial=PAUSE, timeout=AGAIN)
        try:
            return operation.result(polling=looks.with_timeout(limit), retry=again)
        except GoogleAPIError as error:
            raise self.refusal(error, self._environment) from error
        except TimeoutError as error:
            # The library's own `cancel` fails over HTTP.
            name = operation.operation.name
            self.request("POST", f"{self.address('aiplatform')}/v1/{name}:cancel")
            raise CloudError(f"Google Cloud has not finished after {limit:g} s.") from error

    def request(self, verb: str, url: str, **named: Any) -> dict[str, Any]:
        """Make a request of a service without a library; return its answer."""
        return self.call(self._request, verb, url, **named)

    def lines(self, where: str, since: float) -> Iterator[str]:
        """Yield what containers have printed since then, oldest first."""
        begin = datetime.fromtimestamp(since, UTC).isoformat()
        asked: dict[str, Any] = {
            "resourceNames": [f"projects/{self.project}"],
            "filter": f'{where} AND timestamp>="{begin}"',
            "orderBy": "timestamp asc",
            "pageSize": PAGE,
        }
        while True:
            url = f"{self.address('logging')}/v2/entries:list"
            answer = self.request("POST", url, json=asked)
            yield from (_line(entry) for entry in answer.get("entries", []))
            if not answer.get("nextPageToken"):
                return
            asked["pageToken"] = answer["nextPageToken"]

    def refusal(self, error: Exception, environment: str) -> CloudError:
        """Return what Google says as one line: what was refused, by which name, and the fix."""
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
        from requests import RequestException

        where = f"environments/{environment}.yaml"
        error = getattr(error, "cause", None) or error  # of a retry that was given up
        said = " ".join(str(getattr(error, "message", error)).split()).rstrip(".")
        said = re.sub(r"^[A-Z]+ https?://\S+: |: \('Request failed .*$", "", said)
        if isinstance(error, DefaultCredentialsError):
            return CloudError(
                f"Nobody is logged in to Google Cloud (cloud.project {self.project!r} in {where}): "
                "`gcloud auth application-default login`, or the login step of the CI job."
            )
        if isinstance(error, RequestException | TransportError):
            there = self.endpoint or "*.googleapis.com"
            return CloudError(f"{there} does not answer: {said} (cloud.endpoint in {where}).")
        code = 401 if isinstance(error, GoogleAuthError) else int(getattr(error, "code", 0) or 0)
        if _throttled(error):
            return CloudError(f"Google Cloud is busy: {said}. Run it again in a few minutes.")
        keys, fix = FIXES.get(code, (("project",), "Run it again; the console's log tells more."))
        values = {key: str(getattr(self, key)) for key in keys}
        named = [key for key in keys if values[key] and values[key] in said]
        named += [key for key in keys if key in said.lower()]
        key = (named or keys)[0]
        return CloudError(
            f"Google Cloud refuses: {said}. {where}: cloud.{key} is {values[key]!r}. {fix}"
        )

    @cached_property
    def credentials(self) -> Any:
        """Return whoever is logged in: a CI job, a machine of Google's, or a person by gcloud."""
        import google.auth

        return self.call(lambda timeout: google.auth.default(scopes=[SCOPE]))[0]

    @cached_property
    def session(self) -> "AuthorizedSession":
        """Return what sends requests in the name of whoever is logged in."""
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self.credentials)

    def _request(self, verb: str, url: str, **named: Any) -> dict[str, Any]:
        from google.api_core.exceptions import from_http_response

        response = self.session.request(verb, url, **named)
        if not response.ok:
            raise from_http_response(response)
        found: dict[str, Any] = response.json()
        return found


class BucketStore:
    """Files as objects of the bucket; a tag is a generation."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @cached_property
    def bucket(self) -> "Bucket":
        """Return the bucket."""
        from google.cloud.storage import Client

        options = self.cloud.options("storage")
        client = Client(self.cloud.project, self.cloud.credentials, client_options=options)
        return client.bucket(self.cloud.bucket)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's content and its generation."""
        blob = self.bucket.blob(name)
        content = self.cloud.find(blob.download_as_bytes, retry=None)
        return None if content is None else (content, str(blob.generation))

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        """Write a file whole, if its generation still is the tag; return its new one."""
        from google.api_core.exceptions import PreconditionFailed

        blob = self.bucket.blob(name)
        # Generation 0 is what a file has that is not there.
        only = {} if tag is None else {"if_generation_match": int(tag or 0)}
        try:
            self.cloud.call(blob.upload_from_string, content, retry=None, **only)
        except CloudError as error:
            if isinstance(error.__cause__, PreconditionFailed):
                raise ConflictError(f"{name}: somebody else has written it meanwhile.") from error
            raise
        return str(blob.generation)

    def delete(self, name: str) -> None:
        """Delete a file."""
        self.cloud.find(self.bucket.blob(name).delete, retry=None)

    def upload(self, path: Path, name: str) -> str:
        """Write a large file; return its URI."""
        blob = self.bucket.blob(name)
        self.cloud.call(blob.upload_from_filename, str(path), retry=None)
        return f"gs://{self.cloud.bucket}/{name}"

    def download(self, name: str, path: Path) -> None:
        """Bring a large file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.cloud.call(self.bucket.blob(name).download_to_filename, str(path), retry=None)


def _throttled(error: BaseException) -> bool:
    """Tell whether a request may be made again as it is: a quota of machines is another matter."""
    from google.api_core.exceptions import ServiceUnavailable, TooManyRequests

    if isinstance(error, TooManyRequests):
        return "quotas are exceeded" not in str(error)
    return isinstance(error, ServiceUnavailable)


def _line(entry: dict[str, Any]) -> str:
    """Return what a container printed; a line of JSON has become an object in the log."""
    told = entry.get("jsonPayload", {})
    if "figures" in told:
        return json.dumps({"figures": told["figures"]})
    return str(entry.get("textPayload") or told.get("message") or json.dumps(told))
