"""What protects a project on its platform: what is wanted, what stands, how one becomes the other.

The wanted state follows from the repository: environments/*.yaml, CODEOWNERS and the CI files. The
platform's own module tells it as rules; here they are compared and applied, through the platform's
command line and a person's login. Nothing that somebody added is deleted; what is stricter stays.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from .. import project
from ..errors import MlopsError
from .variables import VARIABLES, Variable, asked

MAIN = "main"
ABSENT = r"HTTP 404|Not Found\("  # as gh and glab, and as az say it


class AtLeast(int):
    """A number that may be higher."""


class Call(NamedTuple):
    """One request to the platform's API."""

    method: str
    path: str
    body: Any = None


@dataclass(frozen=True)
class Rule:
    """One thing that must be so: ``calls`` make it so, or else a person, as ``fix`` says."""

    name: str
    wanted: Any
    found: Any  # what stands, in the same shape; None is nothing
    calls: tuple[Call, ...] = ()
    fix: str = "make ci-setup"

    def differences(self) -> list[str]:
        """Return each part that is not as wanted: with its value, what is wanted, the fix."""
        if self.found is None:
            return [f"{self.name}: is missing. Fix: {self.fix}"]
        return [
            f"{self.name}{key}: is {json.dumps(found)}, wanted {json.dumps(wanted)}"
            f"{' or more' if isinstance(wanted, AtLeast) else ''}. Fix: {self.fix}"
            for key, found, wanted in _different(self.wanted, self.found)
        ]


class Platform(Protocol):
    """What a platform's module holds."""

    INSTALL: str  # where its command line comes from
    STATUS: list[str]  # fails without a login
    LOGIN: str

    def command(self, method: str, path: str) -> list[str]:
        """Return the command that makes a request; it reads the body from standard input."""

    def rules(self, api: "Api") -> Iterator[Rule | str]:
        """Yield what must be so, in an order in which it can be made so; a text is a remark."""


class Api:
    """The platform's API, through its command line.

    Raises:
        MlopsError: the command line is missing, or nobody is logged in.
    """

    def __init__(self, platform: Platform) -> None:
        self.command, tool = platform.command, platform.STATUS[0]
        if not shutil.which(tool):
            raise MlopsError(f"`{tool}` is not on the PATH. Install it: {platform.INSTALL}")
        status = subprocess.run(
            platform.STATUS, input="", capture_output=True, text=True, check=False
        )
        if status.returncode:
            raise MlopsError(f"`{tool}` has no login. Log in as an administrator: {platform.LOGIN}")

    def read(self, path: str) -> Any:
        """Read what must be there."""
        return self.send(Call("GET", path))

    def find(self, path: str, absent: str = ABSENT) -> Any:
        """Read what may be there; None if the platform answers that it is not."""
        return self.send(Call("GET", path), absent)

    def send(self, call: Call, absent: str = r"\Z.") -> Any:
        """Make a request; raise :class:`MlopsError` with what the platform answers."""
        command = self.command(call.method, call.path)
        body = "" if call.body is None else json.dumps(call.body)
        done = subprocess.run(command, input=body, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout) if done.stdout.strip() else {}
        if re.search(absent, done.stderr):
            return None
        why = (done.stderr.strip() or done.stdout.strip())[:500]
        raise MlopsError(f"{shlex.join(command)}: {why}")


def setup(say: Callable[[str], None], dry_run: bool = False) -> None:
    """Make it so; with ``dry_run`` only say the commands.

    Raises:
        MlopsError: naming what is left for a person to do.
    """
    api, left = Api(_platform()), []
    for rule, wrong in _judged(api, say):
        if not rule.calls:
            left += wrong
        elif dry_run:
            say("\n".join(_shell(api, call) for call in rule.calls))
        else:
            try:
                for call in rule.calls:
                    api.send(call)
                say(f"{rule.name}: set")
            except MlopsError as error:  # the rest is still done
                left.append(f"{rule.name}: {error}")
    text = "\n".join(["Left to do:", *left])
    if left and not dry_run:
        raise MlopsError(text)
    if left:
        say(text)


def verify(say: Callable[[str], None]) -> None:
    """Raise :class:`MlopsError` naming all that is not so."""
    wrong = [one for _, differences in _judged(Api(_platform()), say) for one in differences]
    if wrong:
        raise MlopsError("\n".join([f"{len(wrong)} not as wanted:", *wrong]))


def merge(wanted: Any, found: Any) -> Any:
    """Return what stands with what is wanted on top: additions and stricter numbers stay."""
    if isinstance(wanted, dict):
        found = found or {}
        return {**found, **{key: merge(value, found.get(key)) for key, value in wanted.items()}}
    if isinstance(wanted, list):
        rest = [one for one in found or [] if not any(_same(item, one) for item in wanted)]
        return [merge(item, _partner(item, found)) for item in wanted] + rest
    return max(wanted, found or 0) if isinstance(wanted, AtLeast) else wanted


def pick(answer: Any, *keys: str) -> Any:
    """Return what an answer says under these keys; None where there is no answer."""
    return answer and {key: answer[key] for key in keys if answer.get(key) is not None}


def resource(
    name: str, wanted: Any, found: Any, path: str, made_with: Any = None, change: str = "PUT"
) -> Rule:
    """Return the rule of what is made at ``path``, with more if need be, and changed at its id."""
    call = Call("POST", path, merge(wanted, made_with))
    if found is not None:
        stands = pick(found, *wanted, *(made_with or {}))
        call = Call(change, f"{path}/{found['id']}", merge(wanted, stands))
    return Rule(name, wanted, found, (call,))


def needed(environment: str) -> dict[str, Variable]:
    """Return the variables without which an environment's jobs fail."""
    first = environment == project.ENVIRONMENTS[0]  # the one that trains
    jobs = {"release", "train", "register"} if first else {"release"}
    return {name: one for name, one in VARIABLES.items() if jobs & {*one.needed} and asked(name)}


def _platform() -> Platform:
    name = project.CI.replace("-", "_")
    platform: Platform = import_module(f".{name}.protection", __package__)
    return platform


def _judged(api: Api, say: Callable[[str], None]) -> Iterator[tuple[Rule, list[str]]]:
    for rule in _platform().rules(api):
        if isinstance(rule, str):
            say(rule)
        elif wrong := rule.differences():
            yield rule, wrong


def _shell(api: Api, call: Call) -> str:
    command = shlex.join(api.command(call.method, call.path))
    return command if call.body is None else f"{command} <<< {shlex.quote(json.dumps(call.body))}"


def _same(wanted: Any, found: Any) -> bool:
    """Tell whether two items of a list are about one thing: their names and numbers are equal."""
    if not isinstance(wanted, dict):
        return bool(wanted == found)
    return all(found.get(k) == v for k, v in wanted.items() if type(v) in (str, int))


def _partner(item: Any, found: list[Any] | None) -> Any:
    return next((one for one in found or [] if _same(item, one)), None)


def _different(wanted: Any, found: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            inner = found.get(key) if isinstance(found, dict) else None
            yield from _different(value, inner, f"{at}.{key}")
    elif isinstance(wanted, list):
        for item in wanted:
            if (partner := _partner(item, found)) is None:
                yield at, found, [item]
            else:
                yield from _different(item, partner, at)
    elif isinstance(wanted, AtLeast):
        if not isinstance(found, int) or found < wanted:
            yield at, found, wanted
    elif wanted != found:
        yield at, found, wanted
