"""Streams that mean harm: checksums right, something else impossible. Every one must be refused."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
from format_cases import field, raw_bits, whole_field
from numcodecs import zstd
from stream_parts import Parts, seal, split

import fzdask
from fzdask.format import BOUND_KINDS, SectionEntry, StageEntry, varint

QUANTIZE, LORENZO, HUFFMAN, ZSTD, SHUFFLE = 1, 2, 3, 4, 5
HUGE = (
    (2**62,), (2**63 - 1,), (2**63,), (10**12,), (10**6, 10**6), (2**31, 2**31), (2**32,) * 64,
    (0, 2**62, 2**62), (2**62, 0, 2**62), (2**61, 0, 3), (1, 2**40, 1),
)  # fmt: skip


def parts(array, **config) -> Parts:
    return Parts.of(fzdask.compress(array, **config))


def default() -> Parts:
    """Floats through quantize | lorenzo | huffman | zstd, in four groups, with outliers."""
    x = (whole_field((10, 100), 2, step=60) / 64).astype("f4")
    x.reshape(-1)[5:9] = np.nan
    return parts(x, abs=1 / 16, pipeline="quantize | lorenzo | huffman(group=256) | zstd")


def with_runs() -> Parts:
    spots = np.zeros((40, 50), "f4")
    spots.reshape(-1)[::571] = 3
    return parts(spots, abs=1e-3)


def lattice() -> Parts:
    """Only a lattice of 4 bytes."""
    return parts(field((7, 9), "f8"), abs=1 / 16, pipeline="quantize | lorenzo")


def integers() -> Parts:
    return parts(field((20, 23), "i4"), abs=2)


def shuffled() -> Parts:
    return parts(field((40, 50), "i2"), lossless=True, pipeline="shuffle | zstd")


def stored() -> Parts:
    return parts(raw_bits(6, 1), lossless=True)


BASES = {f.__name__: f() for f in (default, with_runs, lattice, integers, shuffled, stored)}


def shapes() -> Iterator[tuple[str, bytes]]:
    for name, base in BASES.items():
        shape = base.header.shape
        for other in (*HUGE, (*shape, 2), (shape[0] + 1, *shape[1:]), (0, *shape), (0,)):
            yield f"{name} of shape {other}", base.alter(shape=other).join()
        if base.header.size > 1:
            yield f"{name} of no axes", base.alter(shape=()).join()
        yield f"{name} of 64 axes", base.alter(shape=(1,) * 64).join()
        yield f"{name} of 255 axes", base.alter(shape=(1,) * 255).join()
    fields, payload = split(BASES["stored"].join())
    for mask in (0b10, 0x80, 0xFF):  # after the dtype's byte and the number of axes
        yield f"mask {mask:#b} of one axis", seal(fields[:2] + bytes([mask]) + fields[3:], payload)


def bounds() -> Iterator[tuple[str, bytes]]:
    for name in ("default", "with_runs", "lattice"):
        for bound in (0.0, -0.0, -1.0, float("nan"), float("inf"), 5e-324, 1e-310, 1.7e308):
            yield f"{name} within {bound}", BASES[name].alter(asked=bound, resolved=bound).join()
        yield f"{name} lossless", BASES[name].alter(bound_kind="lossless").join()
    for bound in (0.5, -1.0, 2.0**62, 1e300, float("nan"), float("inf")):
        yield f"integers within {bound}", BASES["integers"].alter(resolved=bound).join()
    fields, payload = split(BASES["integers"].join())
    at = fields.index(struct.pack("<d", 2.0)) - 1
    for kind in (len(BOUND_KINDS), 7, 128, 255):
        other = fields[:at] + bytes([kind]) + fields[at + 1 :]
        yield f"bound of kind {kind}", seal(other, payload)


def dtypes() -> Iterator[tuple[str, bytes]]:
    for name, base in BASES.items():
        fields, payload = split(base.join())
        for number in range(14, 63):
            yield f"{name} of dtype {number}", seal(bytes([number]) + fields[1:], payload)
        for byte in (0x80, 0x81, 0x85):
            yield f"{name} of dtype byte {byte:#x}", seal(bytes([byte]) + fields[1:], payload)
    for name in ("default", "with_runs", "lattice", "integers"):
        for dtype in ("?", "S4", "U1", "M8[s]", "m8[s]", "V4", "f4,f4", "S0", "<f16", "<c32"):
            if np.dtype(dtype).itemsize in (16, 32) and np.dtype(dtype).kind not in "fc":
                continue  # a platform without the wide floats
            other = BASES[name].alter(dtype=np.dtype(dtype)).join()
            yield f"{name} of {dtype}", other
    for text in (
        b"", b"'O'", b"[('a','O')]", b"'T'", b"('<f4',(3,))", b"('<f4',(2**40,))", b"5", b"None",
        b"()", b"(1,)", b"[1]", b"[()]", b"[('a',)]", b"['a',", b"{", b"'<f4", b"'nonsense'",
        b"'<U99999999999'", b"'V-1'", b"b'f4'", b"'\\ud800'", b"[('a','f4'),('a','f4')]",
        b"[('a','f4',-1)]", b"[('a','<f4',(9999999999999999999,))]", b"__import__('os')",
        b"\xff\xfe", b"\0", b"-" * 9000 + b"1", b"+".join([b"1"] * 9000), b"(" * 9000,
        b"[" * 150 + b"]" * 150, b"1" * 9000, b"'" + b"a" * 9000 + b"'", b"f4", b"'|M8[1e9s]'",
    ):  # fmt: skip
        fields, payload = split(BASES["stored"].join())
        described = b"\x3f" + varint(len(text)) + text + fields[1:]
        yield f"described as {text[:30]!r}", seal(described, payload)
        yield f"big-endian {text[:30]!r}", seal(b"\xbf" + described[1:], payload)
    fields, payload = split(BASES["stored"].join())
    yield "described beyond its end", seal(b"\x3f" + varint(2**62) + b"'u8'", payload)
    for dtype, n in (("S0", 2**62), ("V0", 2**63 - 1), ("S0", 2**80), ("f4", 0)):
        name = f"shuffle of {n} elements of {dtype}"
        base = BASES["shuffled"].with_raw(0, b"").apply(0, 0)
        yield name, base.alter(dtype=np.dtype(dtype), shape=(n,)).join()
    for n in (2**63, 2**80, 3 * 2**62):
        base = BASES["stored"].with_raw(0, b"")
        yield f"{n} elements of no bytes", base.alter(dtype=np.dtype("S0"), shape=(n,)).join()


def chains() -> Iterator[tuple[str, bytes]]:
    for name, base in BASES.items():
        entries = base.header.stages
        for code in (0, 6, 7, 8, 63, 2**40, 2**59):
            yield f"{name} and stage {code}", base.alter(stages=(*entries, _stage(code))).join()
        for at, entry in enumerate(entries):
            for parameters in (b"", b"\0", b"\xff", b"\x04\x04", bytes(6), bytes(7), bytes(300)):
                if parameters != entry.params and not (len(parameters) == 1 and entry.code == 2):
                    other = base.with_parameters(at, parameters).join()
                    yield f"{name}: stage {entry.code} with {parameters[:9]!r}", other
    for width in (0, 1, 2, 3, 5, 7, 8, 16, 255):
        yield f"lattice of {width}", BASES["lattice"].with_parameters(0, bytes([width])).join()
    for group in (*range(8), *range(15, 256)):
        for tail in (b"", b"\0\0"):
            other = BASES["default"].with_parameters(2, bytes([group]) + tail).join()
            yield f"groups of 2**{group}{tail!r}", other
    for mask in (0b100, 0b1000, 0x80, 0xFF):
        yield f"axes {mask:#b}", BASES["lattice"].with_parameters(1, bytes([mask])).join()
    raw = BASES["lattice"].with_raw(0, bytes(7 * 9 * 8))
    for codes in (
        [ZSTD], [LORENZO], [HUFFMAN], [LORENZO, QUANTIZE], [ZSTD, QUANTIZE], [QUANTIZE, QUANTIZE],
        [QUANTIZE, SHUFFLE], [SHUFFLE, QUANTIZE], [SHUFFLE, SHUFFLE], [SHUFFLE, LORENZO],
        [QUANTIZE, ZSTD, LORENZO], [QUANTIZE, HUFFMAN, LORENZO], [QUANTIZE, HUFFMAN, HUFFMAN],
    ):  # fmt: skip
        told = {QUANTIZE: b"\x08", LORENZO: b"\0", HUFFMAN: b"\x0c"}
        stages = tuple(StageEntry(code, told.get(code, b"")) for code in codes)
        last = sum(code != ZSTD for code in codes) - 1
        for at in {max(last, 0), 0}:
            entry = (SectionEntry(at, 0, 0, (0,)),)
            yield f"chain {codes} {at}", raw.alter(stages=stages, sections=entry).join()
    fields, payload = split(BASES["stored"].join())
    yield "255 stages that are not there", seal(fields[:-3] + b"\xff", payload)


def _stage(code: int) -> StageEntry:
    return StageEntry(code, b"")


def sections() -> Iterator[tuple[str, bytes]]:
    for name, base in BASES.items():
        entries = base.header.sections
        for k in range(len(entries)):
            yield f"{name} without section {k}", base.without(k).join()
            twice = dataclasses.replace(base.alter(sections=(*entries, entries[k])),
                                        raw=(*base.raw, base.raw[k]))  # fmt: skip
            yield f"{name} with section {k} twice", twice.join()
            true = Parts.of(base.join()).header.sections[k].sizes
            for lie in ((1 << 62,), (0,), (2**63 - 1, 2**62), (*true, 0), (true[0] + 1, *true)):
                sizes = [lie if j == k else e.sizes for j, e in enumerate(entries)]
                alter = base.apply(k, (1 << len(lie) - 1) - 1)
                yield f"{name} section {k} sizes {lie}", alter.join(sizes=sizes)
            for longer in (base.raw[k] + b"\0", base.raw[k][:-1], b"", base.raw[k] * 2):
                if longer != base.raw[k]:
                    yield f"{name} section {k} of {len(longer)}", base.with_raw(k, longer).join()
        for stage in range(len(base.header.stages) + 2):
            for number in range(8):
                if (stage, number) in [(e.stage, e.number) for e in entries]:
                    continue
                more = SectionEntry(stage, number, 0, (0,))
                other = dataclasses.replace(
                    base.alter(sections=(*entries, more)), raw=(*base.raw, b"")
                )
                yield f"{name} and section {stage}.{number}", other.join()
        for mask in (1 << len(base.header.stages), 1 << 61, 0b110):
            yield f"{name} back ends {mask:#b}", base.apply(0, mask).join()
    fields, payload = split(BASES["stored"].join())
    assert fields.endswith(b"\x00\x30")
    yield "way 3", seal(fields[:-2] + b"\x03\x30", payload)
    yield "a section that ends early", seal(fields[:-1], payload)
    yield "a varint of ten bytes", seal(fields[:-1] + b"\xb0" + b"\x80" * 8 + b"\x00", payload)
    yield "a varint without end", seal(fields[:-1] + b"\x80" * 40, payload)
    for length in range(len(fields)):
        yield f"{length} bytes of fields", seal(fields[:length], payload)


def frames() -> Iterator[tuple[str, bytes]]:
    """zstd frames that are not what the header says."""
    base = BASES["shuffled"]
    raw = base.raw[0]
    good = bytes(zstd.compress(raw, 1))
    start = len(good) - len(_frame_body(good))
    body = _frame_body(good)

    def told(frame: bytes, size: int = len(raw)) -> bytes:
        entry = SectionEntry(0, 0, 1, (size, len(frame)))
        fields = split(base.alter(sections=(entry,)).join(sizes=[entry.sizes]))[0]
        return seal(fields, frame)

    assert fzdask.decompress(told(good)).nbytes == len(raw)
    magic = good[:4]
    empty = bytes(zstd.compress(b"", 1))
    yield "another content size", told(good, len(raw) + 1)
    yield "a smaller content size", told(good, len(raw) - 1)
    yield "the raw bytes", told(raw)
    yield "two frames", told(good + good)
    yield "a frame and an empty one", told(good + empty)
    yield "an empty frame first", told(empty + good)
    yield "a frame and a byte", told(good + b"\0")
    yield "a frame and a skippable one", told(good + b"\x50\x2a\x4d\x18\x01\0\0\0\0")
    yield "a skippable frame first", told(b"\x50\x2a\x4d\x18\x01\0\0\0\0" + good)
    yield "no content size", told(magic + b"\x00\x58" + body)
    yield "a dictionary", told(magic + b"\x61\x07" + len(raw).to_bytes(2, "little") + body)
    yield "a reserved bit", told(magic + bytes([good[4] | 8]) + good[5:])
    for size in (len(raw) - 1, len(raw) + 1, 2**40, 2**62, 2**64 - 1):
        frame = magic + b"\xe0" + size.to_bytes(8, "little") + body
        yield f"content of {size}, told the truth", told(frame)
        if size < 2**63:
            yield f"content of {size}, told so", told(frame, size)
    for cut in range(1, len(good)):
        if cut < start + 8 or cut % 40 == 0:
            yield f"{cut} bytes of a frame", told(good[:cut])
    block = b"\x02\x00\x10" + b"\0"  # RLE: 128 KiB of zeros, not the last block
    bomb = magic + b"\xe0" + (2**40).to_bytes(8, "little") + block * 200
    yield "a bomb of 2**40", told(bomb, 2**40)
    size = 200 << 17
    bomb = magic + b"\xe0" + size.to_bytes(8, "little") + block * 199 + b"\x03\x00\x10\0"
    yield "a bomb that decodes", told(bomb, size)
    yield from _nested_bombs()


def _frame_body(frame: bytes) -> bytes:
    """The blocks of a frame made here: one segment, no dictionary."""
    assert frame[4] & 0b0010_1111 == 0b0010_0000
    return frame[5 + (1, 2, 4, 8)[frame[4] >> 6] :]


def _nested_bombs() -> Iterator[tuple[str, bytes]]:
    """Back ends upon back ends: a few bytes that would stand for terabytes."""
    for depth in (2, 3, 40, 254):
        stages = (StageEntry(SHUFFLE, b""), *[StageEntry(ZSTD, b"")] * depth)
        n = 2**41
        inner = bytes(zstd.compress(zstd.compress(bytes(1 << 24), 1), 1))
        sizes = (n, *range(5000 + depth, 5001, -1), len(inner))
        entry = SectionEntry(0, 0, (1 << depth) - 1, sizes)
        if depth > 62:  # the mask is a varint of at most 63 bits
            entry = SectionEntry(0, 0, (1 << 62) - 1, sizes[:63])
        base = BASES["shuffled"].alter(
            dtype=np.dtype("u1"), shape=(n,), stages=stages, sections=(entry,)
        )
        fields = split(base.join(sizes=[entry.sizes]))[0]
        yield f"{depth} nested frames", seal(fields, inner)
    frame = bytes(zstd.compress(bytes(1 << 26), 1))
    inner = bytes(zstd.compress(frame, 1))
    yield "2 nested frames of true sizes", _bytes_of((1 << 26, len(frame), len(inner)), inner)
    long = b"\x28\xb5\x2f\xfd\xa0" + (1 << 30).to_bytes(4, "little")
    long += (100_000 << 3 | 1).to_bytes(3, "little") + bytes(100_000)  # one raw block, the last
    yield "one block told to be a gigabyte", _bytes_of((1 << 30, len(long)), long)


def _bytes_of(sizes: tuple[int, ...], frame: bytes) -> bytes:
    """A stream of bytes whose one section has these sizes."""
    stages = (StageEntry(SHUFFLE, b""), *[StageEntry(ZSTD, b"")] * (len(sizes) - 1))
    entry = SectionEntry(0, 0, (1 << len(sizes) - 1) - 1, sizes)
    base = BASES["shuffled"].alter(
        dtype=np.dtype("u1"), shape=sizes[:1], stages=stages, sections=(entry,)
    )
    return seal(split(base.join(sizes=[sizes]))[0], frame)


def huffman() -> Iterator[tuple[str, bytes]]:
    """Groups, codebooks and codes that no encoder writes."""
    for name in ("default", "with_runs"):
        base = BASES[name]
        at = base.header.stages.index(next(e for e in base.header.stages if e.code == HUFFMAN))
        main, book, groups = (base.index(at, k) for k in range(3))
        sizes = np.frombuffer(base.raw[groups], "<u2").astype(int)
        for k in range(sizes.size):
            for change in (-sizes[k], 1, -1, 65535 - sizes[k]):
                other = sizes.copy()
                other[k] += change
                yield f"{name} group {k} {change:+}", base.with_raw(groups, _u2(other)).join()
                if k:
                    other[0] -= change
                    if (other >= 0).all() and (other < 65536).all():
                        shifted = base.with_raw(groups, _u2(other)).join()
                        yield f"{name} group {k} {change:+}, sum kept", shifted
        longer = sizes.copy()
        longer[-1] += 1
        grown = base.with_raw(groups, _u2(longer)).with_raw(main, base.raw[main] + bytes(4))
        yield f"{name} a word too many", grown.join()
        yield f"{name} all ones", base.with_raw(main, b"\xff" * len(base.raw[main])).join()
        for text, bits in codebooks():
            yield f"{name} codebook {text}", base.with_raw(book, _bits(bits)).join()
    base = BASES["default"]
    direct = _bits(f"{737:010b}" + "11100000" + "1111111111" * 11 + "1111011110" + "10")
    other = base.with_raw(base.index(2, 1), direct)
    yield "run symbols without runs", other.join()
    runs = BASES["with_runs"]
    for symbol in (1, 2, 511, 512, 747, 65535):
        other = runs.with_parameters(2, b"\x0c" + struct.pack("<H", symbol))
        if symbol >= 512:
            yield f"runs of symbol {symbol}", other.join()
    code = _bits(f"{743:010b}" + "11100000" + "1111111111" * 11 + "1111100100" + "0")
    for length, bits in ((2001, "1" + "1111010001"), (4096, "1" * 12)):
        if length <= 2048:
            words = _bits((bits + "0" * 32)[:32])[::-1]
            other = runs.with_raw(runs.index(2, 1), code).with_raw(runs.index(2, 0), words)
            yield f"a run of {length} in a group of 2000", other.join()


def codebooks() -> Iterator[tuple[str, str]]:
    """Bit strings that are no codebook."""
    unused = "1111"
    yield "of no bits", ""
    yield "of nine bits", "0" * 8
    yield "of no symbols", "0" * 10
    yield "of no symbols, longer", "0" * 32
    for entries in (749, 1000, 1023):
        yield f"of {entries} symbols", f"{entries:010b}" + "0" * entries
    yield "too full", f"{748:010b}" + "0" * 748
    yield "too empty", f"{3:010b}" + "000"
    yield "of one long code", f"{1:010b}" + "10"
    yield "of three codes of one bit", f"{3:010b}" + "11100000" + "00"
    yield "of length 17", f"{10:010b}" + "10" * 9 + "0"
    yield "of length 0", f"{9:010b}" + "110" * 8 + "0"
    yield "that ends early", f"{700:010b}" + "0" * 20
    yield "that ends in a prefix", f"{300:010b}" + "0" * 3 + "111"
    yield "that ends unused", f"{66:010b}" + "11100000" + "0" + unused + "111111"
    yield "that runs past its end", f"{40:010b}" + "11100000" + "0" + unused + "111111"
    yield "all unused", f"{64:010b}" + unused + "111111"
    yield "with bytes left over", f"{2:010b}" + "11100000" + "0" + "0" * 16


def outliers() -> Iterator[tuple[str, bytes]]:
    base = BASES["default"]
    runs, values = base.index(0, 1), base.index(0, 2)
    n = base.header.size
    four = base.raw[values]
    for text, pairs in {
        "past the end": [n - 3, 4],
        "that start past the end": [n, 4],
        "of 2**62": [0, 2**62],
        "after 2**62": [2**62, 4],
        "after 2**63 - 1": [2**63 - 1, 4],
        "of no length": [5, 4, 7, 0],
        "without length": [5, 4, 7],
        "too few": [5, 3],
        "too many": [5, 5],
        "too many later": [5, 4, 0, 1],
        "of no length at all": [5, 0],
    }.items():
        packed = b"".join(varint(v) for v in pairs)
        yield f"outliers {text}", base.with_raw(runs, packed).join()
    yield "outliers in an endless varint", base.with_raw(runs, b"\x80" * 20).join()
    yield (
        "outliers in a varint of ten bytes",
        base.with_raw(runs, b"\x05" + b"\x84" + b"\x80" * 8 + b"\x00").join(),
    )
    yield "outliers without places", base.with_raw(runs, b"").join()
    yield "places without outliers", base.with_raw(values, b"").join()
    yield "half an outlier", base.with_raw(values, four + b"\0\0").join()
    more = base.with_raw(runs, b"\0" + varint(n + 1)).with_raw(values, bytes(4 * n + 4))
    yield "outliers for all, and one more", more.join()


def _u2(sizes: np.ndarray) -> bytes:
    return sizes.astype("<u2").tobytes()


def _bits(text: str) -> bytes:
    text += "0" * (-len(text) % 8)
    return bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))


GROUPS = (shapes, bounds, dtypes, chains, sections, frames, huffman, outliers)


def all_hostile() -> Iterator[tuple[str, bytes]]:
    for group in GROUPS:
        yield from group()
