"""Writing and reading bits, as text of 0 and 1: a message has thousands of them, not millions."""

from __future__ import annotations

from intrinsic.errors import CertificateError

MAX_MESSAGE_BYTES = 2**20
"""The longest message. A longer one certifies nothing: below 11 million samples it takes Occam's gap above 1/2."""


class BitWriter:
    """A writer of bits that keeps the ledger: the bits of each named part of the message."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._charged = 0
        self.ledger: dict[str, int] = {}

    def __len__(self) -> int:
        return self._length

    def write(self, value: int, width: int) -> None:
        """Write the integer's lowest `width` bits, highest first; 0 <= value < 2^width."""
        if width:
            self.write_bits(format(value, f"0{width}b"))

    def write_bits(self, bits: str) -> None:
        """Write bits that are given as text."""
        self._pieces.append(bits)
        self._length += len(bits)

    def charge(self, part: str) -> None:
        """Charge this part for everything written since the last charge."""
        self.ledger[part] = self.ledger.get(part, 0) + self._length - self._charged
        self._charged = self._length

    def bits(self) -> str:
        """Everything written, as text."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def to_bytes(self) -> bytes:
        """Everything written, from the highest bit of each byte down; zeros, which are not charged, fill the last."""
        size = (self._length + 7) // 8
        return int(self.bits().ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")


class BitReader:
    """A reader of what a BitWriter wrote."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_MESSAGE_BYTES:
            raise CertificateError(
                f"expected a message of at most {MAX_MESSAGE_BYTES} bytes, got {len(data)}; longer ones certify nothing"
            )
        self._bits = format(int.from_bytes(data, "big"), f"0{8 * len(data)}b") if data else ""
        self.position = 0

    def left(self) -> int:
        """The number of bits that are not read yet."""
        return len(self._bits) - self.position

    def read(self, width: int) -> int:
        """Read the next `width` bits as an integer, highest first."""
        bits = self.peek(width)
        self.skip(width)
        return int(bits, 2) if bits else 0

    def peek(self, width: int) -> str:
        """Look at the next `width` bits, fewer at the end, without reading them."""
        return self._bits[self.position : self.position + width]

    def skip(self, width: int) -> None:
        """Pass over bits; CertificateError if fewer are left."""
        if width > self.left():
            raise CertificateError(
                f"the message ends {width - self.left()} bits too early: {width} more were expected after bit "
                f"{self.position} of {len(self._bits)}; it is damaged or was cut off"
            )
        self.position += width

    def zeros(self, most: int) -> int:
        """Read the zeros before the next 1, at most `most` of them, and return their number."""
        start = self.position
        end = self._bits.find("1", start, start + most + 1)
        if end < 0:
            raise CertificateError(
                f"no 1 among the {min(most + 1, self.left())} bits after bit {start} of the message, where the "
                "length of an integer was expected; it is damaged"
            )
        self.position = end
        return end - start
