"""What the detectors find in the repository's samples, to be the same ever after.

``python tests/golden/golden.py`` writes it again, after a change that is meant to change it.

A file holds of one sample and detector: a digest of all ranks, ids, flags and suggestions, which
must be the same everywhere; a digest of all of findings.csv, which must be the same on the same
kind of machine; and some rows, of which the numbers must agree to `TOLERANCE` everywhere.

The reason: NumPy and OpenBLAS choose other instructions on other processors (with or without fused
multiply-add, of other widths), which round sums, exponentials and logarithms differently in the
last place. That moves a score by some 1e-14 of itself and a probability by some 1e-12; it does not
depend on threads, the order of rows or the process.
"""

import hashlib
import io
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_info

import lossan
from lossan.io import write_findings

HERE = Path(__file__).parent
SAMPLES = {"digits": "digits/long.parquet", "fundus": "fundus/log.parquet"}
DETECTORS = ("kmeans", "auto")
TOLERANCE = 1e-9
_EXACT = ("rank", "sample_id", "flagged", "suggested_label")
_SHOWN = 100  # one row of so many, beside the first and those on both sides of the cut
_NEAR = 5


def found(sample: str, detector: str, folder: Path) -> bytes:
    """Return the findings.csv of a sample."""
    log = HERE.parents[1] / "samples" / SAMPLES[sample]
    result = lossan.analyze(log, detector=detector)
    write_findings([result.table], lambda: "{}", folder)
    return (folder / "findings.csv").read_bytes()


def summarise(csv: bytes) -> dict[str, Any]:
    """Return what is kept of a findings.csv."""
    table = read(csv)
    exact = table[[name for name in _EXACT if name in table]].to_csv(index=False).encode()
    cut = int(table["flagged"].astype(str).eq("true").sum())
    near = {*range(_NEAR), *range(cut - _NEAR, cut + _NEAR), *range(0, len(table), _SHOWN)}
    lines = csv.decode().splitlines()
    rows = [lines[1 + i] for i in sorted(near | {len(table) - 1}) if 0 <= i < len(table)]
    return {
        "ranks_and_flags": hashlib.sha256(exact).hexdigest(),
        "findings_csv": hashlib.sha256(csv).hexdigest(),
        "rows": [lines[0], *rows],
    }


def read(csv: bytes) -> pd.DataFrame:
    """Read findings with every value as it is written."""
    return pd.read_csv(io.BytesIO(csv), dtype=str, keep_default_na=False)


def differences(expected: dict[str, Any], csv: bytes, *, same_machine: bool) -> list[str]:
    """Tell in words in what a findings.csv departs from what is kept."""
    now = summarise(csv)
    faults = []
    if now["ranks_and_flags"] != expected["ranks_and_flags"]:
        faults.append("ranks, flags or suggestions are others")
    if same_machine and now["findings_csv"] != expected["findings_csv"]:
        faults.append("findings.csv has other bytes on the same kind of machine")
    wanted, table = read("\n".join(expected["rows"]).encode()), read(csv)
    if list(wanted.columns) != list(table.columns):
        return [*faults, f"the columns are {list(table.columns)}"]
    wanted, table = (t.set_index("rank", drop=False) for t in (wanted, table))
    for rank, row in wanted.iterrows():
        if rank not in table.index:
            faults.append(f"there is no rank {rank}")
            continue
        for column, value in row.items():
            other = table.loc[rank, column]
            if not _same(value, other):
                faults.append(f"rank {rank}: {column} was {value}, is {other}")
    return faults


def _same(value: str, other: str) -> bool:
    if value == other:
        return True
    try:
        return bool(np.isclose(float(value), float(other), rtol=TOLERANCE, atol=TOLERANCE))
    except ValueError:
        return False


def machine() -> dict[str, Any]:
    """Return what the last digits may depend on."""
    packages = ("numpy", "scipy", "scikit-learn", "pyarrow")
    simd = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[call-overload]
    return {
        "processor": platform.machine(),
        "system": platform.system(),
        "c_library": " ".join(platform.libc_ver()),
        "instructions": simd.get("found", []),
        "blas": sorted({i["architecture"] for i in threadpool_info() if "architecture" in i}),
        **{name: version(name) for name in packages},
    }


def main() -> None:
    """Write every golden file."""
    import tempfile

    for sample in SAMPLES:
        for detector in DETECTORS:
            with tempfile.TemporaryDirectory() as scratch:
                kept = summarise(found(sample, detector, Path(scratch)))
            file = HERE / f"{sample}-{detector}.json"
            file.write_text(json.dumps({"machine": machine(), **kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
