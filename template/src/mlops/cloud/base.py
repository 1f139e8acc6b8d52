"""What the providers share: how their part of an environment's file is read, where files lie."""

from pathlib import Path
from typing import Protocol, Self

from pydantic import PrivateAttr, ValidationError

from ..errors import MlopsError
from ..settings import Settings, Strict


class CloudError(MlopsError):
    """The provider refused a call. Says which name, in which file, and what to do about it."""


class ConflictError(CloudError):
    """Somebody else has written the file since it was read."""


class Names(Strict):
    """The key ``cloud`` of environments/<environment>.yaml; each provider adds its own."""

    _environment: str = PrivateAttr(default="")

    @classmethod
    def read(cls, settings: Settings, environment: str) -> Self:
        """Return the checked names.

        Raises:
            MlopsError: naming each key that is missing or wrong, and the file.
        """
        try:
            names = cls.model_validate(settings.cloud)
        except ValidationError as error:
            faults = "; ".join(
                f"cloud.{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()
            )
            raise MlopsError(f"environments/{environment}.yaml: {faults}") from error
        names._environment = environment
        return names


class Store(Protocol):
    """Files in the provider's storage. A name is a path such as ``deployments/prod/journal``."""

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's content and its tag, which changes with it; None if there is none."""

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        """Write a file whole; return its new tag.

        With a ``tag``, only if the file still has it; ``""`` means only if there is none.

        Raises:
            ConflictError: it has another tag by now.
        """

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""

    def upload(self, path: Path, name: str) -> str:
        """Write a large file; return its URI."""

    def download(self, name: str, path: Path) -> None:
        """Bring a large file; raise :class:`CloudError` if there is none."""
