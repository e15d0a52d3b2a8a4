"""The base of all codes: a writer and a reader of single values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar, final

from intrinsic.certificate.codes.bits import BitReader, BitWriter

T = TypeVar("T")


class Code(ABC, Generic[T]):
    """A prefix code for values of type T. Subclasses are frozen dataclasses: their fields are known to both sides."""

    @abstractmethod
    def write(self, out: BitWriter, value: T) -> None:
        """Append the value's code word; SpecError if it has none."""

    @abstractmethod
    def read(self, source: BitReader) -> T:
        """Read the value whose code word comes next; CertificateError if none does."""

    @final
    def length(self, value: T) -> int:
        """The length of the value's code word in bits."""
        out = BitWriter()
        self.write(out, value)
        return len(out)
