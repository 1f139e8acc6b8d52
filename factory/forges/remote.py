"""A remote's address: where it is, and which platform that is."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from factory.forges.base import ForgeError

KINDS = ("github", "gitlab", "azure-devops")

_HOSTS = {
    "github.com": "github",
    "ssh.github.com": "github",
    "gitlab.com": "gitlab",
    "altssh.gitlab.com": "gitlab",
}
_DOMAINS = {
    ".ghe.com": "github",
    "dev.azure.com": "azure-devops",
    ".visualstudio.com": "azure-devops",
}
# What a platform tells its own jobs: the address of its API.
_VARIABLES = {
    "github": "GITHUB_API_URL",
    "gitlab": "CI_API_V4_URL",
    "azure-devops": "SYSTEM_COLLECTIONURI",
}


@dataclass(frozen=True)
class Remote:
    """Where a repository is.

    Attributes:
        site: How the host is reached over HTTP, e.g. https://git.example.com:8443.
        host: Its name alone.
        path: The parts of the repository's path, unquoted.
    """

    site: str
    host: str
    path: tuple[str, ...]

    @property
    def name(self) -> tuple[str, ...]:
        """The path without git's own suffix."""
        return (*self.path[:-1], self.path[-1].removesuffix(".git"))


def parse(address: str) -> Remote:
    """Return the parts of https://…, ssh://… or git@host:path; user names and tokens are dropped.

    Raises:
        ForgeError: It is a path of this machine, or would send a token in the clear.
    """
    site, host, path = _split(address)
    parts = tuple(unquote(part) for part in path.split("/") if part)
    shown = f"{host or ''}/{'/'.join(parts)}"  # without what may be secret
    if not host or len(parts) < 2:
        raise ForgeError(
            f"{shown} is no repository on GitHub, GitLab or Azure DevOps: a pull request needs a "
            "remote such as https://github.com/team/repository or git@github.com:team/repository"
        )
    if site.startswith("http:") and not _loopback(host):
        raise ForgeError(f"http://{shown} would show the token to the network: use https or ssh")
    return Remote(site, host, parts)


def kind(remote: Remote) -> str:
    """Return which platform a remote is on: by its host, its path, or this job's variables.

    Raises:
        ForgeError: None of them tells.
    """
    if known := _HOSTS.get(remote.host):
        return known
    for domain, known in _DOMAINS.items():
        if remote.host.endswith(domain):
            return known
    if "_git" in remote.path:  # Azure DevOps Server's too
        return "azure-devops"
    for known in KINDS:
        if own_api(remote, known):
            return known
    raise ForgeError(
        f"{remote.host} may be any platform: give its repositories `forge:` in the fleet file, "
        f"one of {', '.join(KINDS)}"
    )


def own_api(remote: Remote, kind: str) -> str | None:
    """Return the API's address that this job was given, if it is of the remote's host."""
    address = os.environ.get(_VARIABLES[kind], "").rstrip("/")
    return address if urlsplit(address).hostname == remote.host else None


def quoted(*parts: str) -> str:
    """Return parts as they stand in a URL's path."""
    return "/".join(quote(part, safe="") for part in parts)


def _split(address: str) -> tuple[str, str | None, str]:
    """Return the site, the host and the path."""
    if "://" in address:
        try:
            url = urlsplit(address)
            host, port = url.hostname, url.port
        except ValueError:  # a port that is none
            return "", None, ""
        if url.scheme in ("http", "https"):
            return f"{url.scheme}://{host}{f':{port}' if port else ''}", host, url.path
        if url.scheme in ("ssh", "git+ssh", "ssh+git"):
            return f"https://{host}", host, url.path  # a port is ssh's
        return "", None, url.path
    # git's short form; one letter is a drive of Windows.
    if found := re.fullmatch(r"(?:[^@/:]+@)?([\w.-]{2,}):(.+)", address):
        host = found[1].lower()
        return f"https://{host}", host, found[2]
    return "", None, address


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
