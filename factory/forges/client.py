"""JSON over HTTP: bounded retries, and errors of one line that name the fix."""

import json
import os
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import urlencode, urlsplit

from factory.forges.base import BusyError, DeniedError, ForgeError, Request, cut, tamed

ATTEMPTS = 4
WAIT = 1.0  # seconds before the second attempt, doubled before each further one
PATIENCE = 60.0  # seconds; a platform that asks for more is left for later
TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Platform:
    """What is said of a platform, and what it takes.

    Attributes:
        variable: The environment variable that holds the token.
        rights: The least that the token must be allowed.
        longest: Characters of a request's body.
    """

    name: str
    variable: str
    rights: str
    longest: int

    def token(self) -> str:
        """Return the token.

        Raises:
            DeniedError: There is none, or it is none.
        """
        token = os.environ.get(self.variable, "").strip()
        if not token:
            raise DeniedError(
                f"{self.variable} is not set: give it a token of {self.name} with {self.rights}"
            )
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise DeniedError(
                f"{self.variable} is no token: it has blanks or other strange characters"
            )
        return token


class RefusedRequestError(ForgeError):
    """The platform does not take what it was sent."""


class Client:
    """One platform's API, below one address. The token is in a header and nowhere else.

    Args:
        root: What every path is appended to.
        headers: Sent with every call, the token among them.
        token: Kept out of what the platform is quoted with.
    """

    def __init__(self, platform: Platform, root: str, headers: dict[str, str], token: str) -> None:
        self.platform, self.root, self._headers, self._token = platform, root, headers, token
        self._opener = urllib.request.build_opener(_NoRedirect)
        self.sleep: Callable[[float], None] = time.sleep

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the content of the answer. What may have created something is sent once.

        Raises:
            DeniedError: The token has no right to this, or there is no such repository.
            BusyError: No answer, a failure or a rate limit, after every attempt.
            RefusedRequestError: The platform does not take it.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._once(method, path, body, query)
            except BusyError as busy:
                if method == "POST":
                    raise
                self.pause(busy, attempt)
        raise AssertionError("the last attempt returns or raises")

    def pause(self, busy: BusyError, attempt: int) -> None:
        """Wait as the platform asks; raise ``busy`` where that is too long, or the last attempt."""
        if attempt == ATTEMPTS - 1 or busy.wait > PATIENCE:
            raise busy
        self.sleep(max(busy.wait, WAIT * 2**attempt))

    def _once(self, method: str, path: str, body: Any, query: dict[str, Any]) -> Any:
        url = self.root + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"User-Agent": "copier-mlops", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers | self._headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                status, said, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._error(method, path, error.code, error.headers, error.read()) from None
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None
        if status == 203:  # Azure DevOps' page to sign in
            raise self._error(method, path, status, said, b"")
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise ForgeError(
                f"{self.platform.name} answers {method} {path} with no JSON: "
                f"is {self.root} the address of its API?"
            ) from None

    def _silent(self, error: Exception) -> ForgeError:
        reason = getattr(error, "reason", error)
        host = urlsplit(self.root).netloc
        if isinstance(reason, SSLCertVerificationError):
            return ForgeError(
                f"{host}: {reason.verify_message}: name the authority's file in SSL_CERT_FILE"
            )
        return BusyError(
            f"{self.platform.name} ({host}) does not answer: {reason or type(error).__name__}; "
            "run the same command again"
        )

    def _error(
        self, method: str, path: str, status: int, headers: Message, content: bytes
    ) -> ForgeError:
        name, variable = self.platform.name, self.platform.variable
        said = _said(content).replace(self._token, "***")
        call = f"{method} {path}: {status}" + (f" {said}" if said else "")
        if _limited(status, headers, said):
            wait = _wait(headers) or PATIENCE
            return BusyError(
                f"{name}'s rate limit is reached ({call}); it asks to wait {wait:.0f} s: "
                "run the same command again after that",
                wait,
            )
        if status >= 500:
            return BusyError(f"{name} fails ({call}): run the same command again", _wait(headers))
        if status in (203, 302, 401):
            return DeniedError(
                f"{name} does not accept {variable} ({call}): it is wrong or expired; "
                f"make one with {self.platform.rights}"
            )
        if status == 403:
            return DeniedError(
                f"{name} does not allow {variable} this ({call}): it needs {self.platform.rights}"
            )
        if status == 404:
            return DeniedError(
                f"{name} finds nothing there ({call}): there is no such repository or request, "
                f"or {variable} may not see it; it needs {self.platform.rights}"
            )
        if status < 400:
            return ForgeError(f"{name} has moved this ({call}): name the repository's new address")
        return RefusedRequestError(f"{name} refuses {call}")


class RestForge(ABC):
    """A platform by its REST API: what is alike in all of them."""

    def __init__(self, client: Client) -> None:
        self.api = client

    @abstractmethod
    def look(self, number: int) -> Request:
        """Return a request as it is now."""

    @abstractmethod
    def _number(self, branch: str) -> int | None:
        """Return the number of the open request from the branch."""

    @abstractmethod
    def _open(self, branch: str, base: str, title: str, body: str) -> Request:
        """Open a request."""

    @abstractmethod
    def _refresh(self, number: int, title: str, body: str) -> Request:
        """Give a request another title and body."""

    def find(self, branch: str) -> Request | None:
        """Return the open request from this repository's branch."""
        number = self._number(branch)
        return None if number is None else self.look(number)

    def propose(self, branch: str, base: str, title: str, body: str) -> Request:
        """Open the request, or refresh the open one.

        It is looked for before each attempt: one that failed may have opened it, so may others.
        """
        title, body = tamed(title), cut(tamed(body), self.api.platform.longest)
        for attempt in range(ATTEMPTS):
            if (number := self._number(branch)) is not None:
                return self._refresh(number, title, body)
            try:
                return self._open(branch, base, title, body)
            except BusyError as busy:
                self.api.pause(busy, attempt)
            except RefusedRequestError:
                if self._number(branch) is None:
                    raise
        raise AssertionError("the last attempt returns or raises")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect may lead, with the token, to another host."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _said(content: bytes) -> str:
    """Return the platform's own words in one line."""
    try:
        answer = json.loads(content)
    except ValueError:
        return ""  # a page
    if not isinstance(answer, dict):
        return ""
    details = [each.get("message") for each in answer.get("errors") or [] if isinstance(each, dict)]
    parts = [
        answer.get("message") or answer.get("error"),
        answer.get("error_description"),
        *details,
    ]
    texts = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
    return " ".join(": ".join(texts).split())[:300]


def _limited(status: int, headers: Message, said: str) -> bool:
    """Tell a rate limit from a lack of rights: GitHub answers 403 to both."""
    return status == 429 or (
        status == 403
        and (
            "Retry-After" in headers
            or headers.get("X-RateLimit-Remaining") == "0"
            or "rate limit" in said.lower()
        )
    )


def _wait(headers: Message) -> float:
    """Return the seconds that the headers ask for."""
    after = headers.get("Retry-After")
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset")  # seconds of 1970
    try:
        if after is None:
            return max(0.0, float(reset) - time.time()) if reset else 0.0
        if after.isdigit():
            return float(after)
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
