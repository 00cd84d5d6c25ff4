"""A server that may use little memory: strangers who ask for much get 503, and everybody else is served."""

import concurrent.futures
import pathlib
import resource

import httpx

from support.client import Client
from support.server import PATIENCE, Server

HASHERS = 8
"""How many passwords the server wants to hash at once, each in 64 MiB."""
LEFT = 256 << 20
"""Bytes that it may use beyond what it has at rest: three or four passwords at most."""


def address_space(server):
    """Bytes, most of them never touched."""
    pages = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def guess(server):
    with httpx.Client(base_url=server.origin, trust_env=False, timeout=PATIENCE) as stranger:
        return stranger.post("/auth", json={"username": "nobody", "password": "a guess"}).status_code


def guess_at_once(server):
    with concurrent.futures.ThreadPoolExecutor(2 * HASHERS) as strangers:
        return set(strangers.map(lambda _: guess(server), range(2 * HASHERS)))


def test_a_server_under_ulimit_refuses_what_does_not_fit_and_lives(tmp_path):
    settings = {
        # Else the allocator reserves 64 MiB of address space for each thread, and never gives it back.
        "MALLOC_ARENA_MAX": "2",
        "COUNTERSIGN_LIMITS_PASSWORD_HASHERS": str(HASHERS),
        "COUNTERSIGN_LIMITS_CLIENT_SHARE": "100",
        "COUNTERSIGN_DIALECTS_AUTH_RATE_LIMIT": "off",
    }
    server = Server(tmp_path, **settings).start()
    limit = address_space(server) + LEFT
    server.stop()
    server.launcher = ("sh", "-c", f'ulimit -v {limit // 1024}; exec "$@"', "sh")
    server.start()
    try:
        statuses = set()
        for _ in range(20):
            statuses |= guess_at_once(server)
            if 503 in statuses:
                break
        assert 503 in statuses, "the attack was too small"
        assert statuses <= {401, 503}
        assert server.process.poll() is None, server.output
        client = Client(server).register()
        client.log_in()
        assert client.call().status_code == 200
        assert guess(server) == 401, "a password fits again"
    finally:
        server.kill()
