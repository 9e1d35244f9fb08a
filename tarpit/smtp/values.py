"""What a value is here: slotted, compared and hashed by what it holds, and never altered.

That nobody alters one is held by mypy, which reads the whole tree, and not once more at run time: a
dataclass that is frozen there as well sets each field by a call of `object.__setattr__`, and takes five times
as long to make. A session makes seven of them out of what its peer says, and is one of thousands.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Make *cls* a dataclass, frozen as far as mypy sees."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
