"""An account that logs in and signs requests, for httpx and requests."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from countersign import _native
from countersign._native import ClientFailed, Key, Outgoing

if TYPE_CHECKING:
    import httpx
    import requests
    from httpx import Auth
else:
    try:
        from httpx import Auth
    except ModuleNotFoundError:
        Auth = object

log = logging.getLogger("countersign")

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
Sender = Callable[[Outgoing], Answer]


class Client(Auth):
    """An account at a Countersign server: what `auth=` of httpx and of requests takes.

    It logs in when the first request needs a token, keeps the token until shortly before it ends, and signs each
    request: a proof for its method and URL, with the nonce that the API gave last. When the API refuses the token
    (`invalid_token`), or wants a more recent login, it logs in again and sends the request once more, once. It cannot
    log in with a passkey; where an API wants that, the log says so. It may be used by several threads.

        alice = Client("https://auth.example.com", "alice", Key.from_pem(pem))
        httpx.get("https://api.example.com/items", auth=alice)
        requests.get("https://api.example.com/items", auth=alice)
    """

    def __init__(
        self,
        issuer: str,
        username: str,
        key: Key,
        *,
        scopes: Collection[str] = (),
        resource: str | None = None,
        http: httpx.Client | requests.Session | None = None,
    ) -> None:
        """Make a client that has sent nothing yet.

        Args:
            issuer: The authentication server, by its issuer identifier.
            username: The account's name or id.
            key: A key of the account. It stays in this process.
            scopes: What to ask for; the server's default when left out.
            resource: What tokens shall be for (RFC 8707); the origin of each request when left out.
            http: Sends the requests of `register`, and logins for requests, which cannot be sent by the session that
                the signed request is sent by. With httpx, logins go through the client that is used.

        Raises:
            ValueError: When the issuer is no address that a token may be asked for.

        """
        self._native = _native.Client(issuer, username, key, " ".join(scopes) or None, resource)
        self._http = http
        self._name = f"{username} at {issuer}"

    def __repr__(self) -> str:
        """Name the account."""
        return f"<countersign.Client {self._name}>"

    def register(self, *, label: str | None = None, enrolment_code: str | None = None) -> str:
        """Make the account, with the key that is its first one, and give back its id.

        Args:
            label: A name for the key, such as that of the device.
            enrolment_code: The one-time code, where the server demands one.

        Raises:
            ClientFailed: When the server refuses, for instance because the name is taken.

        """
        return self._to_the_end(self._native.register(label, enrolment_code))

    def recover(self, code: str, *, label: str | None = None) -> str:
        """Get back into an account that exists, with the key as a new one, and give back its id.

        Args:
            code: The one-time code of an administrator.
            label: A name for the key, such as that of the device.

        Raises:
            ClientFailed: When the server refuses, for instance because the code was used.

        """
        return self._to_the_end(self._native.recover(code, label))

    def _to_the_end(self, conversation: _native.Conversation) -> str:
        send = self._sender()
        step = conversation.step(None)
        while isinstance(step, Outgoing):
            step = conversation.step(send(step))
        assert step is not None  # noqa: S101 - what makes or recovers an account ends with its id
        return step

    # --- httpx ---

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request of `httpx.Client`."""
        request.read()  # it may have to be sent twice
        conversation = self._native.sign(request.method, str(request.url), request.content)
        step = conversation.step(None)
        while isinstance(step, Outgoing):
            response = yield _httpx_request(step, request)
            if step.is_callers and response.url != request.url:
                return
            answer = _httpx_answer(step, response, b"" if step.is_callers else response.read())
            step = _next_step(conversation, step, answer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign a request of `httpx.AsyncClient`."""
        await request.aread()  # it may have to be sent twice
        conversation = self._native.sign(request.method, str(request.url), request.content)
        step = conversation.step(None)
        while isinstance(step, Outgoing):
            response = yield _httpx_request(step, request)
            if step.is_callers and response.url != request.url:
                return
            body = b"" if step.is_callers else await response.aread()
            step = _next_step(conversation, step, _httpx_answer(step, response, body))

    # --- requests ---

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request of `requests`."""
        if request.method is None or request.url is None:
            raise ValueError("the request is not prepared")
        send = self._sender()
        conversation = self._native.sign(request.method, request.url, _body_in_memory(request.body))
        step = conversation.step(None)
        while isinstance(step, Outgoing) and not step.is_callers:
            step = conversation.step(send(step))
        assert isinstance(step, Outgoing)  # noqa: S101 - a signature ends with the signed request
        request.headers.update(step.headers)
        request.register_hook("response", partial(_signed_again, conversation, send, request.url))  # type: ignore[no-untyped-call]
        return request

    def _sender(self) -> Sender:
        if self._http is None:
            self._http = _any_http()
        http = self._http
        # Only sessions of requests have adapters to mount.
        if hasattr(http, "mount"):
            return partial(_send_by_requests, cast("requests.Session", http))
        return partial(_send_by_httpx, http)


def _any_http() -> httpx.Client | requests.Session:
    try:
        import requests
    except ModuleNotFoundError:
        import httpx

        return httpx.Client()
    return requests.Session()


def _send_by_httpx(http: httpx.Client, step: Outgoing) -> Answer:
    response = http.request(
        step.method, step.url, headers=step.headers, content=step.body, auth=None, follow_redirects=False
    )
    return _httpx_answer(step, response, response.content)


def _send_by_requests(http: requests.Session, step: Outgoing) -> Answer:
    response = http.request(step.method, step.url, headers=dict(step.headers), data=step.body, allow_redirects=False)
    return _requests_answer(response, response.content)


def _next_step(conversation: _native.Conversation, step: Outgoing, answer: Answer) -> Outgoing | str | None:
    """Go on. A login that gets no token ends it, and its answer must not be taken for that of the API."""
    following = conversation.step(answer)
    if not isinstance(following, Outgoing):
        if not step.is_callers:
            raise ClientFailed("the API refuses the token, and the server gives no other one: is the key still good?")
        _advise(step.url, answer)
    return following


def _advise(url: str, answer: Answer) -> None:
    """Say in the log what to do where an API wants a login that no key can make."""
    status, headers, _ = answer
    challenge = b", ".join(value for name, value in headers if name.lower() == b"www-authenticate")
    if status == 401 and b"insufficient_user_authentication" in challenge and b"acr_values=" in challenge:
        log.warning("%s wants a login with a passkey, which only a browser has: do this in a browser", url)


def _httpx_request(step: Outgoing, request: httpx.Request) -> httpx.Request:
    if step.is_callers:
        request.headers.update(step.headers)
        return request
    # Only who uses httpx comes here.
    import httpx

    return httpx.Request(step.method, step.url, headers=step.headers, content=step.body)


def _httpx_answer(step: Outgoing, response: httpx.Response, body: bytes) -> Answer:
    if not step.is_callers and response.history and response.history[-1].is_redirect:
        raise ClientFailed(f"{step.url} redirects to {response.url}, which is not followed")
    return response.status_code, response.headers.raw, body


def _requests_answer(response: requests.Response, body: bytes) -> Answer:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    return response.status_code, headers, body


def _body_in_memory(body: Any) -> bytes:
    """Give back what the proof can cover: nothing of what is read only while it is sent."""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b""


def _signed_again(
    conversation: _native.Conversation, send: Sender, url: str, response: requests.Response, **options: Any
) -> requests.Response:
    """Send a request again while the API demands another nonce or another token: each of them once."""
    # A redirect leads elsewhere; neither token nor proof follow.
    while response.request.url == url:
        answer = _requests_answer(response, b"")
        step = conversation.step(answer)
        while isinstance(step, Outgoing) and not step.is_callers:
            step = _next_step(conversation, step, send(step))
        if not isinstance(step, Outgoing):
            _advise(url, answer)
            break
        response = _sent_again(response, step, options)
    return response


def _sent_again(response: requests.Response, step: Outgoing, options: dict[str, Any]) -> requests.Response:
    # So that the connection can be used again.
    response.content  # noqa: B018
    response.close()
    again = response.request.copy()
    again.headers.update(step.headers)
    body: Any = again.body
    if hasattr(body, "seek"):
        body.seek(0)
    connection: requests.adapters.HTTPAdapter = response.connection
    answer = connection.send(again, **options)
    answer.history = [*response.history, response]
    answer.request = again
    return answer
