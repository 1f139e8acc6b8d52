"""A fake of GitLab; fields as in the REST API's documentation (doc/api of gitlab-org/gitlab)."""

from typing import Any

from fake_cli import Refused, one, put

TOOL, LOGIN = "glab", ["auth", "status"]
HOME = "projects/:id"
ORIGIN = "https://gitlab.com/some/thing.git"


def variable(key: str, scope: str = "*", masked: bool = True, protected: bool = True) -> Any:
    return {"key": key, "environment_scope": scope, "masked": masked, "protected": protected}


START: dict[str, Any] = {
    "login": True,
    "log": [],
    "premium": True,
    "project": {
        "namespace": {"kind": "group", "id": 4},
        "only_allow_merge_if_pipeline_succeeds": False,
        "allow_merge_on_skipped_pipeline": None,
        "ci_pipeline_variables_minimum_override_role": "no_one_allowed",
    },
    # As every new project's.
    "branches": [
        {
            "id": 1,
            "name": "main",
            "push_access_levels": [{"id": 1, "access_level": 40}],
            "merge_access_levels": [{"id": 2, "access_level": 40}],
            "allow_force_push": False,
            "code_owner_approval_required": False,
        }
    ],
    "approvals": [],
    "environments": [],
    "protected": [],
    "schedules": [],
    "groups": [{"id": 1, "key": "release/prod", "process_mode": "unordered"}],
    "labels": [{"id": 1, "name": "bug"}],
    "variables": [
        variable("MLOPS_SIGNING_KEY", protected=False),
        variable("MLOPS_API_KEYS", "dev"),
        variable("MLOPS_API_KEYS", "prod"),
        variable("GITLAB_TOKEN"),
    ],
    "inherited": [
        variable("MLOPS_TRACKING_URI", masked=False, protected=False),
        variable("MLOPS_DEPLOYMENTS", masked=False, protected=False),
    ],
}


def parse(arguments: list[str]) -> tuple[str, str]:
    api, flag, method, path, *rest = arguments
    assert (api, flag) == ("api", "--method")
    header = ["--header", "Content-Type: application/json", "--input", "-"]
    assert rest == ([] if method in ("GET", "DELETE") else header)
    return method, path.removeprefix(HOME) if path.startswith(HOME) else f"/{path}"


def error(status: int, why: str) -> str:
    return f"glab: {why} (HTTP {status})"


def paid(state: Any) -> None:
    if not state["premium"]:
        raise Refused(404, "404 Not Found")


def protect(state: Any, body: Any) -> Any:
    if any(branch["name"] == body["name"] for branch in state["branches"]):
        raise Refused(409, f"Protected branch '{body['name']}' already exists")
    made = {key: value for key, value in body.items() if not key.endswith("_access_level")}
    for action in ("push", "merge"):
        level = body.get(f"{action}_access_level", 40)
        made[f"{action}_access_levels"] = [{"id": 1, "access_level": level}]
    return put(state["branches"], made)


def protected(state: Any) -> Any:
    paid(state)
    return state["protected"]


def guard(state: Any, body: Any) -> Any:
    paid(state)
    for key in ("deploy_access_levels", "approval_rules"):
        body[key] = [{"id": number, **entry} for number, entry in enumerate(body[key], 1)]
    return put(state["protected"], body)


def change(state: Any, name: str, body: Any) -> Any:
    """Change the entries that are sent by their ids; add those without; let others be."""
    environment = one(state["protected"], name=name)
    for key, entries in body.items():
        for entry in entries:
            if "id" in entry:
                one(environment[key], id=entry["id"]).update(entry)
            else:
                put(environment[key], entry)
    return environment


def approvals(state: Any) -> Any:
    paid(state)
    return state["approvals"]


def schedule(state: Any, number: str) -> Any:
    return one(state["schedules"], id=int(number))


def listed(state: Any) -> Any:
    return [{k: v for k, v in one.items() if k != "variables"} for one in state["schedules"]]


SETTINGS = (
    "only_allow_merge_if_pipeline_succeeds? only_allow_merge_if_all_discussions_are_resolved? "
    "allow_merge_on_skipped_pipeline? ci_pipeline_variables_minimum_override_role?"
)
SCHEDULE = "description ref cron cron_timezone? active?"
ROUTES: list[Any] = [
    ("GET", "", None, lambda s: s["project"]),
    ("PUT", "", SETTINGS, lambda s, body: s["project"].update(body)),
    ("GET", r"/protected_branches/(\w+)", None, lambda s, n: one(s["branches"], name=n)),
    (
        "DELETE",
        r"/protected_branches/(\w+)",
        None,
        lambda s, n: s["branches"].remove(one(s["branches"], name=n)),
    ),
    (
        "POST",
        "/protected_branches",
        "name push_access_level? merge_access_level? allow_force_push? "
        "code_owner_approval_required?",
        protect,
    ),
    ("GET", "/approval_rules", None, approvals),
    (
        "POST",
        "/approval_rules",
        "name approvals_required rule_type?",
        lambda s, body: put(s["approvals"], body),
    ),
    (
        "PUT",
        r"/approval_rules/(\d+)",
        "name approvals_required rule_type?",
        lambda s, n, body: one(s["approvals"], id=int(n)).update(body),
    ),
    ("GET", "/environments", None, lambda s: s["environments"]),
    (
        "POST",
        "/environments",
        "name tier?",
        lambda s, body: put(s["environments"], body),
    ),
    ("GET", "/protected_environments", None, protected),
    ("POST", "/protected_environments", "name deploy_access_levels approval_rules?", guard),
    (
        "PUT",
        r"/protected_environments/(\w+)",
        "deploy_access_levels? approval_rules?",
        change,
    ),
    ("GET", "/pipeline_schedules", None, listed),
    (
        "POST",
        "/pipeline_schedules",
        SCHEDULE,
        lambda s, body: put(s["schedules"], {**body, "variables": []}),
    ),
    ("GET", r"/pipeline_schedules/(\d+)", None, schedule),
    (
        "PUT",
        r"/pipeline_schedules/(\d+)",
        SCHEDULE,
        lambda s, n, body: schedule(s, n).update(body),
    ),
    (
        "POST",
        r"/pipeline_schedules/(\d+)/variables",
        "key value",
        lambda s, n, body: put(schedule(s, n)["variables"], body),
    ),
    (
        "PUT",
        r"/pipeline_schedules/(\d+)/variables/(\w+)",
        "value",
        lambda s, n, key, body: one(schedule(s, n)["variables"], key=key).update(body),
    ),
    ("GET", "/resource_groups", None, lambda s: s["groups"]),
    (
        "PUT",
        "/resource_groups/release%2Fprod",
        "process_mode",
        lambda s, body: s["groups"][0].update(body),
    ),
    ("GET", "/labels", None, lambda s: s["labels"]),
    ("POST", "/labels", "name color description?", lambda s, body: put(s["labels"], body)),
    ("GET", "/variables", None, lambda s: s["variables"]),
    ("GET", "/groups/4/variables", None, lambda s: s["inherited"]),
]

APPROVAL = ("protected", 0, "approval_rules")
# What somebody changes, by its place in the state, and what `mlops ci verify` then says.
PLANTS: list[tuple[tuple[str | int, ...], Any, str]] = [
    ((*APPROVAL, 0, "required_approvals"), 0, "required_approvals: is 0, wanted 1 or more"),
    ((*APPROVAL, 0), None, "environment prod, approvals.approval_rules: is []"),
    (("protected", 0), None, "environment prod, approvals: is missing"),
    (("environments", 0), None, "environment dev: is missing"),
    (("branches", 0), None, "protected branch main: is missing"),
    (("branches", 0, "push_access_levels", 0, "access_level"), 30, "push_access_level: is 30"),
    (
        ("branches", 0, "push_access_levels", 1),
        {"id": 2, "access_level": 40, "user_id": 8},
        "push_access_level: is [0, 40], wanted 0. Fix: by hand",
    ),
    (("branches", 0, "allow_force_push"), True, "allow_force_push: is true, wanted false"),
    (("project", "only_allow_merge_if_pipeline_succeeds"), False, "succeeds: is false"),
    (
        ("project", "ci_pipeline_variables_minimum_override_role"),
        "developer",
        'is "developer", wanted "maintainer"',
    ),
    (
        ("approvals", 0, "approvals_required"),
        0,
        "merge requests, approvals.approvals_required: is 0",
    ),
    (("schedules", 0), None, "schedule retrain: is missing"),
    (("schedules", 1, "cron"), "0 0 1 1 *", 'schedule tune.cron: is "0 0 1 1 *"'),
    (("schedules", 1, "active"), False, "schedule tune.active: is false"),
    (("schedules", 2, "variables"), [], "schedule template, variable: is missing"),
    (("groups", 0, "process_mode"), "unordered", "resource group release/prod.process_mode"),
    (("labels", 0), None, "label bug: is missing"),
    (("variables", 0), None, "variable MLOPS_SIGNING_KEY of dev: is missing"),
    (("variables", 0, "masked"), False, "variable MLOPS_SIGNING_KEY of dev.masked: is false"),
    (("variables", 2), None, "glab variable set MLOPS_API_KEYS --scope prod --masked --protected"),
    (("variables", 3, "protected"), False, "variable GITLAB_TOKEN of dev.protected: is false"),
    (("inherited",), [], "variable MLOPS_TRACKING_URI of prod: is missing"),
]
# What somebody added stays, and so does what is stricter, when the rest is put right.
ADDED: list[tuple[tuple[str | int, ...], Any]] = [
    ((*APPROVAL, 1), {"id": 9, "group_id": 3, "access_level": None, "required_approvals": 1}),
    (("protected", 0, "deploy_access_levels", 1), {"id": 8, "access_level": 60}),
    (("approvals", 0, "approvals_required"), 2),
]
BROKEN: list[tuple[tuple[str | int, ...], Any]] = [
    ((*APPROVAL, 0, "required_approvals"), 0),
    (("project", "allow_merge_on_skipped_pipeline"), True),
]
REFUSED = (r"POST /approval_rules", "merge requests, approvals")
