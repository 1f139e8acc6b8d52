"""What must hold of every project's pipelines, whatever their platform; each returns faults."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pipelines import CLOUDS, EXTRA, OWN_WAY, Job, Pipelines, Workflow

Node = tuple[str, str]  # a workflow and its job

# Targets that change what others see.
EFFECTS = {"cd", "deploy", "image", "register", "release", "release-data", "sign"}
EFFECTS |= {"infra-apply", "roll-forward", "rollback", "ci-publish", "ci-start", "$ACTION"}
TRAINING = {"candidate", "pipeline", "pr-training", "refine", "retrain", "tune", "ci-retrain"}
# Targets that read or write at the provider: data, versions, images, what answers. A sample of
# `pipeline` stays on the runner.
PROVIDED = EFFECTS | TRAINING | {"ci-plan", "ci-share", "ci-version", "data", "test-system"}
PROVIDED = (PROVIDED | {"infra-drift", "infra-plan"}) - {"pipeline"}
# What a target needs of GitHub beyond reading the code.
PERMISSIONS = {
    "ci-alert": {"issues": "write"},
    "ci-comment": {"pull-requests": "write"},
    "ci-publish": {"contents": "write", "pull-requests": "write"},
    "ci-start": {"actions": "write"},
    "ci-template": {"contents": "write", "pull-requests": "write"},
    "image": {"packages": "write"},
    "infra-comment": {"pull-requests": "write"},
    "sign": {"id-token": "write", "packages": "write"},
}
# The same, where the image goes to the provider.
ELSEWHERE = {"image": dict[str, str](), "sign": {"id-token": "write"}}
# The same, where a release adds tags to git.
TAGS = {"deploy": {"contents": "write"}, "$ACTION": {"contents": "write"}}
# What GitHub's own scans need: to read the run, and to write what they find.
SCAN = {"actions": "read", "contents": "read", "security-events": "write"}
# Commands of `mlops ci` that people call.
BY_HAND = {"ci-setup", "ci-verify"}
# What jobs upload for people.
PRODUCTS = {"package", "sbom"}
# Minute, hour, day of a month (each has 28), month, day of a week.
CRON = [(0, 59), (0, 23), (1, 28), (1, 12), (0, 6)]
LIMIT = 360  # minutes that hosted runners give a job


def before_merge(workflow: Workflow) -> bool:
    """Tell whether code starts it that nobody has agreed to."""
    return "change" in workflow.on or workflow.on.get("push", [{"main"}])[0] != {"main"}


def harmless(pipelines: Pipelines) -> list[str]:
    """Before the merge nothing is deployed, registered or released."""
    return [
        f"{name}.{title}: runs make {target} before the merge"
        for name, title, job in pipelines.jobs()
        if before_merge(pipelines.workflows[name])
        for target in job.targets
        if target in EFFECTS
    ]


def edges(pipelines: Pipelines) -> Iterator[tuple[Node, Node]]:
    """Yield which job leads to which: by what it needs, or by starting another workflow."""
    for name, title, job in pipelines.jobs():
        yield from (((name, needed), (name, title)) for needed in job.needs)
        for line in job.run:
            for started in re.findall(r"make ci-start ARGS=([\w-]+)", line):
                jobs = pipelines.workflows[started].jobs
                yield from (
                    ((name, title), (started, first)) for first in jobs if not jobs[first].needs
                )


def reached(pipelines: Pipelines, starts: set[Node]) -> set[Node]:
    """Return the jobs that follow from others, across workflows."""
    pairs, found = list(edges(pipelines)), set(starts)
    while more := {after for before, after in pairs if before in found} - found:
        found |= more
    return found


def required(workflow: Workflow, title: str) -> set[str]:
    """Return the jobs that must have succeeded before a job runs."""
    job = workflow.jobs.get(title, Job())
    needs = job.needs if job.when == "success" else set()
    return needs.union(*(required(workflow, name) for name in needs))


def deploying(pipelines: Pipelines, environment: str) -> set[Node]:
    """Return the jobs that deploy to an environment."""
    return {
        (name, title)
        for name, title, job in pipelines.jobs()
        if "deploy" in job.targets and environment in (job.environment, job.settings.get("ENV"))
    }


def in_order(pipelines: Pipelines) -> list[str]:
    """What was trained gets to each environment, and only from the one before."""
    trained = {(name, title) for name, title, job in pipelines.jobs() if TRAINING & {*job.targets}}
    ways, found = reached(pipelines, trained), []
    before = list[str]()
    for environment in pipelines.environments:
        ends = deploying(pipelines, environment)
        if not ends & ways:
            found.append(f"{environment}: nothing that was trained gets there")
        for name, title in ends:
            passed = required(pipelines.workflows[name], title)
            skipped = [e for e in before if not passed & {t for _, t in deploying(pipelines, e)}]
            found += [f"{name}.{title}: gets to {environment} past {one}" for one in skipped]
        before.append(environment)
    return found


def infra_in_order(pipelines: Pipelines) -> list[str]:
    """A change of infra/ reaches an environment only from the one before."""
    found, before = [], list[Node]()
    for name, title, job in pipelines.jobs():
        if "infra-apply" in job.targets and not job.environment == job.settings["ENV"] == title:
            found.append(f"{name}.{title}: applies {job.settings['ENV']} as {job.environment}")
    jobs = {j.environment: (n, t) for n, t, j in pipelines.jobs() if "infra-apply" in j.targets}
    if pipelines.provider != "local" and {*jobs} != {*pipelines.environments}:
        found.append(f"infra is applied to {sorted(jobs)}")
    for environment in (one for one in pipelines.environments if one in jobs):
        name, title = jobs[environment]
        passed = {(name, one) for one in required(pipelines.workflows[name], title)}
        found += [
            f"{environment}: infra gets there past {t}" for n, t in before if (n, t) not in passed
        ]
        before.append((name, title))
    return found


def one_environment(pipelines: Pipelines) -> list[str]:
    """A job that deploys does so where it is let, after success only, where services stay."""
    found = []
    for name, title, job in pipelines.jobs():
        if "deploy" not in job.targets:
            continue
        if not job.environment == job.settings.get("ENV") == title:
            found.append(
                f"{name}.{title}: deploys to {job.settings.get('ENV')} as {job.environment}"
            )
        if (job.when, job.stays, job.keeps) != ("success", True, True):
            found.append(
                f"{name}.{title}: runs after {job.when}, on a runner that stays: {job.stays}, "
                f"keeping what is there: {job.keeps}"
            )
    return found


def approved(pipelines: Pipelines) -> list[str]:
    """Production waits for a person; nothing waits but for an approval."""
    found = [] if pipelines.environments["prod"] else ["prod: asks nobody"]
    for name, title, job in pipelines.jobs():
        makes = {"deploy", "infra-apply"} & {*job.targets}
        asked = bool(makes) and pipelines.environments.get(job.environment, 0) > 0
        if job.approval != asked:
            found.append(f"{name}.{title}: waits for a person: {job.approval}, should: {asked}")
    return found


def bounded(pipelines: Pipelines) -> list[str]:
    """Every job ends some time."""
    return [
        f"{name}.{title}: may take {job.timeout} minutes"
        for name, title, job in pipelines.jobs()
        if not 0 < job.timeout < LIMIT
    ]


def concurrent(pipelines: Pipelines) -> list[str]:
    """A branch's newest run ends the older one; all else is one at a time, to its end."""
    found = []
    for name, workflow in pipelines.workflows.items():
        wanted = "newest" if before_merge(workflow) else "queue"
        if workflow.concurrency != wanted:
            found.append(f"{name}: its runs are {workflow.concurrency}, not {wanted}")
    return found


def timely(pipelines: Pipelines) -> list[str]:
    """Schedules are times that every month has."""
    return [
        f"{name}: {cron} is not a time of every month"
        for name, workflow in pipelines.workflows.items()
        for cron in workflow.on.get("schedule", [])
        if not is_time(cron)
    ]


def is_time(cron: str) -> bool:
    """Tell whether cron takes it, every month."""
    parts = cron.split()
    return len(parts) == len(CRON) and all(
        part == "*" or (part.isdigit() and low <= int(part) <= high)
        for part, (low, high) in zip(parts, CRON, strict=True)
    )


def provided(pipelines: Pipelines, job: Job) -> bool:
    """Tell whether a job must log in to the provider."""
    return pipelines.keyless and bool(PROVIDED & {*job.targets})


def logged_in(pipelines: Pipelines) -> list[str]:
    """A job logs in if it works at the provider, as its environment; no other has an identity."""
    found = []
    for name, title, job in pipelines.jobs():
        wanted = provided(pipelines, job)
        if job.login != wanted:
            found.append(f"{name}.{title}: logs in: {job.login}, should: {wanted}")
        if job.login and not job.environment:
            found.append(f"{name}.{title}: logs in as a branch, not as an environment")
        if pipelines.platform == "gitlab":
            tokens = {"IDENTITY_TOKEN"} if wanted else set()
            tokens |= {"SIGSTORE_ID_TOKEN"} if "sign" in job.targets else set()
            if (has := {*job.raw.get("id_tokens", {})}) != tokens:
                found.append(f"{name}.{title}: has tokens {has}, needs {tokens}")
    return found


def least(pipelines: Pipelines) -> list[str]:
    """A job may do what its targets need, and no more; a workflow may do nothing."""
    found = []
    if pipelines.platform == "github":
        found += [
            f"{name}: {w.permissions}" for name, w in pipelines.workflows.items() if w.permissions
        ]
    rights = PERMISSIONS | (TAGS if pipelines.tags else {})
    rights |= ELSEWHERE if pipelines.provider in CLOUDS else {}
    for name, title, job in pipelines.jobs():
        needed = {k: v for target in job.targets for k, v in rights.get(target, {}).items()}
        if pipelines.platform == "github":
            identity = {"id-token": "write"} if provided(pipelines, job) else {}
            may = (
                SCAN
                if (pipelines.platform, name, title) in EXTRA
                else {"contents": "read", **needed, **identity}
            )
            if job.permissions != may:
                found.append(f"{name}.{title}: may {job.permissions}, needs {may}")
        mute = pipelines.platform == "gitlab" or "token" in OWN_WAY.get(title, ())
        if job.token != bool(needed) and not mute:
            found.append(f"{name}.{title}: has a token: {job.token}, needs one: {bool(needed)}")
    return found


def prepared(pipelines: Pipelines) -> list[str]:
    """Every job begins with all of the history, no credentials and the locked environment."""
    return [
        f"{name}.{title}: is not set up"
        for name, title, job in pipelines.jobs()
        if (pipelines.platform, name, title) not in EXTRA
        if not job.prepared or job.settings.get("UV_LOCKED") != "1"
    ]


def told(pipelines: Pipelines) -> list[str]:
    """What speaks of its workflow speaks of its own; every workflow tells of its failures."""
    found = []
    for name, workflow in pipelines.workflows.items():
        if not before_merge(workflow):
            alert = workflow.jobs.get("alert", Job())
            others = set(workflow.jobs) - {"alert"}
            if (alert.needs, alert.when) != (others, "failure"):
                found.append(f"{name}.alert: {alert.when} of {sorted(alert.needs)}")
        for title, job in workflow.jobs.items():
            if "ci-alert" in job.targets and f"make ci-alert ARGS={name}" not in job.run:
                found.append(f"{name}.{title}: {job.run}")
            if (
                "ci-publish" in job.targets
                and pipelines.platform != "gitlab"
                and job.workflow != name
            ):
                found.append(f"{name}.{title}: WORKFLOW is {job.workflow!r}")
    return found


# The contract -----------------------------------------------------------------
def handed_on(pipelines: Pipelines) -> list[str]:
    """What a job downloads, one that it needs has uploaded; it comes back to its place."""
    found = []
    for name, workflow in pipelines.workflows.items():
        jobs = workflow.jobs
        for title, job in jobs.items():
            found += [
                f"{name}.{title}: needs {n}, which is not there" for n in job.needs - set(jobs)
            ]
            before = {up: jobs[n] for n in job.needs & set(jobs) for up in jobs[n].uploads}
            for artifact in job.downloads:
                if artifact not in before:
                    found.append(f"{name}.{title}: nothing it needs uploads {artifact}")
                elif job.places.get(artifact) != before[artifact].roots.get(artifact):
                    found.append(f"{name}.{title}: {artifact} comes back to another place")
        uploaded = {up for job in jobs.values() for up in job.uploads}
        used = {down for job in jobs.values() for down in job.downloads}
        found += [f"{name}: nobody downloads {up}" for up in sorted(uploaded - used - PRODUCTS)]
    return found


def called(pipelines: Pipelines, tree: Path) -> list[str]:
    """Every target is in the Makefile; every command of `mlops ci` is of use to a job."""
    makefile = (tree / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    module = (tree / "src/mlops/cli/ci.py").read_text(encoding="utf-8")
    defined = re.findall(r"@app\.command\((?:\"([\w-]+)\")?.*\)\ndef (\w+)", module)
    commands = {f"ci-{name or function.replace('_', '-')}" for name, function in defined}
    found, seen = [], set[str]()
    for name, workflow in pipelines.workflows.items():
        for title, job in workflow.jobs.items():
            ways = workflow.on.get("person", {}).get("action") or []
            targets = [way for t in job.targets for way in (ways if t == "$ACTION" else [t])]
            found += [
                f"{name}.{title}: make {t} is none" for t in targets if t not in there | commands
            ]
            seen |= {*targets}
    return found + [f"{name}: no job calls it" for name in sorted(commands - seen - BY_HAND)]


def variables_of(tree: Path) -> dict[str, bool]:
    """Return the variables that the project lists, and whether each is a secret."""
    module = ast.parse((tree / "src/mlops/ci/variables.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VARIABLES":
            assert isinstance(node.value, ast.Dict)
            rows = zip(node.value.keys, node.value.values, strict=True)
            return {
                ast.literal_eval(k): ast.unparse(v).startswith("Variable(True")
                for k, v in rows
                if k
            }
    raise AssertionError("variables.py has no VARIABLES")


def known(pipelines: Pipelines, tree: Path) -> list[str]:
    """A variable that a job gets is on the project's list, as the secret that it is or is not."""
    variables = variables_of(tree)
    found = []
    for name, title, job in pipelines.jobs():
        defined = {row["name"] for row in job.raw.get("variables", ()) if "name" in row}
        if pipelines.platform == "azure-devops" and job.variables - defined:
            found.append(f"{name}.{title}: {job.variables - defined} would be the text $(...)")
        for variable in sorted(job.variables | job.identity):
            if variable not in variables:
                found.append(f"{name}.{title}: {variable} is on no list")
            elif pipelines.platform == "github" and variables[variable] != (
                variable in job.secrets
            ):
                found.append(f"{name}.{title}: {variable} is a secret on one side only")
    return found


def mapped(pipelines: Pipelines) -> set[str]:
    """Return the variables that jobs are given, or run by."""
    runner = {"MLOPS_RUNNER" for _, _, job in pipelines.jobs() if job.stays}
    return runner.union(*(job.variables | job.identity for _, _, job in pipelines.jobs()))


RULES: list[Callable[[Pipelines], list[str]]] = [
    harmless,
    in_order,
    infra_in_order,
    one_environment,
    approved,
    bounded,
    concurrent,
    timely,
    logged_in,
    least,
    prepared,
    told,
    handed_on,
]
CONTRACT: list[Callable[[Pipelines, Path], list[str]]] = [called, known]
