"""Plans, verdicts, the journal and the controller, against a target that only remembers."""

import contextlib
import errno
import itertools
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from mlops import project
from mlops.errors import GateError, MlopsError
from mlops.lineage import git
from mlops.release import analysis, controller, deploy, smoke, strategies
from mlops.release.analysis import Evidence, Verdict, judge
from mlops.release.controller import Controller, Order, RolledBackError, order
from mlops.release.journal import BusyError, Journal
from mlops.release.targets.base import DeployError, Histogram, State, Window
from mlops.release.targets.offline import OfflineTarget
from mlops.release.traffic import CHALLENGER, CHAMPION, Slots, Traffic
from mlops.scorer import SERVED
from mlops.settings import CHANGE, STRATEGY, Limits, Paths, Release, Settings

STRATEGIES = get_args(STRATEGY)
FAST = Release(hold=0, patience=0.2, min_samples=10, steps=[10, 50])
LIMITS = Limits(latency_ms=1)


def spread(n: int, mean: float) -> Histogram:
    """Predictions around a mean, with a standard deviation of 0.1."""
    edges = [edge / 50 for edge in range(51)]
    values = np.random.default_rng(1).normal(mean, 0.1, n)
    return Histogram(edges=edges, counts=np.bincount(np.digitize(values, edges), minlength=52))


def window(version: int, n: int = 1000, **changes: Any) -> Window:
    """A window of a healthy model; half of its outcomes are 1."""
    healthy = {
        "requests": n,
        "latency": Histogram(edges=[1, 2, 4, 8, 16], counts=[0, n, 0, 0, 0, 0]),
        "predictions": spread(n, 0.3),
        "versions": {str(version): n},
        "outcomes": n,
        "total": n / 2,
        "squares": n / 2,
    }
    return Window(**healthy | changes)


BAD: dict[str, dict[str, Any]] = {
    "errors": {"errors": 50},
    "latency": {"latency": Histogram(edges=[1, 2, 4, 8, 16], counts=[0, 900, 0, 100, 0, 0])},
    "distribution": {"predictions": spread(1000, 0.38)},
    "version": {"versions": {"2": 990, "1": 10}},
    "winner": {"total": 300, "squares": 300},
}


# Plans ------------------------------------------------------------------------
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_plan_says_who_answers_and_what_must_hold(strategy: STRATEGY) -> None:
    steps = strategies.plan(strategy, Release(steps=[1, 10], share=30, mirror=60))
    shown = [str(step.traffic) for step in steps]
    assert (
        shown
        == {
            "rolling": ["75/25", "50/50", "25/75", "0/100"],
            "blue-green": ["0/100"],
            "canary": ["99/1", "90/10"],
            "ab": ["70/30, sticky"],
            "shadow": ["100/0, mirrored 60 %"],
        }[strategy]
    )
    assert all({"version", "errors"} <= set(step.checks) and step.samples for step in steps)
    assert all(set(step.checks) <= analysis.CHECKS.keys() for step in steps)


def test_a_kind_of_change_has_its_strategy() -> None:
    chosen = {change: strategies.choose(change) for change in get_args(CHANGE)}
    assert chosen == {"retrained": "canary", "algorithm": "blue-green", "comparison": "ab"}


@pytest.mark.parametrize("steps", [[], [50, 5], [5, 5], [0, 5], [5, 100]])
def test_percentages_that_do_not_rise_are_refused(steps: list[int]) -> None:
    with pytest.raises(ValidationError, match="rising percentages"):
        Release(steps=steps)


@pytest.mark.parametrize("wrong", [{"champion": 90}, {"challenger": 5, "champion": 90}])
def test_traffic_adds_up(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="add up to 100"):
        Traffic(**wrong)
    with pytest.raises(ValidationError, match="not mirrored"):
        Traffic(champion=90, challenger=10, mirror=5)


# Verdicts ----------------------------------------------------------------------
def outcomes(champion: Window | None, challenger: Window | None) -> dict[str, str]:
    checks = ("version", "errors", "latency", "distribution", "winner")
    step = strategies.Step(name="any", traffic=CHAMPION, samples=500, checks=checks)
    found = judge(step, Evidence(champion, challenger, 2), LIMITS)
    return {verdict.check: verdict.outcome for verdict in found}


def test_a_better_challenger_passes() -> None:
    better = window(2, total=600, squares=600)
    assert set(outcomes(window(1), better).values()) == {"pass"}


@pytest.mark.parametrize("check", BAD)
def test_a_bad_challenger_fails_by_name(check: str) -> None:
    found = outcomes(window(1), window(2, **BAD[check]))
    assert [name for name, outcome in found.items() if outcome == "fail"] == [check]


def test_too_little_is_waited_for() -> None:
    few, none = window(2, 20), Window()
    for champion, challenger in [(window(1), few), (window(1), none), (window(1), None)]:
        assert set(outcomes(champion, challenger).values()) == {"wait"}
    for champion in (few, none, None):
        found = outcomes(champion, window(2))
        assert [found[name] for name in ("latency", "distribution", "winner")] == ["wait"] * 3


def test_errors_that_the_champion_has_too_are_not_the_challengers() -> None:
    assert outcomes(window(1, errors=50), window(2, errors=50))["errors"] == "pass"
    assert outcomes(window(1, errors=50), window(2, errors=150))["errors"] == "fail"


def test_a_few_errors_early_on_are_chance() -> None:
    assert outcomes(window(1), window(2, 40, errors=4))["errors"] == "wait"
    assert outcomes(window(1), window(2, 40, errors=20))["errors"] == "fail"


def test_quantiles_lie_between_edges() -> None:
    histogram = Histogram(edges=[1, 2, 4], counts=[0, 50, 50, 0])
    assert analysis.quantile(histogram, 0.5) == 2
    assert analysis.quantile(histogram, 0.75) == 3
    assert analysis.above(histogram, 3) == 25
    assert analysis.above(histogram, 9) == 0


def test_the_distance_of_predictions_is_in_standard_deviations() -> None:
    reference = spread(10_000, 0.4)
    for shift in (0.0, 0.05, 0.3):
        value, error = analysis.distance(reference, spread(10_000, 0.4 + shift))
        assert value == pytest.approx(shift / 0.1, abs=0.02)
        assert 0.005 < error < 0.05
    # One record only, always the same: what moves by a bin is no other distribution.
    one, next_to_it = (Histogram(edges=reference.edges, counts=[0] * 52) for _ in range(2))
    one.counts[20], next_to_it.counts[21] = 500, 500
    assert analysis.distance(one, next_to_it)[0] == pytest.approx(0.2)


def looks(rng: np.random.Generator, lift: float, runs: int) -> Any:
    """Return, for each run, whether the test spoke at any of 100 looks, and for whom."""
    batch, rate = 200, 0.2
    found = np.zeros(runs)
    sums = np.cumsum(rng.binomial(batch, [[[rate]], [[rate + lift]]], (2, runs, 100)), axis=2)
    for run, look in itertools.product(range(runs), range(1, 100)):
        if not found[run]:
            n = batch * (look + 1)
            champion, challenger = (
                Window(outcomes=n, total=sums[arm, run, look], squares=sums[arm, run, look])
                for arm in (0, 1)
            )
            verdict = analysis.winner(Evidence(champion, challenger, 2), Limits(), 100)
            found[run] = {"pass": 1, "fail": -1, "wait": 0}[verdict.outcome]
    return found


def test_looking_often_does_not_make_a_winner() -> None:
    rng = np.random.default_rng(5)
    assert np.mean(looks(rng, 0.0, 60) != 0) <= 0.05
    assert np.mean(looks(rng, 0.02, 20) == 1) >= 0.8


# The journal -------------------------------------------------------------------
def test_a_line_cut_short_is_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, "finished", verdict="promoted")
    with journal.path.open("a") as file:
        file.write('{"release": 2, "ti')
    assert [entry.release for entry in journal.entries()] == [1]
    journal.append(2, "promoting")
    assert [entry.release for entry in journal.entries()] == [1, 2]
    assert [entry.event for entry in journal.pending()] == ["promoting"]


def test_there_is_one_controller(tmp_path: Path) -> None:
    with Journal(tmp_path).lock(), pytest.raises(BusyError, match=r"under way.*process \d+"):
        Journal(tmp_path).lock().__enter__()
    with Journal(tmp_path).lock():
        pass


def test_a_lock_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
        with pytest.raises(MlopsError, match="cannot be written"):
            Journal(tmp_path).lock().__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    with Journal(tmp_path).lock():
        pass


# The controller ------------------------------------------------------------------
class Killed(BaseException):
    """Stands for kill -9: nothing is caught, nothing is tidied up."""


class Memory:
    """A target that remembers what it was told, and says of each slot what it is told to say."""

    poll = 0.0

    def __init__(self, folder: Path) -> None:
        self.stands = State(address="http://here")
        self.challenger: dict[str, Any] = {}
        self.broken: set[int] = set()
        self.quiet = False
        self.calls: list[str] = []
        self.lease: float | None = None
        self.mirrors_nothing = False

    def refuse(self, traffic: Traffic) -> None:
        if self.mirrors_nothing and traffic.mirror:
            raise MlopsError("nothing is mirrored here")

    def deploy(self, slot: Any, version: int, folder: Path) -> None:
        self.calls.append(f"deploy {slot}")
        if version in self.broken:
            raise DeployError(f"version {version} left with exit code 1")
        self.stands.versions[slot] = version

    def stop(self) -> None:
        raise NotImplementedError

    def ask(self, slot: Any, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        raise NotImplementedError

    def route(self, traffic: Traffic, slots: Slots, lease: float | None = None) -> None:
        self.calls.append(f"route {traffic}")
        self.stands.traffic, self.stands.slots, self.lease = traffic, slots, lease

    def mark(self) -> None:
        return None

    def observe(self, since: Any) -> dict[Any, Window]:
        if self.quiet:
            return {}
        slots, versions = self.stands.slots, self.stands.versions
        better = {"total": 600, "squares": 600} | self.challenger
        return {
            slots.champion: window(versions[slots.champion]),
            slots.challenger: window(versions[slots.challenger], **better),
        }

    def remove(self, slot: Any) -> None:
        self.calls.append(f"remove {slot}")
        self.stands.versions.pop(slot, None)

    def state(self) -> State:
        return self.stands.model_copy(deep=True)


@pytest.fixture
def environment(home: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """Dev with a champion, version 1, and version 2 waiting."""
    for name in ("one", "two"):
        memory.register(Paths().model, {"digest": name, "commit": name, "signature": name})
    memory.set_alias("champion-dev", 1)
    monkeypatch.setattr(controller, "fetch", lambda number: Paths().model)
    monkeypatch.setattr(controller, "smoke", lambda *of: 4)
    settings = Settings(release=FAST.model_copy(update={"limits": LIMITS}))
    made = Controller("dev", settings, memory, Memory(home), lambda text: None)
    monkeypatch.setattr(
        controller,
        "verify_version",
        lambda number: type("Record", (), {"signature": f"signed-{number}"}),
    )
    made.stand()
    return made


def serving(made: Controller) -> tuple[str, int, int | None]:
    """Return the traffic, the version that answers, and the champion by the registry."""
    stands = made.target.state()
    named = made.registry.alias("champion-dev")
    answers = stands.versions[
        stands.slots.challenger if stands.traffic == CHALLENGER else stands.slots.champion
    ]
    return str(stands.traffic), answers, named and named.number


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_good_challenger_is_promoted(environment: Controller, strategy: STRATEGY) -> None:
    made = environment.release(order(2, environment.settings, strategy, "better"))
    assert serving(environment) == ("100/0", 2, 2)
    assert environment.target.state().versions == {"blue": 1, "green": 2}
    assert (made.verdict, made.strategy, made.why, made.gate) == (
        "promoted",
        strategy,
        "better",
        "signed-2",
    )
    assert made.weights == [str(step.traffic) for step in strategies.plan(strategy, FAST)]
    back = environment.rollback("worse after all")
    assert serving(environment) == ("100/0", 1, 1)
    assert (back.strategy, back.verdict, back.champion) == ("rollback", "promoted", 2)
    assert len(environment.journal.deployments()) == 2
    with pytest.raises(MlopsError, match="no champion before this one"):
        environment.rollback("pressed twice")


@pytest.mark.parametrize("check", ["errors", "latency", "distribution", "version", "winner"])
def test_a_bad_challenger_is_rolled_back(environment: Controller, check: str) -> None:
    environment.target.challenger = BAD[check]
    with pytest.raises(RolledBackError, match=rf"Version 2 is rolled back\. {check}:"):
        environment.release(order(2, environment.settings, "ab"))
    assert serving(environment) == ("100/0", 1, 1)
    assert environment.target.state().versions == {"blue": 1}
    assert environment.journal.deployments()[-1].verdict.startswith(f"rolled back: {check}")


def test_what_a_target_cannot_carry_is_refused_before_anything_is_done(
    environment: Controller,
) -> None:
    target: Any = environment.target
    target.mirrors_nothing, target.calls[:] = True, []
    with pytest.raises(MlopsError, match="nothing is mirrored here"):
        environment.release(order(2, environment.settings, "shadow"))
    assert (target.calls, environment.journal.entries()) == ([], [])
    environment.release(order(2, environment.settings, "canary"))


def test_a_crash_at_start_gets_no_traffic(environment: Controller) -> None:
    environment.target.broken = {2}
    with pytest.raises(RolledBackError, match="start: version 2 left with exit code 1"):
        environment.release(order(2, environment.settings, "canary"))
    assert "90/10" not in str(environment.target.calls)


def test_silence_ends_in_patience(environment: Controller) -> None:
    environment.target.quiet = True
    with pytest.raises(RolledBackError, match=r"patience.*10 % is undecided.*errors: 0 of 10"):
        environment.release(order(2, environment.settings, "canary"))
    assert serving(environment) == ("100/0", 1, 1)


def test_split_traffic_is_leased(environment: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    target: Any = environment.target
    target.quiet = True
    leases = []
    monkeypatch.setattr(target, "mark", lambda: leases.append(target.lease))
    with pytest.raises(RolledBackError):
        environment.release(order(2, environment.settings, "canary"))
    assert leases == [controller.LEASE]
    assert target.lease is None


def test_an_operator_ends_a_release(environment: Controller) -> None:
    def ask_for_the_end(text: str) -> None:
        if "10 %" in text:
            environment.journal.ask_abort("it looks odd")

    environment.say = ask_for_the_end
    made = environment.release(order(2, environment.settings, "canary"))
    assert made.verdict == "rolled back: operator: it looks odd"
    assert serving(environment) == ("100/0", 1, 1)


def test_a_champion_named_by_hand_stands_in_the_other_slot(
    environment: Controller, memory: Any
) -> None:
    memory.set_alias("champion-dev", 2)
    environment.stand()
    assert serving(environment) == ("100/0", 2, 2)
    assert environment.target.state().slots == Slots(champion="green")
    memory.register(Paths().model, {"digest": "three", "commit": "three", "signature": "three"})
    memory.set_alias("champion-dev", 1)
    environment.release(order(3, environment.settings, "canary"))
    assert serving(environment) == ("100/0", 3, 3)
    assert environment.target.state().versions == {"blue": 1, "green": 3}


def test_a_rollback_waits_for_the_controller_at_work(environment: Controller) -> None:
    other = Controller(
        "dev", environment.settings, environment.registry, environment.target, lambda text: None
    )
    other.tick = 0.01
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(other.rollback("enough")))

    def ask_for_the_end(text: str) -> None:
        if "10 %" in text:
            thread.start()
            while environment.journal.abort_asked() is None:
                time.sleep(0.01)

    environment.say = ask_for_the_end
    environment.release(order(2, environment.settings, "canary"))
    thread.join()
    assert done[0].verdict == "rolled back: operator: enough"
    assert serving(environment) == ("100/0", 1, 1)


def test_what_was_stopped_can_be_given_up(
    environment: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        moments(environment, patch, 3)
        with pytest.raises(Killed):
            environment.release(order(2, environment.settings, "canary"))
    assert environment.next_version() == 2
    monkeypatch.setattr(environment.target, "state", State)
    routed = len(environment.target.calls)
    assert environment.rollback("gone").verdict.startswith("rolled back: operator")
    assert "route" not in str(environment.target.calls[routed:])


def test_what_cannot_be_released_is_refused(environment: Controller) -> None:
    with pytest.raises(MlopsError, match="no version 9"):
        environment.release(order(9, environment.settings))
    with pytest.raises(MlopsError, match="champion already"):
        environment.release(order(1, environment.settings))
    with pytest.raises(MlopsError, match="no way back"):
        environment.rollback("")
    with environment.journal.lock(), pytest.raises(BusyError):
        environment.release(order(2, environment.settings))
    assert environment.journal.entries() == []


@pytest.mark.parametrize("full_at", range(7))
def test_a_full_disk_leaves_the_champion(
    environment: Controller, full_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, append = itertools.count(), environment.journal.append

    def full(release: int, event: Any, **data: Any) -> None:
        if next(calls) == full_at:
            raise MlopsError(f"journal: {errno.ENOSPC}")
        append(release, event, **data)

    monkeypatch.setattr(environment.journal, "append", full)
    with pytest.raises(MlopsError, match="journal"):
        environment.release(order(2, environment.settings, "canary"))
    assert serving(environment)[0] == "100/0"
    monkeypatch.setattr(environment.journal, "append", append)
    environment.release(order(2, environment.settings, "canary"))
    assert serving(environment) == ("100/0", 2, 2)


def moments(made: Controller, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Kill the controller at its ``last`` deed, right before it is done."""
    calls = itertools.count()

    def guard(owner: Any, name: str) -> None:
        deed = getattr(owner, name)

        def killed(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == last:
                raise Killed
            return deed(*args, **kwargs)

        monkeypatch.setattr(owner, name, killed)

    for name in ("deploy", "route", "remove", "observe"):
        guard(made.target, name)
    guard(made.journal, "append")
    guard(made.registry, "set_alias")


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_controller_is_resumed_by_the_same_command(
    environment: Controller, strategy: STRATEGY, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target: Any = environment.target
    wanted = order(2, environment.settings, strategy)
    reached = 0
    for last in range(60):
        if environment.registry.alias("champion-dev").number == 2:
            environment.rollback("again")
        target.challenger = {} if good else BAD["errors"]
        with monkeypatch.context() as patch:
            moments(environment, patch, last)
            try:
                environment.release(wanted)
            except Killed:
                reached += 1
                # kill -9 runs no handler: what was routed stays, and its lease runs out.
            except RolledBackError:
                break
            else:
                break
        if str(target.stands.traffic) not in ("100/0", "0/100"):
            assert target.lease, "split with nobody watching"
        if good:
            environment.release(wanted)
            assert serving(environment) == ("100/0", 2, 2)
        else:
            with pytest.raises(RolledBackError, match="errors"):
                environment.release(wanted)
            assert serving(environment) == ("100/0", 1, 1)
        assert environment.journal.pending() == []
    assert reached >= 8


def test_traffic_that_was_left_split_is_given_back(
    environment: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(since: Any) -> Any:
        raise Killed

    wanted = order(2, environment.settings, "canary")
    assert not environment.settle()
    with monkeypatch.context() as patch:
        patch.setattr(environment.target, "observe", killed)
        patch.setattr(environment, "_whole", lambda slots: None)  # as kill -9 runs no handler
        with pytest.raises(Killed):
            environment.release(wanted)
    target: Any = environment.target
    assert str(target.stands.traffic) == "90/10"
    with environment.journal.lock():
        assert not environment.settle()  # somebody is at work
    assert environment.settle()
    assert serving(environment)[0] == "100/0"
    environment.release(wanted)
    assert serving(environment) == ("100/0", 2, 2)


def test_another_version_waits_for_the_interrupted_one(
    environment: Controller, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.register(Paths().model, {"digest": "three", "commit": "three", "signature": "three"})
    with monkeypatch.context() as patch:
        moments(environment, patch, 3)
        with pytest.raises(Killed):
            environment.release(order(2, environment.settings, "canary"))
    with pytest.raises(MlopsError, match=r"Release 1 of version 2 was interrupted"):
        environment.release(order(3, environment.settings))
    assert environment.rollback("never mind").verdict == "rolled back: operator: never mind"
    environment.release(order(3, environment.settings, "canary"))
    assert serving(environment) == ("100/0", 3, 3)


def test_the_first_release_has_nothing_to_be_held_against(home: Path, memory: Any) -> None:
    memory.register(Paths().model, {"digest": "one", "commit": "one", "signature": "one"})
    made = Controller("prod", Settings(release=FAST), memory, OfflineTarget(), lambda text: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controller, "verify_version", lambda n: type("R", (), {"signature": ""}))
        patch.setattr(controller, "fetch", lambda number: Paths().model)
        assert made.release(Order(1, "canary", [], "")).strategy == "first"
    assert memory.alias("champion-prod").number == 1


def test_what_hinders_a_first_release_is_named(
    environment: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*of: Any) -> None:
        raise MlopsError("Port 8080: Address already in use.")

    prod = Controller("prod", environment.settings, environment.registry, Memory(Path()))
    prod.target.stands = State()
    monkeypatch.setattr(prod.target, "deploy", nowhere)
    monkeypatch.setattr(prod.target, "route", lambda *of: pytest.fail("nothing runs"))
    with pytest.raises(MlopsError, match="Port 8080"):
        prod.release(order(1, environment.settings))


# A pipeline's deployment -----------------------------------------------------------
@pytest.fixture
def deployed(environment: Controller, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """The environment as `mlops deploy` opens it; nobody is asked but the test's own."""
    monkeypatch.setattr(deploy, "open_controller", lambda name, say: environment)
    monkeypatch.setattr(environment, "verify", lambda: 4)
    memory = environment.registry
    memory.set_alias("challenger", 2)
    return environment


@pytest.mark.parametrize("number", [0, 2])
def test_a_deployment_ends_with_questions(deployed: Controller, number: int) -> None:
    said: list[str] = []
    for _ in range(2):  # again: nothing to do
        deploy.deploy("dev", number, "by a pipeline", said.append)
        assert serving(deployed) == ("100/0", 2, 2)
    assert [one.why for one in deployed.journal.deployments()] == ["by a pipeline"]
    assert said[-2:] == [
        "dev: version 2 is the champion already.",
        "dev answers as its champion does: 4 requests.",
    ]


@pytest.mark.parametrize(("there", "told"), [(1, "champion is version 1, not 2"), (0, "is none")])
def test_no_environment_is_skipped(
    deployed: Controller, monkeypatch: pytest.MonkeyPatch, there: int, told: str
) -> None:
    monkeypatch.setattr(deploy, "open_registry", lambda settings: deployed.registry)
    monkeypatch.setattr(project, "ENVIRONMENTS", ["dev", "staging", "prod"])
    monkeypatch.setattr(deploy, "load_settings", lambda name: deployed.settings)
    deployed.registry.names["champion-staging"] = there
    with pytest.raises(MlopsError, match=f"prod takes what has proved itself in staging.*{told}"):
        deploy.deploy("prod", 2, "", print)
    assert serving(deployed) == ("100/0", 1, 1)
    deployed.registry.names["champion-staging"] = 2
    deploy.deploy("prod", 2, "", print)
    assert serving(deployed) == ("100/0", 2, 2)


def test_a_hot_fix_needs_no_callers(deployed: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    @contextlib.contextmanager
    def callers(at_work: Controller, number: int) -> Iterator[None]:
        rates.append(at_work.settings.release.rehearsal)
        yield

    monkeypatch.setattr(deploy, "_callers", callers)
    deployed.settings.release.min_samples = 10_000  # more than anybody asks
    deploy.roll_forward("dev", 2, "hot fix", print)
    assert serving(deployed) == ("100/0", 2, 2)
    assert rates == [deploy.HOT_RATE]


def test_a_key_that_is_refused_says_nothing_about_a_model(
    environment: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.release(order(2, environment.settings, "canary"))

    def refused(*of: Any) -> int:
        raise smoke.KeyRefusedError("The service refuses this key (401)")

    monkeypatch.setattr(controller, "smoke", refused)
    environment.registry.register(Paths().model, {"digest": "3", "commit": "3", "signature": "3"})
    with pytest.raises(smoke.KeyRefusedError):
        environment.release(order(3, environment.settings))
    assert serving(environment) == ("100/0", 2, 2), "the champion answers"
    environment.rollback("never mind")
    environment.rollback("nothing holds it up")
    assert serving(environment) == ("100/0", 1, 1)


def test_a_service_that_answers_wrongly_afterwards_goes_back(
    deployed: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> int:
        raise smoke.SmokeError("smoke.valid: predicted 1, the model itself says 2.")

    monkeypatch.setattr(deployed, "verify", wrong)
    with pytest.raises(RolledBackError, match=r"The release is undone\. smoke\.valid"):
        deploy.deploy("dev", 2, "", print)
    assert serving(deployed) == ("100/0", 1, 1)
    assert deployed.journal.deployments()[-1].why.startswith("live checks: smoke.valid")


def test_an_environment_trains_its_own_and_its_gates_refuse(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    record = SimpleNamespace(checks=[SimpleNamespace(passed=True)])
    monkeypatch.setattr(
        deploy,
        "candidate",
        SimpleNamespace(
            reproduce=lambda anew: done.append(f"trained {anew}"),
            judge=lambda paths: record,
            register=lambda paths: done.append("registered"),
        ),
    )
    git("add", "--all")
    git("commit", "--quiet", "--message", "model")
    deploy.train("staging")
    assert done == ["trained train", "registered"]
    assert git("tag", "--list", "trained/*") == "", "the same model names the same commit"
    Path("dvc.lock").write_text("schema: '2.0'\n")
    deploy.train("staging")
    assert git("log", "-1", "--format=%s") == "Model of staging"
    assert git("tag", "--points-at", "HEAD").startswith("trained/")
    del done[:2]
    record.checks.append(SimpleNamespace(passed=False))
    with pytest.raises(GateError, match="The challenger is refused"):
        deploy.train("staging")
    assert done[2:] == ["trained train"], "what was refused is not registered"


# Smoke ---------------------------------------------------------------------------
def answering(folder: Path, **changes: Any) -> smoke.Ask:
    """Return a service that answers as the model does, but for ``changes``."""
    from mlops.contract import Contract
    from mlops.scorer import Scorer

    example = Contract.read(folder).example
    right = Scorer(folder / SERVED).predict({k: [v] for k, v in example.items()}).tolist()

    def ask(path: str, body: Any) -> tuple[int, dict[str, Any]]:
        records = body["records"] if body else []
        if any(record != example for record in records):
            return changes.get("refusal", 422), {"detail": "colour: not a text"}
        shifted = [value + changes.get("shift", 0) for value in right * len(records)]
        answer = {"predictions": shifted, "version": changes.get("version", "2")}
        return changes.get("status", 200), answer

    return ask


def test_a_service_that_answers_as_its_model_passes(home: Path) -> None:
    assert smoke.smoke(answering(Paths().model), Paths().model, 2) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": 500}, "smoke.ready: status 500, expected is 200"),
        ({"version": "1"}, "smoke.ready: version 1 answered, expected is 2"),
        ({"shift": 0.1}, "smoke.valid: predicted"),
        ({"refusal": 500}, "smoke.invalid: status 500, expected is 422"),
    ],
)
def test_a_service_that_answers_otherwise_fails(
    home: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(smoke.SmokeError, match=message):
        smoke.smoke(answering(Paths().model, **change), Paths().model, 2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_from_a_wrong_answer(home: Path, status: int) -> None:
    with pytest.raises(smoke.KeyRefusedError, match=rf"refuses this key \({status}\)"):
        smoke.smoke(answering(Paths().model, status=status), Paths().model, 2)


def test_a_verdict_names_value_and_limit() -> None:
    shown = str(Verdict(check="errors", outcome="fail", value=0.05, limit=0.01))
    assert shown == "errors: 0.05, allowed is at most 0.01"
