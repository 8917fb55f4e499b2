"""`tf.train.Example` records of texts, without TensorFlow.

An Example is a protocol buffer: field 1 holds Features, whose field 1 is a map
from names (1) to a Feature (2), whose field 1 is a BytesList, whose field 1 are
the values. Names are in order, so that the same features give the same bytes.
"""

from collections.abc import Iterator, Mapping

_LENGTH_DELIMITED = 2


def encode_example(features: Mapping[str, bytes]) -> bytes:
    """The record whose features each hold one value."""
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _field(1, _field(1, value))))
        for name, value in sorted(features.items(), key=lambda item: item[0].encode())
    ]
    return _field(1, b"".join(entries))


def decode_example(record: bytes) -> dict[str, bytes]:
    """The features of a record that `encode_example` made.

    Raises:
      ValueError: it holds something else.
    """
    features = {}
    for entry in _values(_only_value(record)):
        name, feature = _values(entry, (1, 2))
        features[name.decode()] = _only_value(_only_value(feature))
    return features


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _only_value(message: bytes) -> bytes:
    (value,) = _values(message)
    return value


def _values(message: bytes, numbers: tuple[int, ...] | None = None) -> Iterator[bytes]:
    """The fields of a message, all with number 1, or with these numbers one after the other."""
    position, count = 0, 0
    while position < len(message):
        number = numbers[count] if numbers and count < len(numbers) else 1
        if message[position] != number << 3 | _LENGTH_DELIMITED:
            raise ValueError(f"An Example has the tag {message[position]}, which no export writes.")
        length, position = _read_varint(message, position + 1)
        if position + length > len(message):
            raise ValueError("An Example breaks off within a value.")
        yield message[position : position + length]
        position += length
        count += 1


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(message):
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("An Example breaks off within a length.")
