"""`examples/transactions`, in both of its languages."""

import pathlib

from .axum_api import BUILT, AxumApi
from .fastapi_api import FastApi

ROOT = pathlib.Path(__file__).parents[3]


class TransactionsInRust(AxumApi):
    built = BUILT / "countersign-example-transactions"
    variable = "COUNTERSIGN_EXAMPLE_TRANSACTIONS"

    @staticmethod
    def serve_options(origin):
        return []


class TransactionsInPython(FastApi):
    application = "transactions:app"
    directory = ROOT / "examples/transactions"

    @staticmethod
    def serve_options(origin):
        return []
