"""Files in S3, or in anything that speaks as S3 does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import CloudError, ConflictError

ABSENT = {"NoSuchKey", "404"}
CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3Store:
    """A bucket's part below a prefix; see :class:`~.base.Store`. The tag is the ETag.

    Args:
        bucket: its name.
        prefix: what each name begins with there.
        client: boto3's S3 client.
        refusal: makes one line of the SDK's errors; without it their own text is told.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        client: Any,
        refusal: Callable[[Exception], CloudError] | None = None,
    ) -> None:
        self.bucket, self.prefix, self.client = bucket, prefix, client
        self._refusal = refusal or (lambda error: CloudError(f"s3://{bucket}: {error}"))

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's content and its tag; None if there is none."""
        found = self._call("get_object", name)
        return None if found is None else (found["Body"].read(), found["ETag"])

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        """Write a file whole; with a ``tag``, only if the file still has it."""
        condition = {} if tag is None else {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        written = self._call("put_object", name, Body=content, **condition)
        if written is None:  # there was one with this tag, which somebody has deleted
            raise ConflictError(f"{self._uri(name)} is gone: somebody else has deleted it.")
        return str(written["ETag"])

    def delete(self, name: str) -> None:
        """Delete a file; S3 makes nothing of one that is not there."""
        self._call("delete_object", name)

    def upload(self, path: Path, name: str) -> str:
        """Write a large file, in parts; return its URI."""
        self._call("upload_file", name, Filename=str(path))
        return self._uri(name)

    def download(self, name: str, path: Path) -> None:
        """Bring a large file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._call("download_file", name, Filename=str(path)) is None:
            raise CloudError(f"There is no {self._uri(name)}.")

    def _call(self, call: str, name: str, **arguments: Any) -> Any:
        """Return the answer (True if the call gives none), or None if there is no such file."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        key = f"{self.prefix}/{name}"
        try:
            answer = getattr(self.client, call)(Bucket=self.bucket, Key=key, **arguments)
            return True if answer is None else answer
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ABSENT:
                return None
            if code in CONFLICT:
                raise ConflictError(
                    f"{self._uri(name)} was written by somebody else meanwhile: read it again."
                ) from error
            raise self._refusal(error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._refusal(error) from error

    def _uri(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{name}"
