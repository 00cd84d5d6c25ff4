"""The part in Rust."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, final

from countersign._principal import AuthenticationClass, ProofKind
from countersign._self_signed import SelfSigned

class Settings(TypedDict):
    """What the part in Rust is told."""

    issuer: str
    origin: str
    audience: str | None
    accept_dpop: bool
    accept_self_signed: SelfSigned | None
    accept_signed_messages: bool
    accept_bearer: bool
    max_lag: float
    outage: float
    skew: float
    require_acr: str | None
    max_age: float | None
    introspect_as: tuple[str, Key] | None
    scopes_supported: list[str]
    extra_roots: bytes | None
    connect_timeout: float
    timeout: float
    shared_state: bool | str
    nonce_secret: bytes | None

@final
class Incoming:
    def __new__(cls, method: str, path: bytes, fields: Sequence[tuple[bytes, bytes]]) -> Incoming: ...

@final
class Requirements:
    def __new__(cls, scope: str, acr: str | None, max_age: float | None) -> Requirements: ...

@final
class Accepted:
    @property
    def account_id(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def credential(self) -> str | None: ...
    @property
    def thumbprint(self) -> str | None: ...
    @property
    def proof(self) -> ProofKind: ...
    @property
    def token_id(self) -> str | None: ...
    @property
    def scopes(self) -> list[str]: ...
    @property
    def auth_time(self) -> int | None: ...
    @property
    def amr(self) -> list[str]: ...
    @property
    def acr(self) -> AuthenticationClass | None: ...
    @property
    def expires_at(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...

@final
class Refused:
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def cause(self) -> str | None: ...

@final
class Pending:
    def then(self, callback: Callable[[Accepted | Refused], object]) -> None: ...
    def wait(self) -> Accepted | Refused: ...

@final
class Guard:
    def __new__(cls, settings: Settings) -> Guard: ...
    def start(self) -> None: ...
    def needs_body(self, request: Incoming) -> bool: ...
    def max_hashed_body(self) -> int: ...
    def verify(
        self, request: Incoming, body: bytes | None, required: Requirements | None
    ) -> Accepted | Refused | Pending: ...
    def body_too_large(self) -> Refused: ...
    def body_unreadable(self) -> Refused: ...
    def lacks(self, accepted: Accepted, required: Requirements) -> Refused | None: ...
    def metadata(self) -> str: ...
    def metadata_path(self) -> str | None: ...

@final
class Key:
    """A key pair. Neither `repr` nor `pickle` gives the private half away; `to_pem` does."""

    @staticmethod
    def generate(
        kind: Literal["P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096"] = "P-256",
    ) -> Key:
        """Make a new key."""

    @staticmethod
    def from_pem(pem: str, passphrase: str | None = None) -> Key:
        """Read the key in a PEM text: PKCS#8, SEC 1, PKCS#1 or OpenSSH.

        The passphrase opens an encrypted PKCS#8 or OpenSSH key.
        """

    @staticmethod
    def from_jwk(jwk: str | Mapping[str, Any]) -> Key:
        """Read the key in a private JWK (RFC 7517): an object, or its text."""

    def to_pem(self) -> str:
        """Write the private key as PKCS#8 in PEM, unencrypted: a secret."""

    @property
    def thumbprint(self) -> str:
        """The RFC 7638 thumbprint of the public half, which names the key everywhere."""

    @property
    def algorithm(self) -> str:
        """What the key signs with, by its JOSE name."""

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a JWK (RFC 7517)."""

    @property
    def public_pem(self) -> str:
        """The public half as PEM."""

class ClientFailed(Exception):
    """A request could not be signed, or its account could not log in."""

@final
class Outgoing:
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def is_callers(self) -> bool: ...

@final
class Conversation:
    def step(self, answer: tuple[int, Sequence[tuple[bytes, bytes]], bytes] | None) -> Outgoing | str | None: ...

@final
class Client:
    def __new__(cls, issuer: str, username: str, key: Key, scope: str | None, resource: str | None) -> Client: ...
    def register(self, label: str | None, enrolment_code: str | None) -> Conversation: ...
    def recover(self, code: str, label: str | None) -> Conversation: ...
    def sign(self, method: str, url: str, body: bytes) -> Conversation: ...
