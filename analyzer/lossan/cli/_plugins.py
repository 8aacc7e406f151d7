"""``lossan detectors`` and ``lossan adapters``."""

import json

from lossan.cli import _common as common


def detectors(as_json: common.AsJson = False) -> None:
    """List the installed detectors: what each needs and where it comes from."""
    from lossan.detectors import installed

    rows: list[dict[str, object]] = []
    for found in installed().values():
        kind = found.detector
        rows.append(
            {
                "name": found.name,
                "needs": ["loss", *kind.needs] if kind else [],
                "summary": kind.summary if kind else "",
                "reference": kind.reference if kind else "",
                "parameters": _parameters(kind) if kind else {},
                "distribution": found.distribution,
                "problem": found.problem,
            }
        )
    _print("Detectors", rows, as_json=as_json, columns=["name", "needs", "summary", "reference"])


def adapters(as_json: common.AsJson = False) -> None:
    """List the installed adapters, which train with a framework, and whether it is there."""
    from lossan.training import installed_adapters

    rows: list[dict[str, object]] = []
    for name, point in installed_adapters().items():
        row: dict[str, object] = {"name": name, "module": point.value, "summary": ""}
        row["distribution"] = point.dist.name if point.dist else "unknown"
        try:
            adapter = point.load()
            lacking = adapter.missing()
            row["summary"] = adapter.SUMMARY
            row["ready"] = f"no: pip install 'lossan[{adapter.EXTRA}]'" if lacking else "yes"
            row["problem"] = None
        except Exception as error:  # noqa: BLE001  (a broken plug-in must not hide the others)
            row |= {"ready": "no", "problem": f"{type(error).__name__}: {error}"}
        rows.append(row)
    _print("Adapters", rows, as_json=as_json, columns=["name", "summary", "ready"])


def _parameters(kind: object) -> dict[str, object]:
    from lossan.detectors import Detector

    assert isinstance(kind, type)  # noqa: S101  (of an installed one)
    assert issubclass(kind, Detector)  # noqa: S101  (of an installed one)
    from pydantic_core import PydanticUndefined, to_json

    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.Parameters.model_fields.items()
    }
    known = {k: None if v is PydanticUndefined else v for k, v in defaults.items()}
    return dict(json.loads(to_json(known, fallback=str, inf_nan_mode="strings")))


def _print(title: str, rows: list[dict[str, object]], *, as_json: bool, columns: list[str]) -> None:
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    from lossan.cli._show import console, table

    def cell(value: object) -> str:
        return ", ".join(value) if isinstance(value, list) else str(value)

    out = console()
    good = [row for row in rows if not row.get("problem")]
    if good:
        cells = [[cell(row[c]) for c in columns] for row in good]
        out.print(table(title, dict.fromkeys(columns, "left"), cells))
    else:
        out.print(f"no {title.lower()} are installed")
    for row in rows:
        if row.get("problem"):
            out.print(
                f"{row['name']} of {row['distribution']} is broken: {row['problem']}",
                markup=False,
            )


COMMANDS = {"detectors": detectors, "adapters": adapters}
