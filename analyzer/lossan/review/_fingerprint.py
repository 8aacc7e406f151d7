"""Which findings decisions are of."""

import json
from hashlib import sha256
from pathlib import Path

from lossan.errors import TableError
from lossan.io import SUMMARY


def findings_fingerprint(folder: Path) -> str:
    """Return what tells these findings from others; the same analysis has the same one.

    It is a SHA-256 of the log's fingerprint (ids, given labels and losses), the detector's name and
    its parameters.

    Parameters
    ----------
    folder : Path
        What ``lossan analyze -o`` wrote.

    Raises
    ------
    TableError
        When it is not such a folder.
    """
    file = folder / SUMMARY
    try:
        summary = json.loads(file.read_bytes())
        made_of = {
            "log": summary["log"]["fingerprint"],
            "detector": summary["detector"]["name"],
            "parameters": summary["detector"]["parameters"],
        }
    except OSError as error:
        raise TableError(
            f"{file} cannot be read: {error.strerror or error}. Give the folder that lossan "
            "analyze LOG -o DIR wrote."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TableError(
            f"{file} is not a summary as lossan writes them. Run lossan analyze LOG -o {folder} "
            "again."
        ) from error
    text = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return f"sha256:{sha256(text.encode()).hexdigest()}"
