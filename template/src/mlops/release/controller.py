"""Carries a plan out: route, hold, observe, judge; then goes on, promotes or rolls back.

What is about to be done is journalled first. A controller that was killed is resumed by the same
command, from the journal: the step it was in begins anew, a promotion or a rollback that had begun
is finished. Until then the target's lease has brought all traffic back to the champion.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .. import project
from ..candidate import CHALLENGER as CHALLENGER_ALIAS
from ..candidate import fetch, verify_version
from ..contract import Contract, breaking
from ..errors import MlopsError
from ..lineage import who
from ..registry import Registry, Version, open_registry
from ..registry.base import TRIGGER, find
from ..registry.base import champion as champion_alias
from ..registry.base import promote as name_champion
from ..settings import STRATEGY, Settings, load_gates, load_settings
from . import controls, strategies
from .analysis import Evidence, Verdict, judge
from .journal import BusyError, Deployment, Entry, open_journal
from .smoke import KeyRefusedError, SmokeError, smoke
from .strategies import Step
from .targets import open_target
from .targets.base import DeployError, Target
from .traffic import CHALLENGER, CHAMPION, Slots

TELL = 5.0  # seconds between two lines on what is waited for
LEASE = 10.0  # seconds after which traffic goes back unless somebody has looked

Say = Callable[[str], None]


class RolledBackError(MlopsError):
    """The challenger was refused in the middle of its release; the champion answers alone."""

    exit_code = 6


class RefusedError(Exception):
    """A check has failed: what follows is the way back."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


class Order(NamedTuple):
    """What is released and why."""

    version: int
    strategy: str
    plan: list[Step]
    why: str


class Controller:
    """Releases in one environment.

    Args:
        environment: its name.
        target: where the models answer.
        say: is told each thing that happens.
    """

    def __init__(
        self,
        environment: str,
        settings: Settings,
        registry: Registry,
        target: Target,
        say: Say = print,
    ) -> None:
        self.environment, self.settings = environment, settings
        self.registry, self.target, self.say = registry, target, say
        self.journal = open_journal(environment)
        self.tick = target.poll

    def release(self, order: Order) -> Deployment:
        """Release a version, or finish the release of it that was interrupted.

        Raises:
            RolledBackError: a check has refused the challenger.
            MlopsError: nothing was begun: another release is under way or was interrupted, the
                version's gate record is not genuine, or the journal cannot be written.
        """
        with self.journal.lock():
            self.journal.abort_heeded()
            pending = self.journal.pending()
            if pending:
                if pending[0].data["version"] != order.version:
                    raise MlopsError(
                        f"Release {pending[0].release} of version {pending[0].data['version']} was "
                        "interrupted: finish it by the same command, or `mlops rollback`."
                    )
                facts = pending[0].data
                self.say(
                    f"Release {pending[0].release} of version {facts['version']} by "
                    f"{facts['strategy']} goes on where it was interrupted."
                )
            else:
                self._start(order)
            return self._carry_out()

    def rollback(self, why: str) -> Deployment:
        """End the release under way or interrupted; else go back to the champion before this one.

        Raises:
            MlopsError: there is nothing to go back to.
        """
        self.journal.ask_abort(why)
        asked = False
        while True:
            try:
                with self.journal.lock():
                    # The controller at work has heeded it.
                    if asked and self.journal.abort_asked() is None:
                        return self.journal.deployments()[-1]
                    self.journal.abort_heeded()
                    pending = self.journal.pending()
                    if pending:
                        return self._abandon(pending[0].release, operator(why))
                    self._start(Order(self._previous(), "rollback", [], why), verify=False)
                    return self._carry_out()
            except BusyError:
                if not asked:
                    self.say("A release is under way: it is asked to roll back.")
                asked = True
                time.sleep(self.tick)

    def champion(self) -> Version | None:
        """Return the environment's champion."""
        return self.registry.alias(champion_alias(self.environment))

    def next_version(self, tagged: bool = False) -> int:
        """Return the number of the version whose release was interrupted; else the challenger's.

        Or else, ``tagged``, that of the newest version tagged ``deploy-trigger``.

        Raises:
            MlopsError: there is no such version.
        """
        if pending := self.journal.pending():
            return int(pending[0].data["version"])
        if not tagged:
            challenger = self.registry.alias(CHALLENGER_ALIAS)
            if challenger is None:
                raise MlopsError("There is no challenger: `make register`, or name a version.")
            return challenger.number
        current = self.champion()
        newer = [
            one.number
            for one in self.registry.list()
            if f"tag.{TRIGGER}" in one.tags and (not current or one.number > current.number)
        ]
        if not newer:
            raise MlopsError(
                f"No version newer than {self.environment}'s champion is tagged {TRIGGER}: "
                f"`mlops model tag N {TRIGGER}`."
            )
        return max(newer)

    def verify(self) -> int:
        """Ask the service as callers do; return the number of requests.

        Raises:
            SmokeError: it answers otherwise than its champion does.
        """
        current = self.champion()
        if current is None:
            raise MlopsError(f"{self.environment} has no champion: `mlops release`.")
        ask = partial(self.target.ask, None)
        return smoke(ask, fetch(current.number), current.number)

    def _previous(self) -> int:
        """Return the champion before the present one."""
        champions: list[int | None] = []
        for one in self.journal.deployments():
            if one.verdict != "promoted":
                continue
            if one.strategy == "rollback" and len(champions) > 1:
                champions.pop()
                continue
            if not champions or champions[-1] != one.champion:  # named by hand
                champions.append(one.champion)
            champions.append(one.version)
        before = champions[-2] if len(champions) > 1 else None
        if before is None:
            raise MlopsError(
                f"{self.environment} has had no champion before this one: there is no way back. "
                "To go on to another version: `mlops release N`."
            )
        return before

    def _start(self, order: Order, verify: bool = True) -> None:
        """Hold the version against what a release needs, and open the journal's next release."""
        version = find(self.registry, order.version)
        current = self.champion()
        if current and current.number == order.version:
            raise MlopsError(f"Version {order.version} is {self.environment}'s champion already.")
        record = verify_version(order.version) if verify else None
        if verify and self.settings.regulated:
            controls.refuse(version)
        if current and verify:
            compatible(fetch(current.number), fetch(order.version))
            for step in order.plan:
                self.target.refuse(step.traffic)
        slots = self._slots(current)
        self.journal.append(
            len(self.journal.deployments()) + 1,
            "started",
            version=order.version,
            digest=version.digest,
            gate=record.signature if record else version.tags.get("signature", ""),
            strategy=order.strategy if current else "first",
            plan=[step.model_dump() for step in order.plan] if current else [],
            slot=slots.challenger,
            slots=slots.model_dump(),
            champion=current.number if current else None,
            who=who(),
            why=order.why,
        )

    def _carry_out(self) -> Deployment:
        """Go through the plan of the release in the journal, from where it stands."""
        entries = self.journal.pending()
        events = {entry.event: entry for entry in entries}
        number, facts = entries[0].release, entries[0].data
        slots = Slots.model_validate(facts["slots"])
        if "rolling-back" in events:
            verdict = Verdict.model_validate(events["rolling-back"].data)
            return self._abandon(number, verdict)
        if "promoting" in events:
            self.target.deploy(slots.challenger, facts["version"], fetch(facts["version"]))
            return self._promote(number, facts["version"], slots)
        try:
            self._stand(facts["champion"], slots)
            self._deploy(number, facts["version"], slots)
            plan = [Step.model_validate(step) for step in facts["plan"]]
            for index, step in enumerate(plan[reached(entries) :], reached(entries)):
                self.journal.append(
                    number, "step", index=index, name=step.name, traffic=str(step.traffic)
                )
                self._watch(number, step, facts["version"], slots)
            self.journal.append(number, "promoting")
        except RefusedError as refused:
            return self._abandon(number, refused.verdict)
        except BusyError:  # whoever has taken over sees to the traffic
            raise
        except BaseException:
            # Whatever else goes wrong, a full disk or Ctrl-C: traffic is not left split.
            self._whole(slots)
            self.say(
                "Broken off: the champion answers alone. The same command goes on; "
                "`mlops rollback` ends it."
            )
            raise
        return self._promote(number, facts["version"], slots)

    def stand(self) -> None:
        """Let the environment's champion answer, alone; nothing changes if it does.

        Raises:
            MlopsError: there is none, or a release is under way or was interrupted.
        """
        current = self.champion()
        if current is None:
            raise MlopsError(
                f"{self.environment} has no champion: `mlops release N --env {self.environment}`, "
                "or in dev `make register`."
            )
        with self.journal.lock():
            if self.journal.pending():
                raise MlopsError("A release was interrupted: run it again, or `mlops rollback`.")
            self._stand(current.number, self._slots(current))

    def settle(self) -> bool:
        """Give all traffic to the champion if a release was left by its controller; tell if so.

        The release itself stays as it is: to be finished, or rolled back.
        """
        try:
            with self.journal.lock():
                pending = self.journal.pending()
                if pending and all(entry.event != "promoting" for entry in pending):
                    self._whole(Slots.model_validate(pending[0].data["slots"]))
                return bool(pending)
        except BusyError:
            return False

    def _slots(self, current: Version | None) -> Slots:
        """Return whose slot is whose once the champion stands: it may have been named by hand."""
        state = self.target.state()
        standing = state.versions.get(state.slots.champion)
        if current and standing not in (None, current.number):
            return Slots(champion=state.slots.challenger)
        return state.slots

    def _stand(self, version: int | None, slots: Slots) -> None:
        if version is None:
            return
        self.target.deploy(slots.champion, version, fetch(version))
        self.target.route(CHAMPION, slots)

    def _deploy(self, number: int, version: int, slots: Slots) -> None:
        """Bring the challenger up beside the champion, and ask it a few questions."""
        slot, folder = slots.challenger, fetch(version)
        try:
            self.target.deploy(slot, version, folder)
            if self.target.state().address:
                smoke(partial(self.target.ask, slot), folder, version)
        except (DeployError, SmokeError) as error:
            raise RefusedError(Verdict(check="start", outcome="fail", note=str(error))) from error
        except KeyRefusedError as error:
            if self.journal.deployments()[-1].strategy != "rollback":
                raise
            self.say(f"{error} Not asked: nothing holds a rollback up.")
        self.journal.append(number, "deployed", slot=slot)
        self.say(f"Version {version} is ready in the {slot} slot.")

    def _watch(self, number: int, step: Step, version: int, slots: Slots) -> None:
        """Set the step's traffic and watch until all checks pass; the first that fails raises."""
        self.target.route(step.traffic, slots, LEASE)
        patience = self.settings.release.patience
        self.say(
            f"{step.name}: champion/challenger {step.traffic}, for {step.hold:g} s and "
            f"{step.samples} answers, at most {patience:g} s"
        )
        mark, started, told = self.target.mark(), time.monotonic(), 0.0
        while True:
            time.sleep(self.tick)
            self.journal.hold()
            self.target.route(step.traffic, slots, LEASE)
            self._heed()
            seen = self.target.observe(mark)
            evidence = Evidence(seen.get(slots.champion), seen.get(slots.challenger), version)
            verdicts = judge(step, evidence, self.settings.release.limits)
            failed = next((one for one in verdicts if one.outcome == "fail"), None)
            waiting = [one for one in verdicts if one.outcome == "wait"]
            elapsed = time.monotonic() - started
            if failed or (not waiting and elapsed >= step.hold):
                self.journal.append(
                    number, "judged", verdicts=[one.model_dump() for one in verdicts]
                )
            if failed:
                raise RefusedError(failed)
            if not waiting and elapsed >= step.hold:
                return
            if elapsed > patience:
                raise RefusedError(_patience(waiting, step, elapsed, patience))
            if elapsed >= told:
                told = elapsed + TELL
                now = ", ".join(f"{one.check} {one.samples}/{step.samples}" for one in waiting)
                none = waiting and not any(one.samples for one in waiting)
                here = f": no requests reach {self.target.state().address}" if none else ""
                self.say(f"  waiting for {now or 'the time to pass'}{here}")

    def _heed(self) -> None:
        """Raise if an operator has asked for the end of this release."""
        why = self.journal.abort_asked()
        if why is not None:
            raise RefusedError(operator(why))

    def _promote(self, number: int, version: int, slots: Slots) -> Deployment:
        """Give the challenger all traffic and the champion's name; the old slot stays as it is."""
        self.target.route(CHALLENGER, slots)
        name_champion(self.registry, version, self.environment)
        self.target.route(CHAMPION, Slots(champion=slots.challenger))
        self.journal.append(number, "finished", verdict="promoted")
        self.say(f"Version {version} is {self.environment}'s champion.")
        return self.journal.deployments()[-1]

    def _whole(self, slots: Slots) -> None:
        """Give all traffic to the champion, where there is any."""
        if self.target.state().address:
            self.target.route(CHAMPION, slots)

    def _abandon(self, number: int, verdict: Verdict) -> Deployment:
        """Give all traffic back to the champion, take the challenger down, and say why."""
        facts = self.journal.pending()[0].data
        slots = Slots.model_validate(facts["slots"])
        self._whole(slots)  # before the journal, which may be what fails
        self.journal.append(number, "rolling-back", **verdict.model_dump())
        current = self.champion()
        if current and current.number == facts["version"] and facts["champion"] is not None:
            name_champion(self.registry, facts["champion"], self.environment)
        self.target.remove(slots.challenger)
        self.journal.append(number, "finished", verdict=f"rolled back: {verdict}")
        self.journal.abort_heeded()
        if verdict.check == "operator":
            self.say("Rolled back: the champion answers alone.")
            return self.journal.deployments()[-1]
        raise RolledBackError(f"Version {facts['version']} is rolled back. {verdict}")


def open_controller(environment: str, say: Say = print) -> Controller:
    """Return the controller of an environment, with its registry and target."""
    settings = load_settings(environment)
    target = open_target(environment, settings)
    return Controller(environment, settings, open_registry(settings), target, say)


def order(
    version: int, settings: Settings, strategy: STRATEGY | None = None, why: str = ""
) -> Order:
    """Return the order to release a version by the environment's strategy, or by another."""
    chosen = strategy or settings.release.strategy
    steps = strategies.plan(chosen, settings.release) if "online" in project.SERVING else []
    return Order(version, chosen, steps, why)


def compatible(before: Path, after: Path) -> None:
    """Raise :class:`MlopsError` if callers of one model would be refused by the other."""
    found = breaking(Contract.read(before), Contract.read(after))
    allowed = load_gates().contract.breaking
    if len(found) > allowed:
        raise MlopsError(
            f"contract.breaking: {len(found)}, allowed is at most {allowed} (gates.yaml): "
            f"{'; '.join(found)}."
        )


def operator(why: str) -> Verdict:
    """Return the verdict by which a person ends a release."""
    return Verdict(check="operator", outcome="fail", note=why or f"asked for by {who()}")


def reached(entries: Iterable[Entry]) -> int:
    """Return the index of the step that a release was in."""
    return max((entry.data["index"] for entry in entries if entry.event == "step"), default=0)


def _patience(waiting: list[Verdict], step: Step, elapsed: float, limit: float) -> Verdict:
    missing = ", ".join(f"{one.check}: {one.samples} of {step.samples}" for one in waiting)
    return Verdict(
        check="patience",
        outcome="fail",
        value=elapsed,
        limit=limit,
        note=f"{step.name} is undecided after so many seconds; answers so far: {missing}",
    )
