"""A fake of GitHub; fields as in github/rest-api-description."""

from typing import Any

from fake_cli import one, put

TOOL, LOGIN = "gh", ["auth", "status"]
HOME = "repos/{owner}/{repo}"
ORIGIN = "https://github.com/some/thing.git"
START: dict[str, Any] = {
    "login": True,
    "log": [],
    "owner": {"login": "some", "id": 5, "type": "Organization"},
    "teams": [{"id": 7, "slug": "some-team"}],
    "environments": {},
    "policies": [],
    "rulesets": [],
    "permissions": {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False},
    "workflow": {"default_workflow_permissions": "write"},
    "labels": [{"id": 1, "name": "bug", "color": "ffffff"}],
    "shared": {
        "secrets": [],
        "variables": [{"name": "MLOPS_TRACKING_URI"}, {"name": "MLOPS_DEPLOYMENTS"}],
    },
    "actions": {"secrets": [{"name": "MLOPS_SIGNING_KEY"}], "variables": []},
    "owned": {
        name: {"secrets": [{"name": "MLOPS_API_KEYS"}], "variables": []} for name in ("dev", "prod")
    },
    "errors": [],
}


def parse(arguments: list[str]) -> tuple[str, str]:
    api, flag, method, path, *rest = arguments
    assert (api, flag) == ("api", "--method")
    assert rest == ([] if method == "GET" else ["--input", "-"])
    return method, path.removeprefix(HOME)


def error(status: int, why: str) -> str:
    return f"gh: {why} (HTTP {status})"


def environment(state: Any, name: str) -> Any:
    made = one([{"name": k, **v} for k, v in state["environments"].items()], name=name)
    people = [{"type": x["type"], "reviewer": {"id": x["id"]}} for x in made.get("reviewers", [])]
    own = made.get("prevent_self_review", False)
    rules: list[Any] = [{"id": 2, "type": "branch_policy"}]
    if made.get("wait_timer"):
        rules.append({"id": 3, "type": "wait_timer", "wait_timer": made["wait_timer"]})
    if people:
        rule = {"type": "required_reviewers", "prevent_self_review": own, "reviewers": people}
        rules.append({"id": 1, **rule})
    policy = made.get("deployment_branch_policy")
    return {"name": name, "protection_rules": rules, "deployment_branch_policy": policy}


def written(state: Any, name: str, body: Any) -> Any:
    state["environments"][name] = body  # what is not named is reset
    return environment(state, name)


def rules(body: Any) -> Any:
    needs = {
        "pull_request": {
            "dismiss_stale_reviews_on_push",
            "require_code_owner_review",
            "require_last_push_approval",
            "required_approving_review_count",
            "required_review_thread_resolution",
        },
        "required_status_checks": {
            "required_status_checks",
            "strict_required_status_checks_policy",
        },
    }
    for rule in body["rules"]:
        assert needs.get(rule["type"], set()) <= rule.get("parameters", {}).keys(), rule
    assert len({rule["type"] for rule in body["rules"]}) == len(body["rules"])
    return body


RULESET = "name enforcement target? conditions? rules? bypass_actors?"
HAS = r"/environments/(\w+)/(secrets|variables)/(\w+)"
ROUTES: list[Any] = [
    ("GET", "", None, lambda s: {"owner": s["owner"]}),
    ("GET", "/teams", None, lambda s: s["teams"]),
    ("GET", r"/environments/(\w+)", None, environment),
    (
        "PUT",
        r"/environments/(\w+)",
        "wait_timer? prevent_self_review? reviewers? deployment_branch_policy?",
        written,
    ),
    (
        "GET",
        r"/environments/(\w+)/deployment-branch-policies",
        None,
        lambda s, e: {"branch_policies": [x for x in s["policies"] if x["environment"] == e]},
    ),
    (
        "POST",
        r"/environments/(\w+)/deployment-branch-policies",
        "name type?",
        lambda s, e, body: put(s["policies"], {"environment": e, **body}),
    ),
    (
        "GET",
        "/rulesets",
        None,
        lambda s: [{"id": x["id"], "name": x["name"]} for x in s["rulesets"]],
    ),
    ("POST", "/rulesets", RULESET, lambda s, body: put(s["rulesets"], rules(body))),
    ("GET", r"/rulesets/(\d+)", None, lambda s, n: one(s["rulesets"], id=int(n))),
    (
        "PUT",
        r"/rulesets/(\d+)",
        RULESET,
        lambda s, n, body: one(s["rulesets"], id=int(n)).update(rules(body)),
    ),
    ("GET", "/actions/permissions", None, lambda s: s["permissions"]),
    (
        "PUT",
        "/actions/permissions",
        "enabled allowed_actions? sha_pinning_required?",
        lambda s, body: s.update(permissions=body),
    ),
    ("GET", "/actions/permissions/workflow", None, lambda s: s["workflow"]),
    (
        "PUT",
        "/actions/permissions/workflow",
        "default_workflow_permissions? can_approve_pull_request_reviews?",
        lambda s, body: s.update(workflow=body),
    ),
    ("GET", r"/labels/(\w+)", None, lambda s, name: one(s["labels"], name=name)),
    ("POST", "/labels", "name color? description?", lambda s, body: put(s["labels"], body)),
    ("GET", HAS, None, lambda s, e, kind, n: one(s["owned"].get(e, {}).get(kind, []), name=n)),
    (
        "GET",
        r"/actions/(secrets|variables)/(\w+)",
        None,
        lambda s, k, n: one(s["actions"][k], name=n),
    ),
    (
        "GET",
        "/actions/organization-(secrets|variables)",
        None,
        lambda s, kind: {kind: s["shared"][kind]},
    ),
    ("GET", "/codeowners/errors", None, lambda s: {"errors": s["errors"]}),
]

PULL_REQUEST = ("rulesets", 0, "rules", 2, "parameters")
# What somebody changes, by its place in the state, and what `mlops ci verify` then says.
PLANTS: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("environments", "prod", "reviewers"), [], "environment prod.reviewers: is []"),
    (("environments", "prod", "prevent_self_review"), False, "prevent_self_review: is false"),
    (("environments", "prod"), None, "environment prod: is missing"),
    (("environments", "dev"), None, "environment dev: is missing"),
    (("policies", 0, "name"), "x", 'environment prod, branches that deploy: is "x", wanted "main"'),
    (("rulesets", 0), None, "ruleset of main: is missing"),
    (("rulesets", 0, "enforcement"), "disabled", 'enforcement: is "disabled"'),
    ((*PULL_REQUEST, "required_approving_review_count"), 0, "is 0, wanted 1 or more"),
    ((*PULL_REQUEST, "require_code_owner_review"), False, "require_code_owner_review: is false"),
    (("rulesets", 0, "rules", 1), None, '"non_fast_forward"'),
    (("permissions", "sha_pinning_required"), False, "Actions.sha_pinning_required: is false"),
    (("workflow", "default_workflow_permissions"), "write", 'is "write", wanted "read"'),
    (("labels", 0), None, "label bug: is missing"),
    (("actions", "secrets"), [], "secret MLOPS_SIGNING_KEY of dev: is missing"),
    (("owned", "prod"), None, "gh secret set MLOPS_API_KEYS --env prod"),
    (("shared", "variables"), [], "variable MLOPS_TRACKING_URI of dev: is missing"),
    (("errors",), [{"line": 3, "kind": "Unknown owner"}], "CODEOWNERS, line 3: is"),
]
# What somebody added stays, and so does what is stricter, when the rest is put right.
ADDED: list[tuple[tuple[str | int, ...], Any]] = [
    (("environments", "prod", "wait_timer"), 30),
    (("environments", "prod", "reviewers", 1), {"type": "User", "id": 9}),
    ((*PULL_REQUEST, "required_approving_review_count"), 2),
    (("rulesets", 0, "rules", 4), {"type": "required_signatures"}),
]
BROKEN: list[tuple[tuple[str | int, ...], Any]] = [
    (("environments", "prod", "prevent_self_review"), False),
    ((*PULL_REQUEST, "require_code_owner_review"), False),
]
# By plans without required reviewers, and what is then left.
REFUSED = (r"PUT /environments/prod|POST .*prod/dep", "environment prod")
