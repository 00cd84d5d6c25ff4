"""HAProxy in front of the nodes, as docs/operations.md has it."""

import pathlib
import socket
import subprocess

from house.processes import PATIENCE, free_port, until

ROUND_ROBIN = "balance roundrobin"
AFFINITY = """\
# Who has a token stays at one node, and so does who has none yet, by the address. Sessions of signjwt begin without a token.
    http-request set-var(txn.who) src
    http-request set-var(txn.who) req.fhdr(authorization) if { req.fhdr(authorization) -m found } !{ req.fhdr(authorization) -m beg -i signjwt }
    balance hash var(txn.who)"""

WAYS = {"round-robin": ("postgres", ROUND_ROBIN), "affinity": ("memory", AFFINITY)}
"""The two ways to put nodes behind a balancer: where short-lived state is, and who decides which node answers."""

CONFIGURATION = """\
global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 2s
    option httpchk GET /readyz
    # A request that no node has got goes to another one.
    option redispatch 1
    retries 3
    retry-on conn-failure
frontend all
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    {balance}
    option forwardfor
    default-server check inter 200ms fall 1 rise 1
{servers}
    option allbackups
{unready}
"""


class Balancer:
    """The one address of the house."""

    def __init__(self, directory, balance):
        self.directory = pathlib.Path(directory)
        self.balance = balance
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, nodes):
        servers = "\n".join(f"    server {node.name} {node.listen}" for node in nodes)
        # Asked only when no node is ready.
        unready = "\n".join(f"    server {node.name}-unready {node.listen} no-check backup" for node in nodes)
        text = CONFIGURATION.format(port=self.port, balance=self.balance, servers=servers, unready=unready)
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(text)
        self.process = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", str(configuration)], stdin=subprocess.DEVNULL, start_new_session=True
        )
        until("the balancer", self.listens)
        return self

    def listens(self):
        assert self.process.poll() is None, "HAProxy has ended"
        with socket.socket() as visitor:
            return visitor.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
