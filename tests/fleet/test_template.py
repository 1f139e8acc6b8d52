"""The template's versions, its addresses, and its copy in the cache."""

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.version import InvalidVersion
from templates import ROOT, STRICT, commit, git

from factory.errors import FactoryError
from factory.git import GitError
from factory.template import Template, is_url, mirror, same

CONFIG = {"copier.yml": STRICT}


def names(template: Template) -> list[str]:
    return [release.name for release in template.releases]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, where the environment says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A template with three versions."""
    folder = tmp_path / "template"
    for version in ("0.9.0", "0.10.0", "1.0.0"):
        commit(folder, {**CONFIG, "CHANGELOG.md": f"## {version}\n\nNew.\n"}, version)
    return folder


# Versions -------------------------------------------------------------------
def test_versions_are_in_the_order_of_pep_440(released: Path) -> None:
    commit(released, {}, "1.1.0rc1")
    commit(released, {}, "nightly")
    template = Template.open(str(released))
    assert names(template) == ["0.9.0", "0.10.0", "1.0.0", "1.1.0rc1"]
    assert template.latest.name == "1.0.0"
    assert template.resolve("1.1.0rc1").version.is_prerelease
    behind = {name: template.behind(template.resolve(name)) for name in names(template)}
    assert behind == {"0.9.0": 2, "0.10.0": 1, "1.0.0": 0, "1.1.0rc1": 0}


def test_versions_without_tags_are_those_that_are_recorded(tmp_path: Path) -> None:
    first = commit(tmp_path, CONFIG)
    table = f'[releases]\n"0.1.0" = "{first}"\n"0.2.0" = "{"0" * 40}"\n'
    second = commit(tmp_path, {"releases.toml": table})
    assert names(Template.open(str(tmp_path))) == ["0.1.0"]  # 0.2.0 is in no clone
    git(tmp_path, "tag", "v0.2.0")
    assert names(Template.open(str(tmp_path))) == ["0.1.0", "v0.2.0"]
    git(tmp_path, "tag", "--annotate", "--message", "moved", "v0.1.0", second)
    moved = Template.open(str(tmp_path)).resolve("v0.1.0")  # Copier, too, goes by the tag
    assert (moved.commit, names(Template.open(str(tmp_path)))) == (second, ["v0.1.0", "v0.2.0"])


@pytest.mark.parametrize("text", ["[releases\n", "x = 1\n", "releases = 3\n", "\xff"])
def test_a_broken_record_is_told(text: str, tmp_path: Path) -> None:
    commit(tmp_path, {**CONFIG, "releases.toml": text.encode("latin-1")})
    with pytest.raises(FactoryError, match=r"releases\.toml of .* is no table"):
        _ = Template.open(str(tmp_path)).releases


def test_this_template_records_its_releases() -> None:
    recorded = tomllib.loads((ROOT / "releases.toml").read_text())["releases"]
    assert set(names(Template.open(str(ROOT)))) >= set(recorded)


def test_names_of_a_version(released: Path) -> None:
    between = commit(released, {"x": ""})
    commit(released, {}, "v2.0.0")
    commit(released, {}, "stable")
    template = Template.open(str(released))
    described = git(released, "describe", "--tags", between)
    assert described.startswith("1.0.0-1-g")
    for name in (described, between, between[:9]):
        release = template.resolve(name)
        assert (release.name, release.commit) == (name, between)
        assert template.behind(release) == 1
        with pytest.raises(InvalidVersion):
            _ = release.version
    assert template.resolve("2.0.0").name == "v2.0.0"
    assert template.resolve("v1.0.0").name == "1.0.0"
    assert template.resolve("stable").commit == git(released, "rev-parse", "stable")
    assert template.behind(template.resolve("stable")) == 0
    assert template.resolve(template.latest.commit[:8]) == template.latest


def test_a_hash_of_digits_is_no_version(tmp_path: Path) -> None:
    commit(tmp_path, CONFIG, "1.0.0")
    for number in range(200):  # one commit in 27 begins with seven digits
        found = commit(tmp_path, {"x": str(number)})
        if found[:7].isdigit():
            break
    else:
        pytest.skip("no commit's hash begins with seven digits")
    commit(tmp_path, {}, "2.0.0")
    template = Template.open(str(tmp_path))
    release = template.resolve(found[:7])
    assert template.behind(release) == 1
    with pytest.raises(InvalidVersion):
        _ = release.version


@pytest.mark.parametrize(
    "name", ["3.0.0", "deadbee", "main", "HEAD", "a\0b", "--help", "", "x^{/y}"]
)
def test_an_unknown_version_is_told(name: str, released: Path) -> None:
    with pytest.raises(FactoryError, match=r"is not in .*, which has 0.9.0, 0.10.0, 1.0.0; "):
        Template.open(str(released)).resolve(name)


def test_a_shallow_clone_has_the_versions_that_are_in_it(released: Path, tmp_path: Path) -> None:
    record = f'[releases]\n"0.9.0" = "{git(released, "rev-parse", "0.9.0")}"\n'
    commit(released, {"releases.toml": record})
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "2", released.as_uri(), str(shallow))
    template = Template.open(str(shallow))
    assert names(template) == ["1.0.0"]
    with pytest.raises(FactoryError, match=r"0\.9\.0 is not in .* git fetch --tags --unshallow"):
        template.resolve("0.9.0")


def test_a_template_without_versions_is_told(tmp_path: Path) -> None:
    commit(tmp_path, CONFIG)
    with pytest.raises(FactoryError, match=r"has no released version: no tag and no releases.toml"):
        _ = Template.open(str(tmp_path)).latest
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "--quiet")
    assert Template.open(str(tmp_path / "empty")).releases == []


@pytest.mark.parametrize("where", ["nowhere", "."])
def test_no_repository_is_told(where: str, tmp_path: Path) -> None:
    with pytest.raises(FactoryError, match="no git repository; give its URL or its path"):
        Template.open(str(tmp_path / where))


def test_the_changelog_between_two_versions(released: Path) -> None:
    text = "# Changes\n\n## 1.1.0\n\nC.\n\n### D\n\n## [1.0.1] - 2020\n\nB.\n\n## 1.0.0\n\nNew.\n"
    commit(released, {"CHANGELOG.md": text}, "1.1.0")
    template = Template.open(str(released))
    assert template.changelog("1.0.0", "1.1.0") == (
        "## 1.1.0\n\nC.\n\n### D\n\n## [1.0.1] - 2020\n\nB."
    )
    assert template.changelog("1.1.0", "1.1.0") == ""
    assert template.changelog(git(released, "rev-parse", "1.0.0"), "1.1.0").startswith("## 1.1.0")
    commit(released, {"CHANGELOG.md": None}, "1.2.0")
    assert Template.open(str(released)).changelog("1.0.0", "1.2.0") == ""


def test_a_version_is_read_once(released: Path) -> None:
    template = Template.open(str(released))
    assert template.at(template.latest) is template.at(template.resolve("1.0.0"))
    assert template.at(template.latest) is not template.at(template.resolve("0.9.0"))


# Addresses ------------------------------------------------------------------
HTTPS = "https://git.example.com/ai/template"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HTTPS, "https://git.example.com/ai/template.git"),
        (HTTPS, "https://git.example.com/ai/template/"),
        (HTTPS, "https://user:word@git.example.com:8443/ai/template.git"),
        (HTTPS, "git+https://git.example.com/ai/template"),
        (HTTPS, "https://Git.Example.com/AI/Template"),
        (HTTPS, "git@git.example.com:ai/template.git"),
        (HTTPS, "git@git.example.com:/ai/template.git"),
        (HTTPS, "git.example.com:ai/template"),
        (HTTPS, "ssh://git@git.example.com:2222/ai/template.git"),
        (HTTPS, "git://git.example.com/ai/template"),
        ("gh:ai/template", "git@github.com:ai/template.git"),
        ("gl:/ai/template", "https://gitlab.com/ai/template"),
        ("/srv/a", "file:///srv/a"),
        ("/srv/a", "/srv/b/../a/"),
        ("/srv/a b", "file:///srv/a%20b"),
        ("some/where", f"{os.getcwd()}/some/where"),
        ("~/a", str(Path.home() / "a")),
    ],
)
def test_one_repository(one: str, other: str) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    "other",
    [
        "https://git.example.com/ai/template2",
        "https://git.example.com/other/template",
        "https://git.example.org/ai/template",
        "git@example.com:ai/template",
        "/ai/template",
        "https://[",
        "a\0b",
        "",
    ],
)
def test_another_repository(other: str) -> None:
    assert not same(HTTPS, other)
    assert not same("/srv/a", other)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (HTTPS, True),
        ("git@host:a", True),
        ("git+ssh://host/a", True),
        ("gh:a/b", True),
        ("file:///a", True),
        ("/a", False),
        ("../a", False),
        ("a@b/c", False),
        ("C:\\a", False),
        ("ext::sh -c x", False),
    ],
)
def test_an_address_of_git(source: str, url: bool) -> None:
    assert is_url(source) == url


# The copy in the cache --------------------------------------------------------
def test_the_copy_follows_its_repository(released: Path, cache: Path) -> None:
    url = released.as_uri()
    template = Template.open(url)
    assert (template.source, names(template)) == (url, ["0.9.0", "0.10.0", "1.0.0"])
    assert template.git.folder.is_relative_to(cache)
    moved = commit(released, {"x": ""}, "1.1.0")
    git(released, "tag", "--delete", "0.10.0")
    git(released, "tag", "--force", "1.0.0")
    git(released, "checkout", "--quiet", "-b", "trunk")
    renamed = commit(released, {"y": ""})
    again = Template.open(url)
    assert names(again) == ["0.9.0", "1.0.0", "1.1.0"]
    assert again.resolve("1.0.0").commit == moved
    assert again.git.folder == template.git.folder
    assert again.git.text("rev-parse", "HEAD") == renamed
    git(released, "checkout", "--quiet", "main")
    git(released, "branch", "-D", "trunk")
    assert mirror(url)
    assert again.git.text("rev-parse", "HEAD") == moved


@pytest.mark.parametrize(
    "url", ["file:///nowhere/at/all", "http://127.0.0.1:9/x", "ssh://127.0.0.1:9/x"]
)
def test_an_address_that_can_not_be_reached_is_told(url: str, cache: Path) -> None:
    with pytest.raises(GitError, match="git clone"):
        mirror(url)
    assert not [path for path in cache.rglob("*") if path.is_dir() and path.parent != cache]


def test_a_repository_that_is_gone_is_told_and_the_copy_stays(released: Path, cache: Path) -> None:
    folder = mirror(released.as_uri())
    released.rename(released.with_name("moved"))
    with pytest.raises(GitError, match="git clone"):
        mirror(released.as_uri())
    assert git(folder, "tag")
    released.with_name("moved").rename(released)
    assert mirror(released.as_uri()) == folder


def test_a_broken_copy_is_made_anew(released: Path, cache: Path) -> None:
    folder = mirror(released.as_uri())
    (folder / "packed-refs.lock").touch()  # what a killed process leaves
    git(released, "tag", "--delete", "0.9.0")
    assert names(Template.open(released.as_uri())) == ["0.10.0", "1.0.0"]
    for path in (folder / "objects").rglob("*.pack"):
        path.chmod(0o600)
        path.write_bytes(b"")
    (folder / "config").unlink()
    assert names(Template.open(released.as_uri())) == ["0.10.0", "1.0.0"]


def test_a_repository_around_the_cache_is_not_touched(released: Path, cache: Path) -> None:
    home = cache.parent
    git(home, "init", "--quiet", "--initial-branch", "dots")
    git(home, "remote", "add", "origin", released.as_uri())
    folder = mirror(released.as_uri())
    (folder / "HEAD").unlink()
    assert mirror(released.as_uri()) == folder
    assert (folder / "HEAD").exists()
    assert git(home, "symbolic-ref", "HEAD") == "refs/heads/dots"
    assert git(home, "for-each-ref") == ""


MIRROR = "import sys; from factory.template import mirror; print(mirror(sys.argv[1]))"


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MIRROR, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_make_one_copy(released: Path, cache: Path) -> None:
    both = [start(released.as_uri()) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in both]
    assert not any(process.returncode for process in both), said
    assert len({out for out, _ in said}) == 1
    assert git(Path(said[0][0].strip()), "tag")


def test_a_copy_whose_making_was_killed_is_made_again(released: Path, cache: Path) -> None:
    for number in range(40):
        commit(released, {f"files/{n}-{number}": os.urandom(20_000) for n in range(5)})
    process = start(released.as_uri())
    while process.poll() is None and not list(cache.rglob("objects")):
        time.sleep(0.001)
    process.kill()  # kill -9: nothing is cleaned up, and git is still at it
    process.communicate()
    assert [path for path in cache.rglob("objects") if path.parent.name == "git"]
    template = Template.open(released.as_uri())
    assert template.git.text("rev-parse", "HEAD") == git(released, "rev-parse", "HEAD")
    assert template.git.text("fsck") == ""
