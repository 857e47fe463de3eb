"""A section of params.yaml as a frozen, checked object."""

from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values are never changed.

    The keys in `SPARED` are dumped only where they do not have their defaults. The recipe of a
    problem that does not use such a key is the same, with the same md5, as before the key existed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    SPARED: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, section: Any) -> Any:
        """Refuse `true` where a number is expected: pydantic would take it as 1."""
        for key, value in section.items() if isinstance(section, dict) else ():
            field = cls.model_fields.get(str(key))
            kinds = () if field is None else (field.annotation, *get_args(field.annotation))
            if isinstance(value, bool) and field is not None and bool not in kinds:
                raise ValueError(f"{key} is {str(value).lower()}, which is no value of this key")
        return section

    @model_serializer(mode="wrap")
    def _spare(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        for key in self.SPARED:
            field = type(self).model_fields[key]
            if getattr(self, key) == field.get_default(call_default_factory=True):
                dumped.pop(key, None)
        return dumped
