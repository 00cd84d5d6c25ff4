"""`examples/nginx` and `examples/caddy`: an API behind a real proxy that asks the server about each request.

The files are those of the examples, with other ports.
"""

import os
import pathlib
import shutil
import sys
import tempfile

from .api import Api, free_origin
from .server import clean_environment

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"

PUBLIC, ISSUER, BACKEND = "127.0.0.1:8000", "127.0.0.1:8080", "127.0.0.1:9000"
"""The addresses in the examples: of the proxy, of the authentication server and of the API itself."""


def authority(origin):
    return origin.removeprefix("http://")


class ProxiedApi(Api):
    """`examples/backend.py`, which believes what its proxy says, behind a proxy that each shape starts its own way."""

    offline = False
    reads_bodies = False

    def __init__(self, origin, issuer):
        super().__init__(origin, issuer)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="countersign-proxy-"))
        self.backend = free_origin()

    @staticmethod
    def serve_options(origin):
        """What the authentication server must be told."""
        return ["--protect", origin, "--trusted-proxy", "127.0.0.1"]

    def start(self):
        port = self.backend.rpartition(":")[2]
        self.run(sys.executable, EXAMPLES / "backend.py", port, env=clean_environment())
        self.start_proxy()
        self.wait_until_it_answers()
        return self

    def configuration(self, example):
        """A copy of the example's file with the ports of this API in place of its own."""
        text = (EXAMPLES / example).read_text()
        for theirs, ours in ((PUBLIC, self.origin), (ISSUER, self.issuer.origin), (BACKEND, self.backend)):
            assert theirs in text, f"{example} does not mention {theirs}"
            text = text.replace(theirs, authority(ours))
        copy = self.directory / pathlib.Path(example).name
        copy.write_text(self.adapted(text))
        return copy

    def adapted(self, text):
        """The file with whatever else must be changed."""
        return text

    def stop(self):
        super().stop()
        shutil.rmtree(self.directory)


class NginxApi(ProxiedApi):
    def start_proxy(self):
        file = self.configuration("nginx/nginx.conf")
        # Debian has it where only the administrator's PATH leads.
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.run(nginx, "-e", "stderr", "-p", self.directory, "-c", file)


class PlainNginxApi(NginxApi):
    """An nginx whose administrator thought of nothing about bodies: it announces those that it does not send."""

    def adapted(self, text):
        for line in ("proxy_pass_request_body off;", 'proxy_set_header Content-Length "";'):
            assert text.count(line) == 1
            text = text.replace(line, "")
        # Its workers may be users who cannot write into the directory of this test.
        return text.replace("access_log off;", "access_log off; client_body_buffer_size 1m;")


class CaddyApi(ProxiedApi):
    example = "caddy/Caddyfile"

    def adapted(self, text):
        port = self.origin.rpartition(":")[2]
        assert "\n:8000 {" in text
        return text.replace("\n:8000 {", f"\n:{port} {{")

    def start_proxy(self):
        file = self.configuration(self.example)
        home = {"HOME": str(self.directory), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
        self.run("caddy", "run", "--adapter", "caddyfile", "--config", file, env=os.environ | home)


class ShortCaddyApi(CaddyApi):
    """Caddy's own `forward_auth`."""

    example = "caddy/forward_auth.Caddyfile"


class PlainCaddyApi(ShortCaddyApi):
    """The same without the question mark after the address: Caddy sends the client's query along."""

    def adapted(self, text):
        with_mark = "uri /forward-auth?\n"
        assert text.count(with_mark) == 1
        return super().adapted(text).replace(with_mark, "uri /forward-auth\n")
