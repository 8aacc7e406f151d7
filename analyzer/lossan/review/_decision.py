"""One decision of a reader: a line of ``decisions.jsonl``."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import uuid4

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

Name = StrictInt | StrictStr
"""A sample id or a label."""
Order = Literal["suspicion", "class-pair", "group"]
_LONGEST_NAME = 100
LEGIBLE = f"a reader's name has 1 to {_LONGEST_NAME} printable characters"
"""What `is_legible` asks for, to be told where it is not given."""
Reader = Annotated[
    str, StringConstraints(strict=True, pattern=rf"^[^\x00-\x1f\x7f]{{1,{_LONGEST_NAME}}}$")
]
_Id = Annotated[str, StringConstraints(strict=True, pattern=r"^[\x21-\x7e]{1,200}$")]
_Time = Annotated[
    str, StringConstraints(strict=True, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
]


class Shown(BaseModel):
    """What the reader saw.

    Parameters
    ----------
    given_label, suggested_label : bool
        Whether they were shown before the decision; both False where the reading was blinded.
    order : {"suspicion", "class-pair", "group"}
        Of the queue.
    position : int, optional
        In the queue, from 0 on.
    image : str, optional
        The image's path, relative to the folder of images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    given_label: StrictBool
    suggested_label: StrictBool
    order: Order
    position: Annotated[int, Field(strict=True, ge=0)] | None = None
    image: StrictStr | None = None


class Decision(BaseModel):
    """Who decided what about which sample, when, and what was shown.

    Parameters
    ----------
    id : str
        Made once per key press; a second line with the same id does not count.
    time : str
        UTC, ISO 8601 with milliseconds, such as ``2026-03-01T09:30:00.000Z``.
    reader : str
    sample_id : int or str
    action : {"keep", "relabel", "unsure", "exclude", "undo"}
    label : int or str, optional
        The label it should have; exactly where the action is ``relabel``.
    undoes : str, optional
        The id of the reader's decision that is taken back; exactly where the action is ``undo``.
    given_label, suggested_label : int or str, optional
        As they stand in the findings.
    shown : Shown, optional
        None where it is not known, as in imported decisions.
    seconds : float, optional
        From the image shown to the key.
    adjudication : bool
        Whether it settles what readers did not agree on.
    fingerprint : str
        Of the findings (`findings_fingerprint`).

    Examples
    --------
    >>> first = Decision(
    ...     id="1", time="2026-03-01T09:30:00.000Z", reader="A", sample_id=7, action="relabel",
    ...     label="cat", given_label="dog", fingerprint="sha256:0",
    ... )
    >>> first.undo(id="2", time="2026-03-01T09:31:00.000Z").undoes
    '1'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: _Id
    time: _Time
    reader: Reader
    sample_id: Name
    action: Literal["keep", "relabel", "unsure", "exclude", "undo"]
    label: Name | None = None
    undoes: _Id | None = None
    given_label: Name | None = None
    suggested_label: Name | None = None
    shown: Shown | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    adjudication: StrictBool = False
    fingerprint: StrictStr

    @model_validator(mode="after")
    def _fits_its_action(self) -> Self:
        for field, action in (("label", "relabel"), ("undoes", "undo")):
            if (getattr(self, field) is not None) != (self.action == action):
                needs = "needs a" if self.action == action else "must not have a"
                raise ValueError(f"the action {self.action!r} {needs} value of {field}")
        return self

    def undo(self, *, id: str | None = None, time: str | None = None) -> "Decision":  # noqa: A002  (the field's name)
        """Return the line that takes this decision back."""
        return Decision(
            id=id or new_id(),
            time=time or now(),
            reader=self.reader,
            sample_id=self.sample_id,
            action="undo",
            undoes=self.id,
            given_label=self.given_label,
            suggested_label=self.suggested_label,
            adjudication=self.adjudication,
            fingerprint=self.fingerprint,
        )


def is_legible(reader: str) -> bool:
    r"""Tell whether a page can be opened with a reader's name; logs may hold others.

    One that can be seen, told from another, and has no more than 100 characters.

    Examples
    --------
    >>> is_legible("Anna"), is_legible("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627")
    (True, True)
    >>> is_legible("A\u200bB"), is_legible("\u200c"), is_legible(" ")
    (False, False, False)
    """
    # Persian names are written with a non-joiner, Indian ones with both; no other sign is unseen.
    seen = reader.replace("\u200c", "").replace("\u200d", "")
    return bool(seen.strip()) and seen.isprintable() and len(reader) <= _LONGEST_NAME


def new_id() -> str:
    """Return an id that no other decision has."""
    return uuid4().hex


def now() -> str:
    """Return the present time as decisions state it."""
    return as_time(datetime.now(UTC))


def as_time(when: datetime) -> str:
    """Return a moment as decisions state it; one without a time zone is UTC."""
    when = when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
