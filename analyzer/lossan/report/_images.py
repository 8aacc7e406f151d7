"""Small copies of images that stand inside a page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, final
from unicodedata import normalize

from lossan.errors import LossanError
from lossan.training import open_image

_ABSENT = "there is no such file"


@dataclass(frozen=True)
class Picture:
    """A small copy of an image, or why there is none.

    Parameters
    ----------
    url : str, optional
        The image as a data URL.
    trouble : str, optional
        Why it cannot be shown.
    absent : bool
        Whether there is no file of its name.
    """

    url: str | None = None
    trouble: str | None = None
    absent: bool = False


@final
class Thumbnails:
    """Images of a folder as data URLs.

    Parameters
    ----------
    root : Path
        What paths are relative to; nothing outside it is read.
    size : int
        Pixels of the longer side.
    """

    def __init__(self, root: Path, *, size: int = 160) -> None:
        self._root, self._size = root.resolve(), size

    def url(self, path: str | None) -> str | None:
        """Return an image as a data URL, None where there is none to show."""
        return self.look(path).url if path else None

    def look(self, path: str) -> Picture:
        """Return an image, or why it cannot be shown."""
        file = find_image(self._root, path)
        if isinstance(file, str):
            return Picture(trouble=file, absent=file == _ABSENT)
        try:
            image = open_image(file, about=self._size)
        except LossanError as error:
            return Picture(trouble=unreadable(error))
        return Picture(url=f"data:image/jpeg;base64,{b64encode(_jpeg(image, self._size)).decode()}")


def find_image(root: Path, path: str) -> Path | str:
    """Return the file of an image below a folder, or why there is none.

    Where there is no such file it may be spelt as another system does: accents apart from their
    letters, as macOS wrote them, or backslashes between folders, as Windows does.

    Parameters
    ----------
    root : Path
        Resolved; nothing outside it is ever told to be there.
    path : str
    """
    found = _find(root, path)
    if found != _ABSENT:
        return found
    for here in (path, path.replace("\\", "/")):
        for spelt in (here, normalize("NFC", here), normalize("NFD", here)):
            other = _ABSENT if spelt == path else _find(root, spelt)
            if isinstance(other, Path):
                return other
    return found


def _find(root: Path, path: str) -> Path | str:
    try:
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            return "it lies outside the folder of images"
        return file if file.is_file() else _ABSENT
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        return "its file cannot be reached"


def unreadable(error: LossanError) -> str:
    """Say why `open_image` could not read an image, in words that follow its name.

    Examples
    --------
    >>> unreadable(LossanError("a.png: cannot be read as an image."))
    'it is broken, or of a kind unknown here'
    """
    if type(error.__cause__).__name__ == "DecompressionBombError":
        return "it has too many pixels to be shown"
    return "it is broken, or of a kind unknown here"


def _jpeg(image: Any, size: int) -> bytes:
    image.thumbnail((size, size))
    out = BytesIO()
    image.save(out, "JPEG", quality=82)
    return out.getvalue()
