"""What clients take for one server: it is one, or it is several behind a balancer."""

import math
import time

from house.balancer import WAYS, Balancer
from house.nodes import House

from support import databases
from support.server import BEGINNING, Server, http_client

assert databases.WAY is None or databases.WAY in WAYS, f"COUNTERSIGN_TEST_DATABASE is not {databases.WAY}"

REFUSED_WITHIN = 0.5
"""Seconds within which what is revoked at one server is refused at the others, as docs/operations.md has it."""
ENDS = ("/revoke", "/logout", "/recover")
"""The ends of paths by which something is revoked, beside what is deleted."""


def house(directory, *options, **settings):
    """A server as tests want it, with these options; it is not started yet."""
    kind = Balanced if databases.WAY else Server
    return kind(directory, *options, **settings)


class Balanced:
    """Three servers of one database behind a balancer, with the surface of a `Server`."""

    def __init__(self, directory, *options, **settings):
        state, balance = WAYS[databases.WAY]
        self.database = databases.of(str(directory))
        self.balancer = Balancer(directory, balance)
        self.origin = self.balancer.origin
        self._house = House(directory, self.database.url, self.origin, state, options=options, **settings)
        self._outlived_at = math.inf

    @property
    def nodes(self):
        return self._house.nodes

    @property
    def origins(self):
        """As that of one server."""
        return [node.origin for node in self.nodes]

    @property
    def binary(self):
        return self.nodes[0].binary

    def start(self):
        if self.database.needs_init:
            self._house.make_ready()
            self.database.needs_init = False
        self._house.start()
        self._outlived_at = min(self._outlived_at, time.monotonic() + BEGINNING)
        self.balancer.start(self.nodes)
        return self

    def outlive_the_beginning(self):
        """As that of one server."""
        time.sleep(max(0, self._outlived_at - time.monotonic()))

    def is_running(self):
        return all(node.is_running() for node in self.nodes)

    def stop(self):
        """Asks all to end, and gives back the greatest exit status."""
        self.balancer.stop()
        return max(node.stop() for node in self.nodes)

    def kill(self):
        self.balancer.stop()
        self._house.stop()

    @property
    def output(self):
        """Everything that they have printed."""
        return "".join(node.output for node in self.nodes)

    def admin(self, *arguments):
        """Runs `countersign admin` on one of the machines."""
        return Server.admin(self.nodes[0], *arguments)

    def http(self):
        """An HTTP client for whom what it has revoked is over."""
        client = http_client(self.origin)
        client.event_hooks = {"response": [wait_until_refused]}
        return client


def wait_until_refused(response):
    request = response.request
    if response.is_success and (request.method == "DELETE" or request.url.path.endswith(ENDS)):
        time.sleep(REFUSED_WITHIN)
