"""Pull requests: one conformance suite, the same for each platform's fake."""

import re
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from forge_server import SERVERS, TOKEN, Fault, ForgeServer, GitHubServer

from factory.forges import BusyError, DeniedError, ForgeError, Request, open_forge
from factory.forges.base import cut, tamed
from factory.forges.client import ATTEMPTS, PATIENCE, RestForge

BRANCH = "factory/update"
VARIABLES = ("GITHUB_API_URL", "CI_API_V4_URL", "SYSTEM_COLLECTIONURI")


@pytest.fixture(autouse=True)
def _no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the job that runs the tests tells a platform or hands out a token."""
    for name in (*VARIABLES, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for server in SERVERS:
        monkeypatch.setenv(server.token, TOKEN)


@pytest.fixture(params=SERVERS, ids=lambda server: server.kind)
def server(request: pytest.FixtureRequest) -> Iterator[ForgeServer]:
    with request.param() as server:
        yield server
    assert server.unknown == []
    assert TOKEN not in str(server.asked)


def opened(server: ForgeServer, repository: str = "late") -> RestForge:
    """Return the forge of a fake, that waits for nothing and keeps how long it would have."""
    forge = open_forge(server.remote(repository), server.kind)
    assert isinstance(forge, RestForge)
    forge.waits = []  # type: ignore[attr-defined]
    forge.api.sleep = forge.waits.append  # type: ignore[attr-defined]
    return forge


def waits(forge: RestForge) -> list[float]:
    found: list[float] = forge.waits  # type: ignore[attr-defined]
    return found


def propose(forge: RestForge, title: str = "Update to 0.5.0", body: str = "What is new") -> Request:
    return forge.propose(BRANCH, "main", title, body)


def test_a_request_is_opened_and_found(server: ForgeServer) -> None:
    forge = opened(server)
    assert forge.find(BRANCH) is None
    request = propose(forge)
    assert (request.number, request.state, request.checks) == (1, "open", "pending")
    assert request.url.startswith(f"{server.url}/")
    assert "late" in request.url
    assert request.url.endswith("/1")
    (pull,) = server.pulls
    assert (pull.branch, pull.base, pull.title, pull.body) == (
        *(BRANCH, "main"),
        *("Update to 0.5.0", "What is new"),
    )
    assert forge.find(BRANCH) == forge.look(1) == Request(1, request.url, "open", "none")
    assert forge.find("another") is None


def test_an_open_request_is_refreshed(server: ForgeServer) -> None:
    forge = opened(server)
    first = propose(forge)
    assert propose(forge, "Update to 0.6.0", "More") == first
    (pull,) = server.pulls
    assert (pull.title, pull.body) == ("Update to 0.6.0", "More")


def test_a_closed_request_is_not_reopened(server: ForgeServer) -> None:
    forge = opened(server)
    propose(forge)
    server.pulls[0].state = "closed"
    assert forge.find(BRANCH) is None
    assert propose(forge).number == 2


def test_a_forks_request_from_a_branch_of_that_name_is_not_ours(server: ForgeServer) -> None:
    forge = opened(server)
    server.add(BRANCH, title="Mine", fork=True)
    assert forge.find(BRANCH) is None
    assert propose(forge).number == 2
    assert server.pulls[0].title == "Mine"
    assert propose(forge).number == 2


@pytest.mark.parametrize("state", ["open", "merged", "closed"])
def test_the_state_is_told(server: ForgeServer, state: str) -> None:
    forge = opened(server)
    propose(forge)
    server.pulls[0].state = state
    assert forge.look(1).state == state


CHECKS = [
    pytest.param(kind, source, theirs, ours, id=f"{kind.kind}-{source}-{theirs}")
    for kind in SERVERS
    for source, states in kind.states.items()
    for ours, several in states.items()
    for theirs in several
]


@pytest.mark.parametrize(("kind", "source", "theirs", "ours"), CHECKS)
def test_every_state_of_a_check_has_a_meaning(
    kind: type[ForgeServer], source: str, theirs: str | None, ours: str
) -> None:
    with kind() as server:
        forge = opened(server)
        propose(forge)
        server.pulls[0].check(source, theirs)
        assert forge.look(1).checks == ours


def of(server: ForgeServer, source: str, ours: str) -> str | None:
    return server.states[source][ours][0]


def test_one_red_check_is_enough_and_so_is_one_pending(server: ForgeServer) -> None:
    forge = opened(server)
    propose(forge)
    pull = server.pulls[0]
    for source, other in pairwise([*server.states, *server.states]):
        for ours, better in (("green", "green"), ("pending", "green"), ("red", "pending")):
            pull.checks = []
            pull.check(other, of(server, other, better))
            pull.check(source, of(server, source, ours))
            assert forge.look(1).checks == ours


def test_a_check_of_an_older_commit_says_nothing(server: ForgeServer) -> None:
    forge = opened(server)
    propose(forge)
    pull = server.pulls[0]
    for source in server.states:
        pull.check(source, of(server, source, "green"))
    assert forge.look(1).checks == "green"
    pull.commit += 1
    assert forge.look(1).checks in ("none", "pending")


def test_what_cannot_be_merged_is_red(server: ForgeServer) -> None:
    forge = opened(server)
    propose(forge)
    for source in server.states:
        server.pulls[0].check(source, of(server, source, "green"))
    server.pulls[0].conflict = True
    assert forge.look(1).checks == "red"


@pytest.mark.parametrize("ours", ["green", "red", "pending"])
def test_a_fine_grained_token_reads_the_workflows(ours: str) -> None:
    with GitHubServer(fine_grained=True) as server:
        forge = opened(server)
        propose(forge)
        server.pulls[0].check("suite", "success")
        server.pulls[0].check("suite", of(server, "suite", ours))
        assert forge.look(1).checks == ours
    assert server.unknown == []


def test_an_answer_that_is_lost_opens_no_second_request(server: ForgeServer) -> None:
    forge = opened(server)
    server.faults = [Fault(502, done=True, method="POST")]
    assert propose(forge).number == 1
    assert len(server.pulls) == 1
    assert waits(forge) == [1.0]


def test_a_request_that_another_opens_meanwhile_is_refreshed(server: ForgeServer) -> None:
    forge = opened(server)
    server.before_open = lambda: server.pulls or server.add(BRANCH, title="theirs")  # type: ignore[assignment]
    assert propose(forge).number == 1
    assert [pull.title for pull in server.pulls] == ["Update to 0.5.0"]


def test_a_failing_platform_is_asked_again_and_not_forever(server: ForgeServer) -> None:
    forge = opened(server)
    server.add(BRANCH)
    server.faults = [Fault(500), Fault(502), Fault(503)]
    assert forge.look(1).number == 1
    assert waits(forge) == [1.0, 2.0, 4.0]
    server.asked, server.faults = [], [Fault(503)] * 9
    with pytest.raises(BusyError, match=r"503.*run the same command again"):
        forge.look(1)
    assert len(server.asked) == ATTEMPTS
    server.asked, server.faults = [], [Fault(503, method="POST")] * 9
    server.pulls = []
    with pytest.raises(BusyError):
        propose(forge)
    assert sum(method == "POST" for method, *_ in server.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "headers", "waited"),
    [
        (429, {"Retry-After": "7"}, 7),
        (429, {}, PATIENCE),
        (403, {"Retry-After": "5"}, 5),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "{soon}"}, 30),
        (429, {"RateLimit-Reset": "{soon}"}, 30),
        (503, {"Retry-After": "{date}"}, 30),
    ],
)
def test_a_rate_limit_is_waited_for(
    server: ForgeServer, status: int, headers: dict[str, str], waited: float
) -> None:
    soon = time.time() + 30
    filled = {k: v.format(soon=int(soon), date=formatdate(soon)) for k, v in headers.items()}
    forge = opened(server)
    server.faults = [Fault(status, filled)]
    propose(forge)
    assert waits(forge) == [pytest.approx(waited, abs=2)]


def test_a_secondary_rate_limit_is_told_by_its_words(server: ForgeServer) -> None:
    forge = opened(server)
    said = b'{"message": "You have exceeded a secondary rate limit."}'
    server.faults = [Fault(403, content=said)]
    propose(forge)
    assert waits(forge) == [PATIENCE]


def test_a_platform_that_asks_for_too_much_patience_is_left(server: ForgeServer) -> None:
    forge = opened(server)
    server.faults = [Fault(429, {"Retry-After": "1800"})]
    with pytest.raises(BusyError, match="1800 s: run the same command again after that") as caught:
        propose(forge)
    assert caught.value.wait == 1800
    assert waits(forge) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_without_rights_is_one_clear_line(server: ForgeServer, status: int) -> None:
    forge = opened(server)
    said = re.sub("^{", f'{{"echo": "{TOKEN}", ', str(server.errors[status]).replace("'", '"'))
    server.faults = [Fault(status, content=said.encode())]
    with pytest.raises(DeniedError) as caught:
        propose(forge)
    message = str(caught.value)
    assert server.token in message
    assert forge.api.platform.rights in message
    assert str(status) in message
    assert "\n" not in message
    assert TOKEN not in message
    assert len(server.asked) == 1  # asking again changes nothing


def test_a_wrong_token_is_refused_by_the_fake_too(
    server: ForgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(server.token, "another")
    with pytest.raises(DeniedError, match=f"{server.token} .*wrong or expired"):
        propose(opened(server))


def test_a_page_to_sign_in_is_a_wrong_token(server: ForgeServer) -> None:
    for status in (203, 302):
        server.faults = [Fault(status, {"Location": "https://sign.in"}, b"<html>")]
        with pytest.raises(DeniedError, match="wrong or expired"):
            opened(server).look(1)


def test_what_is_refused_is_quoted(server: ForgeServer) -> None:
    forge = opened(server)
    said = str(server.errors[422]).replace("'", '"').encode()
    server.faults = [Fault(422, content=said, method="POST")]
    with pytest.raises(ForgeError, match=r"refuses POST .*: 422 .*(No commits|not exist|cannot)"):
        propose(forge)
    assert server.pulls == []


def test_an_echoed_token_is_not_told(server: ForgeServer) -> None:
    forge = opened(server)
    server.faults = [Fault(400, content=f'{{"message": "Bad header: {TOKEN}"}}'.encode())]
    with pytest.raises(ForgeError, match=r"Bad header: \*\*\*"):
        forge.look(1)


def test_no_redirect_is_followed(server: ForgeServer) -> None:
    with type(server)() as other:
        server.faults = [Fault(301, {"Location": f"{other.url}/elsewhere"})]
        with pytest.raises(ForgeError, match=r"has moved .* new address"):
            opened(server).look(1)
        assert other.asked == []


def test_a_page_in_place_of_json_names_the_address(server: ForgeServer) -> None:
    server.faults = [Fault(200, content=b"<html>a portal</html>")]
    with pytest.raises(ForgeError, match=re.escape(f"no JSON: is {server.url}")):
        opened(server).look(1)


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.kind)
def test_no_answer_names_the_host(kind: type[ForgeServer]) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = "org/project/_git/late" if kind.kind == "azure-devops" else "team/late"
        forge = open_forge(f"http://{address}/{path}", kind.kind)
        assert isinstance(forge, RestForge)
        forge.api.sleep = lambda _: None
        with pytest.raises(BusyError, match=rf"{address}\) does not answer: .*refused"):
            forge.look(1)


@pytest.mark.parametrize("value", ["", "  ", "two words", "new\nline", "naïve"])
def test_a_token_that_is_none_is_refused_before_any_call(
    server: ForgeServer, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(server.token, value)
    with pytest.raises(DeniedError, match=f"^{server.token} is ") as caught:
        opened(server)
    assert not value.strip() or value not in str(caught.value)
    assert server.asked == []


def test_a_pipelines_token_of_azure_devops_is_a_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_DEVOPS_TOKEN", "eyJ.eyJ.sig")
    forge = open_forge("https://dev.azure.com/org/project/_git/late")
    assert isinstance(forge, RestForge)
    assert forge.api._headers == {"Authorization": "Bearer eyJ.eyJ.sig"}


def test_a_changelog_pings_and_closes_nothing(server: ForgeServer) -> None:
    forge = opened(server)
    propose(
        forge, "By @ada", "Thanks to @ada, @org/team and _@bob_. Fixes #12, !3.\n/merge\n  /close"
    )
    title, body = server.pulls[0].title, server.pulls[0].body
    assert not re.search(r"@\w|[#!]\d|(?m:^\s*/)", title + "\n" + body)
    seen = (title + body).replace("\u200b", "")
    assert seen == "By @adaThanks to @ada, @org/team and _@bob_. Fixes #12, !3.\n/merge\n  /close"


def test_what_is_no_mention_stays() -> None:
    text = "# Title\n\n![picture](x.png) [link](https://a.b/c) 50 % @ noon\n- a/b, / and #\n"
    assert tamed(text) == text


def test_a_long_changelog_is_cut(server: ForgeServer) -> None:
    forge = opened(server)
    propose(forge, body="```\n" + "a line\n" * (server.longest // 6))
    body = server.pulls[0].body
    assert server.longest - 200 < len(body) <= server.longest
    assert body.endswith(f"\n```\n\n_Cut: the platform takes {server.longest:,} characters._")
    assert cut("short", 100) == "short"


ADDRESSES = {
    # GitHub
    "https://github.com/team/late": "https://api.github.com/repos/team/late",
    "https://ada:secret@github.com/team/late.git": "https://api.github.com/repos/team/late",
    "git@github.com:team/late.git": "https://api.github.com/repos/team/late",
    "ssh://git@ssh.github.com:443/team/late.git": "https://api.github.com/repos/team/late",
    "git@team.ghe.com:team/late.git": "https://api.team.ghe.com/repos/team/late",
    # GitLab
    "git@gitlab.com:group/sub/late.git": "https://gitlab.com/api/v4/projects/group%2Fsub%2Flate",
    "ssh://git@altssh.gitlab.com:443/g/late.git": "https://gitlab.com/api/v4/projects/g%2Flate",
    # Azure DevOps
    "https://org@dev.azure.com/org/a%20b/_git/late": "https://dev.azure.com/org/a%20b/_apis",
    "https://dev.azure.com/org/_git/late": "https://dev.azure.com/org/late/_apis",
    "git@ssh.dev.azure.com:v3/org/a%20b/late": "https://dev.azure.com/org/a%20b/_apis",
    "org@vs-ssh.visualstudio.com:v3/org/project/late": "https://dev.azure.com/org/project/_apis",
    "https://org.visualstudio.com/project/_git/late": "https://org.visualstudio.com/project/_apis",
    "https://org.visualstudio.com/DefaultCollection/p/_git/late": (
        "https://org.visualstudio.com/DefaultCollection/p/_apis"
    ),
    "https://org.visualstudio.com/_git/late": "https://org.visualstudio.com/late/_apis",
    "https://tfs.example.com/tfs/c/p/_git/late": "https://tfs.example.com/tfs/c/p/_apis",
    "https://tfs.example.com:8080/c/p/_git/late": "https://tfs.example.com:8080/c/p/_apis",
    "ssh://tfs.example.com:22/tfs/c/p/_git/late": "https://tfs.example.com/tfs/c/p/_apis",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_known_host_tells_its_platform(address: str) -> None:
    forge = open_forge(address)
    assert isinstance(forge, RestForge)
    assert forge.api.root == ADDRESSES[address]


OWN = {
    "github": "https://git.example.com/api/v3/repos/team/late",
    "gitlab": "https://git.example.com/api/v4/projects/team%2Flate",
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.com/team/late.git",
        "git@GIT.example.com:team/late.git",
        "ssh://git@git.example.com:2222/team/late",
    ],
)
def test_an_own_host_needs_a_word(address: str, kind: str) -> None:
    with pytest.raises(ForgeError, match=r"git.example.com may be any platform: .*`forge:`"):
        open_forge(address)
    forge = open_forge(address, kind)
    assert isinstance(forge, RestForge)
    assert forge.api.root == OWN[kind]


JOBS: list[tuple[str, str, str]] = [
    (
        *("GITHUB_API_URL", "https://git.example.com/api/v3"),
        "https://git.example.com/api/v3/repos/team/late",
    ),
    (
        *("CI_API_V4_URL", "https://git.example.com/below/gitlab/api/v4"),
        "https://git.example.com/below/gitlab/api/v4/projects/team%2Flate",
    ),
]


@pytest.mark.parametrize(("variable", "value", "root"), JOBS)
def test_a_job_knows_its_platform(
    variable: str, value: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    below = "below/gitlab/" if "below" in value else ""
    forge = open_forge(f"https://git.example.com/{below}team/late.git")
    assert isinstance(forge, RestForge)
    assert forge.api.root == root
    with pytest.raises(ForgeError, match=r"other.example.com may be any platform"):
        open_forge("https://other.example.com/team/late")


def test_a_job_knows_its_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEM_COLLECTIONURI", "https://tfs.example.com/tfs/c/")
    forge = open_forge("https://tfs.example.com/tfs/c/_git/late")
    assert isinstance(forge, RestForge)
    assert forge.api.root == "https://tfs.example.com/tfs/c/late/_apis"


@pytest.mark.parametrize(
    "address",
    [
        "/srv/git/late.git",
        "../late",
        "file:///srv/git/late",
        "C:/work/late",
        "https://github.com/late",
        "https://github.com:port/team/late",
    ],
)
def test_what_is_no_address_of_a_platform_is_refused(address: str) -> None:
    with pytest.raises(ForgeError, match="no repository on GitHub, GitLab or Azure DevOps"):
        open_forge(address)


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ForgeError, match="use https or ssh") as caught:
        open_forge("http://ada:secret@git.example.com/team/late", "gitlab")
    assert "secret" not in str(caught.value)


def test_an_unknown_word_for_a_platform_names_those_known() -> None:
    given: Any = "gitea"
    with pytest.raises(ForgeError, match="gitea is unknown: give one of github, gitlab, azure-de"):
        open_forge("https://git.example.com/team/late", given)
