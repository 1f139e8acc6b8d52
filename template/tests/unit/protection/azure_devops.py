"""A fake of Azure DevOps; fields as in MicrosoftDocs/vsts-rest-api-specs, 7.1."""

from typing import Any

from fake_cli import one, put

TOOL, LOGIN = "az", ["account", "show"]
AUDIENCE = "499b84ac-1321-427f-aa17-267ca6975798"
HOME = "https://dev.azure.com/some"
ORIGIN = "https://some@dev.azure.com/some/Project/_git/thing"
ROLE = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
SECRET = {"value": None, "isSecret": True}
START: dict[str, Any] = {
    "login": True,
    "log": [],
    "teams": [{"id": "t-1", "name": "Some Team"}],
    "members": [{"identity": {"id": name}} for name in ("ann", "bob")],
    "pipelines": [{"id": 40, "name": "thing-quality"}],
    "rights": {"enforceJobAuthScope": False, "statusBadgesArePrivate": True},
    "environments": [],
    "checks": [],
    "groups": [
        {
            "id": number,
            "name": f"thing-{name}",
            "variables": {
                "MLOPS_SIGNING_KEY": SECRET,
                "MLOPS_API_KEYS": SECRET,
                "MLOPS_DEPLOYMENTS": {"value": "/srv/thing"},
                "MLOPS_TRACKING_URI": {"value": "https://x.example"},
            },
        }
        for number, name in ((1, "dev"), (2, "prod"))
    ],
    # Another repository's, and one of the whole project: neither is ours to change.
    "policies": [
        {
            "id": number,
            "isEnabled": True,
            "isBlocking": False,
            "type": {"id": ROLE},
            "settings": {"scope": [{"repositoryId": other, "refName": "refs/heads/main"}]},
        }
        for number, other in ((1, "r-2"), (2, None))
    ],
    "templates": [],
}


def parse(arguments: list[str]) -> tuple[str, str]:
    rest, flag, method, resource, audience, option, url, *body = arguments
    assert (rest, flag, resource, option) == ("rest", "--method", "--resource", "--url")
    assert audience == AUDIENCE
    assert body == ([] if method == "get" else ["--body", "@-"])
    assert "api-version=7.1" in url
    return method.upper(), url.removeprefix(HOME).replace("$", "")


def error(status: int, why: str) -> str:
    reason = {404: "Not Found", 422: "Unprocessable"}.get(status, str(status))
    return f'ERROR: {reason}({{"message": "{why}"}})'


def values(items: Any) -> Any:
    return {"count": len(items), "value": items}


def lacking(body: Any, *keys: str) -> Any:
    for key in keys:
        assert body.get(key) is not None, f"{key} is missing in {body}"
    return body


def check(body: Any) -> Any:
    """Hold a check's settings against those of its kind."""
    kinds = {
        "Approval": ("approvers", "minRequiredApprovers"),
        "Task Check": ("definitionRef", "inputs"),
    }
    lacking(body["settings"], *kinds[body["type"]["name"]])
    lacking(body["resource"], "type", "id", "name")
    assert body["resource"]["id"].isdigit()
    if approvers := body["settings"].get("approvers"):
        assert body["settings"]["minRequiredApprovers"] <= len(approvers)
    return body


def policy(body: Any) -> Any:
    lacking(body["type"], "id")
    lacking(body["settings"]["scope"][0], "repositoryId", "refName", "matchKind")
    if "buildDefinitionId" in body["settings"]:
        assert isinstance(body["settings"]["buildDefinitionId"], int)
    return body


def group(state: Any, body: Any) -> Any:
    lacking(body["variableGroupProjectReferences"][0], "projectReference", "name")
    assert body["variables"], "a variable group needs a variable"
    return put(state["groups"], body)


PROJECT = "/Project/_apis"
CHECKS = f"{PROJECT}/pipelines/checks/configurations"
CHECK = "type settings resource timeout?"
POLICY = "isEnabled isBlocking type settings"
TEMPLATE = "name workItemTypeName fields description?"
ROUTES: list[Any] = [
    (
        "GET",
        f"{PROJECT}/git/repositories/thing",
        None,
        lambda s: {"id": "r-1", "project": {"id": "p-1", "name": "Project", "state": "wellFormed"}},
    ),
    ("GET", "/_apis/projects/Project/teams", None, lambda s: values(s["teams"])),
    ("GET", "/_apis/projects/Project/teams/t-1/members", None, lambda s: values(s["members"])),
    ("GET", f"{PROJECT}/pipelines", None, lambda s: values(s["pipelines"])),
    (
        "POST",
        f"{PROJECT}/pipelines",
        "name folder? configuration",
        lambda s, body: put(s["pipelines"], body),
    ),
    ("GET", f"{PROJECT}/build/generalsettings", None, lambda s: s["rights"]),
    (
        "PATCH",
        f"{PROJECT}/build/generalsettings",
        "enforceJobAuthScope? enforceReferencedRepoScopedToken? enforceSettableVar?",
        lambda s, body: s["rights"].update(body),
    ),
    (
        "GET",
        f"{PROJECT}/distributedtask/environments",
        None,
        lambda s: values(s["environments"]),
    ),
    (
        "POST",
        f"{PROJECT}/distributedtask/environments",
        "name description?",
        lambda s, body: put(s["environments"], body),
    ),
    (
        "GET",
        rf"{CHECKS}\?resourceType=environment&resourceId=(\d+)&expand=settings&.*",
        None,
        lambda s, n: values([x for x in s["checks"] if x["resource"]["id"] == n]),
    ),
    ("POST", CHECKS, CHECK, lambda s, body: put(s["checks"], check(body))),
    (
        "PATCH",
        rf"{CHECKS}/(\d+)",
        CHECK,
        lambda s, n, body: one(s["checks"], id=int(n)).update(check(body)),
    ),
    ("GET", f"{PROJECT}/distributedtask/variablegroups", None, lambda s: values(s["groups"])),
    (
        "POST",
        "/_apis/distributedtask/variablegroups",
        "type name variables variableGroupProjectReferences description?",
        group,
    ),
    ("GET", f"{PROJECT}/git/policy/configurations", None, lambda s: values(s["policies"])),
    (
        "POST",
        f"{PROJECT}/policy/configurations",
        POLICY,
        lambda s, body: put(s["policies"], policy(body)),
    ),
    (
        "PUT",
        rf"{PROJECT}/policy/configurations/(\d+)",
        POLICY,
        lambda s, n, body: one(s["policies"], id=int(n)).update(policy(body)),
    ),
    ("GET", "/Project/t-1/_apis/wit/templates", None, lambda s: values(s["templates"])),
    (
        "POST",
        "/Project/t-1/_apis/wit/templates",
        TEMPLATE,
        lambda s, body: put(s["templates"], body),
    ),
]

# Of checks: prod's branches, approval; of policies: after the two above.
APPROVAL = ("checks", 1, "settings")
POLICIES = {
    name: number for number, name in enumerate(["", "", "an", "item", "talk", "own", "run"])
}
# What somebody changes, by its place in the state, and what `mlops ci verify` then says.
PLANTS: list[tuple[tuple[str | int, ...], Any, str]] = [
    ((*APPROVAL, "minRequiredApprovers"), 0, "minRequiredApprovers: is 0, wanted 1 or more"),
    ((*APPROVAL, "approvers"), [], "environment prod, approvals.settings.approvers: is []"),
    (("checks", 1), None, "environment prod, approvals: is missing"),
    (("checks", 0, "settings", "inputs", "allowedBranches"), "*", 'allowedBranches: is "*"'),
    (("environments", 0), None, "environment dev: is missing"),
    (("pipelines", 0), None, "pipeline thing-quality: is missing"),
    (("rights", "enforceJobAuthScope"), False, "a job's rights.enforceJobAuthScope: is false"),
    (("policies", POLICIES["an"]), None, "main: an approval: is missing"),
    (("policies", POLICIES["an"], "settings", "minimumApproverCount"), 0, "is 0, wanted 1 or more"),
    (("policies", POLICIES["run"], "isBlocking"), False, "candidate passes.isBlocking: is false"),
    (("policies", POLICIES["item"], "isEnabled"), False, "a work item is linked.isEnabled"),
    (("policies", POLICIES["talk"]), None, "main: comments are resolved: is missing"),
    (
        ("policies", POLICIES["own"], "settings", "filenamePatterns"),
        ["/docs/*"],
        'owners review.settings.filenamePatterns: is ["/docs/*"], wanted ["*"]',
    ),
    (("groups", 1), None, "variable group thing-prod: is missing"),
    (
        ("groups", 1, "variables", "MLOPS_API_KEYS"),
        None,
        "MLOPS_API_KEYS of thing-prod: is missing",
    ),
    (
        ("groups", 0, "variables", "MLOPS_SIGNING_KEY"),
        {"value": "open"},
        "MLOPS_SIGNING_KEY of thing-dev.isSecret: is null, wanted true",
    ),
    (("templates", 0), None, "work item template Bug: is missing"),
]
# What somebody added stays, and so does what is stricter, when the rest is put right.
ADDED: list[tuple[tuple[str | int, ...], Any]] = [
    ((*APPROVAL, "approvers", 1), {"id": "ann"}),
    ((*APPROVAL, "minRequiredApprovers"), 2),
    (("policies", POLICIES["an"], "settings", "minimumApproverCount"), 3),
    (("policies", 0, "isBlocking"), False),
    (("policies", 1, "isBlocking"), False),
]
BROKEN: list[tuple[tuple[str | int, ...], Any]] = [
    ((*APPROVAL, "requesterCannotBeApprover"), False),
    (("policies", POLICIES["an"], "settings", "creatorVoteCounts"), True),
]
REFUSED = (r"POST .*/wit/templates", "work item template")
