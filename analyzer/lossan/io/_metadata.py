"""The metadata of a log as it stands in files: a JSON object."""

import json
from typing import Any

from lossan.errors import Fault, LogError

KEY = b"lossan"


def parse_metadata(text: str | bytes | None, source: str) -> dict[str, Any]:
    """Read the JSON object stored in a log; no text means no metadata."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"its metadata is not JSON ({error}); write the log again."
        raise LogError(source, [Fault("metadata", message)]) from error
    if not isinstance(value, dict):
        message = f"its metadata is a JSON {type(value).__name__}, not an object."
        raise LogError(source, [Fault("metadata", message)])
    return value
