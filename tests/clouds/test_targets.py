"""Releases by the real controller on each provider's platform, with callers and without mercy."""

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from mlops.cloud import open_cloud, open_store
from mlops.errors import MlopsError
from mlops.registry.base import Version
from mlops.release import controller as controllers
from mlops.release.controller import Controller, RolledBackError, order
from mlops.release.journal import BusyError
from mlops.release.smoke import smoke
from mlops.release.targets import open_target
from mlops.release.targets.base import DeployError
from mlops.release.traffic import CHALLENGER, CHAMPION, Slots, Traffic
from mlops.settings import STRATEGY, Release

from clouds.conftest import ENVIRONMENT
from clouds.expected import ABORTS, CALLS

STRATEGIES = get_args(STRATEGY)
STORAGE = ("PutObject", "DeleteObject")  # the journal's calls, which are none of an endpoint's
REQUESTS = 160  # that callers send between two looks
RELEASE = Release(steps=[20, 50], hold=0, patience=60, min_samples=30)
MIRROR = {"azure": 50}  # per cent: the most it can; SageMaker copies all or none


class Killed(BaseException):
    """What a SIGKILL is to the controller: nothing of it runs after."""


class Known:
    """A registry in memory: three versions, whose champion is the first."""

    def __init__(self) -> None:
        self.tags: dict[int, dict[str, str]] = {number: {"signature": "0"} for number in (1, 2, 3)}
        self.aliases = {f"champion-{ENVIRONMENT}": 1}

    def list(self) -> list[Version]:
        return [
            Version(
                number=number,
                digest=str(number) * 64,
                created="",
                commit="",
                aliases=[name for name, to in self.aliases.items() if to == number],
                tags=tags,
            )
            for number, tags in self.tags.items()
        ]

    def alias(self, alias: str) -> Version | None:
        number = self.aliases.get(alias)
        return next((one for one in self.list() if one.number == number), None)

    def set_alias(self, alias: str, number: int) -> None:
        self.aliases[alias] = number

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        self.tags[number].update(tags)


class Around:
    """A controller's target, registry or journal, on whose calls something else happens first."""

    def __init__(self, inner: Any, **first: Callable[..., None]) -> None:
        self.__dict__.update(inner=inner, first=first)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        for pattern in (name, "any"):
            if callable(found) and pattern in self.first:
                found = partial(self._after, self.first[pattern], found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)

    @staticmethod
    def _after(first: Callable[..., None], then: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        first(*args, **kw)
        return then(*args, **kw)


@dataclass
class Life:
    """A controller that is killed at the n-th of its journal's or its platform's doings."""

    n: int
    seen: int = 0
    dead: bool = False
    where: list[str] = field(default_factory=list)

    def pulse(self, what: str) -> None:
        """Count a doing, or die."""
        self.alive()
        self.where.append(what)
        self.seen += 1
        if self.seen == self.n:
            self.dead = True
            raise Killed(what)

    def alive(self, *_: Any, **__: Any) -> None:
        if self.dead:
            raise Killed


class Calls(list[str]):
    """A platform's calls, each of which ends a life: its effect is there, its answer unheard."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self.life = life

    def append(self, call: str) -> None:
        super().append(call)
        life = self.life
        if not life.dead and call not in STORAGE:
            life.where.append(call)
            life.seen += 1
            if life.seen == life.n:
                life.dead = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


class Home:
    """prod on a provider's platform, whose champion is version 1."""

    def __init__(self, platform: Any) -> None:
        self.platform, self.registry = platform, Known()
        self.mirror = MIRROR.get(platform.provider, 100)
        release = RELEASE.model_copy(update={"mirror": self.mirror})
        self.settings = platform.settings().model_copy(update={"release": release})
        self.target = self.open()
        self.said: list[str] = []
        self.during: Callable[[], None] = lambda: None  # while a step is watched
        self.outcomes: dict[int, float] = {}  # of feedback, by version

    def open(self) -> Any:
        """Return the target as another machine would open it."""
        target = open_target(ENVIRONMENT, self.settings)
        target.poll = 0
        return target

    def stand(self) -> None:
        """Let version 1 answer, alone."""
        self.controller().stand()
        self.platform.calls.clear()

    def controller(self, life: Life | None = None) -> Controller:
        """Return another machine's controller, with callers while it watches."""
        target = Around(self.open(), observe=lambda _: self.callers())
        made = Controller(ENVIRONMENT, self.settings, self.registry, target, self.said.append)
        made.tick = 0
        if life:
            made.target = Around(target, any=life.alive)
            made.registry = Around(self.registry, any=life.alive)
            append = made.journal.append

            def dying(number: int, event: Any, **data: Any) -> None:
                life.pulse(f"before {event}")
                append(number, event, **data)
                life.pulse(f"after {event}")

            made.journal.append = dying
        return made

    def release(self, version: int = 2, strategy: STRATEGY = "canary", **options: Any) -> Any:
        self.outcomes = {1: 1.0, 2: 2.0} if strategy == "ab" else {}
        return self.controller(**options).release(order(version, self.settings, strategy, "why"))

    def callers(self) -> None:
        """Ask, and tell outcomes, as callers do."""
        self.during()
        self.platform.send(REQUESTS)
        for slot, version in self.target.state().versions.items() if self.outcomes else ():
            for turn in range(RELEASE.min_samples):
                outcome = self.outcomes[version] + 0.1 * (-1) ** turn
                body = {"request_id": "r", "version": str(version), "outcome": outcome}
                assert self.target.ask(slot, "/feedback", body)[0] in (200, 202)

    def answers(self, number: int) -> Counter[str]:
        """Return how often callers hear each version."""
        ask = partial(self.target.ask, None, "/predict")
        came = [ask({"records": [self.platform.servers.record()]}) for _ in range(number)]
        assert {status for status, _ in came} == {200}
        return Counter(answer["version"] for _, answer in came)

    def only(self, version: int) -> None:
        """One version answers everything, is the champion's, and nothing is under way."""
        state = self.target.state()
        slot = state.slots.champion
        assert state.traffic == CHAMPION
        assert state.versions[slot] == version
        assert routed(self.platform) == {slot: 100}
        assert self.answers(5) == {str(version): 5}
        assert self.registry.aliases[f"champion-{ENVIRONMENT}"] == version
        assert not self.controller().journal.pending()


def routed(platform: Any) -> dict[str, float]:
    """Return what the platform routes, without what gets nothing."""
    return {name: share for name, share in platform.traffic().items() if share}


def left(platform: Any) -> list[str]:
    """Return what is there, but for the journal."""
    return sorted(one for one in platform.left() if "deployments/" not in one)


@pytest.fixture
def home(platform: Any, models: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(controllers, "fetch", models.__getitem__)
    genuine = type("Genuine", (), {"signature": "signed"})
    monkeypatch.setattr(controllers, "verify_version", lambda _: genuine)
    made = Home(platform)
    made.stand()
    return made


# Slots and traffic -----------------------------------------------------------


def test_nothing_stands_before_the_first_deployment(platform: Any) -> None:
    state = open_target(ENVIRONMENT, platform.settings()).state()
    assert (state.versions, state.address) == ({}, "")


def test_the_champion_answers_alone_once_it_stands(home: Home) -> None:
    home.only(1)
    assert home.target.state().versions == {"blue": 1}
    assert home.target.state().address
    assert smoke(partial(home.target.ask, None), controllers.fetch(1), 1) == 4


def test_a_call_that_is_repeated_changes_nothing(home: Home) -> None:
    folder = controllers.fetch(2)
    home.target.deploy("green", 2, folder)
    split = Traffic(champion=80, challenger=20)
    home.target.route(split, Slots())
    stands = home.target.state()
    home.platform.calls.clear()
    for target in (home.target, home.open()):
        target.deploy("green", 2, folder)
        target.deploy("blue", 1, controllers.fetch(1))
        target.route(split, Slots())
        target.route(split, Slots(), 10.0)
        assert target.state() == stands
    assert home.platform.calls == []
    home.target.route(CHAMPION, Slots())
    home.target.remove("green")
    home.platform.calls.clear()
    home.target.remove("green")
    home.target.route(CHAMPION, Slots())
    assert home.platform.calls == []


def test_a_slot_that_is_deployed_gets_no_traffic_by_it(home: Home) -> None:
    home.target.deploy("green", 2, controllers.fetch(2))
    assert home.target.state().ready == {"blue": True, "green": True}
    assert routed(home.platform) == {"blue": 100}
    assert home.answers(20) == {"1": 20}
    assert home.target.ask("green", "/ready")[1]["version"] == "2"


@pytest.mark.parametrize("share", [5, 50, 95])
def test_callers_hear_the_versions_in_the_plans_shares(home: Home, share: int) -> None:
    home.target.deploy("green", 2, controllers.fetch(2))
    home.target.route(Traffic(champion=100 - share, challenger=share), Slots())
    assert routed(home.platform) == {"blue": 100 - share, "green": share}
    heard = home.answers(100)
    assert abs(heard["2"] - share) <= 5, heard
    home.target.route(CHAMPION, Slots())
    assert home.answers(20) == {"1": 20}


def test_a_mirrored_challenger_is_asked_and_never_heard(home: Home) -> None:
    if home.platform.provider == "gcp":
        pytest.skip("refused there: see the next")
    home.target.deploy("green", 2, controllers.fetch(2))
    home.target.route(Traffic(mirror=home.mirror), Slots())
    assert home.target.state().traffic.mirror == home.mirror
    mark = home.target.mark()
    assert home.answers(60) == {"1": 60}
    home.platform.send(60)
    seen = home.target.observe(mark)
    assert abs(seen["green"].requests - 1.2 * home.mirror) <= 10, seen["green"]
    assert seen["green"].versions.keys() == {"2"}
    assert seen["blue"].versions.keys() == {"1"}


def test_gcp_refuses_a_shadow_and_names_what_comes_nearest(home: Home) -> None:
    if home.platform.provider != "gcp":
        pytest.skip("mirrors")
    before = left(home.platform)
    with pytest.raises(MlopsError, match="canary"):
        home.release(strategy="shadow")
    assert home.answers(20) == {"1": 20}
    if home.controller().journal.pending():
        home.controller().rollback("it can't be done")
    home.only(1)
    assert left(home.platform) == before


def test_another_machine_sees_the_same(home: Home) -> None:
    home.target.deploy("green", 2, controllers.fetch(2))
    home.target.route(CHALLENGER, Slots())
    home.target.route(CHAMPION, Slots(champion="green"))
    state = home.open().state()
    assert state == home.target.state()
    assert (state.slots.champion, state.traffic) == ("green", CHAMPION)
    assert state.versions == {"blue": 1, "green": 2}


def test_what_a_slot_did_is_observed_since_the_mark(home: Home) -> None:
    home.platform.send(50)
    mark = home.target.mark()
    home.platform.servers.scripts[1].errors = 0.2
    home.platform.send(50)
    seen = home.target.observe(mark)["blue"]
    assert (seen.requests, seen.errors) == (50, 10)
    assert seen.versions == {"1": 40}
    assert sum(seen.latency.counts) == 50
    assert sum(seen.predictions.counts) == 40


def test_a_server_that_was_replaced_is_counted_from_nothing(home: Home) -> None:
    home.platform.send(50)
    mark = home.target.mark()
    home.platform.servers.restart(1)
    home.platform.send(20)
    assert home.target.observe(mark)["blue"].versions == {"1": 20}


def test_a_slot_that_gets_no_traffic_is_removed_whole(home: Home) -> None:
    before = left(home.platform)
    home.target.deploy("green", 2, controllers.fetch(2))
    assert len(left(home.platform)) > len(before)
    home.target.remove("green")
    assert left(home.platform) == before
    assert home.answers(5) == {"1": 5}


def test_a_slot_that_answers_callers_is_not_removed(home: Home) -> None:
    with pytest.raises(MlopsError, match="blue"):
        home.target.remove("blue")
    home.only(1)


def test_stopping_leaves_nothing(home: Home) -> None:
    home.target.deploy("green", 2, controllers.fetch(2))
    home.target.stop()
    assert left(home.platform) == []
    assert home.open().state().versions == {}
    home.target.stop()


def test_another_version_replaces_what_was_in_a_slot(home: Home) -> None:
    home.target.deploy("green", 2, controllers.fetch(2))
    before = len(left(home.platform))
    home.target.deploy("green", 3, controllers.fetch(3))
    assert home.target.state().versions == {"blue": 1, "green": 3}
    assert len(left(home.platform)) == before
    assert home.target.ask("green", "/ready")[1]["version"] == "3"


# Releases --------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_good_challenger_is_promoted_by_the_very_calls(home: Home, strategy: STRATEGY) -> None:
    if (home.platform.provider, strategy) == ("gcp", "shadow"):
        pytest.skip("refused there")
    routes: list[dict[str, float]] = []

    def look() -> None:
        if routes[-1:] != [now := routed(home.platform)]:
            routes.append(now)

    home.during = look
    done = home.release(strategy=strategy)
    assert done.verdict == "promoted"
    plan = order(2, home.settings, strategy).plan
    assert done.weights == [str(step.traffic) for step in plan]
    wanted = [
        {"blue": one.champion, "green": one.challenger, "mirror": one.mirror}
        for one in (step.traffic for step in plan)
    ]
    assert routes == [{name: share for name, share in one.items() if share} for one in wanted]
    home.only(2)
    assert home.target.state().slots.champion == "green"
    assert calls(home) == CALLS.get(home.platform.provider, {}).get(strategy)


def calls(home: Home) -> list[str]:
    """Return the calls that change an endpoint; the journal's are not among them."""
    return [one for one in home.platform.calls if one not in STORAGE]


def test_the_champion_before_comes_back_by_a_rollback(home: Home) -> None:
    home.release(strategy="blue-green")
    home.only(2)
    home.controller().rollback("worse after all")
    home.only(1)
    assert home.target.state().slots.champion == "blue"


FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"errors": 0.5},
    "latency": {"seconds": 0.2},
    "distribution": {"shift": 0.4},
    "version": {"says": "9"},
    "start": {"crash": True},
}
BAD = [("canary", check) for check in FAULTS]
BAD += [("rolling", "errors"), ("blue-green", "errors"), ("ab", "latency"), ("shadow", "version")]


@pytest.mark.parametrize(("strategy", "check"), BAD)
def test_a_bad_challenger_is_rolled_back(home: Home, strategy: STRATEGY, check: str) -> None:
    if (home.platform.provider, strategy) == ("gcp", "shadow"):
        pytest.skip("refused there")
    before, reached = left(home.platform), [0]

    def worsen() -> None:
        home.platform.servers.scripts[2].__dict__.update(FAULTS[check])
        reached[0] = len(calls(home))

    home.during = worsen
    if check == "start":
        worsen()
    with pytest.raises(RolledBackError, match=f"Version 2 is rolled back. {check}:"):
        home.release(strategy=strategy)
    home.only(1)
    assert home.target.state().versions == {"blue": 1}
    assert left(home.platform) == before
    assert home.controller().journal.deployments()[-1].verdict.startswith(f"rolled back: {check}:")
    if check != "start":
        assert calls(home)[reached[0] :] == ABORTS.get(home.platform.provider, {}).get(strategy)


def test_an_operator_ends_a_release_under_way(home: Home) -> None:
    before = left(home.platform)
    home.during = lambda: home.controller().journal.ask_abort("enough")
    assert home.release().verdict == "rolled back: operator: enough"
    home.only(1)
    assert left(home.platform) == before


# What interrupts -------------------------------------------------------------


def died(home: Home, n: int, strategy: STRATEGY) -> Life:
    """Release until the n-th doing, if it comes to that."""
    life = Life(n)
    home.platform.calls = Calls(life)

    def die(*_: Any) -> None:
        raise Killed

    before = signal.signal(signal.SIGUSR1, die)
    try:
        home.release(strategy=strategy, life=life)
    except Killed:
        pass
    finally:
        signal.signal(signal.SIGUSR1, before)
        life.dead, life.n = False, 0
        home.platform.calls = []
    forget(home)
    return life


def forget(home: Home) -> None:
    """Let the minute pass after which a controller that was killed is no longer at work."""
    open_store(home.settings, ENVIRONMENT).delete(f"deployments/{ENVIRONMENT}/lock")


def again(platform: Any) -> Home:
    """Return prod with nothing of before on it."""
    platform.reset()
    made = Home(platform)
    made.stand()
    return made


@pytest.mark.parametrize("check", ["none", "errors"])
def test_a_controller_killed_anywhere_is_finished_by_the_same_command(
    home: Home, check: str
) -> None:
    strategy: STRATEGY = "blue-green"  # one step, and all that is around it
    lasting, n = left(home.platform), 0
    if check == "none":
        home.release(strategy=strategy)
        lasting = left(home.platform)
    while True:
        n += 1
        home = again(home.platform)

        def worsen(home: Home = home) -> None:
            home.platform.servers.scripts[2].__dict__.update(FAULTS.get(check, {}))

        home.during = worsen
        try:
            life = died(home, n, strategy)
            over = life.seen < n
        except RolledBackError:
            break
        where = f"killed at {n}: {life.where[-1]}"
        if over:
            break
        try:
            verdict = home.release(strategy=strategy).verdict
        except MlopsError as error:
            verdict = str(error)
        # What was finished just before it was killed is so already.
        wanted = "promoted|is prod's champion already" if check == "none" else "is rolled back"
        assert re.search(wanted, verdict), f"{where}: {verdict}"
        home.only(2 if check == "none" else 1)
        assert left(home.platform) == lasting, where
    assert n > 10, "nothing was killed"


def test_traffic_is_whole_after_an_interrupt(home: Home) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    home.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        home.release()
    assert routed(home.platform) == {"blue": 100}
    home.during = lambda: None
    assert home.release().verdict == "promoted"


def test_a_second_controller_is_kept_out(home: Home) -> None:
    first, second = home.controller(), home.controller()
    with first.journal.lock(), pytest.raises(BusyError, match=ENVIRONMENT):
        second.release(order(2, home.settings))
    assert calls(home) == []
    home.only(1)


def test_one_that_was_taken_over_touches_nothing_more(home: Home) -> None:
    first, after = home.controller(), [-1]

    def take_over() -> None:
        home.during = lambda: None
        forget(home)
        home.release()
        first.journal._held._renewed = -1e9
        after[0] = len(calls(home))

    home.during = take_over
    with pytest.raises(BusyError, match="taken this release over"):
        first.release(order(2, home.settings))
    assert len(calls(home)) == after[0] > 0
    home.only(2)


# What a platform refuses -----------------------------------------------------


def doings(home: Home) -> list[str]:
    """Return the names of the calls that a release makes, once each."""
    home.release(strategy="blue-green")
    return list(dict.fromkeys(calls(home)))


@pytest.mark.parametrize("kind", ["throttle", "slow"])
def test_a_platform_that_throttles_or_is_slow_is_waited_for(home: Home, kind: str) -> None:
    names = doings(home)
    home = again(home.platform)
    for call in names:
        home.platform.fail(call, 1, kind)
    assert home.release(strategy="blue-green").verdict == "promoted"
    home.only(2)


@pytest.mark.parametrize("kind", ["error", "expired", "denied", "quota"])
def test_what_a_platform_refuses_is_said_and_leaves_nothing(home: Home, kind: str) -> None:
    before = left(home.platform)
    account = open_cloud(home.settings, ENVIRONMENT).model_dump(mode="json")
    names = [value for value in account.values() if isinstance(value, str) and value]
    for call in doings(home):
        home = again(home.platform)
        home.platform.fail(call, 1000, kind)
        with pytest.raises(MlopsError) as refused:
            home.release(strategy="blue-green")
        said = f"{kind} of {call}: {refused.value}"
        assert "Traceback" not in said
        assert f"environments/{ENVIRONMENT}.yaml" in said
        assert any(name in said for name in names), said
        home.platform.fail(call, 0, kind)
        deployed = home.target.state().versions
        if deployed == {"blue": 1}:  # it was refused before the challenger was up
            assert left(home.platform) == before, said
        if kind == "error" and home.controller().journal.pending():
            assert home.release(strategy="blue-green").verdict == "promoted", said
            home.only(2)
        else:
            # All to one: the champion, or what was promoted when the last call was refused.
            assert len(home.answers(20)) == 1, said


def test_a_first_deployment_that_is_refused_leaves_nothing(
    platform: Any, models: dict[int, Path]
) -> None:
    target = open_target(ENVIRONMENT, platform.settings())
    target.poll = 0
    target.deploy("blue", 1, models[1])
    names = list(dict.fromkeys(platform.calls))
    for call in names:
        platform.reset()
        target = open_target(ENVIRONMENT, platform.settings())
        target.poll = 0
        platform.fail(call, 1000, "quota")
        with pytest.raises(MlopsError):
            target.deploy("blue", 1, models[1])
        assert left(platform) == [], call


def test_a_crash_at_start_says_which_version_and_slot(home: Home) -> None:
    home.platform.servers.scripts[2].crash = True
    before = left(home.platform)
    with pytest.raises(DeployError, match="green") as refused:
        home.target.deploy("green", 2, controllers.fetch(2))
    assert "2" in str(refused.value)
    assert left(home.platform) == before
    home.only(1)
