"""Who may use a server: everybody on this computer, or whoever has its token.

Programs send ``Authorization: Bearer TOKEN`` with every request. A browser opens ``/?token=TOKEN``
once, and receives a cookie that is another secret, of this server only: the token is stored
nowhere, and the cookie is worth nothing when the server has ended.
"""

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from ...errors import ConfigError

LEAST_TOKEN = 16  # characters
BEARER = "bearer "
REFUSED = (
    "This server needs its token: open its address with ?token=TOKEN once, or send the header "
    "Authorization: Bearer TOKEN."
)


class Access:
    """Decides about requests.

    Args:
        token: What visitors must know; ``None`` admits everybody.
        cookie: Name of the cookie of those who did.

    Raises:
        ConfigError: If the token is too short to be secret, or cannot stand in a header.
    """

    def __init__(self, token: str | None = None, cookie: str = "asteroid_joint_pass") -> None:
        if token is not None:
            check_token(token)
        self._token = token
        self._cookie = cookie
        self._pass = secrets.token_urlsafe(32)

    @property
    def open(self) -> bool:
        """Whether everybody is admitted."""
        return self._token is None

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the token, or the cookie of who had it.

        Args:
            headers: Headers by name, in lower case or whatever case.
        """
        if self._token is None:
            return True
        given = headers.get("authorization", "")
        if given[: len(BEARER)].lower() == BEARER and same_secret(
            given[len(BEARER) :].strip(), self._token
        ):
            return True
        return same_secret(_cookies(headers).get(self._cookie, ""), self._pass)

    def knows(self, query: bytes) -> bool:
        """Whether the query of an address has the token."""
        given = parse_qs(query.decode("latin-1")).get("token", [])
        return self._token is not None and len(given) == 1 and same_secret(given[0], self._token)

    def cookie_header(self) -> str:
        """Value of ``Set-Cookie`` for a browser that opened the address with the token."""
        return f"{self._cookie}={self._pass}; HttpOnly; Path=/; SameSite=strict"


def check_token(token: str) -> None:
    """Refuse a token that can be guessed or sent by nobody.

    Raises:
        ConfigError: One sentence.
    """
    plain = token.isascii() and token.isprintable() and " " not in token
    if len(token) < LEAST_TOKEN or not plain:
        raise ConfigError(
            f"The token must have at least {LEAST_TOKEN} letters, digits and signs without spaces: "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes one.'
        )


def same_secret(one: str, other: str) -> bool:
    """Whether secrets, of any letters, are equal, in a time that does not tell how far."""
    return secrets.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    try:
        return {key: morsel.value for key, morsel in SimpleCookie(headers.get("cookie")).items()}
    except CookieError:
        return {}
