"""What Traefik does with `examples/traefik`, as its documentation of `headers` and `forwardAuth` says.

Traefik is not among Debian's packages, so this stands in for it: it reads the very file, asks the real server what Traefik
would ask, and says what Traefik would pass on.
"""

import re
import tomllib
import urllib.parse

import httpx

from .proxies import BACKEND, EXAMPLES, ISSUER, PUBLIC, authority
from .server import PATIENCE


class Traefik:
    """Traefik with the example's file, in front of an API at `origin` that `issuer` protects."""

    def __init__(self, origin, issuer):
        text = (EXAMPLES / "traefik/dynamic.toml").read_text().replace(ISSUER, authority(issuer.origin))
        self.http = tomllib.loads(text)["http"]
        self.static = tomllib.loads((EXAMPLES / "traefik/traefik.toml").read_text())
        self.host = authority(origin)

    def check(self):
        """Every name in the files is defined, and the addresses are those of the other examples."""
        for router in self.http["routers"].values():
            assert set(router["middlewares"]) <= self.http["middlewares"].keys()
            assert router["service"] in self.http["services"]
            assert set(router["entryPoints"]) <= self.static["entryPoints"].keys()
        assert self.static["entryPoints"]["web"]["address"] == PUBLIC
        assert self.static["providers"]["file"]["filename"] == "dynamic.toml"
        assert self.http["services"]["api"]["loadBalancer"]["servers"] == [{"url": f"http://{BACKEND}"}]

    def send(self, method, path, fields):
        """The answer to a client, or, where the request is passed on, the headers that the API gets."""
        headers = {name.title(): value for name, value in fields}
        for name in self._router(path)["middlewares"]:
            ((kind, settings),) = self.http["middlewares"][name].items()
            if kind == "ipAllowList":
                assert settings["sourceRange"] == ["255.255.255.255/32"], "nobody's"
                return httpx.Response(403)
            if kind == "headers":
                for removed in settings["customRequestHeaders"]:
                    headers.pop(removed.title(), None)
            else:
                answer = self._ask(settings, method, path, headers)
                if not answer.is_success:
                    return answer
                identity = re.compile(settings["authResponseHeadersRegex"].replace("(?i)", ""), re.IGNORECASE)
                headers = {name: value for name, value in headers.items() if not identity.search(name)}
                headers |= {name: value for name, value in answer.headers.items() if identity.search(name)}
        return {name.lower(): value for name, value in headers.items()}

    def _router(self, path):
        """The router with the highest priority whose rule fits the path."""

        def fits(router):
            parts = [part.strip() for part in router["rule"].split("&&")]
            assert parts.pop(0) == "Host(`127.0.0.1`)", "whatever the rule says, it is for this host"
            tests = [re.fullmatch(r"(Path|PathRegexp)\(`(.*)`\)", part).groups() for part in parts]
            plain = urllib.parse.unquote(path.partition("?")[0])
            return all(plain == value if kind == "Path" else re.search(value, plain) for kind, value in tests)

        return max(filter(fits, self.http["routers"].values()), key=lambda router: router["priority"])

    def _ask(self, settings, method, path, headers):
        """GET, with the client's headers, and Traefik's own word in place of whatever the client says of itself."""
        assert settings["trustForwardHeader"] is False
        own = {
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Method": method,
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": self.host,
            "X-Forwarded-Uri": path,
        }
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            return client.get(settings["address"], headers=headers | own)
