"""What a pipeline does in an environment: train there if so asked, release, ask, and go back."""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from .. import candidate, project
from ..errors import GateError, MlopsError
from ..lineage import OUTPUTS, changed, commit, keep
from ..registry import Version, open_registry
from ..registry.base import champion
from ..settings import Paths, load_settings
from .controller import Controller, RolledBackError, Say, open_controller, order
from .smoke import SmokeError
from .strategies import rehearsed

# Of a hot fix: answers on which it may pass, and requests a second that it sends itself.
HOT_SAMPLES, HOT_RATE = 50, 10.0


def train(environment: str) -> Version:
    """Train this commit in this environment, and register what its gates accept.

    Raises:
        GateError: they refuse it.
    """
    candidate.reproduce(anew="train")
    failed = [str(check) for check in candidate.judge(Paths()).checks if not check.passed]
    if failed:
        raise GateError("The challenger is refused:\n  " + "\n  ".join(failed))
    if outputs := sorted(OUTPUTS & set(changed())):  # its own hardware or data made another model
        commit(outputs, f"Model of {environment}")
        keep()
    return candidate.register(Paths())


def deploy(environment: str, number: int, why: str, say: Say) -> None:
    """Release a version (0: the challenger), then ask the service; go back if it answers wrongly.

    A version that is the champion already is only asked: the command can be repeated.

    Raises:
        MlopsError: it is not the champion of the environment before.
        RolledBackError: a check refused it on the way, or the service answered otherwise after.
    """
    at_work = open_controller(environment, say)
    number = number or at_work.next_version()
    _in_turn(environment, number)
    current = at_work.champion()
    if current and current.number == number and not at_work.journal.pending():
        say(f"{environment}: version {number} is the champion already.")
        if "online" in project.SERVING:
            at_work.stand()
    else:
        wanted = order(number, at_work.settings, None, why)
        if at_work.settings.release.rehearsal:
            wanted = wanted._replace(plan=rehearsed(wanted.plan))
        with _callers(at_work, number):
            at_work.release(wanted)
    if "online" in project.SERVING:
        _ask(at_work, say)


def roll_forward(environment: str, number: int, why: str, say: Say) -> None:
    """Release a hot fix at once: all traffic, watched for its health, asked here if by nobody else.

    Raises:
        RolledBackError: a check refused it.
    """
    at_work = open_controller(environment, say)
    asked = at_work.settings.release
    asked = asked.model_copy(
        update={
            "min_samples": min(asked.min_samples, HOT_SAMPLES),
            "rehearsal": max(asked.rehearsal, HOT_RATE),
        }
    )
    at_work.settings = at_work.settings.model_copy(update={"release": asked})
    with _callers(at_work, number):
        at_work.release(order(number, at_work.settings, "blue-green", why))


def _in_turn(environment: str, number: int) -> None:
    """Refuse a version that has not come through the environment before this one.

    It may have done so long ago, waiting for an approval, and been overtaken by a newer one.
    """
    before = project.ENVIRONMENTS[: project.ENVIRONMENTS.index(environment)][-1:]
    if not before or project.PROMOTION == "deploy-code":  # whose versions are each one's own
        return
    there = open_registry(load_settings(before[0])).alias(champion(before[0]))
    if there is None or there.number != number:
        raise MlopsError(
            f"{environment} takes what has proved itself in {before[0]}, whose champion is "
            f"{f'version {there.number}' if there else 'none'}, not {number}. A hot fix: "
            "`make roll-forward`."
        )


def _ask(at_work: Controller, say: Say) -> None:
    try:
        say(f"{at_work.environment} answers as its champion does: {at_work.verify()} requests.")
    except SmokeError as error:
        at_work.rollback(f"live checks: {error}")
        raise RolledBackError(f"The release is undone. {error}") from error


def _callers(at_work: Controller, number: int) -> AbstractContextManager[None]:
    """Send requests meanwhile, where the environment has no callers of its own."""
    settings, rate = at_work.settings, at_work.settings.release.rehearsal
    if "online" not in project.SERVING or not rate:
        return nullcontext()
    # Not every project has these modules.
    if settings.target == "local":
        load = import_module("mlops.serve.load")
        return load.callers(at_work.environment, rate, candidate.fetch(number))  # type: ignore[no-any-return]
    callers = import_module("mlops.release.callers")
    return callers.callers(at_work.target, rate, candidate.fetch(number))  # type: ignore[no-any-return]
