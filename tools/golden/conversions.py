"""Exact conversion tables: float32 bit patterns rounded to bf16, f16, float8_e4m3fn and float8_e5m2, and the value
of every fp8 code. torch's casts make the tables; an independent search for the nearest code (ties to even, over
exact integers scaled by a power of two) must agree with every entry before anything is written."""

import random
import struct

import torch

FORMATS = {"bf16": (torch.bfloat16, torch.int16, 16), "f16": (torch.float16, torch.int16, 16),
           "float8_e4m3fn": (torch.float8_e4m3fn, torch.uint8, 8), "float8_e5m2": (torch.float8_e5m2, torch.uint8, 8)}
LARGEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def bits_of(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def float32_of(bits):
    """A float32 tensor from a list of bit patterns."""
    return torch.tensor([b - (1 << 32) if b >> 31 else b for b in bits], dtype=torch.int32).view(torch.float32)


def codes_of(tensor, name):
    """The codes of a float32 tensor cast to a format."""
    dtype, integer, width = FORMATS[name]
    return [code & ((1 << width) - 1) for code in tensor.to(dtype).view(integer).tolist()]


def values_of(codes, name):
    """The codes of a format as a float32 tensor."""
    dtype, integer, width = FORMATS[name]
    signed = [c - (1 << width) if integer is torch.int16 and c >> (width - 1) else c for c in codes]
    return torch.tensor(signed, dtype=integer).view(dtype).float()


def finite_codes(name):
    """Positive finite codes in order; their values ascend."""
    codes = list(range(1 << (FORMATS[name][2] - 1)))
    values = values_of(codes, name)
    return [(code, value) for code, value in zip(codes, values.tolist()) if value == value and value != float("inf")]


def midpoints(pairs):
    """Bit patterns of the points halfway between neighbours (exact in float32), and one float32 step aside."""
    for (_, low), (_, high) in zip(pairs, pairs[1:]):
        middle = bits_of((low + high) / 2)
        yield from (middle - 1, middle, middle + 1)


def adversarial_bits():
    """Zeros, infinities, NaNs, subnormals, limits of each format, every fp8 midpoint, and random patterns."""
    chosen = {0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000,
              0x7F800001, 0x7FBFFFFF, 0x7FFFFFFF}
    for name in FORMATS:
        pairs = finite_codes(name)
        edge = 2 * pairs[-1][1] - pairs[-2][1]
        over = [(None, pairs[-1][1]), (None, edge)] if edge < 3.4e38 else []
        if name in LARGEST:
            chosen.update(midpoints(pairs + over[1:]))
        else:
            last_subnormal = 1 << (7 if name == "bf16" else 10)
            one = next(i for i, (_, value) in enumerate(pairs) if value == 1.0)
            for start in (0, last_subnormal - 2, one - 2, len(pairs) - 4):
                chosen.update(midpoints(pairs[start:start + 4]))
            chosen.update(midpoints(over))
        chosen.update(bits_of(value) for _, value in (pairs[1], pairs[-1]))
    chosen.update((0x7F7F7FFF, 0x7F7F8000, 0x7F7F8001))
    draw = random.Random(42)
    for low, high in ((-45, 39), (-9, 6)):
        chosen.update(bits_of(10 ** draw.uniform(low, high - 0.6)) for _ in range(60))
    ordered = sorted(chosen)
    negative = [bits | 0x80000000 for bits in ordered if bits in (0, 1, 0x7F7FFFFF, 0x7F800000, 0x7FC00000)]
    negative += [bits | 0x80000000 for bits in draw.sample(ordered, 120)]
    return ordered + sorted(set(negative))


def nearest(value, pairs, overflow):
    """The code nearest to a non-negative finite value, ties to the even code; beyond the last midpoint: overflow."""
    scale = 2.0 ** 150
    exact = int(value * scale)
    (last_code, last), (_, before) = pairs[-1], pairs[-2]
    limit = int(last * scale) + (int(last * scale) - int(before * scale)) // 2
    if exact > limit or (exact == limit and last_code % 2 == 1):
        return overflow
    return min(pairs, key=lambda pair: (abs(int(pair[1] * scale) - exact), pair[0] % 2))[0]


def verify(name, bits, codes):
    """Compares torch's codes with the exact search; a NaN is only asked to stay a NaN."""
    pairs = finite_codes(name)
    width = FORMATS[name][2]
    overflow = pairs[-1][0] if name == "float8_e4m3fn" else pairs[-1][0] + 1
    every = values_of(codes, name)
    for pattern, code, decoded in zip(bits, codes, every.tolist()):
        magnitude = float32_of([pattern & 0x7FFFFFFF]).item()
        if magnitude != magnitude:
            assert decoded != decoded, f"{name}: NaN {pattern:08x} became {code:x}"
            continue
        window = pairs
        if width == 16:
            guess = code & 0x7FFF
            window = pairs[max(0, min(guess, len(pairs)) - 3):guess + 3]
        wanted = overflow if magnitude == float("inf") else nearest(magnitude, window, overflow)
        assert code == wanted | (pattern >> 31) << (width - 1), f"{name}: {pattern:08x} -> {code:x}, not {wanted:x}"


def conversion_tables():
    """Rows of hexadecimal codes, one row a float32 pattern, and both fp8 decode tables as float32 patterns."""
    bits = adversarial_bits()
    inputs = float32_of(bits)
    columns = {name: codes_of(inputs, name) for name in FORMATS}
    for name, codes in columns.items():
        verify(name, bits, codes)
    for name, largest in LARGEST.items():
        columns[f"{name} saturated"] = codes_of(inputs.clamp(-largest, largest), name)
    assert columns.pop("float8_e4m3fn saturated") == columns["float8_e4m3fn"], "torch no longer saturates e4m3fn"
    digits = {key: FORMATS[key.split()[0]][2] // 4 for key in columns}
    rows = [" ".join([f"{pattern:08x}", *(f"{columns[key][i]:0{digits[key]}x}" for key in columns)])
            for i, pattern in enumerate(bits)]
    decoded = {}
    for name in LARGEST:
        values = values_of(range(256), name).view(torch.int32).tolist()
        decoded[name] = " ".join(f"{value & 0xFFFFFFFF:08x}" for value in values)
    past = {name: f"{codes_of(torch.tensor([1e9]), name)[0]:02x}" for name in LARGEST}
    print(f"conversions: {len(rows)} rows; torch turns fp8 overflow into {past} (7e: 448, 7c: infinity)")
    return {"rounding": "to nearest, ties to even; subnormals kept; a NaN stays a NaN, its payload is not promised",
            "overflow": "f16, bf16, float8_e5m2: infinity; float8_e4m3fn, which has none: 448, for infinity too (a "
                        "converter that does not saturate gives NaN 7f there, from just above 464); the saturated "
                        "column clamps to 57344 first, infinity too",
            "columns": ["float32", *columns], "rows": rows, "decoded": decoded}
