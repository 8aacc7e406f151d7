"""Serve a review until it is interrupted."""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address
from secrets import token_urlsafe
from typing import Any, final

from lossan.errors import OptionError
from lossan.review._images import ImageFolder
from lossan.review._server import review_app
from lossan.review._server_guard import Hosts
from lossan.review._session import Review

_TRIED = 50  # ports after the one wanted
_PATIENCE = 2  # seconds that open connections are given at the end


def check_review() -> None:
    """Check that the page can be served.

    Raises
    ------
    OptionError
        When the extra ``review`` is not installed.
    """
    lacking = [name for name in ("starlette", "uvicorn", "PIL") if find_spec(name) is None]
    if lacking:
        raise OptionError(f"the review needs {', '.join(lacking)}: pip install 'lossan[review]'.")


@final
class Listener:
    """A port that is ours, before anything else is done.

    Parameters
    ----------
    host : str
    port : int
        0 takes any free one.

    Raises
    ------
    OptionError
        When it cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.socket = _listen(host, port)
        self.port: int = self.socket.getsockname()[1]
        address = self.socket.getsockname()[0]
        self._numeric = ip_address(address.partition("%")[0])

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self._numeric.is_loopback

    @property
    def hosts(self) -> Hosts:
        """The names it answers to."""
        if self.is_loopback:
            return Hosts()
        names = {self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return Hosts(frozenset(names), any_address=True)

    def url(self, token: str) -> str:
        """Return the page's address."""
        host = socket.gethostname() if self._numeric.is_unspecified else self.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}/?token={token}"


def serve_review(
    review: Review, images: ImageFolder, listener: Listener, *, ready: Callable[[str], None]
) -> None:
    """Serve a review until it is interrupted.

    Parameters
    ----------
    review : Review
    images : ImageFolder
    listener : Listener
    ready : callable
        Told the page's address once the server answers.
    """
    import uvicorn

    token = token_urlsafe(24)
    app = review_app(
        review, images, token=token, cookie=f"lossan_{listener.port}", hosts=listener.hosts
    )
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server: Any = uvicorn.Server(config)
    # The socket listens already: what comes before the server runs waits for it.
    ready(listener.url(token))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener.socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        # another port helps only where the port is the trouble, not the host
        tried = _TRIED if error.errno in (errno.EADDRINUSE, errno.EACCES) else 0
    for other in range(port + 1, min(port + 1 + tried, 65_536)):
        with suppress(OSError), _bound(host, other):
            raise OptionError(
                f"cannot listen on {host}, port {port}: {reason}. Free is: --port {other}"
            )
    raise OptionError(f"cannot listen on {host}, port {port}: {reason}.")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
