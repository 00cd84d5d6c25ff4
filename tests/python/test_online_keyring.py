"""Earlier contents of an online keyring, as the command line lists and restores them."""

import json
import subprocess

import pytest
from support.server import clean_environment

PASSWORD = "online battery staple"


class Device:
    """The command line with a home of its own."""

    def __init__(self, home, server):
        home.mkdir()
        self.home, self.server = home, server

    def run(self, *arguments, password=PASSWORD):
        return subprocess.run(
            [self.server.binary, *arguments],
            env=clean_environment(
                HOME=str(self.home),
                COUNTERSIGN_SERVER=self.server.origin,
                COUNTERSIGN_PASSPHRASE="correct horse",
                COUNTERSIGN_ONLINE_PASSWORD=password,
            ),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def does(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def entries(self):
        lines = self.does("keyring", "list").splitlines()[1:]
        return {line.split()[0] for line in lines}

    def import_key(self, name):
        key = self.home / f"{name}.pem"
        key.touch(mode=0o600)
        openssl = ["openssl", "genpkey", "-algorithm", "ED25519", "-out", str(key)]
        subprocess.run(openssl, check=True, capture_output=True)
        self.does("keyring", "import", name, str(key), "--server", "https://elsewhere.example")


@pytest.fixture
def alice(own_server, tmp_path):
    """A device whose keyring is online."""
    device = Device(tmp_path / "alice", own_server)
    device.does("register", "alice")
    device.does("keyring", "push")
    return device


def current(device):
    """The number of the present content."""
    return str(json.loads(device.does("keyring", "online", "status", "--json", "--as", "alice"))["keyring"]["revision"])


def earlier(device):
    lines = device.does("keyring", "online", "revisions", "--as", "alice").splitlines()
    return [line.split()[0] for line in lines[1:]]


def test_an_earlier_content_is_restored(alice, own_server, tmp_path):
    first = current(alice)
    alice.import_key("spare")
    assert "spare" in alice.does("keyring", "push", "--as", "alice")
    assert (earlier(alice), current(alice) != first) == ([first], True)

    alice.does("keyring", "online", "restore", first, "--as", "alice")
    new = Device(tmp_path / "new", own_server)
    new.does("keyring", "pull", "alice")
    assert new.entries() == {"alice"}


def fill_history(server):
    """As if 20 contents had been replaced just now."""
    server.stop()
    database = server.database
    database.change("UPDATE keyrings SET revision = 21")
    database.change("UPDATE keyring_counters SET revision = 21")
    for revision in range(1, 21):
        database.change(
            "INSERT INTO keyring_revisions(user_id, revision, nonce, ciphertext, updated_at, replaced_at)"
            " SELECT user_id, ?, nonce, ciphertext, updated_at, updated_at FROM keyrings",
            revision,
        )
    server.start()


def test_a_push_proves_more_when_an_earlier_content_must_go(alice, own_server):
    fill_history(own_server)
    assert len(earlier(alice)) == 20
    alice.import_key("spare")
    assert "spare" in alice.does("keyring", "push", "--as", "alice")
    assert (len(earlier(alice)), current(alice)) == (20, "22")


def test_another_password_ends_all_earlier_contents(alice):
    alice.import_key("spare")
    alice.does("keyring", "push", "--as", "alice")
    [first] = earlier(alice)
    new = alice.home / "new"
    new.touch(mode=0o600)
    new.write_text("another battery staple")
    alice.does("keyring", "online", "password", "--as", "alice", "--new-password-file", str(new))
    assert earlier(alice) == []
    refused = alice.run("keyring", "online", "restore", first, "--as", "alice")
    assert (refused.returncode, "no revision" in refused.stderr) == (1, True), refused.stderr
