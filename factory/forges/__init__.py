"""GitHub, GitLab and Azure DevOps: pull requests by their REST APIs."""

from collections.abc import Callable

from factory.forges.azure_devops import AzureDevOps
from factory.forges.base import BusyError, DeniedError, Forge, ForgeError, Request
from factory.forges.github import GitHub
from factory.forges.gitlab import GitLab
from factory.forges.remote import KINDS, Remote, kind, parse

__all__ = ["KINDS", "BusyError", "DeniedError", "Forge", "ForgeError", "Request", "open_forge"]

_FORGES: dict[str, Callable[[Remote], Forge]] = dict(
    zip(KINDS, (GitHub, GitLab, AzureDevOps), strict=True)
)


def open_forge(remote: str, forge: str | None = None) -> Forge:
    """Return the platform of a remote, for that one repository.

    Args:
        remote: The address that git pushes to, by https or ssh.
        forge: One of KINDS, where the address does not tell.

    Raises:
        ForgeError: The address is none of a platform's, or of an unknown one's.
        DeniedError: The platform's token is not set.
    """
    place = parse(remote)
    if forge is not None and forge not in _FORGES:
        raise ForgeError(f"forge: {forge} is unknown: give one of {', '.join(KINDS)}")
    return _FORGES[forge or kind(place)](place)
