"""deploy/ of a project on Kubernetes: valid, shut, never in a release's way; and its adapters.

kubectl makes the overlays, offline. A cluster is the fake of clouds.kubernetes. podman runs a
slot's Deployment for real, where it is installed.
"""

import base64
import copy
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clouds.kubernetes import KEY, NAME, NAMESPACE, TOKEN, Platform, RefusalError, faults
from clouds.processes import free_port
from conftest import ROOT, Project, render
from mlops import project
from mlops.cloud.kubernetes import Cloud
from mlops.errors import MlopsError
from mlops.jobs.base import Spec
from mlops.jobs.kubernetes import KubernetesCompute
from mlops.release.targets import kubernetes as adapter
from mlops.release.targets.base import DeployError
from mlops.release.targets.kubernetes import KubernetesTarget
from mlops.release.traffic import CHAMPION, Slots, Traffic
from mlops.settings import Settings
from test_container import IMAGE, Containers, built  # noqa: F401 (a fixture)

ENVIRONMENTS = ["test", "staging", "shadow", "prod"]
ANSWERS = {"provider": "kubernetes", "training": "job", "environments": ["dev", *ENVIRONMENTS]}
Object = dict[str, Any]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("tree") / "flight-delays", **ANSWERS)


@pytest.fixture(scope="module")
def overlays(tree: Path) -> dict[str, list[Object]]:
    if not shutil.which("kubectl"):
        pytest.skip("NO OVERLAY IS CHECKED HERE: it takes kubectl")
    return {name: kustomize(tree / "deploy/overlays" / name) for name in ENVIRONMENTS}


def kustomize(folder: Path) -> list[Object]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def filled(tree: Path, environment: str, monkeypatch: pytest.MonkeyPatch) -> list[Object]:
    """Return what a release and a job apply: the slots, the route, the job."""
    content = yaml.safe_load((tree / f"environments/{environment}.yaml").read_text())
    monkeypatch.setattr("mlops.cloud.kubernetes.DEPLOY", tree / "deploy")
    monkeypatch.setattr("mlops.cloud.kubernetes.Cloud.cluster", lambda _: None)
    settings = Settings(target="kubernetes", cloud=content["cloud"])
    target = KubernetesTarget(environment, settings)
    split = Traffic(champion=80, challenger=20)
    return [
        *(target._filled(slot, 3) for slot in adapter.SLOTS),
        target._routed(split, Slots()),
        target._routed(Traffic(mirror=10), Slots()),
        KubernetesCompute(Cloud.read(settings, environment))._filled(spec(["true"])),
    ]


def spec(command: list[str], **more: Any) -> Spec:
    given = {"name": "job-1", "command": command, "variables": {"A": "1"}, "spot": False}
    return Spec(**{**given, "timeout": 60, "tags": {"commit": "abc"}, **more})


# What is applied ---------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_object_is_valid(
    tree: Path,
    overlays: dict[str, list[Object]],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in [*overlays[environment], *filled(tree, environment, monkeypatch)]:
        assert faults(json.dumps(one)) == "", one["kind"]


def test_what_is_not_valid_is_seen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot, _, route, *_ = filled(tree, "prod", monkeypatch)
    for one, fault in (
        (slot, lambda spec: spec.update(replica=2)),
        (slot, lambda spec: spec.update(replicas="two")),
        (slot, lambda spec: spec["template"]["spec"]["containers"][0].update(port=1)),
        (route, lambda spec: spec["rules"][0].update(mirror=10)),
        (route, lambda spec: spec["rules"][0]["backendRefs"][0].update(weight=-1)),
        (route, lambda spec: spec["hostnames"].append("not a name")),
        (route, lambda spec: spec["rules"][1]["filters"][0].update(type="Mirror")),
    ):
        bad = copy.deepcopy(one)
        fault(bad["spec"])
        assert faults(json.dumps(bad)), one["kind"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_a_release_applies_is_in_no_overlay(
    tree: Path,
    overlays: dict[str, list[Object]],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stands = {key(one) for one in overlays[environment]}
    released = {key(one) for one in filled(tree, environment, monkeypatch)}
    assert not stands & released
    assert {namespace for _, _, namespace in stands | released} == {f"flight-delays-{environment}"}


def key(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"]["name"], one["metadata"]["namespace"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_names_meet(
    tree: Path,
    overlays: dict[str, list[Object]],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standing, applied = overlays[environment], filled(tree, environment, monkeypatch)
    slots, job = applied[:2], applied[-1]
    names = {(one["kind"], one["metadata"]["name"]) for one in standing}
    for slot in slots:
        name, spec = slot["metadata"]["name"], slot["spec"]["template"]["spec"]
        assert ("Service", name) in names
        assert ("ServiceAccount", spec["serviceAccountName"]) in names
        labels = slot["spec"]["template"]["metadata"]["labels"]
        assert slot["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for kind in ("Service", "PodDisruptionBudget"):
            chosen = [one for one in standing if one["kind"] == kind and selects(one, labels)]
            assert [one["metadata"]["name"] for one in chosen] == [name], kind
        (scaling,) = (
            one["spec"]
            for one in standing
            if one["kind"] == "HorizontalPodAutoscaler"
            and one["spec"]["scaleTargetRef"]["name"] == name
        )
        assert scaling["minReplicas"] == slot["spec"]["replicas"] <= scaling["maxReplicas"]
        named = {port["name"] for port in spec["containers"][0]["ports"]}
        ports = [one["spec"]["ports"] for one in standing if one["kind"] == "Service"]
        assert {port["targetPort"] for two in ports for port in two} <= named
    assert ("ServiceAccount", job["spec"]["template"]["spec"]["serviceAccountName"]) in names
    for one in standing:  # one that chooses nothing chooses all of the namespace
        if one["kind"] == "NetworkPolicy":
            mine = one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"]
            assert mine == f"flight-delays-{environment}"
    backends = set(re.findall(r"flight-delays-\w+-(?:blue|green)", json.dumps(applied[2])))
    assert {("Service", name) for name in backends} <= names


def selects(one: Object, labels: dict[str, str]) -> bool:
    selector = one["spec"].get("podSelector", one["spec"].get("selector"))
    return selector.get("matchLabels", selector).items() <= labels.items()


# How shut it is ----------------------------------------------------------------


def violations(objects: list[Object]) -> Iterator[str]:
    """Yield what a pod may do, or lacks, against the rules."""
    for one in objects:
        if one["kind"] not in ("Deployment", "Job"):
            continue
        pod, labels = one["spec"]["template"]["spec"], one["spec"]["template"]["metadata"]["labels"]
        shut = pod.get("securityContext", {})
        yield from _missing(
            root=shut.get("runAsNonRoot") is True and shut.get("runAsUser") == 10001,
            seccomp=shut.get("seccompProfile") == {"type": "RuntimeDefault"},
            token=pod.get("automountServiceAccountToken") is False,
            account=pod.get("serviceAccountName", "default") != "default",
            host=not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
            folder=not any("hostPath" in volume for volume in pod.get("volumes", [])),
        )
        for container in pod["containers"]:
            yield from _contained(container)
            if one["kind"] == "Deployment":
                probes = {name for name in container if name.endswith("Probe")}
                yield from _missing(
                    probes=probes == {"startupProbe", "readinessProbe", "livenessProbe"}
                )
        policies = [
            p["spec"] for p in objects if p["kind"] == "NetworkPolicy" and selects(p, labels)
        ]
        denied = [p for p in policies if {"Ingress", "Egress"} == set(p["policyTypes"])]
        yield from _missing(network=any(p.keys() == {"podSelector", "policyTypes"} for p in denied))
        if one["kind"] == "Deployment":
            budgets = [
                o for o in objects if o["kind"] == "PodDisruptionBudget" and selects(o, labels)
            ]
            yield from _missing(
                budget=len(budgets) == 1,
                out=not any("egress" in p for p in policies),
                ask=any(
                    p.get("ingress") and all(r.get("from") for r in p["ingress"]) for p in policies
                ),
            )


def _contained(container: Object) -> Iterator[str]:
    shut, resources = container.get("securityContext", {}), container.get("resources", {})
    tag = container["image"].rpartition("/")[2].partition(":")[2]
    yield from _missing(
        escalation=shut.get("allowPrivilegeEscalation") is False and "privileged" not in shut,
        files=shut.get("readOnlyRootFilesystem") is True,
        capabilities=shut.get("capabilities") == {"drop": ["ALL"]},
        limits=resources.get("limits", {}).keys() == {"cpu", "memory"},
        requests=resources.get("requests", {}).keys() == {"cpu", "memory"},
        tag=tag not in ("", "latest"),
    )


def _missing(**met: bool) -> Iterator[str]:
    yield from (name for name, is_met in met.items() if not is_met)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_pod_is_shut_in(
    tree: Path,
    overlays: dict[str, list[Object]],
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = [*overlays[environment], *filled(tree, environment, monkeypatch)]
    assert list(violations(objects)) == []


def pod(objects: list[Object]) -> Object:
    return objects[0]["spec"]["template"]["spec"]


def policy(objects: list[Object], name: str) -> Object:
    return next(o for o in objects if o["metadata"]["name"].endswith(name))["spec"]


PLANTED: dict[str, Callable[[list[Object]], Any]] = {
    "root": lambda o: pod(o)["securityContext"].pop("runAsNonRoot"),
    "seccomp": lambda o: pod(o)["securityContext"].pop("seccompProfile"),
    "token": lambda o: pod(o).pop("automountServiceAccountToken"),
    "account": lambda o: pod(o).pop("serviceAccountName"),
    "host": lambda o: pod(o).update(hostNetwork=True),
    "folder": lambda o: pod(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "escalation": lambda o: pod(o)["containers"][0]["securityContext"].update(privileged=True),
    "files": lambda o: pod(o)["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "capabilities": lambda o: pod(o)["containers"][0]["securityContext"].pop("capabilities"),
    "limits": lambda o: pod(o)["containers"][0]["resources"]["limits"].pop("memory"),
    "requests": lambda o: pod(o)["containers"][0]["resources"].pop("requests"),
    "tag": lambda o: pod(o)["containers"][0].update(image="example.com:5000/flight-delays:latest"),
    "probes": lambda o: pod(o)["containers"][0].pop("livenessProbe"),
    "network": lambda o: policy(o, "default-deny").update(egress=[{}]),
    "out": lambda o: policy(o, "-server").update(egress=[{}]),
    "ask": lambda o: policy(o, "-server")["ingress"][0].pop("from"),
    "budget": lambda o: o.__setitem__(
        slice(None), [one for one in o if one["kind"] != "PodDisruptionBudget"]
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_not_shut_is_seen(
    tree: Path, overlays: dict[str, list[Object]], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = filled(tree, "prod", monkeypatch)[0]
    rest = [one for one in overlays["prod"] if one["kind"] not in ("ServiceAccount", "Role")]
    objects = copy.deepcopy([slot, *sorted(rest, key=lambda one: one["kind"] == "Service")])
    assert list(violations(objects)) == []
    PLANTED[fault](objects)
    assert fault in violations(objects)


# The adapters ------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture
def platform(cluster: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    cluster.reset()
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(project, "PROVIDER", "kubernetes")
    return cluster


@pytest.fixture
def target(platform: Platform) -> KubernetesTarget:
    made = opened(platform)
    made.deploy("blue", 1, Path())
    made.route(CHAMPION, Slots())
    return made


def opened(platform: Platform, **names: Any) -> KubernetesTarget:
    settings = platform.settings()
    settings.cloud |= names
    settings.api_keys = KEY  # type: ignore[assignment]
    made = KubernetesTarget("prod", Settings(**settings.model_dump()))
    made.poll = 0
    return made


def test_what_others_have_set_stays(platform: Platform, target: KubernetesTarget) -> None:
    """The autoscaler's replicas, and an annotation of somebody's, outlive the next apply."""
    held = platform.objects["Deployment", f"{NAME}-blue"]
    held["spec"]["replicas"] = 5
    held["metadata"].setdefault("annotations", {})["example.com/by"] = "somebody"
    platform.owned["Deployment", f"{NAME}-blue", "hpa"] = {("spec", "replicas"): 5}
    platform.calls.clear()
    target.deploy("blue", 1, Path())
    assert platform.calls == []
    target.cluster.apply(target._filled("blue", 1))
    held = platform.objects["Deployment", f"{NAME}-blue"]
    assert held["metadata"]["annotations"] == {"example.com/by": "somebody"}


def test_the_fake_refuses_what_an_api_server_refuses(
    platform: Platform, target: KubernetesTarget
) -> None:
    wanted, headers = target._filled("blue", 1), {"content-type": "application/apply-patch+yaml"}

    def applied(query: dict[str, str], wanted: Object, **more: str) -> None:
        at = ("Deployment", f"{NAME}-blue", query, {**headers, **more}, wanted, "", False)
        platform._apply(*at)

    wanted["spec"]["replicas"] = 9
    with pytest.raises(RefusalError, match="conflicts with"):
        applied({"fieldManager": "other"}, wanted)
    applied({"fieldManager": "other", "force": "true"}, wanted)
    moved = copy.deepcopy(wanted)
    moved["spec"]["selector"]["matchLabels"]["slot"] = "green"
    with pytest.raises(RefusalError, match="immutable"):
        applied({"fieldManager": "other", "force": "true"}, moved)
    with pytest.raises(RefusalError, match="fieldManager"):
        applied({}, wanted)
    less = {**wanted, "spec": {k: v for k, v in wanted["spec"].items() if k != "replicas"}}
    applied({"fieldManager": "other", "force": "true"}, less)
    assert "replicas" not in platform.objects["Deployment", f"{NAME}-blue"]["spec"]


@pytest.mark.parametrize("fault", ["patch deployments", "create pods/proxy", "get pods/log"])
def test_the_role_allows_no_less_than_is_needed(platform: Platform, fault: str) -> None:
    verb, _, resource = fault.partition(" ")
    platform.bound = {one for one in platform.bound if one[1:] != (resource, verb)}
    platform.servers.scripts[1].crash = "log" in fault
    made = opened(platform)

    def needed() -> None:
        made.deploy("blue", 1, Path())
        made.ask("blue", "/predict", {})

    with pytest.raises(MlopsError, match=rf"prod\.yaml: cloud\.namespace \({NAMESPACE}\).*kubectl"):
        needed()


def test_a_server_that_breaks_down_is_an_error(
    platform: Platform, target: KubernetesTarget
) -> None:
    mark = target.mark()
    platform.send(10)
    platform.restarts[f"{NAME}-blue-7d9f-1"] += 2
    seen = target.observe(mark)["blue"]
    assert (seen.requests, seen.errors, seen.versions) == (12, 2, {"1": 10})
    assert target.observe(target.mark())["blue"].errors == 0


def test_an_outcome_is_counted_by_the_slot_that_it_is_of(
    platform: Platform, target: KubernetesTarget
) -> None:
    target.deploy("green", 2, Path())
    target.route(Traffic(champion=50, challenger=50, sticky=True), Slots())
    mark = target.mark()
    for version in "1222":
        body = {"request_id": "r", "version": version, "outcome": 1.0}
        assert target.ask(None, "/feedback", body)[0] == 202
    seen = target.observe(mark)
    assert (seen["blue"].outcomes, seen["green"].outcomes) == (1, 3)
    assert target.ask(None, "/metrics")[0] == 404


def test_a_crash_shows_the_log_and_empties_the_slot(
    platform: Platform, target: KubernetesTarget
) -> None:
    platform.servers.scripts[2].crash = True
    with pytest.raises(DeployError, match=r"green slot: .*CrashLoopBackOff(.|\n)*own example"):
        target.deploy("green", 2, Path())
    assert ("Deployment", f"{NAME}-green") not in platform.objects


def test_a_champion_that_fails_is_left_alone(platform: Platform, target: KubernetesTarget) -> None:
    platform.servers.scripts[1].crash = True
    with pytest.raises(DeployError):
        target.deploy("blue", 1, Path())
    assert ("Deployment", f"{NAME}-blue") in platform.objects
    with pytest.raises(MlopsError, match="answers callers with 1"):
        target.deploy("blue", 2, Path())


def test_a_gateway_that_refuses_the_route_is_named(
    platform: Platform, target: KubernetesTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ROUTE_SECONDS", 0.0)
    wrong = opened(platform, gateway="private")
    with pytest.raises(MlopsError, match=r"prod\.yaml: the gateway private .*has not seen it"):
        wrong.route(CHAMPION, Slots())
    platform.services.clear()
    with pytest.raises(MlopsError, match=r"BackendNotFound: .*deploy/overlays/prod"):
        target.route(CHAMPION, Slots(champion="green"))


def test_a_pod_without_the_key_is_told_from_a_cluster_that_refuses(
    target: KubernetesTarget,
) -> None:
    assert target.ask("blue", "/predict", {"records": [{"x": 0.5}]})[0] == 200
    target.settings.serving.auth = "off"
    assert target.ask("blue", "/predict", {"records": [{"x": 0.5}]})[0] == 401


def test_a_wrong_name_is_said_with_its_file(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(MlopsError, match=r"prod\.yaml: cloud\.context \(nowhere\)"):
        opened(platform, context="nowhere")
    with pytest.raises(MlopsError, match=r"prod\.yaml: cloud\.gateway is missing"):
        opened(platform, gateway="")
    with pytest.raises(MlopsError, match=r"prod\.yaml: cloud\.namespace: "):
        opened(platform, namespace="Not a name")
    with pytest.raises(MlopsError, match=r"cloud\.namespace \(elsewhere\) does not allow"):
        opened(platform, namespace="elsewhere").state()
    text = (platform.folder / "kubeconfig").read_text()
    (tmp_path / "old").write_text(text.replace(TOKEN, "old"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "old"))
    with pytest.raises(MlopsError, match=r"cloud\.context \(fake\) .*log in"):
        opened(platform).state()
    (tmp_path / "gone").write_text(re.sub(r"127.0.0.1:\d+", "127.0.0.1:9", text))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(MlopsError, match=r"cloud\.context \(fake\) cannot be reached"):
        opened(platform).state()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(MlopsError, match=r"cloud\.context \(fake\) cannot be reached"):
        opened(platform)


# Jobs --------------------------------------------------------------------------


@pytest.fixture
def compute(platform: Platform) -> KubernetesCompute:
    return KubernetesCompute(Cloud.read(platform.settings(), "prod"))


def ended(compute: KubernetesCompute, job: str) -> str:
    end = time.monotonic() + 60
    while (status := compute.status(job)) in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return status


def test_a_job_runs_once_and_leaves_nothing(platform: Platform, compute: KubernetesCompute) -> None:
    wanted = spec(["python", "-c", "import os; print('A is', os.environ['A'])"])
    job = compute.submit(wanted)
    assert compute.submit(wanted) == job
    assert platform.calls == ["apply Job"]
    assert ended(compute, job) == "succeeded"
    assert list(compute.log(job)) == ["A is 1"]
    compute.stop(job)
    assert compute.status(job) == "succeeded"
    for _ in range(2):
        compute.remove(job)
    assert platform.left() == []
    with pytest.raises(MlopsError, match="no job job-1"):
        compute.status(job)


def test_a_job_that_fails_says_so(compute: KubernetesCompute) -> None:
    job = compute.submit(spec(["python", "-c", "raise SystemExit('no data')"]))
    assert ended(compute, job) == "failed"
    assert "BackoffLimitExceeded" in compute.why(job)
    assert list(compute.log(job)) == ["no data"]


def test_a_job_is_stopped_and_ends_when_its_time_is_up(compute: KubernetesCompute) -> None:
    sleep = ["python", "-c", "import time; time.sleep(600)"]
    job = compute.submit(spec(sleep))
    assert compute.status(job) == "running"
    for _ in range(2):
        compute.stop(job)
    assert compute.status(job) == "stopped"
    late = compute.submit(spec(sleep, name="job-2", timeout=1))
    assert ended(compute, late) == "failed"
    assert "DeadlineExceeded" in compute.why(late)


def test_a_spot_job_goes_where_capacity_is_spare_and_gets_what_it_is_given(
    platform: Platform, compute: KubernetesCompute
) -> None:
    compute.submit(spec(["true"], spot=True))
    pod = platform.objects["Job", "job-1"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"example.com/spot": "true"}
    assert [one["key"] for one in pod["tolerations"]] == ["example.com/spot"]
    said = 'a "b" {c} $d ${e} \u00fc \U0001f600'
    compute.submit(spec(["true", said], name="job-2", variables={"A": said}))
    pod = platform.objects["Job", "job-2"]["spec"]["template"]["spec"]
    assert not pod.get("nodeSelector")
    (container,) = pod["containers"]
    assert container["command"] == ["true", said]
    assert {"name": "A", "value": said} in container["env"]


def test_a_job_that_is_refused_leaves_nothing(
    platform: Platform, compute: KubernetesCompute
) -> None:
    for kind, said in (("quota", "quota"), ("denied", "does not allow"), ("error", "has failed")):
        platform.fail("apply Job", 9, kind)
        with pytest.raises(MlopsError, match=rf"prod\.yaml: cloud\..*{said}"):
            compute.submit(spec(["true"]))
        assert platform.left() == []
    compute.cloud.job_image = ""
    with pytest.raises(MlopsError, match=r"prod\.yaml: cloud\.job_image is missing"):
        compute.submit(spec(["true"]))


# For real ----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.container
def test_a_slot_runs_as_it_is_applied(
    built: tuple[Containers, Project],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Deployment of a slot, by podman: shut in, with the key of its Secret, and answering."""
    containers, _ = built
    monkeypatch.setattr("mlops.cloud.kubernetes.DEPLOY", ROOT / "template/deploy")
    monkeypatch.setattr("mlops.cloud.kubernetes.Cloud.cluster", lambda _: None)
    names = {"namespace": NAMESPACE, "image": IMAGE, "host": "h", "gateway": "g", "instances": 1}
    slot = KubernetesTarget("prod", Settings(cloud=names))._filled("blue", 1)
    (server,) = slot["spec"]["template"]["spec"]["containers"]
    server["ports"] = [{"name": "http", "containerPort": 8080, "hostPort": free_port()}]
    (tmp_path / "slot.yaml").write_text(yaml.safe_dump(slot))
    # The data of a Secret, as this podman wants them.
    keys = {"MLOPS_API_KEYS": base64.b64encode(b"secret").decode()}
    (tmp_path / "secret.json").write_text(json.dumps(keys))
    containers.run("podman", "secret", "create", NAME, str(tmp_path / "secret.json"))
    containers.run("podman", "play", "kube", str(tmp_path / "slot.yaml"))
    try:
        inside = ("podman", "exec", f"{NAME}-blue-pod-0-server")
        assert containers.run(*inside, "id", "-u") == "10001"
        status = containers.run(*inside, "cat", "/proc/1/status")
        facts = dict(line.split(":\t") for line in status.splitlines())
        assert (facts["CapEff"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0" * 16, "1", "2")
        write = "for f in /app/x /model/x /usr/x /tmp/x; do touch $f 2>/dev/null && echo $f; done"
        assert containers.run(*inside, "sh", "-c", f"{write}; true") == "/tmp/x"
        assert containers.run(*inside, "python", "-c", ASK) == "200 401 200"
    finally:
        containers.run("podman", "play", "kube", "--down", str(tmp_path / "slot.yaml"))
        containers.run("podman", "secret", "rm", NAME)


ASK = """
import json, time, urllib.error, urllib.request

def ask(path, body=None, **headers):
    address = f"http://127.0.0.1:8080{path}"
    request = urllib.request.Request(address, body, {"content-type": "application/json", **headers})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code

for _ in range(600):
    try:
        ready = ask("/ready")
        break
    except OSError:
        time.sleep(0.1)
contract = json.load(open("/model/contract.json"))
record = {field["name"]: field["example"] for field in contract["fields"]}
body = json.dumps({"records": [record]}).encode()
print(ready, ask("/predict", body), ask("/predict", body, **{"x-api-key": "secret"}))
"""
