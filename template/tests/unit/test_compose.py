import json
from pathlib import Path
from typing import Any

from mlops.release.targets import compose, envoy
from mlops.release.traffic import CHAMPION, Slots, Traffic
from mlops.settings import Serving


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_containers_envoy_is_the_local_targets(tmp_path: Path) -> None:
    compose.write(tmp_path, Serving(port=8084, timeout=3))
    listener = read(tmp_path / "envoy.json")["static_resources"]["listeners"][0]
    address = {"address": "0.0.0.0", "port_value": 8080}  # noqa: S104
    assert listener["address"] == {"socket_address": address}
    text = (tmp_path / "envoy.json").read_text()
    assert '"path": "/config/routes.json"' in text
    assert '"address": "blue"' in text
    assert '"address": "green"' in text
    assert read(tmp_path / "routes.json") == envoy.routes(CHAMPION, Slots(), Serving(timeout=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["envoy.json", "routes.json"]


def test_new_traffic_is_new_routes(tmp_path: Path) -> None:
    traffic, slots = Traffic(champion=90, challenger=10), Slots(champion="green")
    compose.write(tmp_path, Serving(), traffic, slots)
    clusters = read(tmp_path / "routes.json")["resources"][0]["virtual_hosts"][0]["routes"][0]
    shares = clusters["route"]["weighted_clusters"]["clusters"]
    assert {share["name"]: share["weight"] for share in shares} == {"green": 90, "blue": 10}
