"""Azure: a workspace of Azure Machine Learning, and a container of a storage account.

Another cloud than the public one: the SDK's variables AZURE_AUTHORITY_HOST and
ARM_CLOUD_METADATA_URL.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from .base import CloudError, ConflictError, Names, Store

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import StorageStreamDownloader

Found = TypeVar("Found")

UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
CONTAINER = r"^https://[^/?#]+/[a-z0-9](-?[a-z0-9]){2,62}$"

# What an error says, as a pattern: the name that it is about, and what to do.
FAULTS = {
    "InvalidAuthenticationTokenTenant": (
        "subscription",
        "it belongs to another tenant: `az login --tenant <its tenant>`",
    ),
    "SubscriptionNotFound": ("subscription", "`az account list` shows those you may use"),
    "ResourceGroupNotFound": ("resource_group", "`az group list` shows those of the subscription"),
    "RegistryNotFound": ("registry", "`az ml registry list` shows those you may use"),
    "AuthorizationPermissionMismatch": (
        "container",
        "the role Storage Blob Data Contributor on it must be yours",
    ),
    "ContainerNotFound": ("container", "create it, or name one of `az storage container list`"),
    "Failed to resolve": (
        "container",
        "no host has this name: is the account right, the network there?",
    ),
    "computes/[^/']+'": ("compute", "create it, or leave it empty: serverless compute"),
    "workspaces/[^/']+'": ("workspace", "`az ml workspace list` shows those of the group"),
}
# What a thing lies in, if that is what was not found.
AROUND = ("(Subscription|Group|ParentResource|Registry|Container)NotFound", "workspaces/[^/']+'")
QUOTA = ("quota", "not enough cores", "outofcapacity")
TAKEN = ("already in use", "already taken", "already exists", "nametaken", "must be unique")


class Cloud(Names):
    """An environment's names on Azure. Whoever runs this is known by its login: no key is kept."""

    subscription: str = Field(pattern=UUID)
    resource_group: str = Field(min_length=1)
    workspace: str = Field(min_length=1)
    registry: str = ""  # an Azure ML registry that environments share; empty: the workspace's own
    location: str = Field(min_length=1)  # the workspace's, such as westeurope
    container: str = Field(pattern=CONTAINER)  # its URL
    image: str = ""  # the repository of the servers' images
    job_image: str = ""  # the image that jobs run in
    machine: str = "Standard_DS3_v2"
    instances: int = Field(default=1, ge=1)  # of each slot
    compute: str = ""  # a compute cluster for jobs; empty: serverless compute
    endpoint: str = ""  # its name, unique in the location; empty: <project>-<environment>
    plan_client: str = Field(default="", pattern=f"{UUID}|^$")  # as whom pipelines plan infra/
    apply_client: str = Field(default="", pattern=f"{UUID}|^$")  # as whom they apply it

    @property
    def credential(self) -> "DefaultAzureCredential":
        """Return whoever is logged in: a CI job, a machine of Azure's, or a person by `az`."""
        return _credential()

    @property
    def ml(self) -> "MLClient":
        """Return the client of the workspace."""
        return _client(self.subscription, self.resource_group, workspace_name=self.workspace)

    @property
    def models(self) -> "MLClient":
        """Return the client of the models: the shared registry's, else the workspace's."""
        if not self.registry:
            return self.ml
        return _client(self.subscription, self.resource_group, registry_name=self.registry)

    def store(self) -> Store:
        """Return the container, as a place for files."""
        return BlobStore(self)

    def image_login(self, host: str) -> tuple[str, str]:
        """Return a name and a password for a container registry: it exchanges a token of ours."""
        import requests

        with self.asked():
            token = self.credential.get_token("https://containerregistry.azure.net/.default").token
        given = {"grant_type": "access_token", "service": host, "access_token": token}
        answer = requests.post(f"https://{host}/oauth2/exchange", given, timeout=30)
        if not answer.ok:
            raise CloudError(f"{host} lets nobody in with this login: {answer.text[:200]}")
        return "00000000-0000-0000-0000-000000000000", answer.json()["refresh_token"]

    def refusal(self, error: Exception, environment: str) -> CloudError:
        """Return what Azure says as one line: what was refused, by which name, and the fix."""
        told = _told(error)
        key, fix = self._fault(error)
        where = f"environments/{environment}.yaml, cloud.{key}: {getattr(self, key)!r}"
        return CloudError(f"{told.rstrip('.')}. {where}: {fix}.")

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Turn what the SDK raises meanwhile into a refusal."""
        from azure.core.exceptions import AzureError

        try:
            yield
        except AzureError as error:
            raise self.refusal(error, self._environment) from error

    def find(self, ask: Callable[[], Found]) -> Found | None:
        """Return what is asked for; None if it is not there, while what it lies in is."""
        from azure.core.exceptions import ResourceNotFoundError

        with self.asked():
            try:
                return ask()
            except ResourceNotFoundError as error:
                if any(re.search(mark, str(error)) for mark in AROUND):
                    raise
                return None

    def _fault(self, error: Exception) -> tuple[str, str]:
        """Return the key whose value it is about, and what to do."""
        from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

        status, low = getattr(error, "status_code", None), str(error).lower()
        for mark, fault in FAULTS.items():
            if re.search(mark, str(error)):
                return fault
        if any(mark in low for mark in QUOTA):
            return "machine", "ask for quota in this location, or for a smaller machine"
        if any(mark in low for mark in TAKEN):
            return "endpoint", "names are unique in a location: choose another"
        if isinstance(error, ClientAuthenticationError) or status == 401:
            return "subscription", "log in again: `az login`, or the login step of the CI job"
        if status == 403:
            return "workspace", (
                "the roles AzureML Data Scientist on it and Monitoring Reader must be yours"
            )
        if status == 429:
            return "subscription", "too many calls at once: run it again in a few minutes"
        if isinstance(error, ServiceRequestError):
            return "location", "is the network there, and does its proxy let this through?"
        return "workspace", "run it again; the activity log in the portal tells more"


class BlobStore:
    """Files as blobs of the container; a tag is an ETag."""

    def __init__(self, cloud: Cloud) -> None:
        from azure.storage.blob import ContainerClient

        self.cloud = cloud
        self.client = ContainerClient.from_container_url(cloud.container, cloud.credential)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return a file's content and its ETag."""
        with self.cloud.asked():
            found = self._find(name)
            # An empty one has no length, and so is not true.
            return None if found is None else (found.readall(), str(found.properties.etag))

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        """Write a file whole, if it is still as the ETag says; return its new one."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        only: dict[str, Any] = {"overwrite": tag != ""}
        if tag:
            only |= {"etag": tag, "match_condition": MatchConditions.IfNotModified}
        with self.cloud.asked():
            try:
                return str(self.client.get_blob_client(name).upload_blob(content, **only)["etag"])
            except (ResourceExistsError, ResourceModifiedError) as error:
                raise ConflictError(f"{name}: somebody else has written it meanwhile.") from error

    def delete(self, name: str) -> None:
        """Delete a file."""
        self.cloud.find(lambda: self.client.delete_blob(name))

    def upload(self, path: Path, name: str) -> str:
        """Write a large file, in blocks; return its URL."""
        blob = self.client.get_blob_client(name)
        with self.cloud.asked(), path.open("rb") as file:
            blob.upload_blob(file, overwrite=True)
        return str(blob.url)

    def download(self, name: str, path: Path) -> None:
        """Bring a large file, which is whole or not there."""
        with self.cloud.asked():
            found = self._find(name)
            if found is None:
                raise CloudError(f"{self.cloud.container}/{name} is not there.")
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.part")
            with part.open("wb") as file:
                found.readinto(file)
            part.replace(path)

    def _find(self, name: str) -> "StorageStreamDownloader[bytes] | None":
        return self.cloud.find(lambda: self.client.download_blob(name))


@cache
def _credential() -> "DefaultAzureCredential":
    """Return the one that is asked by all clients: it keeps its tokens."""
    from azure.identity import DefaultAzureCredential

    # A job of Azure ML is told its identity by this name.
    identity = os.environ.get("DEFAULT_IDENTITY_CLIENT_ID")
    known = {"managed_identity_client_id": identity} if identity else {}
    return DefaultAzureCredential(**known)


@cache
def _client(subscription: str, resource_group: str, **names: str) -> "MLClient":
    """Return a client; to make one takes a while."""
    from azure.ai.ml import MLClient

    names = {"subscription_id": subscription, "resource_group_name": resource_group, **names}
    return MLClient(_credential(), enable_telemetry=False, show_progress=False, **names)


def _told(error: Exception) -> str:
    """Return the first line of what the SDK says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:400].rstrip()
