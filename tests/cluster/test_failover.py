"""What was acknowledged is never lost, whatever is taken away."""

import time

import pytest
from conftest import ROUNDS, close_house, new_database, open_house
from house.postgres import Postgres
from house.processes import until
from house.writers import Writers, check


@pytest.fixture
def pair(tmp_path):
    """A primary and the standby that it waits for, and a house that knows both."""
    primary = Postgres.primary()
    standby = Postgres.standby_of(primary)
    primary.query("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
    primary.query("SELECT pg_reload_conf()")
    until("the standby", lambda: primary.query("SELECT sync_state FROM pg_stat_replication") == "quorum")
    name = new_database(primary).rpartition("/")[2]
    url = f"postgres://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{name}"
    behind = open_house(tmp_path, url, "round-robin")
    yield primary, standby, behind
    close_house(behind)
    standby.remove()
    primary.remove()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_promoted_standby_has_all_that_was_acknowledged(pair, number):
    primary, standby, behind = pair
    writers = Writers(behind.door).start()
    until("enough writes", lambda: len(writers.revoked) > 10)
    primary.kill()
    killed = time.monotonic()
    acknowledged = list(writers.accounts), list(writers.spent), list(writers.revoked)
    # The new primary has no standby of its own yet, and must not wait for one.
    standby.query("ALTER SYSTEM SET synchronous_standby_names = ''")
    standby.query("SELECT pg_reload_conf()")
    standby.promote()
    promoted = time.monotonic()
    until("writes", lambda: any(moment > promoted for moment in list(writers.successes)), 30)
    back = min(moment for moment in writers.successes if moment > promoted) - promoted
    until("more writes", lambda: sum(moment > promoted for moment in list(writers.successes)) > 10)
    writers.stop()
    assert back < 5, f"writes came back {back:.1f} s after the promotion (round {number})"
    check(behind, *acknowledged)
    check(behind, writers.accounts, writers.spent, writers.revoked)
    assert writers.longest_since(killed) < 2.5, writers.failures


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_node_that_is_killed_loses_nothing(round_robin, number):
    victim = round_robin.nodes[number % 3]
    writers = Writers(round_robin.door).start()
    until("enough writes", lambda: len(writers.revoked) > 10)
    victim.kill()
    until("writes without it", lambda: sum(moment > time.monotonic() - 1 for moment in list(writers.successes)) > 5)
    victim.start()
    until("it is back", victim.is_ready)
    writers.stop()
    check(round_robin, writers.accounts, writers.spent, writers.revoked)


def test_a_rolling_restart_fails_no_request(round_robin):
    writers = Writers(round_robin.door, 2).start()
    until("enough writes", lambda: len(writers.revoked) > 5)
    for node in round_robin.nodes:
        node.stop()
        node.start()
        until("it is back", node.is_ready)
        back, done = time.monotonic(), writers.successes
        until("writes", lambda back=back: sum(moment > back for moment in list(done)) > 5)
    writers.stop()
    assert not writers.failures
