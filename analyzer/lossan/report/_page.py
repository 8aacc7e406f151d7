"""Templates to self-contained pages: no script or style from elsewhere, everything escaped."""

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from lossan.errors import OptionError


def check_report() -> None:
    """Check that pages can be made.

    Raises
    ------
    OptionError
        When the extra ``report`` is not installed.
    """
    lacking = [name for name in ("jinja2", "matplotlib", "PIL") if find_spec(name) is None]
    if lacking:
        raise OptionError(f"the report needs {', '.join(lacking)}: pip install 'lossan[report]'.")


def render_page(template: str, **values: Any) -> str:
    """Fill a template of ``lossan/report/templates``.

    Parameters
    ----------
    template : str
        Its file name.
    values
        What it shows; text is escaped, `markupsafe.Markup` stands as it is.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lossan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["chance"] = _chance
    environment.filters["decimal"] = _decimal
    environment.filters["moment"] = _moment
    return environment.get_template(template).render(**values)


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def _chance(value: float) -> str:
    """Write a probability so that what is not certain is not called so.

    Examples
    --------
    >>> [_chance(value) for value in (0.002, 0.5, 0.994, 0.9999)]
    ['less than 1%', '50%', '99%', 'more than 99%']
    """
    share = round(100 * value)
    if share < 1:
        return "less than 1%"
    return f"{share}%" if share < 100 else "more than 99%"


def _decimal(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _moment(value: str) -> str:
    """Write a time as people read it, to the minute."""
    try:
        return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:  # of another program's summary
        return value
