"""Who may talk to the page: nobody but the browser that was given its address."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from secrets import compare_digest
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST_BODY = 16_384  # bytes; a decision takes some hundred
_READS = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})  # Sec-Fetch-Site; none: typed in or opened by us
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer carries, refusals included."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    reason: str


@dataclass(frozen=True)
class Hosts:
    """The names a server answers to, whatever name its address was bound to (DNS rebinding).

    Parameters
    ----------
    names : frozenset of str
        Lower case; ``localhost`` and the loopback addresses are always among them.
    any_address : bool
        Whether every numeric address is right: a rebound name is somebody's domain, never one.

    Examples
    --------
    >>> here = Hosts()
    >>> [here.allow(h) for h in ("127.0.0.1:8765", "localhost:9000", "[::1]:1", "evil.test", "")]
    [True, True, True, False, False]
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    def allow(self, header: str) -> bool:
        """Tell whether a Host header is right; its port is free, as a tunnel may have another."""
        try:
            name = urlsplit(f"//{header}").hostname or ""
            if name == "localhost" or name in self.names:
                return True
            return ip_address(name).is_loopback or self.any_address
        except ValueError:
            return False


@final
class Guard:
    """Let through what comes from the page itself, and say no to all else.

    Parameters
    ----------
    app : ASGI application
    token : str
        What the printed address holds; the browser keeps it as a cookie.
    cookie : str
        The cookie's name: browsers keep one jar for all ports of a host.
    hosts : Hosts
        The names it answers to.
    """

    def __init__(self, app: "ASGIApp", *, token: str, cookie: str, hosts: Hosts) -> None:
        self._app, self._token, self._cookie, self._hosts = app, token, cookie, hosts

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request; an ASGI application's only method."""
        from starlette.requests import Request
        from starlette.responses import JSONResponse, PlainTextResponse

        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = self._refusal(request)
        app: Any = self._app
        if refusal is not None:
            kind = PlainTextResponse if request.url.path == "/" else JSONResponse
            told = refusal.reason if request.url.path == "/" else {"error": refusal.reason}
            app = kind(told, status_code=refusal.status)
        await app(scope, receive, self._marked(request, send, let_in=refusal is None))

    def _refusal(self, request: "Request") -> Refusal | None:
        if not self._hosts.allow(request.headers.get("host", "")):
            return Refusal(403, "This server does not answer to that host name.")
        if not self._knows(request):
            return Refusal(403, "Open the address that lossan review printed, with its token.")
        if request.method in _READS:
            # The first page may be reached by a click anywhere, since its address holds the token.
            if request.url.path != "/" and not _is_ours(request):
                return Refusal(403, "This was asked for by another site.")
            return None
        return _write_refusal(request)

    def _knows(self, request: "Request") -> bool:
        shown = [request.cookies.get(self._cookie)]
        if request.url.path == "/" and request.method in _READS:
            shown.append(request.query_params.get("token"))
        token = self._token.encode()
        return any(compare_digest(s.encode(), token) for s in shown if s is not None)

    def _marked(
        self, request: "Request", send: "Send", *, let_in: bool
    ) -> "Callable[[Message], Awaitable[None]]":
        added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if let_in and "token" in request.query_params:
            value = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            added.append((b"set-cookie", value.encode()))

        async def with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        return with_headers


def _write_refusal(request: "Request") -> Refusal | None:
    origin = request.headers.get("origin")
    if origin != f"http://{request.headers['host']}" or not _is_ours(request):
        return Refusal(403, "Decisions are taken from the review page alone.")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return Refusal(415, "A decision is sent as application/json.")
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return Refusal(411, "A decision is sent with its length.")
    if int(length) > _LONGEST_BODY:
        return Refusal(413, f"A decision has at most {_LONGEST_BODY:,} bytes.")
    return None


def _is_ours(request: "Request") -> bool:
    return request.headers.get("sec-fetch-site", "same-origin") in _OURS
