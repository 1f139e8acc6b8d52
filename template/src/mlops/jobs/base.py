"""What a provider does for a job: start a container, tell of it, end it."""

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

Status = Literal["waiting", "running", "succeeded", "failed", "stopped"]


class Spec(NamedTuple):
    """One container that runs once."""

    name: str  # unique, lower-case letters, digits and hyphens, at most 40
    command: list[str]
    variables: dict[str, str]  # no secret among them: a machine has an identity of its own
    spot: bool  # spare capacity: cheaper, and may be taken away
    timeout: int  # seconds, after which the provider ends it
    tags: dict[str, str]


class Compute(Protocol):
    """The provider's machines. Every call can be repeated."""

    def submit(self, spec: Spec) -> str:
        """Start a job; return its id. One of the same name is returned, not started twice.

        Raises:
            CloudError: the provider refuses it (quota, role, image …); nothing of it is left.
        """

    def status(self, job: str) -> Status:
        """Return how a job stands."""

    def log(self, job: str) -> Iterator[str]:
        """Yield the lines that a job has printed so far, oldest first."""

    def why(self, job: str) -> str:
        """Return what the provider says of a job's end."""

    def stop(self, job: str) -> None:
        """End a job; one that has ended is left alone."""

    def remove(self, job: str) -> None:
        """Delete what the provider keeps of a job that costs money or quota."""
