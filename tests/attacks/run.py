"""Try every known attack and print what became of it: python tests/attacks/run.py.

The attacks are the tests of this folder; the first line of a test's documentation names its attack.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


class Tally:
    """Counts the cases of each attack by their outcome."""

    def __init__(self):
        self.names = {}
        self.outcomes = defaultdict(lambda: defaultdict(int))

    def pytest_collection_modifyitems(self, items):
        for item in items:
            told = (item.function.__doc__ or item.name).strip().splitlines()[0]
            self.names[item.nodeid] = told.rstrip(".")

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[self.names[report.nodeid]][report.outcome] += 1

    def table(self):
        """Return the table as lines, and whether every attack failed."""
        width = max(len(name) for name in self.outcomes)
        lines = [f"{'attack':{width}} | result | cases"]
        for name, outcomes in self.outcomes.items():
            if outcomes["failed"]:
                result = "GOT IN"
            else:
                result = "held" if outcomes["passed"] else "not tried"
            count = outcomes["failed"] or sum(outcomes.values())
            lines.append(f"{name:{width}} | {result} | {count}")
        n_cases = sum(sum(outcomes.values()) for outcomes in self.outcomes.values())
        n_failed = sum(outcomes["failed"] for outcomes in self.outcomes.values())
        lines.append(f"{len(self.outcomes)} attacks, {n_cases} cases, {n_failed} got in")
        return lines, n_failed == 0


def main():
    """Run the folder's tests and print the table."""
    tally = Tally()
    options = ["-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--tb=short"]
    code = pytest.main([str(FOLDER), *options, *sys.argv[1:]], plugins=[tally])
    if not tally.outcomes:
        return int(code)
    lines, held = tally.table()
    print("\n".join(["", *lines]))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
