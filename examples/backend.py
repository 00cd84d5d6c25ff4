"""An API that knows nothing of tokens and proofs: it believes what its proxy says in Remote-*, and answers with it.

Nobody but the proxy may reach such an API, so it listens on this machine alone.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Api(BaseHTTPRequestHandler):
    """Answers every method at every path."""

    def answer(self):
        self.read_body()
        who = {
            "path": self.path,
            "username": self.headers.get("Remote-User"),
            "account_id": self.headers.get("Remote-Account"),
            "thumbprint": self.headers.get("Remote-Key"),
            "proof": self.headers.get("Remote-Proof"),
            "acr": self.headers.get("Remote-Acr"),
            "amr": self.headers.get("Remote-Amr", "").split(),
            "scopes": self.headers.get("Remote-Scopes", "").split(),
            "headers": self.headers.items(),
        }
        body = json.dumps(who, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        """Reads all of it, or the proxy would find the connection broken (RFC 9112 §9.6)."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            self.rfile.read(size + 2)
        while self.rfile.readline().strip():
            pass

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = answer

    def log_message(self, *_):
        """Nothing: the proxy has a log."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Api).serve_forever()
