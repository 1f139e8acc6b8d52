"""Who may ask. A check raises a 401, or returns."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from ..errors import MlopsError
from ..keys import own_key
from ..settings import Settings
from .schema import Refusal

KEY = Path(".secrets/api.key")
ALGORITHMS = ["RS256", "ES256"]
FETCH_SECONDS = 5

Headers = Mapping[bytes, bytes]
Check = Callable[[Headers], Awaitable[None]]


def check(settings: Settings) -> Check:
    """Return the environment's check of a request's headers.

    Raises:
        MlopsError: it needs a setting that is missing.
    """
    serving = settings.serving
    if serving.auth == "off":
        return _anybody
    if serving.auth == "api-key":
        return ApiKey(api_keys(settings))
    if not serving.issuer or not serving.audience:
        raise MlopsError(
            "auth is oidc, but serving.issuer or serving.audience is empty: set both in "
            "environments/*.yaml, or MLOPS_SERVING__ISSUER and MLOPS_SERVING__AUDIENCE."
        )
    return Oidc(serving.issuer, serving.audience)


def api_keys(settings: Settings) -> list[str]:
    """Return MLOPS_API_KEYS, or this machine's own key, which is made when first needed."""
    if settings.api_keys:
        keys = [key.strip() for key in settings.api_keys.get_secret_value().split(",")]
        if found := [key for key in keys if key]:
            return found
        raise MlopsError("MLOPS_API_KEYS is empty: give keys, separated by commas.")
    try:
        return [own_key(KEY)]
    except OSError as error:
        raise MlopsError(
            f"{KEY} cannot be made ({error.strerror}): set MLOPS_API_KEYS, separated by commas."
        ) from error


async def _anybody(headers: Headers) -> None:
    """Let everybody in."""


class ApiKey:
    """One of the keys in ``x-api-key``, compared in constant time."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = [key.encode() for key in keys]

    async def __call__(self, headers: Headers) -> None:
        """Refuse a request without a known key."""
        given = headers.get(b"x-api-key", b"")
        if not any([hmac.compare_digest(given, key) for key in self._keys]):
            raise Refusal(
                401, "Give a valid key in the header x-api-key.", {"www-authenticate": "ApiKey"}
            )


class Oidc:
    """A bearer token of the issuer, for the audience, signed with one of the issuer's keys.

    The keys' address is discovered, and the keys are fetched, when a first token comes.
    """

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer, self._audience = issuer, audience
        self._keys: Any = None

    async def __call__(self, headers: Headers) -> None:
        """Refuse a request without a valid token."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise _unauthorised("Give a token: Authorization: Bearer ...")
        await asyncio.to_thread(self._verify, token.decode("latin-1"))

    def _verify(self, token: str) -> None:
        import jwt

        try:
            keys = self._keys = self._keys or self._discover()
            jwt.decode(
                token,
                keys.get_signing_key_from_jwt(token),
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (OSError, jwt.PyJWKClientConnectionError) as error:
            raise Refusal(
                503, "The issuer's keys cannot be fetched.", {"retry-after": "5"}
            ) from error
        except jwt.PyJWTError as error:
            raise _unauthorised(f"The token is refused: {error}") from error

    def _discover(self) -> Any:
        from jwt import PyJWKClient

        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        with urlopen(address, timeout=FETCH_SECONDS) as answer:  # noqa: S310 (from the settings)
            return PyJWKClient(json.load(answer)["jwks_uri"], timeout=FETCH_SECONDS)


def _unauthorised(detail: str) -> Refusal:
    return Refusal(401, detail, {"www-authenticate": "Bearer"})
