"""`mlops doctor` on each provider's platform: as infra/ leaves it, and with one fault at a time.

What the fakes have no other use for (budgets, rights, identities) is added to them here, from the
platforms' published APIs.
"""

import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlops import doctor, project
from mlops.cloud import open_store
from mlops.doctor import Finding
from mlops.release.targets import open_target
from mlops.release.traffic import CHAMPION, Slots
from mlops.settings import load_settings

from clouds.conftest import ENVIRONMENT

NAME = f"{project.NAME}-{ENVIRONMENT}"
SECRET = "key-that-nobody-may-see"
FILE = Path("environments") / f"{ENVIRONMENT}.yaml"


class Aws:
    """An account with the role, which may be passed, and the budget."""

    def __init__(self, platform: Any, patch: pytest.MonkeyPatch) -> None:
        self.platform, self.patch, self.decision = platform, patch, "allowed"
        trust = {"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]}
        self.role(trust)
        for one in ("another", NAME):
            self.budget(one)
        patch.setattr(platform.front, "_pass", self.answer(platform.front._pass))

    def role(self, trust: dict[str, Any]) -> None:
        iam = self.platform.client("iam")
        if iam.list_roles()["Roles"]:
            iam.delete_role(RoleName="flight-delays")
        iam.create_role(RoleName="flight-delays", AssumeRolePolicyDocument=json.dumps(trust))

    def budget(self, name: str) -> None:
        usd = {"Unit": "USD"}
        self.platform.client("budgets").create_budget(
            AccountId="123456789012",
            Budget={
                "BudgetName": name,
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": "100", **usd},
                "CalculatedSpend": {"ActualSpend": {"Amount": "20", **usd}},
            },
        )

    def gone(self) -> None:
        self.platform.client("budgets").delete_budget(AccountId="123456789012", BudgetName=NAME)

    def answer(self, onward: Callable[..., Any]) -> Callable[..., Any]:
        """Answer as IAM's simulator, which moto lacks."""
        from werkzeug.wrappers import Response

        def answer(request: Any, body: bytes) -> Any:
            if request.form.get("Action") != "SimulatePrincipalPolicy":
                return onward(request, body)
            asked = dict(request.form)
            assert asked["ActionNames.member.1"] == "iam:PassRole"
            assert asked["ResourceArns.member.1"].endswith(":role/flight-delays")
            assert asked["PolicySourceArn"].startswith("arn:aws:")
            told = f"<EvalActionName>iam:PassRole</EvalActionName><EvalDecision>{self.decision}"
            inner = f"<EvaluationResults><member>{told}</EvalDecision></member></EvaluationResults>"
            result = f"<SimulatePrincipalPolicyResult>{inner}</SimulatePrincipalPolicyResult>"
            text = f"<SimulatePrincipalPolicyResponse>{result}</SimulatePrincipalPolicyResponse>"
            return Response(text, content_type="text/xml")

        return answer


class Azure:
    """A group with the roles of a release, a workspace with an identity, and the budget."""

    def __init__(self, platform: Any, patch: pytest.MonkeyPatch) -> None:
        self.platform, self.patch = platform, patch
        self.actions = ["Microsoft.MachineLearningServices/workspaces/*/write", "*/read"]
        self.excluded = ["Microsoft.MachineLearningServices/workspaces/computes/*/write"]
        self.identity: dict[str, str] | None = {"type": "SystemAssigned", "principalId": "1"}
        self.budgets, self.refused = {NAME}, ""
        patch.setattr(platform, "_arm", self.answer(platform._arm))

    def answer(self, onward: Callable[..., Any]) -> Callable[..., Any]:
        from clouds.azure import INSIDE, SCOPE, _refusal
        from clouds.azure_wire import Reply

        def answer(request: Any) -> Any:
            if request.path.rstrip("/") == INSIDE:
                reply = onward(request)
                return reply._replace(body={**reply.body, "identity": self.identity})
            provider = request.path.removeprefix(f"{SCOPE}/providers/")
            if provider.startswith("Microsoft.MachineLearning") or provider == request.path:
                return onward(request)
            assert request.headers["authorization"].startswith("Bearer ")
            if self.refused and self.refused in provider:
                return _refusal(403, "AuthorizationFailed", "The client has no authorization.")
            version = request.query["api-version"]
            if (provider, version) == ("Microsoft.Authorization/permissions", "2022-04-01"):
                role = {"actions": self.actions, "notActions": self.excluded}
                return Reply(200, {"value": [{**role, "dataActions": [], "notDataActions": []}]})
            kind, _, name = provider.rpartition("/")
            assert (kind, version) == ("Microsoft.Consumption/budgets", "2023-05-01")
            if name not in self.budgets:
                return _refusal(404, "404", f"Budget with name {name} not found.")
            told = {"amount": 100.0, "currentSpend": {"amount": 20.0, "unit": "EUR"}}
            return Reply(200, {"name": name, "properties": {**told, "timeGrain": "Monthly"}})

        return answer

    def logged_out(self) -> None:
        policy = "azure.storage.blob._shared.policies.StorageRetryPolicy"
        self.patch.setattr(f"{policy}.sleep", lambda *_: None)  # it tries again for a minute
        self.patch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")


class Gcp:
    """A project with the rights of a release, a service account, and the budget."""

    PROVIDER = "projects/1/locations/global/workloadIdentityPools/flights-prod/providers/pipelines"
    ACCOUNT = "run@acme-models-prod.iam.gserviceaccount.com"

    def __init__(self, platform: Any, patch: pytest.MonkeyPatch) -> None:
        from mlops.doctor import gcp

        self.platform, self.patch = platform, patch
        self.rights, self.accounts = {*gcp.NEEDED, gcp.ACT_AS}, {self.ACCOUNT}
        self.billing, self.budgets = "billingAccounts/1-2-3", [NAME]
        self.refused = ""
        change(service_account=self.ACCOUNT, provider=self.PROVIDER)
        patch.setattr(platform, "answer", self.answer(platform.answer))

    def answer(self, onward: Callable[..., Any]) -> Callable[..., Any]:
        from clouds.gcp import TOKEN

        mine = re.compile(r"/v3/projects/|/v1/(projects/\S+/(billingInfo|serviceAccounts)|billing)")

        def answer(verb: str, url: str, headers: Any, body: bytes) -> Any:
            path, _, query = url.partition("?")
            known = headers.get("authorization") == f"Bearer {TOKEN}"
            if not known or not mine.match(path):
                return onward(verb, url, headers, body)
            denied = self.refused and self.refused in path
            told = None if denied else self.known(path, query)
            if told is None:
                name = "NOT_FOUND" if "serviceAccounts" in path else "PERMISSION_DENIED"
                status = 404 if name == "NOT_FOUND" else 403
                return status, {"error": {"code": status, "status": name, "message": name}}, {}
            if not path.endswith(":testIamPermissions"):
                assert verb == "GET"
                return 200, told, {}
            assert verb == "POST"
            return 200, self.held(body), {}

        return answer

    def known(self, path: str, query: str) -> dict[str, Any] | None:
        """Return what is there; Google does not say of a project whether it is or may be seen."""
        from clouds.gcp import PROJECT

        billing = {"billingEnabled": bool(self.billing), "billingAccountName": self.billing}
        first = {"budgets": [{"displayName": "another"}], "nextPageToken": "2"}
        second = {"budgets": [{"displayName": one} for one in self.budgets]}
        there: dict[str, dict[str, Any]] = {
            f"/v3/projects/{PROJECT}": {"name": "projects/1", "projectId": PROJECT},
            f"/v1/projects/{PROJECT}/billingInfo": billing,
            f"/v1/{self.billing}/budgets": second if "pageToken=2" in query else first,
            **{f"/v1/projects/-/serviceAccounts/{one}": {} for one in self.accounts},
        }
        return there.get(path.partition(":")[0])

    def held(self, body: bytes) -> dict[str, Any]:
        from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest
        from google.protobuf import json_format

        asked = json_format.ParseDict(json.loads(body), TestIamPermissionsRequest())
        found = [one for one in asked.permissions if one in self.rights]
        return {"permissions": found} if found else {}


class Kubernetes:
    """A namespace with the Role of a release, a quota, and alarms."""

    def __init__(self, platform: Any, patch: pytest.MonkeyPatch) -> None:
        self.platform, self.patch = platform, patch
        self.quotas, self.rules, self.refused = ["environment"], [NAME], ""
        patch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
        patch.setattr(platform, "_answer", self.answer(platform._answer))

    def answer(self, onward: Callable[..., Any]) -> Callable[..., Any]:
        from clouds.kubernetes import NAMESPACE, TOKEN, RefusalError

        def reviewed(asked: dict[str, Any]) -> bool:
            parts = [asked["resource"], asked.get("subresource")]
            resource = "/".join(part for part in parts if part)
            held = (asked.get("group", ""), resource, asked["verb"]) in self.platform.bound
            return held and asked["namespace"] == NAMESPACE

        def answer(method: str, url: str, headers: Any, body: Any) -> Any:
            path = url.partition("?")[0]
            form = r"/apis/(?:authentication|authorization).k8s.io/v1/(selfsubject\w+)"
            space = f"/namespaces/{NAMESPACE}"
            review = re.fullmatch(form, path)
            mine = re.search(f"{space}/(resourcequotas|prometheusrules)(?:/(.+))?$", path)
            known = headers.get("authorization") == f"Bearer {TOKEN}"
            if not known or not (review or mine):
                return onward(method, url, headers, body)
            if review:
                assert method == "POST"
                if review[1] == "selfsubjectreviews":
                    return 201, {**body, "status": {"userInfo": {"username": "releaser"}}}
                assert review[1] == "selfsubjectaccessreviews"
                allowed = reviewed(body["spec"]["resourceAttributes"])
                return 201, {**body, "status": {"allowed": allowed}}
            assert mine
            if mine[1] == self.refused:
                raise RefusalError(403, "Forbidden", f"{mine[1]} is forbidden")
            if mine[1] == "resourcequotas":
                assert path == f"/api/v1{space}/resourcequotas"
                items = [{"metadata": {"name": one}} for one in self.quotas]
                return 200, {"kind": "ResourceQuotaList", "apiVersion": "v1", "items": items}
            assert path.startswith("/apis/monitoring.coreos.com/v1/")
            if mine[2] not in self.rules:
                raise RefusalError(404, "NotFound", f'prometheusrules "{mine[2]}" not found')
            return 200, {"kind": "PrometheusRule", "metadata": {"name": mine[2]}}

        return answer

    def logged_out(self) -> None:
        other = Path("kubeconfig").absolute()
        text = (self.platform.folder / "kubeconfig").read_text()
        other.write_text(text.replace("token-of-the-test", "another"))
        self.patch.setenv("KUBECONFIG", str(other))


def change(**names: Any) -> None:
    """Let the environment's file say something else of the provider."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    content["cloud"] |= names
    FILE.write_text(yaml.safe_dump(content), encoding="utf-8")


def forget(provider: str) -> None:
    """Let no test see what the process has kept of another's login."""
    kept = {"aws": ["_session"], "azure": ["_credential", "_client"]}
    for one in kept.get(provider, []):
        getattr(import_module(f"mlops.cloud.{provider}"), one).cache_clear()


def logged_out(around: Any) -> None:
    """Let nobody be logged in."""
    forget(project.PROVIDER)
    gone = {"aws": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]}
    for name in gone.get(project.PROVIDER, []):
        around.patch.delenv(name)
    if project.PROVIDER == "gcp":
        around.patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    if hasattr(around, "logged_out"):
        around.logged_out()


def crash(around: Any) -> None:
    around.platform.servers.scripts[1].crash = True


def refuse(call: str) -> Callable[[Any], None]:
    return lambda around: around.platform.fail(call, 1000, "denied")


def put(**values: Any) -> Callable[[Any], None]:
    return lambda around: around.__dict__.update(values)


def name(**names: Any) -> Callable[[Any], None]:
    return lambda around: change(**names)


def unregistered(around: Any) -> None:
    around.patch.setenv("MLOPS_TRACKING_URI", "http://127.0.0.1:9")


def unbound(around: Any) -> None:
    around.platform.bound.discard(("apps", "deployments", "patch"))


def keyless(around: Any) -> None:
    for variable in ("MLOPS_SIGNING_KEY", "MLOPS_API_KEYS"):
        around.patch.delenv(variable)
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    del content["api_keys"]
    FILE.write_text(yaml.safe_dump(content), encoding="utf-8")


INFRA = f"`make infra-apply ENV={ENVIRONMENT}`"
# By provider: what is wrong, the check that fails, and what it says of it.
FAULTS: dict[str, dict[str, tuple[Callable[[Any], None], str, str]]] = {
    "aws": {
        "no login": (logged_out, "login", "aws sso login"),
        "another account": (name(account="000000000000"), "login", r"correct the file"),
        "no role": (name(role="arn:aws:iam::123456789012:role/none"), "roles", INFRA),
        "no trust": (lambda around: around.role({}), "roles", "Let sagemaker.amazonaws.com"),
        "no right to pass": (put(decision="implicitDeny"), "roles", "Allow iam:PassRole"),
        "no bucket": (name(bucket="not-there"), "storage", r"Correct cloud\.bucket"),
        "no right to write": (refuse("PutObject"), "storage", "Allow PutObject"),
        "no right to delete": (refuse("DeleteObject"), "storage", "Allow DeleteObject"),
        "no registry": (refuse("ListModelPackages"), "registry", "Allow ListModelPackages"),
        "endpoint down": (crash, "endpoint", f"make rollback ENV={ENVIRONMENT}"),
        "no budget": (lambda around: around.gone(), "budget", INFRA),
    },
    "azure": {
        "no login": (logged_out, "login", "az login"),
        "another subscription": (
            name(subscription="00000000-0000-0000-0000-00000000dead"),
            "login",
            "az account list",
        ),
        "no role": (put(actions=["*/read"]), "roles", "AzureML Data Scientist"),
        "a role without jobs": (
            put(excluded=["Microsoft.MachineLearningServices/workspaces/jobs/*"]),
            "roles",
            "workspaces/jobs/write.*AzureML Data Scientist",
        ),
        "no identity": (put(identity=None), "roles", INFRA),
        "no container": (
            name(container="https://examplemlops.blob.core.windows.net/not-there"),
            "storage",
            "create it",
        ),
        "no right to write": (refuse("PutBlob"), "storage", "must be yours"),
        "no registry": (refuse("models.GET"), "registry", "must be yours"),
        "endpoint down": (crash, "endpoint", f"make rollback ENV={ENVIRONMENT}"),
        "no budget": (put(budgets=set()), "budget", INFRA),
    },
    "gcp": {
        "no login": (logged_out, "login", "gcloud auth application-default login"),
        "another project": (name(project="someone-elses"), "login", "Give whoever asks a role"),
        "another project's jobs": (
            name(provider=Gcp.PROVIDER.replace("/1/", "/12/")),
            "login",
            f"Correct its number in {FILE}",
        ),
        "no role": (put(rights={"aiplatform.endpoints.predict"}), "roles", "pipeline's role"),
        "no account": (put(accounts=set()), "roles", INFRA),
        "no right to act as it": (
            lambda around: around.rights.discard("iam.serviceAccounts.actAs"),
            "roles",
            "Give it iam.serviceAccounts.actAs",
        ),
        "no bucket": (name(bucket="nobodys"), "storage", "does it exist"),
        "no right to write": (refuse("PutObject"), "storage", "Give whoever asks a role"),
        "no registry": (refuse("ListModelVersions"), "registry", "Give whoever asks a role"),
        "endpoint down": (crash, "endpoint", f"make rollback ENV={ENVIRONMENT}"),
        "no billing": (put(billing=""), "budget", "Link one"),
        "no budget": (put(budgets=[]), "budget", INFRA),
    },
    "kubernetes": {
        "no login": (logged_out, "login", "log in to the cluster again"),
        "another cluster": (name(context="other"), "login", "kubectl config get-contexts"),
        "another namespace": (name(namespace="other"), "roles", "kubectl apply -k"),
        "no right": (unbound, "roles", "may not patch deployments .*accounts.yaml names"),
        "no bucket": (name(bucket="not-there"), "storage", f"Correct cloud in {FILE}"),
        "no registry": (unregistered, "registry", f"Correct tracking_uri or cloud in {FILE}"),
        "no keys": (keyless, "keys", "MLOPS_SIGNING_KEY.*MLOPS_API_KEYS.*Set what the pipelines"),
        "endpoint down": (crash, "endpoint", f"make rollback ENV={ENVIRONMENT}"),
        "no budget": (put(quotas=[]), "budget", INFRA),
        "no alarms": (put(rules=[]), "budget", INFRA),
    },
}
# What can't be seen is no fault: what is refused then, and the right that would show it.
UNSEEN: dict[str, dict[str, tuple[Callable[[Any], None], str]]] = {
    "aws": {
        "roles": (refuse("GetRole"), "iam:GetRole"),
        "budget": (refuse("DescribeBudgets"), "budgets:ViewBudget"),
    },
    "azure": {
        "roles": (put(refused="permissions"), "Microsoft.Authorization/permissions/read"),
        "budget": (put(refused="budgets"), "Cost Management Reader"),
    },
    "gcp": {"budget": (put(refused="billingAccounts"), "Billing Account Viewer")},
    "kubernetes": {"budget": (put(refused="prometheusrules"), "get on prometheusrules")},
}
AROUND: dict[str, type[Any]] = {"aws": Aws, "azure": Azure, "gcp": Gcp, "kubernetes": Kubernetes}


@pytest.fixture
def around(platform: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what lies around a platform that infra/ has made, and on which version 1 answers."""
    forget(platform.provider)
    target: Any = open_target(ENVIRONMENT, platform.settings())
    target.poll = 0.0
    target.deploy("blue", 1, Path())
    target.route(CHAMPION, Slots())
    monkeypatch.delitem(doctor.CHECKS, "remote")  # the project's own suite has DVC
    monkeypatch.setenv("MLOPS_SIGNING_KEY", SECRET)
    for variable in ("CI", "TF_BUILD"):
        monkeypatch.delenv(variable, raising=False)
    made = AROUND[platform.provider](platform, monkeypatch)
    platform.calls.clear()
    return made


def examine() -> dict[str, Finding]:
    return {one.check: one for one in doctor.examine(ENVIRONMENT)}


def _pairs(cases: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    return [(provider, one) for provider in cases for one in cases[provider]]


def test_what_infra_has_made_is_well_and_stays_as_it_was(
    around: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "token_hex", lambda _: "probe")
    before = around.platform.left()
    findings = examine()
    assert [*findings] == [*doctor.CHECKS]
    # MLflow's file is made by the first run, not by a look at it.
    expected = {"registry": "n/a"} if project.REGISTRY == "mlflow" else {}
    for check, one in findings.items():
        assert one.verdict == expected.get(check, "ok"), one
        assert one.found
        assert SECRET not in str(one)
    doctor.refuse([*findings.values()], ENVIRONMENT)
    assert around.platform.left() == before
    assert "doctor-probe was written" in findings["storage"].found
    store = open_store(load_settings(ENVIRONMENT), ENVIRONMENT)
    assert store.read(f"deployments/{ENVIRONMENT}/doctor-probe") is None
    assert set(around.platform.calls) <= {"PutObject", "DeleteObject"}
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize(("provider", "fault"), _pairs(FAULTS), scope="session")
def test_each_fault_is_found_by_its_check_with_the_fix(around: Any, fault: str) -> None:
    plant, check, said = FAULTS[project.PROVIDER][fault]
    plant(around)
    findings = examine()
    assert [*findings] == [*doctor.CHECKS]  # all are made
    found = findings[check]
    assert found.verdict == "fault", found
    assert re.search(said, f"{found.found} {found.fix}"), found
    alone = check not in ("login", "roles") or fault.startswith(("no r", "no t", "a role"))
    assert not alone or [k for k, one in findings.items() if one.verdict == "fault"] == [check]
    with pytest.raises(doctor.MlopsError, match=f"{ENVIRONMENT}: .* failed: .*{check}"):
        doctor.refuse([*findings.values()], ENVIRONMENT)


@pytest.mark.parametrize(("provider", "unseen"), _pairs(UNSEEN), scope="session")
def test_what_may_not_be_looked_at_is_no_fault(around: Any, unseen: str) -> None:
    plant, right = UNSEEN[project.PROVIDER][unseen]
    plant(around)
    findings = examine()
    assert findings[unseen].verdict == "unseen", findings[unseen]
    assert right in findings[unseen].fix
    doctor.refuse([*findings.values()], ENVIRONMENT)


def test_a_champion_that_nobody_serves_is_a_fault(
    around: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_target(ENVIRONMENT, load_settings(ENVIRONMENT)).stop()
    assert examine()["endpoint"].verdict == "n/a"  # no champion either
    Path("mlflow.db").touch()  # where the registry is MLflow's
    champion = type("Champion", (), {"number": 7})
    registry = type("Known", (), {"alias": lambda self, alias: champion, "list": lambda self: []})
    monkeypatch.setattr(doctor, "open_registry", lambda settings: registry())
    found = examine()["endpoint"]
    assert (found.verdict, "version 7" in found.found) == ("fault", True)
    assert f"make deploy ENV={ENVIRONMENT}" in found.fix
