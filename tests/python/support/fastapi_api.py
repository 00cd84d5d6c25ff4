"""`examples/fastapi`, the guard as a dependency of FastAPI, under uvicorn."""

import pathlib
import sys

from .api import Api
from .server import clean_environment

EXAMPLE = pathlib.Path(__file__).parents[3] / "examples/fastapi"


class FastApi(Api):
    application = "main:app"
    directory = EXAMPLE
    options = ()
    """More for the command line of uvicorn."""

    @staticmethod
    def serve_options(origin):
        """What the authentication server must be told."""
        return ["--resource", origin]

    def start(self):
        host, port = self.origin.removeprefix("http://").split(":")
        settings = clean_environment(ISSUER=self.issuer.origin, ORIGIN=self.origin)
        uvicorn = [sys.executable, "-m", "uvicorn", self.application, "--host", host, "--port", port]
        self.run(*uvicorn, "--log-level", "warning", *self.options, cwd=self.directory, env=settings)
        self.wait_until_it_answers()
        return self
