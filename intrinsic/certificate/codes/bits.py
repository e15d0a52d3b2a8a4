"""Bits as they are written and read: text of 0 and 1, since a message has thousands of them, not millions."""

from __future__ import annotations

from intrinsic.errors import CertificateError

MAX_MESSAGE_BYTES = 2**20
"""A longer message certifies nothing: below eleven million samples its bits alone take Occam's gap above 1/2."""


class BitWriter:
    """Collects bits and keeps the ledger: what each named part of the message cost."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._charged = 0
        self.ledger: dict[str, int] = {}

    def __len__(self) -> int:
        return self._length

    def write(self, value: int, width: int) -> None:
        """The integer's lowest `width` bits, highest first; 0 <= value < 2^width."""
        if width:
            self.write_bits(format(value, f"0{width}b"))

    def write_bits(self, bits: str) -> None:
        self._pieces.append(bits)
        self._length += len(bits)

    def charge(self, part: str) -> None:
        """Everything written since the last charge was for this part."""
        self.ledger[part] = self.ledger.get(part, 0) + self._length - self._charged
        self._charged = self._length

    def bits(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def to_bytes(self) -> bytes:
        """The bits from the highest of each byte down; the last byte is filled with zeros, which are not charged."""
        size = (self._length + 7) // 8
        return int(self.bits().ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")


class BitReader:
    """Reads what a BitWriter wrote."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_MESSAGE_BYTES:
            raise CertificateError(
                f"expected a message of at most {MAX_MESSAGE_BYTES} bytes, got {len(data)}; longer ones certify nothing"
            )
        self._bits = format(int.from_bytes(data, "big"), f"0{8 * len(data)}b") if data else ""
        self.position = 0

    def left(self) -> int:
        return len(self._bits) - self.position

    def read(self, width: int) -> int:
        """The next `width` bits as an integer, highest first."""
        bits = self.peek(width)
        self.skip(width)
        return int(bits, 2) if bits else 0

    def peek(self, width: int) -> str:
        """Up to `width` of the next bits; fewer at the end."""
        return self._bits[self.position : self.position + width]

    def skip(self, width: int) -> None:
        if width > self.left():
            raise CertificateError(
                f"the message ends {width - self.left()} bits too early: {width} more were expected after bit "
                f"{self.position} of {len(self._bits)}; it is damaged or was cut off"
            )
        self.position += width

    def zeros(self, most: int) -> int:
        """How many zeros come before the next one, which stays unread; at most `most`."""
        start = self.position
        end = self._bits.find("1", start, start + most + 1)
        if end < 0:
            raise CertificateError(
                f"no 1 among the {min(most + 1, self.left())} bits after bit {start} of the message, where the "
                "length of an integer was expected; it is damaged"
            )
        self.position = end
        return end - start
