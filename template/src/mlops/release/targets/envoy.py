"""Envoy's configuration, as pure functions: what it listens to, who answers, and in what shares.

Envoy reads the bootstrap once. It watches the routes, and the endpoints unless they are fixed: each
is a file that is replaced by a rename, and taken up without a request being lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ...settings import Serving
from ..traffic import Slot, Slots, Traffic

Address = tuple[str, int]  # host and port
Config = dict[str, Any]

SLOTS: tuple[Slot, ...] = get_args(Slot)
ROUTES = "routes.json"
HEALTH_SECONDS = 1  # between two looks at a replica's /ready
LIMIT = 1000  # requests that a slot has at once: past it Envoy answers 503, a shadow is left out
# Milliseconds: Envoy measures whole ones. Steps of at most a sixth, so that a p99 can be compared.
LATENCY_EDGES = [0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
LATENCY_EDGES += [round(10 * 1.15**n) for n in range(1, 50)]  # up to 9.4 s

_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER = f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPES}.extensions.filters.http.router.v3.Router"
_OTHER_HOST = f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

# What callers reach. An outcome is not idempotent: it is sent again only if it was never received.
_UNSENT = "connect-failure,refused-stream,reset-before-request"
_PATHS = {
    "/predict": ("POST", f"{_UNSENT},reset"),
    "/explain": ("POST", f"{_UNSENT},reset"),
    "/feedback": ("POST", _UNSENT),
    "/health": ("GET", f"{_UNSENT},reset"),
    "/ready": ("GET", f"{_UNSENT},reset"),
    "/docs": ("GET", f"{_UNSENT},reset"),
    "/openapi.json": ("GET", f"{_UNSENT},reset"),
}


def bootstrap(
    serving: Serving,
    admin: Address,
    folder: str,
    endpoints: Mapping[Slot, Sequence[Address]] | None = None,
) -> Config:
    """Return what Envoy is started with (JSON is YAML).

    Args:
        serving: Gives the address that callers use (``host``, ``port``) and the bounds.
        admin: Where Envoy tells its figures. Whoever reaches it can end Envoy: keep it private.
        folder: Where Envoy finds :data:`ROUTES` and, unless ``endpoints`` are given, blue.json and
            green.json; as Envoy sees it.
        endpoints: The replicas of each slot, if they are fixed; hosts may be names.
    """
    clusters = [
        _cluster(slot, folder, None if endpoints is None else endpoints.get(slot, ()))
        for slot in SLOTS
    ]
    return {
        "node": {"id": "mlops", "cluster": "mlops"},
        "admin": {"address": _address(admin)},
        "stats_flush_interval": "0.5s",  # histograms are as old as this
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": LATENCY_EDGES}
            ]
        },
        "static_resources": {"listeners": [_listener(serving, folder)], "clusters": clusters},
    }


def routes(traffic: Traffic, slots: Slots, serving: Serving) -> Config:
    """Return the routes that make the traffic so."""
    shares = [(slots.champion, traffic.champion), (slots.challenger, traffic.challenger)]
    action: Config = {
        "weighted_clusters": {
            "clusters": [{"name": slot, "weight": share} for slot, share in shares if share],
            "use_hash_policy": traffic.sticky,
        },
        "timeout": _seconds(serving.timeout + 1),  # the replica answers before this
    }
    if traffic.sticky:
        action["hash_policy"] = [
            {"header": {"header_name": "x-caller"}, "terminal": True},
            {"connection_properties": {"source_ip": True}},
        ]
    if traffic.mirror:
        action["request_mirror_policies"] = [
            {
                "cluster": slots.challenger,
                "runtime_fraction": {"default_value": {"numerator": traffic.mirror}},
                "disable_shadow_host_suffix_append": True,
            }
        ]
    virtual_host = {
        "name": "mlops",
        "domains": ["*"],
        "routes": [_route(path, *how, action) for path, how in _PATHS.items()],
    }
    # Names what is in effect, no more: Envoy keeps the version of routes that did not change, and a
    # supervisor that was started before an update of this file must come to the same name.
    shown = [f"{slot} {share}" for slot, share in shares if share]
    if traffic.mirror:
        shown.append(f"{slots.challenger} sees {traffic.mirror}")
    version = ", ".join([*shown, "sticky"] if traffic.sticky else shown)
    return _discovery(
        version,
        f"{_TYPES}.config.route.v3.RouteConfiguration",
        name="mlops",
        virtual_hosts=[virtual_host],
        response_headers_to_remove=["server"],
    )


def endpoints(slot: Slot, addresses: Sequence[Address]) -> Config:
    """Return the replicas of a slot."""
    return _discovery(
        ",".join(f"{host}:{port}" for host, port in addresses),
        f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        **_assignment(slot, addresses),
    )


def _route(path: str, method: str, retry_on: str, action: Config) -> Config:
    """Return the route of one path; a request that failed on one replica goes to another."""
    retry = {
        "retry_on": retry_on,
        "num_retries": 3,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": _OTHER_HOST},
            }
        ],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
    }
    method_is = {"name": ":method", "string_match": {"exact": method}}
    return {
        "match": {"path": path, "headers": [method_is]},
        "route": {**action, "retry_policy": retry},
    }


def _listener(serving: Serving, folder: str) -> Config:
    """Return the listener that callers use."""
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "callers",
        "rds": {"route_config_name": "mlops", "config_source": _watched(f"{folder}/{ROUTES}")},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True},
            }
        ],
        "use_remote_address": True,  # a caller's address is the connection's, not a header's
        "preserve_external_request_id": True,
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "merge_slashes": True,
        "request_timeout": _seconds(serving.timeout),  # of receiving it
        "drain_timeout": "5s",
    }
    return {
        "name": "callers",
        "address": _address((serving.host, serving.port)),
        "enable_reuse_port": False,  # a port that is taken is an error
        "per_connection_buffer_limit_bytes": 1024 * max(1024, 2 * serving.max_body_kb),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def _cluster(slot: Slot, folder: str, fixed: Sequence[Address] | None) -> Config:
    """Return a slot; its replicas are ``fixed``, or read from a watched file."""
    if fixed is None:
        where: Config = {
            "type": "EDS",
            "eds_cluster_config": {"eds_config": _watched(f"{folder}/{slot}.json")},
        }
    else:
        where = {"type": "STRICT_DNS", "load_assignment": _assignment(slot, fixed)}
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {
        "name": slot,
        **where,
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # Where none seems well all are tried, rather than none.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "health_checks": [
            {
                "timeout": _seconds(2 * HEALTH_SECONDS),
                "interval": _seconds(HEALTH_SECONDS),
                "no_traffic_interval": _seconds(HEALTH_SECONDS),
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/ready"},
            }
        ],
        # Requests waiting on a replica that hangs go to another one.
        "close_connections_on_host_health_failure": True,
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, LIMIT)]},
        "typed_extension_protocol_options": {
            _HTTP.removeprefix("type.googleapis.com/"): {
                "@type": _HTTP,
                "explicit_http_config": {"http_protocol_options": {}},
                # Shorter than the servers' own, lest a request meets a connection being closed.
                "common_http_protocol_options": {"idle_timeout": "3s"},
            }
        },
    }


def _assignment(slot: Slot, addresses: Sequence[Address]) -> Config:
    replicas = [{"endpoint": {"address": _address(address)}} for address in addresses]
    return {"cluster_name": slot, "endpoints": [{"lb_endpoints": replicas}]}


def _discovery(version: str, kind: str, **resource: Any) -> Config:
    """Return a watched file; Envoy tells which ``version_info`` it goes by."""
    return {"version_info": version, "resources": [{"@type": kind, **resource}]}


def _watched(path: str) -> Config:
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def _address(address: Address) -> Config:
    host, port = address
    return {"socket_address": {"address": host, "port_value": port}}


def _seconds(value: float) -> str:
    return f"{value:g}s"
