"""What a kind of fault came to: how often it was tried, and what then did not hold."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """Counts of one kind of fault.

    Parameters
    ----------
    fault : str
        What was done.
    to : str
        What it was done to.
    unit : str
        What is counted, such as ``"kills"``.
    """

    fault: str
    to: str
    unit: str
    tried: int = 0
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def hold(self, where: str, check: Callable[..., Any], *arguments: Any) -> Any:
        """Count a try, return what the check returns, and keep what it says against it."""
        self.tried += 1
        return self.also(where, check, *arguments)

    def also(self, where: str, check: Callable[..., Any], *arguments: Any) -> Any:
        """Check a try once more, without counting it again."""
        try:
            return check(*arguments)
        except Exception as error:  # noqa: BLE001  (whatever it is, the promise did not hold)
            self.wrong.append(f"{self.to}, {where}: {type(error).__name__}: {error}")
            return None

    def row(self) -> str:
        """Return it as a row of the table."""
        held = "held" if not self.wrong else f"{len(self.wrong)} NOT HELD"
        return f"| {self.fault} | {self.to} | {self.tried} {self.unit} | {held} |"


HEAD = "| fault | to | tried | promise |\n|---|---|---|---|"
