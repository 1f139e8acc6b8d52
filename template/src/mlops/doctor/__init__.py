"""What an environment lacks, told from outside: each check is made, whatever the others find.

Nothing is changed, but that storage gets one small object and loses it again. A provider's own
checks (login, roles, budget) stand in the module named like it.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal, NamedTuple

from .. import project
from ..ci import steps
from ..ci.variables import VARIABLES
from ..errors import MlopsError
from ..registry import Registry, open_registry
from ..registry.base import champion
from ..release.targets import open_target
from ..settings import Settings, in_pipeline, load_settings
from ..tracking import FILE, home

PROBE = b"mlops doctor: delete this"
# What to do about an error that does not say it, by check.
FIXES = {
    "storage": "Correct cloud in environments/{}.yaml, or let this login write and delete there.",
    "remote": "Correct remote in environments/{}.yaml or its url in .dvc/config, or let this login "
    "list it.",
    "registry": "Correct tracking_uri or cloud in environments/{}.yaml, or let this login read it.",
}


class Finding(NamedTuple):
    """What a check found, and what to do about it; without ``fix``, ``found`` says that too.

    ``unseen`` is no fault: this login has no right to look, and nothing is known.
    """

    verdict: Literal["ok", "fault", "unseen", "n/a"]
    found: str
    fix: str = ""
    check: str = ""


ok, fault = partial(Finding, "ok"), partial(Finding, "fault")
unseen, absent = partial(Finding, "unseen"), partial(Finding, "n/a")
Check = Callable[[Settings, str], Finding]


def examine(environment: str) -> Iterator[Finding]:
    """Yield what each check finds, as soon as it has.

    Raises:
        MlopsError: environments/<environment>.yaml cannot be read.
    """
    settings = load_settings(environment)
    for name, check in CHECKS.items():
        try:
            made = check(settings, environment)
        except Exception as error:  # an SDK's own too: no check keeps the others from being made
            made = fault(_line(error), FIXES.get(name, "").format(environment))
        yield made._replace(check=name, found=_safe(made.found, settings))


def refuse(findings: list[Finding], environment: str) -> None:
    """Raise :class:`MlopsError` if a check found a fault."""
    names = [one.check for one in findings if one.verdict == "fault"]
    if names:
        raise MlopsError(
            f"{environment}: {len(names)} of {len(findings)} checks failed: {', '.join(names)}."
        )


def lacks(what: str, environment: str) -> Finding:
    """Return that there is not what infra/ makes."""
    return fault(f"there is no {what}", f"`make infra-apply ENV={environment}` makes it.")


def _own(name: str, settings: Settings, environment: str) -> Finding:
    """Make a provider's own check; what this login may not look at is no fault."""
    if project.PROVIDER == "local":
        return absent("this machine, no provider")
    cloud = import_module("mlops.cloud").open_cloud(settings, environment)
    module: Any = import_module(f".{project.PROVIDER}", __name__)
    try:
        return Finding(*getattr(module, name)(cloud, environment))
    except MlopsError as error:
        if name in module.RIGHTS and module.denied(error.__cause__):
            return unseen(_line(error), f"To see it, this login needs {module.RIGHTS[name]}.")
        raise


def _storage(settings: Settings, environment: str) -> Finding:
    """May this login write, read and delete where journals lie?"""
    if project.PROVIDER == "local":
        return absent("this machine, no provider")
    store = import_module("mlops.cloud").open_store(settings, environment)
    name = f"deployments/{environment}/doctor-{token_hex(4)}"
    store.write(name, PROBE, "")
    try:
        same = store.read(name)[0] == PROBE
    finally:
        store.delete(name)
    found = f"{name} was written, read and deleted"
    return ok(found) if same else fault(f"{found}, but what was read is something else")


def _remote(settings: Settings, environment: str) -> Finding:
    """Is DVC's remote there, and may this login list it?"""
    from dvc.repo import Repo

    with Repo() as repo:
        place = repo.cloud.get_remote(settings.remote)
        filled = place.fs.exists(place.path)
        place.fs.ls(place.path if filled else _around(place.path), detail=False)
    found = f"{settings.remote} ({place.fs.unstrip_protocol(place.path)})"
    return ok(found if filled else f"{found}: nothing was pushed yet")


def _registry(settings: Settings, environment: str) -> Finding:
    """Does the registry open, and list its versions?"""
    registry = _opened(settings)
    if registry is None:
        return absent(f"{settings.tracking_uri} is not there yet: the first run makes it")
    versions = registry.list()
    leads = [one.number for one in versions if champion(environment) in one.aliases]
    return ok(f"{project.REGISTRY}: versions: {len(versions)}, champion: {[*leads, 'none'][0]}")


def _keys(settings: Settings, environment: str) -> Finding:
    """Is everything set that a release reads of variables and secrets?"""
    if in_pipeline():
        steps.ready("release")
        return ok("all that a release reads is set")
    if settings.target == "local":
        return ok("this machine's own, where no variable gives another")
    needed = {"MLOPS_SIGNING_KEY": settings.signing_key}
    if settings.target == "kubernetes" and settings.serving.auth == "api-key":
        needed["MLOPS_API_KEYS"] = settings.api_keys
    if missing := [f"{name} ({VARIABLES[name].help})" for name in needed if not needed[name]]:
        return fault(f"not set: {'; '.join(missing)}", "Set what the pipelines have.")
    return ok(f"set: {', '.join(needed)}")


def _endpoint(settings: Settings, environment: str) -> Finding:
    """Does the champion answer as callers ask?"""
    if "online" not in project.SERVING:
        return absent("nothing is served online")
    target = open_target(environment, settings)
    state = target.state()
    version = state.versions.get(state.slots.champion)
    if version is None:
        registry = _opened(settings)
        named = registry.alias(champion(environment)) if registry else None
        if named is None:
            return absent("there is no champion yet: `make release` makes one")
        start = "serve" if settings.target == "local" else "deploy"
        found = f"version {named.number} is the champion, and nothing stands"
        return fault(found, f"`make {start} ENV={environment}`.")
    status, said = target.ask(None, "/ready")
    if status == 200:
        return ok(f"version {version} answers at {state.address}")
    found = f"version {version} at {state.address} answers {status}: {said}"
    return fault(found, f"Read its log; `make rollback ENV={environment}` goes back by a version.")


CHECKS: dict[str, Check] = {
    "login": partial(_own, "login"),
    "roles": partial(_own, "roles"),
    "storage": _storage,
    "remote": _remote,
    "registry": _registry,
    "keys": _keys,
    "endpoint": _endpoint,
    "budget": partial(_own, "budget"),
}


def _opened(settings: Settings) -> Registry | None:
    """Return the registry; None where MLflow's file is not there: to open it would make it."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # else minutes without a server
    uri = settings.tracking_uri
    mlflow = project.REGISTRY == "mlflow" and uri.startswith(FILE)
    there = not mlflow or (home() / uri.removeprefix(FILE)).is_file()
    return open_registry(settings) if there else None


def _around(path: str) -> str:
    """Return the bucket in which there is no folder yet, or what a folder here will lie in."""
    return str(Path(path).parent) if Path(path).is_absolute() else path.partition("/")[0]


def _line(error: Exception) -> str:
    said = str(error) if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:600].rstrip(".")


def _safe(text: str, settings: Settings) -> str:
    """Return a text without passwords in addresses, and without the settings' keys."""
    for secret in (settings.signing_key, settings.api_keys, settings.edge_key):
        if secret and secret.get_secret_value():
            text = text.replace(secret.get_secret_value(), "***")
    return re.sub(r"://[^/@\s]+@", "://***@", text)
