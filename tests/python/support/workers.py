"""`examples/fastapi` in several processes, as APIs run: workers of uvicorn, of gunicorn, and two behind nginx.

By itself, for tests in other languages: `python -m support.workers LAYOUT ISSUER ORIGIN` starts one of them, says `ready`,
and ends it when its standard input ends.
"""

import pathlib
import shutil
import sys
import tempfile
from types import SimpleNamespace

from .api import Api, free_origin
from .fastapi_api import EXAMPLE
from .server import clean_environment

NGINX = """
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream api {{ {servers} keepalive 16; }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
"""As in docs/protect-your-api.md: nothing is said of the guard."""


class SeveralProcesses(Api):
    def serve(self, *command):
        settings = clean_environment(ISSUER=self.issuer.origin, ORIGIN=self.origin)
        self.run(sys.executable, "-m", *command, cwd=EXAMPLE, env=settings)

    def uvicorn(self, origin, *options):
        host, port = origin.removeprefix("http://").split(":")
        self.serve("uvicorn", "main:app", "--host", host, "--port", port, "--log-level", "warning", *options)


class UvicornWorkers(SeveralProcesses):
    def start(self):
        self.uvicorn(self.origin, "--workers", "3")
        self.wait_until_it_answers()
        return self


class GunicornWorkers(SeveralProcesses):
    options = ()

    def start(self):
        address = self.origin.removeprefix("http://")
        worker = ("-k", "uvicorn.workers.UvicornWorker", "--log-level", "warning")
        self.serve("gunicorn", "main:app", "--bind", address, "-w", "4", *worker, *self.options)
        self.wait_until_it_answers()
        return self


class GunicornPreloaded(GunicornWorkers):
    """The workers are forks of a process that has made the guard already."""

    options = ("--preload",)


class BehindNginx(SeveralProcesses):
    """nginx sends each request to the other of two processes."""

    def start(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="countersign-workers-"))
        backends = [free_origin(), free_origin()]
        for backend in backends:
            self.uvicorn(backend)
        for backend in backends:
            self.wait_until_it_answers(backend)
        servers = " ".join(f"server {backend.removeprefix('http://')};" for backend in backends)
        listen = self.origin.removeprefix("http://")
        configuration = self.directory / "nginx.conf"
        configuration.write_text(NGINX.format(servers=servers, listen=listen))
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.run(nginx, "-e", "stderr", "-p", self.directory, "-c", configuration)
        self.wait_until_it_answers()
        return self

    def stop(self):
        super().stop()
        shutil.rmtree(self.directory, ignore_errors=True)


LAYOUTS = {
    "uvicorn": UvicornWorkers,
    "gunicorn": GunicornWorkers,
    "gunicorn-preloaded": GunicornPreloaded,
    "nginx": BehindNginx,
}


if __name__ == "__main__":
    layout, issuer, origin = sys.argv[1:]
    api = LAYOUTS[layout](origin, SimpleNamespace(origin=issuer))
    try:
        api.start()
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        api.stop()
