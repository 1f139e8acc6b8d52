"""SageMaker's model registry: a model package group, whose packages are the versions.

A version's files and facts lie in S3, where its description says. The package has as properties
what fits of the facts. Aliases are tags of the group, so that each names one version.
"""

import json
import re
import shutil
import tarfile
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import project
from ..cloud import open_cloud
from ..cloud.aws import Cloud, MissingError
from ..cloud.base import ConflictError
from ..errors import MlopsError
from ..settings import Settings, environment_name
from .base import Registry, Version

FILES, FACTS = "model.tar.gz", "facts.json"
ALIAS = "mlops:alias:"
PROPERTIES = 30  # that facts get: a package has 50, and annotations come later
KEY, VALUE = 128, 256  # the longest
FITS = re.compile(r"[\w\s.:/=+\-@]+")  # letters, digits, spaces and these


class SagemakerRegistry:
    """One model package group."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.sagemaker = cloud, cloud.client("sagemaker")
        self.group = cloud.package_group
        self.arn = (
            self.group
            if self.group.startswith("arn:")
            else cloud.arn("model-package-group", self.group)
        )

    def register(self, folder: Path, facts: dict[str, Any]) -> Version:
        """Upload the files, and make a package of them; if it is refused, delete them again."""
        self._make_group()
        tags = {key: str(value) for key, value in facts.items()}
        uri = f"s3://{self.cloud.bucket}/{project.NAME}/registry/{uuid.uuid4().hex}"
        store = self.cloud.files(uri)
        passed = tags.get("gate") == "passed"
        try:
            with TemporaryDirectory() as temporary:
                archive = Path(temporary) / FILES
                with tarfile.open(archive, "w:gz") as tar:
                    tar.add(folder, arcname=".")
                files = store.upload(archive, FILES)
            store.write(FACTS, _json(tags))
            made = self.sagemaker.create_model_package(
                ModelPackageGroupName=self.group,
                ModelPackageDescription=uri,
                InferenceSpecification={
                    "Containers": [{"Image": self.cloud.image, "ModelDataUrl": files}],
                    "SupportedContentTypes": ["application/json"],
                    "SupportedResponseMIMETypes": ["application/json"],
                },
                ModelApprovalStatus="Approved" if passed else "Rejected",
                MetadataProperties={"CommitId": tags["commit"], "ProjectId": project.NAME},
                CustomerMetadataProperties=_properties(tags),
            )
        except MlopsError:
            for name in (FILES, FACTS):
                store.delete(name)
            raise
        number = int(made["ModelPackageArn"].rpartition("/")[2])
        return self._version(self._package(number), {})

    def get(self, number: int, folder: Path) -> Path:
        """Bring the files back from S3."""
        store = self.cloud.files(self._package(number)["ModelPackageDescription"])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with TemporaryDirectory() as temporary:
            archive = Path(temporary) / FILES
            store.download(FILES, archive)
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        return folder

    def list(self) -> list[Version]:
        """Return all versions, oldest first."""
        listed = self.sagemaker.pages(
            "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=self.group
        )
        try:
            packages = [*listed]
        except MissingError:  # no group yet
            return []
        aliases = self._aliases() if packages else {}
        versions = [self._version(package, aliases) for package in packages]
        return sorted(versions, key=lambda version: version.number)

    def set_alias(self, alias: str, number: int) -> None:
        """Write the alias's tag anew."""
        self._package(number)
        self.sagemaker.add_tags(
            ResourceArn=self.arn, Tags=[{"Key": ALIAS + alias, "Value": str(number)}]
        )

    def alias(self, alias: str) -> Version | None:
        """Return the version that the alias's tag names."""
        aliases = self._aliases()
        return self._version(self._package(aliases[alias]), aliases) if alias in aliases else None

    def annotate(self, number: int, tags: dict[str, str]) -> None:
        """Merge the tags into the version's facts; the package's properties show what fits."""
        package = self._package(number)
        store = self.cloud.files(package["ModelPackageDescription"])
        while True:
            facts, tag = self._facts(package)
            try:
                store.write(FACTS, _json({**facts, **tags}), tag)
                break
            except ConflictError:
                continue  # somebody else has annotated it: theirs is merged as well
        if shown := _properties(tags):
            self.sagemaker.update_model_package(
                ModelPackageArn=package["ModelPackageArn"], CustomerMetadataProperties=shown
            )

    def _make_group(self) -> None:
        try:
            self.sagemaker.describe_model_package_group(ModelPackageGroupName=self.group)
        except MissingError:
            if self.group == self.arn:
                raise
            self.sagemaker.create_model_package_group(
                ModelPackageGroupName=self.group,
                ModelPackageGroupDescription=project.TITLE,
                Tags=[{"Key": "team", "Value": project.TEAM}],
            )

    def _package(self, number: int) -> dict[str, Any]:
        arn = self.arn.replace(":model-package-group/", ":model-package/").lower()
        try:
            found: dict[str, Any] = self.sagemaker.describe_model_package(
                ModelPackageName=f"{arn}/{number}"
            )
        except MissingError as error:
            raise MlopsError(f"There is no version {number}: see `mlops model list`.") from error
        return found

    def _aliases(self) -> dict[str, int]:
        try:
            tags = [*self.sagemaker.pages("list_tags", "Tags", ResourceArn=self.arn)]
        except MissingError:
            return {}
        return {
            tag["Key"].removeprefix(ALIAS): int(tag["Value"])
            for tag in tags
            if tag["Key"].startswith(ALIAS)
        }

    def _facts(self, package: dict[str, Any]) -> tuple[dict[str, str], str]:
        """Return a version's facts, and the tag of the file that holds them."""
        uri = package["ModelPackageDescription"]
        found = self.cloud.files(uri).read(FACTS)
        if found is None:
            raise MlopsError(
                f"Version {package['ModelPackageVersion']}: {uri}/{FACTS} is gone, and its files "
                "with it; restore them from the bucket's versions."
            )
        facts: dict[str, str] = json.loads(found[0])
        return facts, found[1]

    def _version(self, package: dict[str, Any], aliases: dict[str, int]) -> Version:
        facts, _ = self._facts(package)
        number = package["ModelPackageVersion"]
        return Version(
            number=number,
            digest=facts.get("digest", ""),
            commit=facts.get("commit", ""),
            created=package["CreationTime"].isoformat(timespec="seconds"),
            aliases=sorted(name for name, to in aliases.items() if to == number),
            tags=facts,
        )


def _json(facts: dict[str, str]) -> bytes:
    return json.dumps(facts, indent=2, sort_keys=True).encode()


def _properties(facts: dict[str, str]) -> dict[str, str]:
    """Return what SageMaker takes of the facts: some, and none that is long or has odd signs."""
    fit = {
        key: value
        for key, value in facts.items()
        if len(key) <= KEY and len(value) <= VALUE and FITS.fullmatch(key) and FITS.fullmatch(value)
    }
    return dict(list(fit.items())[:PROPERTIES])


def open_registry(settings: Settings) -> Registry:
    """Return the registry of the environment's account, or the one that its ARN names."""
    return SagemakerRegistry(open_cloud(settings, environment_name()))
