"""The entropy coder's binding, against a second decoder written from the specification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ui2c import _core

FREQUENCIES = np.array([4000, 96, 500, 3000, 500, 96, 1, 2, 3, 4080, 4, 6], np.uint16)
LENGTHS = np.array([2, 4, 6], np.uint16)
SKIP = 1


def tables(skip: int = SKIP) -> _core.Tables:
    return _core.Tables(FREQUENCIES, LENGTHS, skip)


class Reference:
    """docs/bitstream.md, the entropy coder, word for word."""

    def __init__(self, data: bytes, log2_lanes: int) -> None:
        lanes = 1 << log2_lanes
        self.states = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(lanes)]
        self.data = data
        self.word = 4 * lanes
        self.bits = 0

    def bit(self) -> int:
        byte = self.data[len(self.data) - 1 - self.bits // 8]
        self.bits += 1
        return byte >> (self.bits - 1) % 8 & 1

    def segment(self, indexes: list[int]) -> list[int]:
        symbols = []
        k = 0
        for index in indexes:
            if index < SKIP:
                symbols.append(0)
                continue
            begin = int(LENGTHS[:index].sum())
            frequencies = FREQUENCIES[begin : begin + int(LENGTHS[index])].tolist()
            largest = (len(frequencies) - 2) // 2
            lane = k % len(self.states)
            k += 1
            state = self.states[lane]
            distance = state % 4096
            entry = 0
            while distance >= frequencies[entry]:
                distance -= frequencies[entry]
                entry += 1
            state = frequencies[entry] * (state // 4096) + distance
            if state < 2**16:
                word = int.from_bytes(self.data[self.word : self.word + 2], "little")
                state = state * 2**16 + word
                self.word += 2
            self.states[lane] = state
            symbol = entry - largest
            if symbol > largest:
                prefix = 0
                while self.bit() == 0:
                    prefix += 1
                rest = sum(self.bit() << i for i in range(prefix))
                symbol += 2**prefix + rest - 1
                if self.bit():
                    symbol = -symbol
            symbols.append(symbol)
        return symbols

    def finish(self) -> None:
        assert self.states == [2**16] * len(self.states)
        assert self.word == len(self.data) - (self.bits + 7) // 8
        while self.bits % 8:
            assert self.bit() == 0


element = st.one_of(
    st.just((0, 0)),
    st.tuples(st.integers(1, 2), st.integers(-3, 3)),
    st.tuples(st.integers(1, 2), st.integers(-(2**15), 2**15 - 1)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(element, max_size=40), max_size=3), st.integers(0, 6))
def test_stream_is_what_the_specification_says(
    segments: list[list[tuple[int, int]]], lanes: int
) -> None:
    encoder = _core.RansEncoder()
    for segment in segments:
        indexes = np.array([index for index, _ in segment], np.uint8)
        encoder.put(tables(), indexes, np.array([symbol for _, symbol in segment], np.int16))
    log2_lanes, data = encoder.finish(lanes)
    assert log2_lanes == lanes
    reference = Reference(data, log2_lanes)
    decoder = _core.RansDecoder(data, log2_lanes)
    for segment in segments:
        indexes = np.array([index for index, _ in segment], np.uint8)
        expected = [symbol for _, symbol in segment]
        assert reference.segment(indexes.tolist()) == expected
        assert decoder.get(tables(), indexes).tolist() == expected
    reference.finish()
    decoder.finish()


def test_shape_is_kept_and_finish_empties() -> None:
    encoder = _core.RansEncoder()
    indexes = np.full((2, 3, 4), 2, np.uint8)
    symbols = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    encoder.put(tables(), indexes, symbols)
    log2_lanes, data = encoder.finish()
    assert log2_lanes == 0
    decoded = _core.RansDecoder(data, 0).get(tables(), indexes)
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, symbols)
    assert encoder.finish() == (0, bytes([0, 0, 1, 0]))


def coded(indexes: np.ndarray, symbols: np.ndarray) -> _core.RansDecoder:
    encoder = _core.RansEncoder()
    encoder.put(tables(), indexes, symbols)
    log2_lanes, stream = encoder.finish()
    return _core.RansDecoder(stream, log2_lanes)


def test_symbols_are_written_where_asked() -> None:
    indexes = np.array([[1, 0, 2], [1, 2, 1]], np.uint8)
    symbols = np.array([[1, 0, -2], [0, 1, -1]], np.int16)
    out = np.full(indexes.shape, 77, np.int16)
    assert coded(indexes, symbols).get(tables(), indexes, out=out) is out
    assert (out == symbols).all()
    empty = np.empty(0, np.int16)
    assert coded(indexes, symbols).get(tables(), np.empty(0, np.uint8), out=empty).size == 0


def test_places_that_do_not_fit_are_refused() -> None:
    indexes = np.array([1, 2], np.uint8)
    locked = np.zeros(2, np.int16)
    locked.flags.writeable = False
    wrong = [np.zeros(3, np.int16), np.zeros((1, 2), np.int16), np.zeros(2, np.uint16)]
    wrong += [np.zeros(4, np.int16)[::2], locked, [0, 0]]
    for out in wrong:
        decoder = coded(indexes, np.array([1, -1], np.int16))
        with pytest.raises(ValueError, match="out: want"):
            decoder.get(tables(), indexes, out=out)
        assert decoder.get(tables(), indexes).tolist() == [1, -1]


def test_table_count() -> None:
    assert len(tables()) == 3


def test_arguments_are_checked() -> None:
    index = np.ones(4, np.uint8)
    symbol = np.zeros(4, np.int16)
    encoder = _core.RansEncoder()
    with pytest.raises(ValueError, match="indexes"):
        encoder.put(tables(), index.astype(np.int64), symbol)
    with pytest.raises(ValueError, match="symbols"):
        encoder.put(tables(), index, symbol.astype(np.float32))
    with pytest.raises(ValueError, match="symbols"):
        encoder.put(tables(), index, symbol[:3])
    with pytest.raises(ValueError, match="symbols"):
        encoder.put(tables(), index[::2].copy(), symbol[::2])
    with pytest.raises(ValueError, match="indexes"):
        encoder.put(tables(), np.asfortranarray(np.ones((2, 2), np.uint8)), symbol)
    with pytest.raises(ValueError, match="skipped"):
        encoder.put(tables(), np.zeros(1, np.uint8), np.ones(1, np.int16))
    with pytest.raises(ValueError, match="3 tables"):
        encoder.put(tables(), np.full(1, 3, np.uint8), np.ones(1, np.int16))
    with pytest.raises(ValueError, match="frequencies"):
        _core.Tables(FREQUENCIES + 1, LENGTHS)
    with pytest.raises(ValueError, match="lanes"):
        encoder.finish(7)


def test_damage_is_corrupt() -> None:
    indexes = np.ones(400, np.uint8)
    encoder = _core.RansEncoder()
    encoder.put(tables(), indexes, np.tile(np.array([0, 1, 0, -1], np.int16), 100))
    _, data = encoder.finish(1)
    with pytest.raises(_core.CorruptError, match="words"):
        _core.RansDecoder(data[:-2], 1).get(tables(), indexes)
    with pytest.raises(_core.CorruptError, match="states"):
        _core.RansDecoder(data[:7], 1)
    decoder = _core.RansDecoder(data, 1)
    decoder.get(tables(), indexes[:-1])
    with pytest.raises(_core.CorruptError, match="byte"):
        decoder.finish()
    assert issubclass(_core.CorruptError, _core.Error)
