"""Brings a fleet to a version ring by ring: the canaries first, the rest when they are green."""

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from filelock import FileLock, Timeout

from factory.errors import FactoryError, RefusedError
from factory.fleet import Fleet, Member
from factory.forges.base import BusyError, Forge, Request
from factory.update import Outcome

STOPPED = 6  # the exit code
PER_REQUEST = 3.0  # seconds: a look is up to four calls, of which GitHub gives 5,000 an hour
_SHOWN = 5  # names in one line


@dataclass(frozen=True)
class Options:
    """When a ring is done, and when a rollout stops.

    Attributes:
        until: What a ring's requests must be before the next ring begins.
        stop_first: The share of a ring that may fail, in the first ring.
        stop_at: The same, in the rings after it.
        parallel: How many repositories are worked on at once.
        poll: Seconds between two looks; more where many are waited for.
        wait: Seconds that a ring is waited for.
    """

    until: Literal["green", "merged"] = "green"
    stop_first: float = 0.0
    stop_at: float = 0.1
    parallel: int = 4
    poll: float = 60.0
    wait: float = 4 * 3600.0

    def __post_init__(self) -> None:
        """Refuse what makes no rollout.

        Raises:
            FactoryError: A value is beyond its limits.
        """
        limits = {
            "stop_first": (0, 0.99),
            "stop_at": (0, 0.99),
            "parallel": (1, 64),
            "poll": (5, 3600),
            "wait": (0, 30 * 24 * 3600),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise FactoryError(f"{name} is {value}: give it a value from {low} to {high}")
        if self.until not in ("green", "merged"):
            raise FactoryError(f"until is {self.until}: give it green or merged")


@dataclass(frozen=True)
class Report:
    """How a rollout stands.

    Attributes:
        ring: The one that is not done yet.
        waiting: Repositories whose request is not there yet, and what is missing.
        failures: Repositories to mend, and why.
        reason: In one line, what to do.
    """

    state: Literal["done", "waiting", "stopped"]
    reason: str
    ring: str | None = None
    waiting: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code."""
        return STOPPED if self.state == "stopped" else 0


class Journal:
    """What was done, a line of JSON each: on the disk before anything else is begun.

    Args:
        path: The file; it is made when there is something to write.
        now: Seconds of 1970, for people who read it.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path, self._now, self._lock = path, now, Lock()

    def alone(self) -> AbstractContextManager[object]:
        """Hold the journal.

        Raises:
            RefusedError: Another rollout does.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return FileLock(f"{self.path}.lock", timeout=0).acquire()
        except Timeout:
            raise RefusedError(
                f"another rollout is at work on {self.path}: wait for its end"
            ) from None

    def read(self) -> list[dict[str, Any]]:
        """Return the entries. A last line without its end was not finished: it is dropped.

        Raises:
            FactoryError: Something else has written into it.
        """
        if not self.path.exists():
            return []
        whole, end, _ = self.path.read_bytes().rpartition(b"\n")
        with self.path.open("r+b") as file:
            file.truncate(len(whole + end))
        entries = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                entry["event"]
            except (ValueError, TypeError, KeyError):
                raise FactoryError(
                    f"{self.path}, line {number}, is no entry of a rollout: name another journal"
                ) from None
            entries.append(entry)
        return entries

    def write(self, event: str, **fields: Any) -> dict[str, Any]:
        """Append an entry and return it.

        Raises:
            FactoryError: It can't be written.
        """
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        entry = {"at": at, "event": event, **fields}
        try:
            with self._lock, self.path.open("ab") as file:
                file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FactoryError(
                f"{self.path} can't be written ({error.strerror}): the rollout stops here; "
                "make room and run the same command again"
            ) from None
        return entry


@dataclass
class _State:
    """What the journal's entries come to."""

    template: str | None = None
    target: str | None = None
    members: dict[str, list[str]] = field(default_factory=dict)  # source and ring of each name
    current: set[str] = field(default_factory=set)  # they were at the target already
    requests: dict[str, Request] = field(default_factory=dict)  # as they were opened
    finished: set[str] = field(default_factory=set)  # the members of the rings that are done
    failures: dict[str, str] = field(default_factory=dict)  # of these, as few as was allowed
    done: bool = False

    def add(self, entry: dict[str, Any]) -> None:
        """Take in the next entry."""
        event, name = entry["event"], entry.get("name", "")
        if event == "begin":
            self.template, self.target = entry["template"], entry["target"]
            self.members = entry["members"]
            for older in (self.current, self.requests, self.finished, self.failures):
                older.clear()
        elif event == "fleet":
            for other, was in self.members.items():
                if entry["members"].get(other, [None])[0] != was[0]:  # another repository by now
                    self.current.discard(other)
                    self.requests.pop(other, None)
                    self.finished.discard(other)
                    self.failures.pop(other, None)
            self.members = entry["members"]
        elif event == "current":
            self.current.add(name)
        elif event == "proposed":
            self.requests[name] = Request(entry["number"], entry["url"], "open", "pending")
        elif event == "ring":
            self.finished.update(entry["members"])
            self.failures.update(entry["failures"])
        self.done = event == "done"


@dataclass(frozen=True)
class _Found:
    """What a repository's turn came to: good, to be waited for, or a failure."""

    kind: Literal["good", "waiting", "failure"]
    why: str = ""
    pause: float = 0.0  # seconds that the platform asks for


class Rollout:
    """One version on its way through a fleet.

    Args:
        fleet: The repositories and their rings.
        target: The version; every run of one rollout has the same.
        update: Opens or refreshes a repository's request: `update` with `How.PROPOSE`.
        open_forge: Finds the platform of a repository.
        journal: The file that a second run goes on from.
        options: When a ring is done, and when to stop.
        say: Is told of progress, a line each.
        now: Seconds of 1970.
        sleep: Waits for that many seconds.
    """

    def __init__(
        self,
        fleet: Fleet,
        target: str,
        *,
        update: Callable[[Member], Outcome],
        open_forge: Callable[[Member], Forge],
        journal: Path,
        options: Options | None = None,
        say: Callable[[str], None] = print,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fleet, self._target = fleet, target
        self._update, self._open_forge = update, open_forge
        self._journal, self._options = Journal(journal, now), options or Options()
        self._say, self._now, self._sleep = say, now, sleep
        self._state = _State()
        self._failed: dict[str, _Found] = {}  # by their update, in this run

    def run(self, wait: bool = True) -> Report:
        """Go on from where the journal ends: to the end, or as far as it goes without waiting.

        Raises:
            RefusedError: Another rollout holds the journal.
            FactoryError: The journal is of another, unfinished rollout.
        """
        with self._journal.alone():
            self._begin()
            rings = [(ring, self._members(ring)) for ring in self._fleet.rings]
            rings = [(ring, members) for ring, members in rings if members]
            for number, (ring, members) in enumerate(rings):
                share = self._options.stop_at if number else self._options.stop_first
                report = self._ring(ring, members, share, wait)
                if report:
                    return report
            if not self._state.done:
                self._note("done")
            failures = self._state.failures
            left = f"; to mend: {_listed(failures)}" if failures else ""
            return Report("done", f"{self._target} is in every ring{left}", failures=failures)

    def _begin(self) -> None:
        """Take up the journal, and tell what has changed since."""
        for entry in self._journal.read():
            self._state.add(entry)
        state, template = self._state, _bare(self._fleet.template or "")
        members = {m.name: [_bare(m.source), m.ring] for m in self._fleet.repositories}
        same = (state.template, state.target) == (template, self._target)
        if state.target is not None and not same and not state.done:
            raise FactoryError(
                f"{self._journal.path} is of the rollout of {state.target} of {state.template}, "
                f"which is not done: finish it with --to {state.target}, "
                f"or delete the journal to give it up for {self._target} of {template}"
            )
        if not same:
            self._note("begin", template=template, target=self._target, members=members)
        elif members != state.members:
            for line in _differences(state.members, members):
                self._say(f"the fleet has changed: {line}")
            self._note("fleet", members=members)

    def _ring(self, ring: str, whole: list[Member], share: float, wait: bool) -> Report | None:
        """Bring one ring as far as it goes; return None where that is its end."""
        members = [member for member in whole if member.name not in self._state.finished]
        if not members:
            return None
        self._say(f"ring {ring}: {_many(members)}")
        most = share * len(whole)
        deadline, told = self._now() + self._options.wait, ""
        good: set[str] = set()
        while True:
            asked = [member for member in members if member.name not in good]
            found = self._turn(asked, most)
            good |= {name for name, each in found.items() if each.kind == "good"}
            failures = {name: each.why for name, each in found.items() if each.kind == "failure"}
            waiting = {name: each.why for name, each in found.items() if each.kind == "waiting"}
            if len(failures) > most:
                return self._stopped(
                    f"{len(failures)} of {_many(whole)} failed, more than {share:.0%}: "
                    f"{_listed(failures)}; mend that and run the same command again",
                    *(ring, waiting, failures),
                )
            if not waiting:
                if len(asked) == len(members):
                    names = [member.name for member in members]
                    self._note("ring", ring=ring, members=names, failures=failures)
                    self._say(f"ring {ring} is done")
                    return None
                good.clear()  # once more, all at the same time: a check may have come since
                continue
            line = f"ring {ring}: {len(good)} of {len(members)}; waiting for {_listed(waiting)}"
            if line != told:
                self._say(line)
            told = line
            if not wait:
                return Report("waiting", line, ring, waiting, failures)
            if (left := deadline - self._now()) <= 0:
                return self._stopped(
                    f"after {self._options.wait / 60:.0f} minutes still waiting for "
                    f"{_listed(waiting)}; run the same command again to go on",
                    *(ring, waiting, failures),
                )
            asked_for = max(each.pause for each in found.values())
            self._sleep(min(left, max(self._options.poll, len(waiting) * PER_REQUEST, asked_for)))

    def _stopped(
        self, why: str, ring: str, waiting: dict[str, str], failures: dict[str, str]
    ) -> Report:
        self._note("stopped", ring=ring, reason=why)
        return Report("stopped", f"ring {ring}: {why}", ring, waiting, failures)

    def _turn(self, members: list[Member], most: float) -> dict[str, _Found]:
        """Do what there is to do; end early with more than ``most`` failures."""
        failed: list[str] = []

        def turn(member: Member) -> _Found | None:
            if len(failed) > most:
                return None
            found = self._one(member)
            if found.kind == "failure":
                failed.append(member.name)
            return found

        pool = ThreadPoolExecutor(self._options.parallel)
        try:
            futures = {member.name: pool.submit(turn, member) for member in members}
            found = {name: future.result() for name, future in futures.items()}
        finally:  # what has begun is finished and written down; the rest is not begun
            pool.shutdown(cancel_futures=True)
        return {name: each for name, each in found.items() if each}

    def _one(self, member: Member) -> _Found:
        """Return how one repository stands, after what there is to do for it."""
        try:
            if member.name in self._state.current:
                return _Found("good")
            if request := self._state.requests.get(member.name):
                return self._judged(self._open_forge(member).look(request.number))
            if member.name not in self._failed:
                return self._proposed(member, self._update(member))
            return self._failed[member.name]
        except BusyError as busy:  # no fault of the repository's
            return _Found("waiting", str(busy), busy.wait)
        except FactoryError as error:
            return _Found("failure", str(error))

    def _proposed(self, member: Member, outcome: Outcome) -> _Found:
        if outcome.state == "current":
            self._note("current", name=member.name)
            return _Found("good")
        if outcome.request:
            number, url = outcome.request.number, outcome.request.url
            self._note("proposed", name=member.name, number=number, url=url)
            self._say(f"  {member.name}: {url}")
            return _Found("waiting", "just proposed")
        if outcome.conflicts:
            paths = {conflict.path: conflict.kind for conflict in outcome.conflicts}
            fix = "resolve them with `factory update --with-conflicts`"
            why = f"conflicts in {_listed(paths)}: {fix}"
        else:
            why = outcome.reason or f"its update is {outcome.state}, without a request"
        self._failed[member.name] = _Found("failure", why)
        return self._failed[member.name]

    def _judged(self, request: Request) -> _Found:
        if request.state == "merged":
            return _Found("good")
        if request.state == "closed":
            return _Found(
                "failure",
                f"people closed {request.url}: reopen it, or take the repository out of the fleet",
            )
        if request.checks == "red":
            return _Found("failure", f"{request.url} is red, or can't be merged")
        if request.checks == "none":
            return _Found("waiting", "no checks: merge it, or let something check it")
        if request.checks == "pending":
            return _Found("waiting", "pending")
        return _Found("good") if self._options.until == "green" else _Found("waiting", "a merge")

    def _members(self, ring: str) -> list[Member]:
        last = self._fleet.rings[-1]
        return [member for member in self._fleet.repositories if (member.ring or last) == ring]

    def _note(self, event: str, **fields: Any) -> None:
        self._state.add(self._journal.write(event, **fields))


def _bare(address: str) -> str:
    """Return an address without what may be secret in it."""
    return re.sub(r"//[^/@]*@", "//", address)


def _many(members: list[Member]) -> str:
    return f"{len(members)} {'repository' if len(members) == 1 else 'repositories'}"


def _listed(why: dict[str, str]) -> str:
    """Return names with reasons, in one line."""
    shown = [f"{name} ({reason})" for name, reason in sorted(why.items())[:_SHOWN]]
    more = f" and {len(why) - _SHOWN} more" if len(why) > _SHOWN else ""
    return ", ".join(shown) + more


def _differences(was: dict[str, list[str]], now: dict[str, list[str]]) -> Iterable[str]:
    for name in sorted(was.keys() | now.keys()):
        if name not in was:
            yield f"{name} is new, in ring {now[name][1]}"
        elif name not in now:
            yield f"{name} is gone; a request that it has stays as it is"
        elif was[name] != now[name]:
            yield f"{name} was {' in ring '.join(was[name])}, is {' in ring '.join(now[name])}"
