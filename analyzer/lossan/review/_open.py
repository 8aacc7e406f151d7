"""Find the decisions a user names: the folder of findings, or the file itself."""

from pathlib import Path

from lossan.io import SUMMARY
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._log import DECISIONS, DecisionLog


def open_decisions(place: Path) -> DecisionLog:
    """Read decisions from a folder of findings, or from a file of them.

    Where findings stand beside the file the decisions must be theirs.

    Raises
    ------
    DecisionsError, TableError
        When they are not there, cannot be read, or are of other findings.
    """
    file = place / DECISIONS if place.is_dir() else place
    beside = (file.parent / SUMMARY).exists() or place.is_dir()
    fingerprint = findings_fingerprint(file.parent) if beside else None
    return DecisionLog.open(file, fingerprint=fingerprint, create=False)
