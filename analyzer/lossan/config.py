"""What `analyze` can be told, checked at the edge."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lossan.errors import OptionError, hint


class Config(BaseModel):
    """A frozen model that knows exactly its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @classmethod
    def parse(cls, values: dict[str, Any], what: str) -> Self:
        """Build the model, or raise one OptionError that tells every fault."""
        try:
            return cls(**values)
        except ValidationError as error:
            messages = [_message(e, cls, what) for e in error.errors()]
            raise OptionError("; ".join(messages)) from error


class AnalyzeConfig(Config):
    """Options of `lossan.analyze`, the same as those of the command.

    Parameters
    ----------
    detector : str
        Name of an installed detector.
    early_epochs : int, optional
        P of feature F2; by default half of the epochs.
    scale : {"standard", "none"}
        Whether features are brought to zero mean and unit variance before clustering.
    by_class : bool
        Whether each given class is analysed by itself.
    settings : dict
        Parameters of the detector, by name.
    seed : int
        Everything random follows from it.
    """

    detector: str = "kmeans"
    early_epochs: int | None = Field(default=None, ge=1)
    scale: Literal["standard", "none"] = "standard"
    by_class: bool = False
    settings: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0, lt=2**32)


def _message(error: Any, model: type[BaseModel], what: str) -> str:
    name = ".".join(str(piece) for piece in error["loc"])
    if error["type"] == "extra_forbidden":
        if not model.model_fields:
            return f"{what} has no parameter {name!r}; it takes none"
        return f"{what} has no parameter {name!r}; {hint(name, model.model_fields)}"
    if not name:  # a rule between several options, which says it all
        return f"{what}: {error.get('ctx', {}).get('error', error['msg'])}"
    if error["type"] == "missing":
        return f"{what} needs the parameter {name!r}, which is not given"
    field = model.model_fields.get(str(error["loc"][0]))
    bounds = _bounds(field.metadata) if field else ""
    return f"{what}: {name} is {error['input']!r}: {error['msg'].lower()}{bounds}"


def _bounds(rules: list[Any]) -> str:
    """Tell what a number may be, by the rules of its field."""
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{words} {getattr(rule, sign)}"
        for sign, words in signs.items()
        for rule in rules
        if getattr(rule, sign, None) is not None
    ]
    return f"; allowed: {' and '.join(bounds)}" if bounds else ""
