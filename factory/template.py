"""The template's repository: its released versions, and each of them as a `Source`."""

import hashlib
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from packaging.version import InvalidVersion, Version
from platformdirs import user_cache_path

from factory.errors import FactoryError
from factory.git import Git, GitError, entries
from factory.render import Source

RELEASES = "releases.toml"


@dataclass(frozen=True)
class Release:
    """A version of the template: its name as answers files record it, and its commit.

    Attributes:
        released: It has a version; else it is a commit between two of them.
    """

    name: str
    commit: str
    released: bool = True

    @property
    def version(self) -> Version:
        """The name in the order of PEP 440.

        Raises:
            InvalidVersion: It is none: that a hash may look like one means nothing.
        """
        if not self.released:
            raise InvalidVersion(self.name)
        return Version(self.name)


def address(source: str) -> str:
    """Return a template's address as git knows it: Copier has short forms."""
    source = source.removeprefix("git+")
    for short, long in (("gh:", "https://github.com/"), ("gl:", "https://gitlab.com/")):
        if source.startswith(short):
            return f"{long}{source.removeprefix(short).removeprefix('/')}"
    return source


def is_url(source: str) -> bool:
    """Tell an address of git from a path."""
    return bool(re.match(r"(https?|ssh|git|file)://|[^@:/\s]+@[^:/\s]+:", address(source)))


def same(one: str, other: str) -> bool:
    """Tell whether two addresses are one repository's: user, scheme, port, `.git` don't count."""
    return _plain(one) == _plain(other)


def _plain(source: str) -> str:
    source = address(source).rstrip("/").removesuffix(".git")
    scp = re.fullmatch(r"(?:[^@/]+@)?([^:/]+):(?!//)/?(.+)", source)
    if scp:
        return f"{scp[1]}/{scp[2]}".lower()
    try:
        parts = urlsplit(source)
        if parts.scheme in ("http", "https", "ssh", "git"):
            return f"{parts.hostname}{parts.path}".lower()
        path = unquote(parts.path) if parts.scheme == "file" else source
        return os.path.realpath(os.path.expanduser(path))
    except ValueError:  # an answers file may have anything for an address
        return source


def mirror(source: str) -> Path:
    """Return a bare copy of a repository, kept in the user's cache and brought up to date.

    Raises:
        GitError: The address can't be reached.
    """
    url = address(source)
    folder = user_cache_path("copier-mlops-factory") / hashlib.sha256(url.encode()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        try:
            _refresh(Git(folder, GIT_DIR=str(folder)))  # and never one that is around it
        except GitError:  # not there yet, or what a process that was killed has left
            for left in folder.parent.glob(f"{folder.name}.*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)  # git may still be at it
            with TemporaryDirectory(
                dir=folder.parent, prefix=f"{folder.name}.", ignore_cleanup_errors=True
            ) as new:
                Git(folder.parent)("clone", "--quiet", "--mirror", "--", url, f"{new}/git")
                shutil.rmtree(folder, ignore_errors=True)
                Path(new, "git").rename(folder)
    return folder


def _refresh(git: Git) -> None:
    """Take over what the repository has now, and which branch is its own."""
    git("fetch", "--quiet", "--prune", "origin")
    said = git.text("ls-remote", "--symref", "origin", "HEAD")
    head = re.match(r"ref: (refs/heads/\S+)", said)
    if head:
        git("symbolic-ref", "HEAD", head[1])


class Template:
    """A template's repository.

    Args:
        source: Its address, as answers files are to record it.
        folder: Where its objects lie: a working tree or a bare repository.
    """

    def __init__(self, source: str, folder: Path) -> None:
        self.source = source
        self.git = Git(folder)
        self._sources: dict[str, Source] = {}
        self._lock = Lock()

    @classmethod
    def open(cls, source: str) -> "Template":
        """Open a template by its address or path.

        Raises:
            FactoryError: There is no repository, or none of a template.
        """
        if is_url(source):
            return cls(source, mirror(source))
        folder = Path(source).expanduser().resolve()
        template = cls(str(folder), folder)
        try:
            template.git("rev-parse", "--git-dir")
        except GitError as error:
            raise FactoryError(
                f"template {source}: no git repository; give its URL or its path"
            ) from error
        return template

    @cached_property
    def objects(self) -> Path:
        """Where git keeps the objects."""
        said = self.git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
        return Path(said)

    @cached_property
    def releases(self) -> list[Release]:
        """Every released version, the oldest first: by tag, and by what releases.toml records."""
        found = self._recorded()
        form = "%(refname:strip=2) %(objectname) %(*objectname)"
        for line in self.git.text("for-each-ref", f"--format={form}", "refs/tags").splitlines():
            name, *names = line.split()
            found[name] = names[-1]
        known = set(self.git.text("rev-list", "--all").split())
        releases: dict[Version, Release] = {}
        for name, commit in found.items():
            try:
                if commit in known:
                    releases[Version(name)] = Release(name, commit)
            except InvalidVersion:
                continue
        return [releases[version] for version in sorted(releases)]

    def _recorded(self) -> dict[str, str]:
        """Return the commits that releases.toml records, for a clone that has no tags."""
        for content in self.git.blobs([f"HEAD:{RELEASES}"]).values():
            try:
                table = tomllib.loads(content.decode())["releases"]
                return {name: str(commit) for name, commit in table.items()}
            except (ValueError, KeyError, AttributeError) as error:
                raise FactoryError(
                    f"{RELEASES} of {self.source} is no table [releases] of versions and commits: "
                    f"{error}"
                ) from error
        return {}

    @property
    def latest(self) -> Release:
        """The newest released version that is no pre-release.

        Raises:
            FactoryError: Nothing is released.
        """
        final = [release for release in self.releases if not release.version.is_prerelease]
        if not final:
            raise FactoryError(
                f"template {self.source} has no released version: no tag and no {RELEASES}"
            )
        return final[-1]

    def resolve(self, name: str) -> Release:
        """Return the version of a name: a release, another tag, or `git describe`'s or a hash.

        Raises:
            FactoryError: The template has no such version.
        """
        for release in self.releases:
            if name in (release.name, release.commit):
                return release
        described = re.fullmatch(r"(?:.+-\d+-g)?([0-9a-f]{7,64})", name)
        refs = [f"refs/tags/{name}"] if re.fullmatch(r"[\w.+/-]+", name) else []
        for ref in [*refs, *([described[1]] if described else [])]:
            found = self.git.attempt("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
            if not found.returncode:
                commit = found.stdout.decode().strip()
                of = (release for release in self.releases if release.commit == commit)
                return next(of, Release(name, commit, released=False))
        for release in self.releases:
            if re.sub("^v", "", name) == re.sub("^v", "", release.name):
                return release
        known = ", ".join(release.name for release in self.releases) or "none"
        raise FactoryError(
            f"version {name} is not in {self.source}, which has {known}; "
            "where a clone is shallow: git fetch --tags --unshallow"
        )

    def behind(self, release: Release) -> int:
        """Return how many released versions came after this one."""
        final = [other for other in self.releases if not other.version.is_prerelease]
        if release.released:
            return sum(other.version > release.version for other in final)
        past = set(self.git.text("rev-list", release.commit).split())
        return sum(other.commit not in past for other in final)

    def at(self, release: Release) -> Source:
        """Return the files of a version, read once."""
        with self._lock:
            if release.commit not in self._sources:
                files = entries(self.git, release.commit)
                self._sources[release.commit] = Source(files, self.git.blobs)
            return self._sources[release.commit]

    def changelog(self, after: str, until: str) -> str:
        """Return what CHANGELOG.md of one version says of the versions after another."""
        known, told = (self._changes(self.resolve(name)) for name in (after, until))
        return "\n\n".join(text for name, text in told.items() if name not in known)

    def _changes(self, release: Release) -> dict[str, str]:
        """Return the sections of a version's CHANGELOG.md by the versions that they are headed."""
        content = self.git.blobs([f"{release.commit}:CHANGELOG.md"])
        text = b"".join(content.values()).decode(errors="replace")
        parts = re.split(r"(?m)^(?=## )", text)[1:]
        return {part.split()[1].strip("[]"): part.strip() for part in parts if part.split()[1:]}
