"""What the platforms share: a pull request, the protocol, and text that pings nobody."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from factory.errors import FactoryError

State = Literal["open", "merged", "closed"]
Checks = Literal["green", "red", "pending", "none"]

_BREAK = "\u200b"  # a zero-width space: seen by nobody, but it ends a name


class ForgeError(FactoryError):
    """The platform refuses, or the address is none of a platform's."""


class DeniedError(ForgeError):
    """The token is missing, wrong or expired, or lacks a right."""


class BusyError(ForgeError):
    """The platform fails or asks to wait; the same call may succeed later.

    Attributes:
        wait: Seconds that it asks for.
    """

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Request:
    """A pull request; GitLab calls it a merge request.

    Attributes:
        checks: Of its newest commit; red too where it can't be merged. "none" where nothing checks.
    """

    number: int
    url: str
    state: State
    checks: Checks


class Forge(Protocol):
    """The pull requests of one repository."""

    def find(self, branch: str) -> Request | None:
        """Return the open request from this repository's branch; a fork's is another's."""

    def propose(self, branch: str, base: str, title: str, body: str) -> Request:
        """Open the request of a pushed branch, or give the open one this title and body.

        Its checks are "pending": nobody has looked yet.
        """

    def look(self, number: int) -> Request:
        """Return a request as it is now."""


def combined(checks: Iterable[Checks]) -> Checks:
    """Return what several checks are together: the worst of them."""
    found = set(checks)
    worst: tuple[Checks, ...] = ("red", "pending", "green")
    return next((each for each in worst if each in found), "none")


def tamed(text: str) -> str:
    """Return Markdown that looks the same, and does nothing.

    A changelog's `@name` would notify a person in every repository, its "fixes #12" would close
    that repository's issue 12, and a line that begins with / is a command to GitLab.
    """
    text = re.sub(r"@(?=[\w<])|[#!](?=\d)", rf"\g<0>{_BREAK}", text)
    return re.sub(r"(?m)^([ \t]*)(?=/\w)", rf"\1{_BREAK}", text)


def cut(text: str, limit: int) -> str:
    """Shorten Markdown to what a platform takes, between lines, and say so."""
    if len(text) <= limit:
        return text
    fence, notice = "\n```", f"\n\n_Cut: the platform takes {limit:,} characters._"
    kept = text[: limit - len(notice) - len(fence)].rpartition("\n")[0]
    return kept + (fence if kept.count("```") % 2 else "") + notice
