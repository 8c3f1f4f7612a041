"""Credentials by kind. Whatever could be used to log in is a :class:`Secret`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .reading import Members
from .secret import Secret

_SSL_MODE = {
    "verify-full": "verify-full",
    "unsafe_require_unverified": "require",
    "unsafe_disable": "disable",
}
"""libpq's words for the backend's ways of TLS. Without one it would fall back to no TLS at all."""


@dataclass(frozen=True, repr=False)
class Credential:
    """One credential of the task: the life of it is the lease."""

    lease: str
    role: str
    kind: str
    expires_at: datetime
    """When it stops working unless it is renewed; the task's end comes first if it is earlier."""
    expiry_enforced_by: str
    """``upstream``, ``login_only`` (open sessions live on until the broker cuts them) or
    ``broker``."""
    revocation: str
    """``immediate``, ``propagating`` or ``none``."""

    def __repr__(self) -> str:
        # Whole: a user name in a log is one half of a login.
        return "[secret]"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)


@dataclass(frozen=True, repr=False)
class PostgresPassword(Credential):
    """Kind ``postgres-password``."""

    host: str
    port: int
    database: str
    username: str
    password: Secret
    tls: str
    url: Secret
    """For any driver of libpq's words: ``psycopg.connect(credential.url.expose())``."""

    def environment(self) -> dict[str, str]:
        """libpq's variables with the password in the clear, for the ``env`` of a subprocess.

        Never for ``os.environ``: each program that this one starts would have it.
        """
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.username,
            "PGPASSWORD": self.password.expose(),
            "PGSSLMODE": _SSL_MODE.get(self.tls, "verify-full"),
            "DATABASE_URL": self.url.expose(),
        }


@dataclass(frozen=True, repr=False)
class OtherCredential(Credential):
    """A kind that this version does not know. All of it is treated as secret."""

    data: Mapping[str, Secret]
    """By member; what is no text is JSON."""


@dataclass(frozen=True, repr=False)
class AccessToken(OtherCredential):
    """Kind ``jwt-access-token``: for an API of your own (RFC 9068). ``task.api_headers`` presents
    it."""

    token: Secret
    token_type: str
    """``DPoP`` where it is bound to the task's key, so that each request needs a proof."""
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    issuer: str


def parse_credential(members: Members) -> Credential:
    """Reads one of ``credentials[]``. What it does not know is let by: brokers may be newer."""
    data = members.inner("data")
    lease = members.text("lease")
    role = members.text("role")
    kind = members.text("kind")
    expires_at = members.instant("expires_at")
    enforced_by = members.text("expiry_enforced_by")
    revocation = members.text("revocation")
    if kind != "postgres-password":
        secrets = {name: Secret(data.as_text(name)) for name in data.names()}
        if kind == "jwt-access-token":
            bound = data.text("token_type").lower() == "dpop"
            return AccessToken(
                lease,
                role,
                kind,
                expires_at,
                enforced_by,
                revocation,
                data=secrets,
                token=Secret(data.text("access_token")),
                token_type="DPoP" if bound else "Bearer",
                audience=data.texts("audience"),
                # RFC 6749 section 3.3: none where it is empty.
                scope=tuple((data.text_or_none("scope") or "").split()),
                issuer=data.text("issuer"),
            )
        return OtherCredential(lease, role, kind, expires_at, enforced_by, revocation, data=secrets)
    return PostgresPassword(
        lease,
        role,
        kind,
        expires_at,
        enforced_by,
        revocation,
        host=data.text("host"),
        port=data.number("port"),
        database=data.text("database"),
        username=data.text("username"),
        password=Secret(data.text("password")),
        tls=data.text("tls"),
        url=Secret(data.text("url")),
    )
