"""A user of the API: logs in and calls a protected route.

The first time it makes a key and registers with it. The key lies in NAME.pem from then on: whoever can read that file
can log in with it.
"""

import os
import sys
from pathlib import Path

import httpx
from countersign import Client, ClientFailed, Key

issuer = os.environ.get("ISSUER", "http://localhost:8080")
api = os.environ.get("ORIGIN", "http://127.0.0.1:8000")


def main(name: str) -> None:
    """Call the API as NAME."""
    file = Path(f"{name}.pem")
    is_new = not file.exists()
    if is_new:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(Key.generate().to_pem())
    user = Client(issuer, username=name, key=Key.from_pem(file.read_text()))
    if is_new:
        try:
            user.register(label="example")
        except ClientFailed:
            file.unlink()
            raise
    with httpx.Client(base_url=api, auth=user) as http:
        print(http.get("/items").raise_for_status().text)


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} NAME")
try:
    main(sys.argv[1])
except ClientFailed as failure:
    sys.exit(f"{failure}")
