"""Let libFuzzer look for ways through a reader: coverage_guided.py READER RUNS SEED FOLDER.

Needs atheris, which installs where it has a wheel or finds clang. Where a reader breaks its promise
it leaves the file as ``FOLDER/crash-...`` and ends with another code than 0.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris
from sandbox import MEGABYTES, SECONDS, memory

with atheris.instrument_imports(include=["lossan"]):
    from readers import READERS, findings

from lossan.errors import LossanError

_BEFORE = 512  # megabytes that the process takes with everything imported


def main() -> None:
    """Fuzz one reader."""
    name, runs, seed, folder = sys.argv[1:]
    reader = READERS[name]
    corpus = Path(folder, "corpus")
    corpus.mkdir(parents=True)
    for number, content in enumerate(reader.seeds()):
        (corpus / str(number)).write_bytes(content)
    findings()
    scratch = tempfile.mkdtemp(dir=memory())

    def once(data: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            path = Path(place, "file")
            path.write_bytes(data)
            try:
                reader.read(path)
            except LossanError:
                return

    limits = [f"-timeout={10 * SECONDS:.0f}", f"-rss_limit_mb={MEGABYTES + _BEFORE}"]
    where = [f"-artifact_prefix={folder}{os.sep}", "-max_len=16384", str(corpus)]
    atheris.Setup([sys.argv[0], f"-runs={runs}", f"-seed={seed}", *limits, *where], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
