"""`examples/axum`, the guard as a tower layer."""

import os
import pathlib

from .api import Api
from .server import clean_environment

BUILT = pathlib.Path(__file__).parents[3] / "target/debug"
"""Where `cargo build` puts the binaries."""


class AxumApi(Api):
    built = BUILT / "countersign-example-axum"
    variable = "COUNTERSIGN_EXAMPLE_AXUM"
    """Names another binary."""

    @staticmethod
    def serve_options(origin):
        """What the authentication server must be told."""
        return ["--resource", origin]

    def start(self):
        binary = os.environ.get(self.variable, self.built)
        settings = {
            "ISSUER": self.issuer.origin,
            "ORIGIN": self.origin,
            "LISTEN": self.origin.removeprefix("http://"),
        }
        self.run(os.path.abspath(binary), env=clean_environment(**settings))
        self.wait_until_it_answers()
        return self
