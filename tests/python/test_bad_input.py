"""Bad input anywhere gets a clear refusal, and the server lives on."""

import socket

import pytest

from support.client import Client
from support.keys import Key


def assert_problem(response, *statuses):
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["type"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b'{"username": "a"}',
        b'{"public_key": "a"}',
        b'{"username": "a", "username": "b", "public_key": "c"}',
        b'{"username": "\xff", "public_key": "c"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_a_registration_is_refused(client, body):
    headers = {"Content-Type": "application/json", "DPoP": client.registration_proof()}
    assert_problem(client.http.post("/v1/accounts", content=body, headers=headers), 400, 413, 422)


def test_a_huge_body_is_refused(client):
    headers = {"Content-Type": "application/json", "DPoP": client.registration_proof()}
    response = client.http.post("/v1/accounts", content=b" " * 10_000_000, headers=headers)
    assert_problem(response, 413)


def test_a_registration_must_be_json(client):
    response = client.http.post("/v1/accounts", data={"username": "a"}, headers={"DPoP": client.registration_proof()})
    assert_problem(response, 400, 415)


def test_a_long_label_is_refused(server):
    assert_problem(Client(server).registration(label="x" * 10_000), 400, 422)


def test_an_unknown_path_is_a_problem(client):
    assert_problem(client.http.get("/v1/nothing"), 404)


@pytest.mark.parametrize("path", ["/v1/accounts", "/oauth/token", "/oauth/introspect", "/oauth/revoke"])
def test_a_wrong_method_names_the_right_one(client, path):
    response = client.http.put(path)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]


def test_the_number_of_keys_is_bounded(client):
    client.log_in()
    answers = []
    for _ in range(200):
        answers.append(client.add_key(Key.generate("Ed25519")))
        if answers[-1].status_code != 201:
            break
    assert_problem(answers[-1], 403, 409, 422, 429)
    assert client.call().status_code == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /\r\n\r\n",
        b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
    ids=["TLS", "version", "no version", "two lengths", "negative length", "huge header", "odd path"],
)
def test_what_is_not_http_does_no_harm(server, client, request_text):
    host, port = server.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(request_text)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        except OSError:
            answer = b""
    assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), answer
    client.log_in()
    assert client.call().status_code == 200
