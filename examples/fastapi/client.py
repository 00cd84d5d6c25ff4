"""A user of the API: registers with a key that was made just now, logs in and calls a protected route."""

import os
import sys

import httpx
from countersign import Client, Key

issuer = os.environ.get("ISSUER", "http://127.0.0.1:8080")
api = os.environ.get("ORIGIN", "http://127.0.0.1:8000")

user = Client(issuer, username=sys.argv[1], key=Key.generate())
user.register(label="example")
with httpx.Client(base_url=api, auth=user) as http:
    print(http.get("/items").raise_for_status().text)
