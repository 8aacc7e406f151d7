"""The web application of a review: a page, its images, and the decisions it sends."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, final

from pydantic import ValidationError

from lossan.errors import LossanError
from lossan.review._decision import LEGIBLE, is_legible
from lossan.review._images import ImageFolder
from lossan.review._press import Press, ReviewError
from lossan.review._server_guard import Guard, Hosts
from lossan.review._session import Review

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_AT_ONCE = 100  # samples a page may ask about
_DECODERS = 2  # images are read by so many threads, so that decisions never wait for them


def review_app(
    review: Review, images: ImageFolder, *, token: str, cookie: str, hosts: Hosts
) -> "ASGIApp":
    """Build the web application of a review.

    Parameters
    ----------
    review : Review
    images : ImageFolder
    token : str
        What the page's address must hold.
    cookie : str
        The name under which browsers keep it.
    hosts : Hosts
        The names it answers to.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    pages = _Pages(review, images)
    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/page/{name}", pages.asset),
            Route("/image/{row:int}", pages.image),
            Route("/api/state", pages.state),
            Route("/api/items", pages.items),
            Route("/api/progress", pages.progress),
            Route("/api/decisions", pages.decide, methods=["POST"]),
        ],
        exception_handlers={ReviewError: _refused, LossanError: _failed},
    )
    return Guard(app, token=token, cookie=cookie, hosts=hosts)


@final
class _Pages:
    """What stands at each address."""

    def __init__(self, review: Review, images: ImageFolder) -> None:
        from anyio import CapacityLimiter

        self._review, self._images = review, images
        self._files = _page_files()
        self._decoders = CapacityLimiter(_DECODERS)

    async def index(self, _request: "Request") -> "Response":
        return self._file("index.html")

    async def asset(self, request: "Request") -> "Response":
        return self._file(request.path_params["name"])

    async def state(self, request: "Request") -> "Response":
        reader = _reader(request) if "reader" in request.query_params else None
        adjudicating = _adjudicating(request)
        return await _answer(lambda: self._review.state(reader, adjudicating=adjudicating))

    async def items(self, request: "Request") -> "Response":
        rows, reader, adjudicating = _rows(request), _reader(request), _adjudicating(request)
        return await _answer(
            lambda: {"items": self._review.items(rows, reader, adjudicating=adjudicating)}
        )

    async def progress(self, request: "Request") -> "Response":
        reader = _reader(request)
        return await _answer(lambda: self._review.progress(reader))

    async def decide(self, request: "Request") -> "Response":
        press = _press(await request.body())
        return await _answer(lambda: self._review.decide(press))

    async def image(self, request: "Request") -> "Response":
        from anyio.to_thread import run_sync
        from starlette.responses import Response

        path = self._review.image(request.path_params["row"])
        picture = await run_sync(self._images.read, path, limiter=self._decoders)
        if picture.trouble is not None:
            raise ReviewError(404, picture.trouble)
        return Response(picture.body, media_type=picture.media_type)

    def _file(self, name: str) -> "Response":
        from starlette.responses import Response

        if name not in self._files:
            raise ReviewError(404, "There is no such file.")
        return Response(self._files[name], media_type=_TYPES[name[name.rindex(".") :]])


async def _answer(work: Callable[[], dict[str, Any]]) -> "Response":
    from anyio.to_thread import run_sync
    from starlette.responses import JSONResponse

    return JSONResponse(await run_sync(work))


def _refused(_request: "Request", error: Exception) -> "Response":
    from starlette.responses import JSONResponse

    assert isinstance(error, ReviewError)  # noqa: S101  (for the type checker)
    return JSONResponse({"error": error.reason}, status_code=error.status)


def _failed(_request: "Request", error: Exception) -> "Response":
    """Answer what could not be read or kept: nothing was, so the page may send it again."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error": str(error)}, status_code=503)


def _page_files() -> dict[str, bytes]:
    folder = files("lossan.review").joinpath("page")
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


def _reader(request: "Request") -> str:
    reader = request.query_params.get("reader", "").strip()
    if not is_legible(reader):
        raise ReviewError(422, f"{LEGIBLE.capitalize()}.")
    return reader


def _adjudicating(request: "Request") -> bool:
    return request.query_params.get("adjudicating") == "true"


def _rows(request: "Request") -> list[int]:
    rows = request.query_params.get("rows", "").split(",")
    if not all(row.isdecimal() and len(row) < 10 for row in rows) or len(rows) > _AT_ONCE:
        raise ReviewError(422, f"Rows are up to {_AT_ONCE} whole numbers.")
    return [int(row) for row in rows]


def _press(body: bytes) -> Press:
    try:
        return Press.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ReviewError(422, f"This is no decision: {where}: {first['msg']}.") from error
    except (ValueError, RecursionError) as error:
        raise ReviewError(400, "This is not JSON.") from error
