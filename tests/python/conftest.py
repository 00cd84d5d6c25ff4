"""Servers and accounts for the tests."""

import pytest

from support import databases
from support.client import Client
from support.doors import DOORS
from support.houses import house
from support.server import close_clients


def pytest_collection_modifyitems(items):
    """Leaves out, with the reason, what is about databases of the other kind, or about one server."""
    other = {"sqlite", "postgres"} - {databases.KIND}
    for item in items:
        for kind in other | ({"alone"} if databases.WAY else set()):
            if mark := item.get_closest_marker(kind):
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as they found it."""
    running = house(tmp_path_factory.mktemp("server")).start()
    running.outlive_the_beginning()
    yield running
    assert running.is_running(), f"the server ended during the tests:\n{running.output}"
    assert running.stop() == 0, running.output


@pytest.fixture(autouse=True)
def connections_are_closed():
    """A test's connections end with it."""
    yield
    close_clients()


@pytest.fixture
def own_server(tmp_path):
    """A server of the test's own, to be stopped, killed and restarted."""
    running = house(tmp_path).start()
    yield running
    if running.is_running():
        running.kill()


@pytest.fixture
def client(server):
    """A registered account that is not logged in."""
    return Client(server).register()


@pytest.fixture
def logged_in(client):
    """A registered account with a token."""
    client.log_in()
    return client


@pytest.fixture
def other(server):
    """Somebody else, logged in."""
    client = Client(server).register()
    client.log_in()
    return client


@pytest.fixture(params=DOORS)
def door(request, client):
    """A place where a proof is checked; each test that takes it runs at every such place."""
    return DOORS[request.param](client)
