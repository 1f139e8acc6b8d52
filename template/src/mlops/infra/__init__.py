"""Terraform, or OpenTofu, in an environment: where its state lies, as whom it acts, its plans.

What each provider has of its own stands in the module named like it.
"""

import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from .. import project
from ..ci import open_forge
from ..cloud import open_cloud
from ..errors import MlopsError
from ..settings import in_pipeline, load_settings

ROOT = Path("infra") / project.PROVIDER
BOOTSTRAP = ROOT / "bootstrap"
MARKER = f"<!-- mlops: {project.NAME}, infra -->"
PLANS = Path("build/infra")  # a text for each environment, for the pull request's comment
CHECKOV = "checkov==3.3.30"
SAME, DIFFERENT = 0, 2  # exit codes of `plan -detailed-exitcode`
COUNTS = re.compile(r"^Plan: .*$|^No changes\..*$|^Changes to Outputs:", re.MULTILINE)
Identity = Literal["plan", "apply"]


def check() -> None:
    """Hold what stands in infra/ against its format, the providers' schemas, tests and checkov.

    Nothing is asked of the provider, and nobody logs in.
    """
    _terraform("fmt", "-check", "-recursive", root=ROOT)
    for root in (ROOT, BOOTSTRAP):
        _terraform("init", "-backend=false", "-input=false", root=root)
        _terraform("validate", root=root)
    for environment in project.ENVIRONMENTS:
        _terraform("test", *_values(environment))
        _terraform("test", *_values(environment, ".."), root=BOOTSTRAP)
    scan = ["--directory", str(ROOT), "--framework", "terraform", "--skip-download"]
    command = ["uv", "tool", "run", "--from", CHECKOV, "checkov", *scan, "--quiet", "--compact"]
    if code := subprocess.run(command, check=False).returncode:
        raise MlopsError(f"checkov found what it names above (exit code {code}).")


def bootstrap(environment: str) -> None:
    """Make what an administrator makes once: the place of the state, above all.

    Its own state stays on this machine, a workspace for each environment.
    """
    _refuse_in_pipeline("bootstrap")
    variables = _login(environment, "apply")
    _terraform("init", "-input=false", root=BOOTSTRAP, variables=variables)
    variables["TF_WORKSPACE"] = environment
    _terraform("apply", *_values(environment, ".."), root=BOOTSTRAP, variables=variables)


def plan(environment: str) -> bool:
    """Say what would change, and keep that text for the comment; tell whether anything would.

    It takes no lock: it may read, and nothing else.
    """
    if in_pipeline() and open_forge().fork():
        print("A fork's job has no right to look at the team's environments: no plan.")
        return False
    variables = _init(environment, "plan")
    command = ["plan", "-input=false", "-lock=false", "-detailed-exitcode", *_values(environment)]
    code, said = _run(command, ROOT, variables, shown=True)
    if code not in (SAME, DIFFERENT):
        raise _failed("plan", code)
    PLANS.mkdir(parents=True, exist_ok=True)
    (PLANS / f"{environment}.txt").write_text(said, encoding="utf-8")
    return code == DIFFERENT


def plan_all() -> list[str]:
    """Plan every environment, in their order; return those that would change.

    Raises:
        MlopsError: naming those that could not be planned, after all the others have been.
    """
    differ, failed = [], []
    for environment in project.ENVIRONMENTS:
        try:
            differ += [environment] * plan(environment)
        except MlopsError as error:
            print(error, flush=True)
            failed.append(environment)
    if failed:
        raise MlopsError(
            f"No plan of {', '.join(failed)} (see above). One that was never applied has no state "
            "yet: a person applies it the first time, `make infra-apply ENV=NAME`."
        )
    return differ


def drift() -> None:
    """Refuse if an environment is not what infra/ says: somebody changed it by hand, or infra/.

    Raises:
        MlopsError: naming the environments.
    """
    if differ := plan_all():
        raise MlopsError(
            f"{', '.join(differ)}: not what {ROOT} says (see above). Apply it, or say in {ROOT} "
            "what is wanted."
        )


def apply(environment: str) -> None:
    """Make the environment what infra/ says; a pipeline has its approval, a person is asked."""
    variables = _init(environment, "apply")
    agreed = ["-auto-approve"] if in_pipeline() else []
    _terraform("apply", *agreed, *_values(environment), variables=variables)


def destroy(environment: str) -> None:
    """Take it all away, once `protect` has been applied as false. Only a person may."""
    _refuse_in_pipeline("destroy")
    _terraform("destroy", *_values(environment), variables=_init(environment, "apply"))


def summary(run: str, path: Path = PLANS) -> str:
    """Return the plans as Markdown: for each environment what would change, and folded the text.

    An environment without one is named: a plan failed, or a fork's job may make none.
    """
    parts = [f"# {project.TITLE}: infrastructure\n"]
    for name in project.ENVIRONMENTS:
        file = path / f"{name}.txt"
        if not file.is_file():
            parts.append(f"**{name}**: no plan; [this run]({run}) says why.\n")
            continue
        text = file.read_text(encoding="utf-8")
        counts = COUNTS.search(text)
        said = counts[0].rstrip(":") if counts else "see the plan"
        parts.append(
            f"<details><summary><b>{name}</b>: {said}</summary>\n\n~~~~\n{_shown(text)}\n~~~~\n\n"
            "</details>\n"
        )
    return "\n".join(parts)


def _shown(text: str) -> str:
    """Return a plan without what terraform says of reading, and without an end of its fence."""
    begin = text.find("Terraform will perform")
    return text[max(begin, 0) :].strip().replace("~~~~", "~~~")


def _values(environment: str, root: str = ".") -> list[str]:
    """Return the options that give a configuration its values; they lie in the root."""
    names = ("terraform", f"environments/{environment}")
    return [f"-var-file={root}/{name}.tfvars" for name in names]


def _init(environment: str, identity: Identity) -> dict[str, str]:
    """Connect the root with the environment's state; return the variables of the login."""
    variables, provider = _login(environment, identity), _provider()
    state = provider.backend(_cloud(environment)).items()
    where = (f"-backend-config={key}={value}" for key, value in state)
    _terraform("init", "-input=false", "-reconfigure", *where, variables=variables)
    return variables


def _login(environment: str, identity: Identity) -> dict[str, str]:
    """Return the variables by which Terraform acts as an identity of the environment.

    Without a token it goes by the login that is there: a person's, or the agent's.
    """
    provider, cloud = _provider(), _cloud(environment)
    audience = provider.audience(cloud)  # a cluster asks for no token
    token = identity_token(audience) if audience and in_pipeline() else None
    found: dict[str, str] = {}
    if token or not audience:
        found = provider.login(cloud, environment, identity, token or Path())
    return found


def _cloud(environment: str) -> Any:
    return open_cloud(load_settings(environment), environment)


def _provider() -> Any:
    return import_module(f".{project.PROVIDER}", __name__)


def identity_token(audience: str) -> Path | None:
    """Return the file with the job's identity token; None if the platform gave it none.

    The set-up of a job has written it. GitHub is asked again, as each environment may have an
    audience of its own there.
    """
    if url := os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        return _ask_github(url, audience)
    folders = (".git", os.environ.get("AGENT_TEMPDIRECTORY", ".git"))
    files = [Path(folder).absolute() / "identity-token" for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _ask_github(url: str, audience: str) -> Path:
    import requests

    bearer = os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    headers = {"Authorization": f"bearer {bearer}"}
    answer = requests.get(url, {"audience": audience}, headers=headers, timeout=30)
    if not answer.ok:
        raise MlopsError(f"GitHub gave no identity token: {answer.status_code} {answer.reason}.")
    file = Path(".git/infra-token").absolute()
    file.touch(mode=0o600)
    file.write_text(answer.json()["value"], encoding="utf-8")
    return file


def _refuse_in_pipeline(what: str) -> None:
    if in_pipeline():
        raise MlopsError(f"No pipeline may {what}: it takes an administrator, at a terminal.")


def _terraform(*arguments: str, root: Path = ROOT, variables: dict[str, str] | None = None) -> None:
    code, _ = _run([*arguments], root, variables or {})
    if code:
        raise _failed(arguments[0], code)


def _failed(command: str, code: int) -> MlopsError:
    return MlopsError(f"terraform {command} failed with exit code {code}; it says why above.")


def _run(
    arguments: list[str], root: Path, variables: dict[str, str], shown: bool = False
) -> tuple[int, str]:
    """Run the binary at this terminal, without variables that are empty.

    ``shown`` returns its output, too.
    """
    binary = shutil.which("terraform") or shutil.which("tofu")
    if not binary:
        raise MlopsError(
            "Neither terraform nor tofu is on the PATH: install one, 1.11 or later "
            "(`make infra-tool` does so on Linux)."
        )
    environment = {key: value for key, value in (os.environ | variables).items() if value}
    environment |= {"TF_IN_AUTOMATION": "1"} if in_pipeline() else {}
    command = [binary, f"-chdir={root}", *arguments, *(["-no-color"] * shown)]
    print(f"terraform {' '.join(arguments)} ({root})", flush=True)
    if not shown:
        return subprocess.run(command, env=environment, check=False).returncode, ""
    lines = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return running.returncode, "".join(lines)
