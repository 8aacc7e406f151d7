"""kill -9 of a process that decides, and several at once: acknowledged means there, once."""

import subprocess
import sys
from collections import Counter

import pytest

from lossan.errors import OutputError
from lossan.review import outcomes

# Prints the id of each decision once it has been acknowledged.
CHILD = """
import itertools, sys
from pathlib import Path
from lossan.review import Decision, DecisionLog, now

path, reader, count = sys.argv[1:]
log = DecisionLog.open(Path(path), fingerprint="sha256:ours")
for n in itertools.islice(itertools.count(), int(count) or None):
    line = f"{reader}-{n}"
    log.append(Decision(id=line, time=now(), reader=reader, sample_id=n, action="keep",
                        given_label="x" * 500, fingerprint="sha256:ours"))
    print(line, flush=True)
"""


def start(path, reader, count):
    command = [sys.executable, "-c", CHILD, str(path), reader, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_survives_a_kill(open_log):
    log, acknowledged = open_log(), []
    for life, said in enumerate((1, 17, 60)):
        with start(log.path, f"R{life}", 0) as child:
            acknowledged += [child.stdout.readline().strip() for _ in range(said)]
            child.kill()
            # what was said between the last line read and the kill was acknowledged too
            *whole, _ = child.stdout.read().split("\n")
            acknowledged += whole
    found = Counter(decision.id for decision in open_log().decisions)
    assert set(found.values()) == {1}
    assert set(acknowledged) <= set(found)
    # at most one decision a life may have reached the disk without being acknowledged
    assert len(found) <= len(acknowledged) + 3
    assert len(acknowledged) >= 78


@pytest.mark.parametrize("count", [150])
def test_two_processes_lose_nothing(count, open_log):
    path = open_log().path
    children = [start(path, reader, count) for reader in ("A", "B")]
    for child in children:
        with child:
            assert len(child.stdout.read().split()) == count
        assert child.returncode == 0
    log = open_log()
    assert log.n_cut == 0
    assert sorted(d.id for d in log.decisions) == sorted(
        f"{reader}-{n}" for reader in "AB" for n in range(count)
    )
    assert {o.state for o in outcomes(log.decisions).values()} == {"agreed"}


# As CHILD, with room for a few lines only; then says why it ended.
FULL = (
    CHILD.replace(
        "log = ",
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "from lossan.errors import OutputError\nlog = ",
    )
    .replace("    log.append(", "    try: log.append(")
    .replace(
        "    print(line", "    except OutputError as error: sys.exit(str(error))\n    print(line"
    )
)


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size")
def test_a_full_disk_loses_nothing_that_was_acknowledged(open_log, decide):
    path = open_log().path
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), "A", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot write {path}: ")
    acknowledged = done.stdout.split()
    log = open_log()
    assert [d.id for d in log.decisions] == acknowledged
    assert len(acknowledged) >= 3
    assert log.n_cut == 0
    assert log.append(decide())  # and where there is room again it goes on


def test_a_lock_that_is_held_is_told(open_log, decide, monkeypatch):
    one, other = open_log(), open_log()
    monkeypatch.setattr(other._file._lock, "timeout", 0.05)
    with one._file.locked(), pytest.raises(OutputError, match="another process has held"):
        other.append(decide())
    assert other.append(decide())
