"""What the platforms share: the protocol, and requests that are retried and say what went wrong."""

import base64
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .. import project
from ..errors import MlopsError

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

BOTS = ("mlops/", "renovate/")  # branches that no person has made
MARKER = f"<!-- mlops: {project.NAME} -->"
ATTEMPTS = 4
WAIT = 1.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = 30  # seconds without an answer
PAGE = 100


class Forge(Protocol):
    """The platform, as seen from one of its jobs; all it needs is in the environment."""

    def change(self) -> int | None:
        """Return the number of the pull request that this job runs for."""

    def fork(self) -> bool:
        """Tell whether that pull request comes from a fork, whose jobs get no rights."""

    def run_url(self) -> str:
        """Return where this run can be read."""

    def actor(self) -> str:
        """Return who started this run."""

    def description(self, number: int) -> str | None:
        """Return what a person wrote of the pull request; None where nobody has to cite anything.

        That is where a pipeline or a bot has opened it, or the platform itself asks for work items.
        """

    def comment(self, number: int, body: str, marker: str = MARKER) -> str:
        """Create or update the one comment that begins with ``marker``; return its URL.

        Raises:
            DeniedError: this job may not comment.
        """

    def summary(self, text: str) -> None:
        """Put Markdown on the run's page; into the job's log where there is no such page."""

    def work_item(self, key: str, title: str, body: str) -> str:
        """Open a work item, or add to the open one of this key; return its URL."""

    def propose(self, branch: str, title: str, body: str) -> str:
        """Open the pull request of a pushed branch, or refresh it; return its URL."""

    def start(self, workflow: str, inputs: dict[str, str]) -> str:
        """Start a pipeline on the default branch; return its URL."""

    def credentials(self) -> dict[str, str]:
        """Return variables by which git may push: no token on any command line."""


class DeniedError(MlopsError):
    """The platform does not let this job do that."""


class BusyError(MlopsError):
    """The platform has failed; what was asked for may have been done all the same."""

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait  # seconds that it asks for


class Client:
    """JSON over HTTP. The token stays in a header: out of URLs, outputs and errors."""

    def __init__(self, root: str, token: str, header: str, form: str = "{}") -> None:
        self.root, self._token, self._header, self._form = root, token, header, form

    @cached_property
    def _session(self) -> "requests.Session":
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        def sign(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
            request.headers[self._header] = self._form.format(secret(self._token))
            return request

        session = requests.Session()
        session.auth = sign  # or ~/.netrc would be read
        # POST is left to `once`: the first attempt may have created something.
        retries = Retry(
            total=ATTEMPTS - 1,
            backoff_factor=WAIT,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET", "PUT", "PATCH"),
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        return session

    def __call__(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: Any
    ) -> Any:
        """Send a request and return the answer's content.

        Raises:
            DeniedError: the token has no right to this.
            BusyError: the platform does not answer, or fails, after every retry.
            MlopsError: it refuses the request.
        """
        import requests

        url = self.root + path
        headers = {"Content-Type": kind} if body is not None else {}
        try:
            answer = self._session.request(
                method,
                url,
                params=query,
                json=body,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,  # a redirect may lead, with the token, to another host
            )
        except requests.RequestException as error:
            raise BusyError(f"{method} {url}: no answer ({type(error).__name__}).") from None
        message = f"{method} {url}: {answer.status_code} {self._said(answer)}"
        if answer.status_code >= 500 or answer.status_code == 429:
            raise BusyError(message, _retry_after(answer))
        # 203 and 302 are sign-in pages.
        if answer.status_code in (203, 302, 401, 403, 404):
            raise DeniedError(f"{message} ({self._token} may not do this here.)")
        if answer.status_code >= 300:
            raise MlopsError(message)
        try:
            return answer.json() if answer.content else None
        except requests.JSONDecodeError:
            raise BusyError(message) from None

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Yield every entry of a list, page by page."""
        number = 1
        while page := self("GET", path, per_page=PAGE, page=number, **query):
            yield from page
            if len(page) < PAGE:
                return
            number += 1

    def _said(self, answer: "requests.Response") -> str:
        try:
            content = answer.json()
            text = content.get("message") or content.get("error")
        except (ValueError, AttributeError):
            text = None
        # A platform may echo what it was sent.
        return " ".join(str(text or answer.text).split())[:300].replace(secret(self._token), "***")


def once(find: Callable[[], T | None], create: Callable[[], T]) -> tuple[T, bool]:
    """Return what ``find`` finds, else what ``create`` creates, and whether that is new.

    It is looked for before each attempt: one that failed may have created it.
    """
    for attempt in range(ATTEMPTS):
        if (found := find()) is not None:
            return found, False
        try:
            return create(), True
        except BusyError as error:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(max(error.wait, WAIT * 2**attempt))
    raise AssertionError("every attempt returns or raises")


def variable(name: str) -> str:
    """Return one of the variables that the platform gives to every job."""
    if value := os.environ.get(name):
        return value
    raise MlopsError(f"{name} is not set: this runs in a job of {project.CI}.")


def secret(name: str) -> str:
    """Return a token that only some jobs have."""
    if value := os.environ.get(name):
        return value
    raise DeniedError(f"{name} is empty: a fork's job has none, and any other must be given it.")


def cut(text: str, limit: int) -> str:
    """Shorten Markdown to what the platform takes, between paragraphs, and say so."""
    if len(text) <= limit:
        return text
    notice = f"\n\n_Cut: the platform takes {limit:,} characters. The run has all of it._"
    close = "\n\n</details>"
    kept = text[: limit - len(notice) - len(close)]
    kept = kept.rpartition("\n\n")[0] or kept
    is_open = kept.count("<details>") > kept.count("</details>")
    return kept + (close if is_open else "") + notice


def git_header(url: str, header: str) -> dict[str, str]:
    """Return variables by which git sends a header to the hosts and paths below ``url``."""
    taken = int(os.environ.get("GIT_CONFIG_COUNT", 0))
    return {
        f"GIT_CONFIG_KEY_{taken}": f"http.{url}.extraheader",
        f"GIT_CONFIG_VALUE_{taken}": header,
        "GIT_CONFIG_COUNT": str(taken + 1),
    }


def basic(user: str, token: str) -> str:
    """Return the header of HTTP's basic authentication."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{token}'.encode()).decode()}"


def _retry_after(answer: "requests.Response") -> float:
    from urllib3 import Retry

    try:
        return Retry().get_retry_after(answer.raw) or 0
    except Exception:  # not a number, and not a date
        return 0
