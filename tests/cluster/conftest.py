"""A database server, and houses over databases of it."""

import itertools
import os

import pytest
from house.balancer import WAYS, Balancer
from house.nodes import Door, House
from house.postgres import Postgres
from support.server import close_clients

ROUNDS = int(os.environ.get("COUNTERSIGN_CLUSTER_ROUNDS", "2"))
"""How often each disaster happens."""

_numbers = itertools.count()


@pytest.fixture(scope="session")
def primary():
    """A database server for all tests that leave it as they found it."""
    server = Postgres.primary()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def connections_are_closed():
    """A test's connections end with it."""
    yield
    close_clients()


def new_database(server):
    """The URL of a new, empty database."""
    name = f"house_{next(_numbers)}"
    server.query(f"CREATE DATABASE {name}")
    return f"postgres://postgres@127.0.0.1:{server.port}/{name}"


class Behind:
    """A house behind its balancer."""

    def __init__(self, house, balancer):
        self.house = house
        self.balancer = balancer

    @property
    def nodes(self):
        return self.house.nodes

    @property
    def door(self):
        """The balancer's."""
        return Door(self.house.issuer, self.balancer.origin)


def open_house(directory, url, way, **settings):
    """Three nodes over a ready database, behind a balancer."""
    state, balance = WAYS[way]
    balancer = Balancer(directory, balance)
    house = House(directory, url, balancer.origin, state, **settings).make_ready().start()
    return Behind(house, balancer.start(house.nodes))


def close_house(behind):
    behind.balancer.stop()
    behind.house.stop()


@pytest.fixture(scope="module", params=WAYS)
def house(request, tmp_path_factory, primary):
    """Three nodes behind a balancer, in either way."""
    behind = open_house(tmp_path_factory.mktemp("house"), new_database(primary), request.param)
    behind.way = request.param
    yield behind
    close_house(behind)


@pytest.fixture
def round_robin(tmp_path, primary):
    """A house of the test's own, whose nodes share all of their state."""
    # A node that is to stop serves on until the balancer, which asks five times a second, has noticed.
    behind = open_house(tmp_path, new_database(primary), "round-robin", COUNTERSIGN_CLUSTER_DRAIN_DELAY="1")
    yield behind
    close_house(behind)
