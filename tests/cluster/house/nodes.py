"""Nodes: servers that share one database, and doors to one of them or to all."""

import os
import pathlib
import shutil
import subprocess

import httpx
from support.server import Server, clean_environment, http_client

from house.processes import PATIENCE, at_once, free_port, until


class Shared:
    """The database of all nodes."""

    needs_init = False

    def __init__(self, url):
        self.environment = {"COUNTERSIGN_DATABASE_URL": url}


class Node(Server):
    """`countersign serve` over the database of all."""

    def __init__(self, number, directory, house):
        settings = {"COUNTERSIGN_ISSUER": house.issuer, "COUNTERSIGN_CLUSTER_STATE": house.state}
        super().__init__(directory, *house.options, **settings, **house.settings)
        self.name = f"node-{number}"
        self.database = Shared(house.url)
        self.listen = f"127.0.0.1:{free_port()}"
        self.issuer = house.issuer

    @property
    def key_file(self):
        """Where the master key is, unless the settings name one."""
        return f"{self.data_directory}/master.key"

    def is_ready(self):
        try:
            return httpx.get(f"http://{self.listen}/readyz", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    def door(self):
        """This node for a client, who takes it for the house."""
        return Door(self.issuer, f"http://{self.listen}")

    def admin(self, *arguments):
        """What the command prints."""
        ran = self.admin_that_may_fail(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def admin_that_may_fail(self, *arguments, **environment):
        return subprocess.run(
            [self.binary, "admin", *arguments, "--data-dir", self.data_directory],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=clean_environment(**self.settings, **self.database.environment, **environment),
        )


class Door:
    """Where a client sends what it has to say to the house called `origin`."""

    def __init__(self, origin, address):
        self.origin = origin
        self.address = address

    def http(self):
        return http_client(self.address)


class House:
    """Some nodes over one database."""

    def __init__(self, directory, url, issuer, state="postgres", count=3, options=(), **settings):
        self.url = url
        self.issuer = issuer
        self.state = state
        self.options = options
        self.settings = settings
        directory = pathlib.Path(directory)
        self.nodes = [Node(number, self._home(directory, number), self) for number in range(count)]

    @staticmethod
    def _home(directory, number):
        home = directory / f"node-{number}"
        home.mkdir()
        return home

    def make_ready(self):
        """Makes the database ready, and gives all nodes the master key."""
        self.nodes[0].admin("init")
        # There is no file where the settings name a key.
        if os.path.exists(self.nodes[0].key_file):
            self.share_key_of(self.nodes[0])
        return self

    def share_key_of(self, owner):
        """Brings the master key to all machines."""
        for node in self.nodes:
            if node is not owner:
                shutil.copy2(owner.key_file, node.key_file)

    def start(self):
        """Starts all nodes at one moment."""
        try:
            at_once([node.start for node in self.nodes])
            for node in self.nodes:
                until(f"{node.name}", node.is_ready)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        for node in self.nodes:
            if node.is_running():
                node.kill()
