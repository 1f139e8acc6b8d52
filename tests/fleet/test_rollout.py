"""Rings: over HTTP to a fake of GitHub, by a clock that only the test moves."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from forge_server import TOKEN, Fault, ForgeServer, GitHubServer, Pull

from factory.errors import FactoryError, RefusedError
from factory.fleet import Fleet, Member
from factory.forges import BusyError, Forge, open_forge
from factory.merge import Conflict
from factory.rollout import STOPPED, Journal, Options, Report, Rollout
from factory.update import BRANCH, Outcome

CANARIES, REST = ["a", "b"], ["c", "d", "e", "f", "g"]


class World:
    """A fleet on a fake platform, and people who do something while the rollout sleeps.

    Attributes:
        updated: The repositories that were updated, in order.
        outcomes: What an update of a repository comes to, where it proposes nothing.
        said: What was told.
        slept: How long it waited, each time.
        meanwhile: What is done in each sleep; after the last, every request is green.
    """

    def __init__(self, server: ForgeServer, folder: Path) -> None:
        self.server, self.journal = server, folder / "rollout.jsonl"
        self.updated: list[str] = []
        self.outcomes: dict[str, Outcome | FactoryError] = {}
        self.said: list[str] = []
        self.slept: list[float] = []
        self.meanwhile: list[Callable[[], object]] = []
        self.time = 1_700_000_000.0
        self._lock = threading.Lock()

    def fleet(self, rings: dict[str, list[str]] | None = None) -> Fleet:
        rings = {"canary": CANARIES, "all": REST} if rings is None else rings
        members = [
            Member(source=self.server.remote(name), name=name, ring=ring, forge="github")
            for ring, names in rings.items()
            for name in names
        ]
        return Fleet(template="https://git.example.com/t", rings=list(rings), repositories=members)

    def rollout(self, fleet: Fleet | None = None, target: str = "0.5.0", **options: Any) -> Rollout:
        return Rollout(
            fleet or self.fleet(),
            target,
            update=self.update,
            open_forge=forge_of,
            journal=self.journal,
            options=Options(**{"parallel": 1} | options),
            say=self.said.append,
            now=lambda: self.time,
            sleep=self.sleep,
        )

    def update(self, member: Member) -> Outcome:
        with self._lock:
            self.updated.append(member.name)
        given = self.outcomes.get(member.name)
        if isinstance(given, FactoryError):
            raise given
        return given or proposal(member)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        (self.meanwhile.pop(0) if self.meanwhile else self.green)()

    def check(self, *names: str, state: str | None = "success") -> None:
        for pull in self.server.pulls:
            if pull.repository in names and pull.state == "open":
                pull.check("suite", state)

    def green(self) -> None:
        self.check(*"abcdefgh")

    def become(self, name: str, state: str) -> None:
        next(pull for pull in self.server.pulls if pull.repository == name).state = state

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in self.journal.read_text().splitlines()]
        return [entry for entry in entries if not kinds or entry["event"] in kinds]

    @property
    def proposed(self) -> list[str]:
        return [pull.repository for pull in self.server.pulls]


def all_of(*acts: Callable[[], object]) -> Callable[[], None]:
    def act() -> None:
        for each in acts:
            each()

    return act


def forge_of(member: Member) -> Forge:
    forge = open_forge(member.source, member.forge)
    forge.api.sleep = lambda _: None  # type: ignore[attr-defined]
    return forge


def proposal(member: Member) -> Outcome:
    request = forge_of(member).propose(BRANCH, "main", "Update", "What is new")
    return Outcome(member.name, "proposed", "0.4.0", "0.5.0", request=request)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with GitHubServer() as server:
        yield World(server, tmp_path)
    assert server.unknown == []


def test_the_rings_come_in_their_order(world: World) -> None:
    report = world.rollout().run()
    assert report == Report("done", "0.5.0 is in every ring")
    assert report.code == 0
    assert world.updated == world.proposed == CANARIES + REST
    kinds = [entry["event"] for entry in world.events()]
    assert kinds == ["begin", *["proposed"] * 2, "ring", *["proposed"] * 5, "ring", "done"]
    assert len(world.slept) == 2


def test_a_ring_waits_for_every_request_of_the_one_before(world: World) -> None:
    seen: list[list[str]] = []

    def late() -> None:
        world.server.pulls[1].checks = []
        world.check("b")

    acts = [lambda: world.check("a"), lambda: world.check("b", state=None), lambda: None, late]
    world.meanwhile = [all_of(lambda: seen.append(world.proposed), act) for act in acts]
    assert world.rollout().run().state == "done"
    assert seen == [CANARIES] * 4
    assert any("1 of 2; waiting for b (pending)" in line for line in world.said)


def test_a_request_without_checks_is_not_green(world: World) -> None:
    world.meanwhile = [lambda: None] * 2
    assert world.rollout(wait=120).run().code == STOPPED
    assert world.proposed == CANARIES
    assert "no checks" in world.said[-1]


@pytest.mark.parametrize("red", ["failure", "conflict"])
def test_the_second_ring_never_begins_when_the_first_is_red(world: World, red: str) -> None:
    def people() -> None:
        world.check("a")
        if red == "conflict":
            world.server.pulls[1].conflict = True
        else:
            world.check("b", state="failure")

    world.meanwhile = [people]
    report = world.rollout().run()
    assert (report.state, report.ring, report.code) == ("stopped", "canary", STOPPED)
    assert list(report.failures) == ["b"]
    assert "1 of 2 repositories failed, more than 0%: b (" in report.reason
    assert world.server.pulls[1].repository in report.reason
    assert world.proposed == CANARIES


def test_what_is_mended_goes_on(world: World) -> None:
    world.meanwhile = [lambda: world.check("a", "b", state="failure")]
    assert world.rollout().run().code == STOPPED
    for pull in world.server.pulls:
        pull.checks = []
    assert world.rollout().run().state == "done"
    assert world.proposed == CANARIES + REST


FAILURES: dict[str, Outcome | FactoryError] = {
    "refused": Outcome("a", "refused", reason="a is dirty"),
    "conflicts": Outcome("a", "conflicts", conflicts=(Conflict("Makefile", "content"),)),
    "raised": FactoryError("a has no remote"),
    "without a request": Outcome("a", "updated"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_update_that_fails_stops_the_first_ring_at_once(world: World, failure: str) -> None:
    world.outcomes = {"a": FAILURES[failure]}
    report = world.rollout().run()
    assert report.code == STOPPED
    words = {"refused": "dirty", "conflicts": "Makefile", "raised": "no remote"}
    assert words.get(failure, "without a request") in report.failures["a"]
    assert world.proposed == []
    assert world.slept == []
    world.outcomes = {}
    assert world.rollout().run().state == "done"


def test_a_later_ring_bears_some_failures(world: World) -> None:
    world.outcomes = {"d": Outcome("d", "refused", reason="d is dirty")}
    assert world.rollout(stop_at=0.2).run() == Report(
        "done", "0.5.0 is in every ring; to mend: d (d is dirty)", failures={"d": "d is dirty"}
    )
    assert world.updated.count("d") == 1


def test_a_later_ring_stops_at_its_rate(world: World) -> None:
    world.outcomes = {name: Outcome(name, "refused", reason="dirty") for name in "cd"}
    report = world.rollout(stop_at=0.39).run()
    assert (report.code, report.ring) == (STOPPED, "all")
    assert "2 of 5 repositories failed, more than 39%: c (dirty), d (dirty)" in report.reason
    assert world.proposed == CANARIES  # the rest of the ring was not begun


def test_the_first_rings_own_rate_is_an_option(world: World) -> None:
    world.outcomes = {"b": Outcome("b", "refused", reason="dirty")}
    assert world.rollout(stop_first=0.5).run().state == "done"


def test_a_ring_without_repositories_is_none(world: World) -> None:
    world.outcomes = {"c": Outcome("c", "refused", reason="dirty")}
    fleet = world.fleet({"canary": [], "all": REST})
    report = world.rollout(fleet, stop_at=0.5).run()
    assert (report.code, report.ring) == (STOPPED, "all")  # it is the first: nothing may fail


def test_a_red_that_is_borne_is_told_at_the_end(world: World) -> None:
    world.meanwhile = [world.green, all_of(lambda: world.check("e", state="failure"), world.green)]
    report = world.rollout(stop_at=0.2).run()
    assert report.state == "done"
    assert "is red" in report.failures["e"]


def test_a_check_that_comes_late_is_seen(world: World) -> None:
    """a is green, then b; by then a is red."""
    world.meanwhile = [
        lambda: world.check("a"),
        all_of(lambda: world.check("a", state="failure"), lambda: world.check("b")),
    ]
    report = world.rollout().run()
    assert report.code == STOPPED
    assert list(report.failures) == ["a"]


def test_a_request_that_people_closed_is_a_failure(world: World) -> None:
    world.meanwhile = [all_of(world.green, lambda: world.become("b", "closed"))]
    report = world.rollout().run()
    assert "people closed http" in report.failures["b"]
    report = world.rollout().run()
    assert report.code == STOPPED
    assert world.proposed == CANARIES  # it is not proposed to them again


def test_merged_counts_as_green(world: World) -> None:
    acts = [lambda: world.become("a", "merged"), lambda: world.become("b", "merged")]
    world.meanwhile = [all_of(*acts)]
    assert world.rollout().run().state == "done"


def test_until_merged_waits_for_the_merge(world: World) -> None:
    def merge() -> None:
        for pull in world.server.pulls:
            pull.state = "merged"

    world.meanwhile = [world.green, merge, merge]
    assert world.rollout(until="merged").run().state == "done"
    assert any("a (a merge), b (a merge)" in line for line in world.said)
    assert len(world.slept) == 3


def test_what_is_current_needs_no_request(world: World) -> None:
    world.outcomes = {name: Outcome(name, "current") for name in [*CANARIES, "c", "d"]}
    assert world.rollout().run().state == "done"
    assert world.proposed == ["e", "f", "g"]
    assert len(world.slept) == 1
    names = [call[1] for call in world.server.asked]
    assert not any("/team/a/" in path or "/team/d/" in path for path in names)


def test_what_was_current_is_not_updated_again(world: World) -> None:
    world.outcomes = {"a": Outcome("a", "current")}
    world.rollout().run(wait=False)
    assert world.rollout().run(wait=False).waiting.keys() == {"b"}
    assert world.updated == CANARIES


def test_without_waiting_it_goes_as_far_as_it_can(world: World) -> None:
    report = world.rollout().run(wait=False)
    assert (report.state, report.code) == ("waiting", 0)
    assert report.reason.startswith("ring canary: 0 of 2; waiting for a (just proposed), b")
    assert world.rollout().run(wait=False).waiting.keys() == set(CANARIES)
    world.green()
    assert world.rollout().run(wait=False).waiting.keys() == set(REST)
    world.green()
    assert world.rollout().run(wait=False).state == "done"
    assert world.slept == []
    asked = len(world.server.asked)
    assert world.rollout().run(wait=False).state == "done"
    assert len(world.server.asked) == asked  # done is done
    assert world.proposed == CANARIES + REST


def test_a_ring_is_waited_for_only_so_long(world: World) -> None:
    world.meanwhile = [lambda: None] * 99
    report = world.rollout(wait=600, poll=100).run()
    assert report.code == STOPPED
    assert "after 10 minutes still waiting for a (no checks" in report.reason
    assert sum(world.slept) == 600
    assert sum("still waiting" not in line and "(no checks" in line for line in world.said) == 1
    world.meanwhile = []
    assert world.rollout().run().state == "done"
    assert world.proposed == CANARIES + REST


def test_many_are_asked_less_often(world: World) -> None:
    assert world.rollout(poll=5).run().state == "done"
    assert world.slept == [2 * 3.0, 5 * 3.0]


def test_a_busy_platform_is_no_failure_of_the_repository(world: World) -> None:
    world.outcomes = {"a": BusyError("later", 900)}
    world.meanwhile = [all_of(world.outcomes.clear, world.green)]
    assert world.rollout().run().state == "done"
    assert world.slept[0] == 900
    assert world.updated.count("a") == 2
    assert any("a (later)" in line for line in world.said)


def test_a_busy_platform_is_waited_for_when_looked_at(world: World) -> None:
    def people() -> None:
        world.server.faults = [Fault(429, {"Retry-After": "1200"})]
        world.green()

    world.meanwhile = [people]
    assert world.rollout().run().state == "done"
    assert world.slept[1] == 1200


def test_a_denied_token_stops(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.rollout().run(wait=False)
    monkeypatch.setenv("GITHUB_TOKEN", "expired")
    report = world.rollout().run()
    assert report.code == STOPPED
    assert "wrong or expired" in report.reason


def test_another_target_is_refused_until_the_first_is_done(world: World) -> None:
    world.rollout().run(wait=False)
    with pytest.raises(FactoryError, match=r"rollout of 0\.5\.0 .* --to 0\.5\.0, or delete"):
        world.rollout(target="0.6.0").run()
    assert world.rollout().run().state == "done"
    for pull in world.server.pulls:
        pull.state = "merged"
    assert world.rollout(target="0.6.0").run(wait=False).state == "waiting"
    assert world.proposed == CANARIES + REST + CANARIES
    assert [entry["target"] for entry in world.events("begin")] == ["0.5.0", "0.6.0"]


def test_another_fleet_is_told_and_followed(world: World) -> None:
    world.rollout().run(wait=False)
    world.said.clear()
    changed = world.fleet({"canary": ["a", "h"], "all": ["b", "d", "e", "f", "g"]})
    assert world.rollout(changed).run().state == "done"
    told = [line for line in world.said if line.startswith("the fleet has changed: ")]
    assert [line.split(": ", 1)[1].split(" ")[0] for line in told] == ["b", "c", "h"]
    assert world.proposed == ["a", "b", "h", "d", "e", "f", "g"]
    world.said.clear()
    assert world.rollout(changed).run().state == "done"
    assert world.said == []


def test_a_repository_that_came_late_is_proposed_to(world: World) -> None:
    assert world.rollout().run().state == "done"
    grown = world.fleet({"canary": CANARIES, "all": [*REST, "h"]})
    asked = len(world.server.asked)
    assert world.rollout(grown).run().state == "done"
    assert world.proposed[-1] == "h"
    assert all("/team/h/" in call[1] for call in world.server.asked[asked:])


def test_a_name_that_means_another_repository_is_begun_anew(world: World) -> None:
    assert world.rollout().run().state == "done"
    fleet = world.fleet()
    moved = fleet.repositories[0].model_copy(update={"source": world.server.remote("h")})
    other = fleet.model_copy(update={"repositories": [moved, *fleet.repositories[1:]]})
    assert world.rollout(other).run().state == "done"
    assert world.proposed[-1] == "h"


def test_no_token_of_an_address_is_written_down(world: World) -> None:
    fleet = world.fleet({"all": ["a"]})
    secret = fleet.repositories[0].source.replace("//", "//ada:pass-word@")
    member = fleet.repositories[0].model_copy(update={"source": secret})
    world.rollout(fleet.model_copy(update={"repositories": [member]})).run()
    assert "pass-word" not in world.journal.read_text() + "".join(world.said)


def test_the_second_of_two_at_once_is_refused(world: World) -> None:
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(RefusedError, match="another rollout is at work on") as caught:
            world.rollout().run()
        refused.append(str(caught.value))
        world.green()

    world.meanwhile = [second]
    assert world.rollout().run().state == "done"
    assert refused
    assert world.proposed == CANARIES + REST


def test_no_more_are_worked_on_at_once_than_is_allowed(world: World) -> None:
    at_once, most, lock = [0], [0], threading.Lock()
    both = threading.Barrier(3)

    def update(member: Member) -> Outcome:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        both.wait(timeout=30)  # three are there, or this breaks
        with lock:
            at_once[0] -= 1
        return Outcome(member.name, "current")

    world.update = update  # type: ignore[method-assign]
    fleet = world.fleet({"all": list("abcdef")})
    assert world.rollout(fleet, parallel=3).run().state == "done"
    assert most == [3]


def test_an_interrupt_leaves_a_journal_to_go_on_from(world: World) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    world.meanwhile = [interrupted]
    with pytest.raises(KeyboardInterrupt):
        world.rollout().run()
    assert world.rollout().run().state == "done"
    assert world.proposed == CANARIES + REST


def test_an_interrupt_begins_nothing_more(world: World) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it

    def update(member: Member) -> Outcome:
        if member.name == "b":
            os.kill(os.getpid(), signal.SIGINT)
        world.updated.append(member.name)
        return proposal(member)

    world.update = update  # type: ignore[method-assign]
    fleet = world.fleet({"all": list("abcdefgh") + [f"x{n}" for n in range(40)]})
    try:
        with pytest.raises(KeyboardInterrupt):
            world.rollout(fleet).run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(world.updated) < 48
    assert [entry["name"] for entry in world.events("proposed")] == world.updated


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stop_first", -0.1),
        ("stop_at", 1.0),
        ("parallel", 0),
        ("parallel", 65),
        ("poll", 1),
        ("wait", -1),
        ("until", "red"),
    ],
)
def test_an_option_beyond_its_limits_is_refused(option: str, value: Any) -> None:
    with pytest.raises(FactoryError, match=rf"{option} is {value}: give it"):
        Options(**{option: value})


def test_a_journal_that_is_none_is_refused(world: World) -> None:
    for text in ("hello\n", '{"a": 1}\n', "[]\n"):
        world.journal.write_text(text)
        with pytest.raises(FactoryError, match="line 1, is no entry of a rollout"):
            world.rollout().run()
        assert world.journal.read_text() == text
    assert world.proposed == []


def test_a_journal_that_cannot_be_written_stops(world: World) -> None:
    world.journal.mkdir()
    with pytest.raises(FactoryError, match=r"can't be written|no entry|directory"):
        Journal(world.journal).write("begin")


# kill -9 --------------------------------------------------------------------------
ENTRIES = 11  # begin, 2 proposed, ring, 5 proposed, ring, done


class GreenServer(GitHubServer):
    """Where every request is green from the start, so that a run need not wait."""

    def add(self, branch: str, repository: str = "late", **fields: Any) -> Pull:
        pull = super().add(branch, repository, **fields)
        pull.check("suite", "success")
        return pull


def fragile(when: str, number: int) -> Callable[..., dict[str, Any]]:
    """Return a `Journal.write` that kills its process at the entry of that number."""
    write = Journal.write

    def killing(self: Journal, event: str, **fields: Any) -> dict[str, Any]:
        lines = self.path.read_bytes().count(b"\n") if self.path.exists() else 0
        if lines != number:
            return write(self, event, **fields)
        if when != "before":
            write(self, event, **fields)
        if when == "within":
            os.truncate(self.path, self.path.stat().st_size - 9)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return killing


@pytest.mark.parametrize("when", ["before", "within", "after"])
@pytest.mark.parametrize("number", range(ENTRIES))
def test_killed_at_any_entry_it_goes_on(tmp_path: Path, when: str, number: int) -> None:
    with GreenServer() as server:
        world = World(server, tmp_path)

        def run() -> None:
            Journal.write = fragile(when, number)  # type: ignore[method-assign]
            world.rollout().run()

        killed = get_context("fork").Process(target=run)
        killed.start()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
        first = world.proposed
        assert first == (CANARIES + REST)[: len(first)]
        assert world.rollout().run().state == "done"
        assert world.proposed == CANARIES + REST  # in the rings' order, and each once
        assert [entry["event"] for entry in world.events()].count("done") == 1
        assert len(world.events()) == ENTRIES
