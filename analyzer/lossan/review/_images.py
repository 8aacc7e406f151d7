"""Images of a review as a browser shows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, final

from lossan.errors import LossanError
from lossan.report import find_image, unreadable
from lossan.training import open_image, ready_pillow

_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})  # CMYK and deep grey are converted
_LONGEST = 4096  # pixels; a browser slows down beyond that
_LOSSLESS = 2048 * 2048  # pixels up to which a converted image stays lossless


@dataclass(frozen=True)
class Picture:
    """An image as it is sent, or why there is none.

    Parameters
    ----------
    body : bytes
    media_type : str
    trouble : str, optional
        Why it cannot be shown; then there is no body.
    """

    body: bytes = b""
    media_type: str = ""
    trouble: str | None = None


@final
class ImageFolder:
    """The images below a folder; nothing outside it is ever read.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def read(self, path: str) -> Picture:
        """Return an image: as it is where browsers know its kind, converted otherwise.

        Deep grey is stretched to the range it uses, as 12 bits in 16 would look black.
        """
        file = find_image(self._root, path)
        if isinstance(file, str):
            return Picture(trouble=file)
        try:
            ready_pillow()
            kind = _kind(file)
            if kind is not None:
                return Picture(file.read_bytes(), kind)
            return _converted(open_image(file, about=_LONGEST))
        except LossanError as error:
            return Picture(trouble=unreadable(error))
        except OSError as error:
            return Picture(trouble=f"it cannot be read: {error.strerror or error}")

    def lacking(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Return the paths that lead to no file, each with the reason."""
        looked = ((path, find_image(self._root, path)) for path in paths)
        return [(path, found) for path, found in looked if isinstance(found, str)]


def _kind(file: Path) -> str | None:
    """Return the media type of a sound image that browsers show rightly, None for any other."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            fits = max(image.size) <= _LONGEST and not getattr(image, "is_animated", False)
            if not fits or image.mode not in _MODES or image.format not in _AS_THEY_ARE:
                return None
            kind = _AS_THEY_ARE[image.format]
            # The whole file is gone through, so that a cut-off one is told and not shown half grey;
            # an eighth of the pixels is enough for that, where the format can do it.
            image.draft(image.mode, (image.width // 8, image.height // 8))
            image.load()
    except Exception as error:  # Pillow raises whatever a broken file makes it raise
        raise LossanError(f"{file}: cannot be read as an image ({error}).") from error
    return kind


def _converted(image: Any) -> Picture:
    image.thumbnail((_LONGEST, _LONGEST))
    out = BytesIO()
    if image.width * image.height <= _LOSSLESS:
        image.save(out, "PNG", compress_level=1)
        return Picture(out.getvalue(), "image/png")
    image.save(out, "JPEG", quality=95, subsampling=0)
    return Picture(out.getvalue(), "image/jpeg")
