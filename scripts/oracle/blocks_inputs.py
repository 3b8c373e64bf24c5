"""Input vectors of the block oracle: edges first, then random data. float32 bits."""
import random
import struct

FLT_MAX, INF, NAN = 0x7F7FFFFF, 0x7F800000, 0x7FC00000
MINUS = 0x80000000
LENGTH = 70  # two groups of 32 (four of 16) and a ragged one; shorter than a group of 128


def bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def noise(rng, scale=1.0, n=LENGTH):
    return [bits(scale * rng.gauss(0, 1)) for _ in range(n)]


def with_maximum(rng, word, n=LENGTH):
    """Values below the one of bits `word`, which stands in each of the first two groups of 32."""
    top = struct.unpack("<f", struct.pack("<I", word))[0]
    values = [bits(top * rng.uniform(-1, 1)) for _ in range(n)]
    values = [w if (w & 0x7FFFFFFF) <= word else word for w in values]
    values[5], values[40] = word, word | MINUS
    return values


def log_uniform(rng, low, high, n=LENGTH):
    return [bits(rng.choice((-1, 1)) * 2.0 ** rng.uniform(low, high)) for _ in range(n)]


def two_level_ties(a_tensor):
    """Blocks of 16 whose maximum sits within an ulp of a tie of the E4M3 block scale, and elements near ties of E2M1."""
    single = lambda v: struct.unpack("<f", struct.pack("<f", v))[0]  # noqa: E731
    g = single(a_tensor / 2688)
    out = [bits(a_tensor)] + [0] * 15
    for k, tie in enumerate((8.5, 9.5, 11.5, 13.5, 17, 23, 30, 42, 60, 76, 120, 136, 200, 232, 248, 400)):
        amax = bits(tie * 6 * g) + k % 3 - 1
        scale = single(round(tie) * g)
        out += [amax] + [bits(single(t * scale)) for t in (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)] + [0] * 8
    return out


def inputs():
    """Dictionary name -> list of bits."""
    rng = random.Random(20250101)
    block_a = [bits(v) for v in (7, -5, 3.5, 2.5, -1.75, 1.25, 0.75, -0.25, 0.3125, -0.1, 0.0, -0.0)]
    out = {
        "block_a": block_a + [0] * 20,
        "block_b": [bits(v) for v in (500, -464, 30.5, 29, 1.0625, 0.013671875, 2.0**-10, 0.00097656256, -0.0029296875, 0.001)],
        "block_c": [bits(v) for v in (1.995, -1.99, 0.5078125, 0.4921875, 0.0078125, -0.0234375, 0.015625)],
        "block_d": [bits(v) for v in (2.0**-130, 0, 0, 2.0**-131, -(2.0**-128))],
        "nvfp4": [bits(v) for v in (10.5, -8.75, 6.125, 4.375, -3.0625, 2.1875, 1.3125, -0.4375)] + [0] * 8
        + [bits(v) for v in (0.6, -0.5, 0.35, 0.3, -0.2, 0.1, 0.05, -0.02)] + [0] * 8
        + [bits(v) for v in (0.0002, -0.0001, 0.00004, 0.000005)] + [0] * 12 + [bits(0.00001), bits(-0.000004)] + [0] * 14,
        "nvint4": [bits(v) for v in (12.25, -8.75, 6.125, 4.375, -3.0625, 2.1875, 0.875, -0.4375)] + [0] * 8
        + [bits(v) for v in (0.6, -0.5, 0.35, 0.3, -0.2, 0.1, 0.05, -0.02)] + [0] * 8,
        "zeros": [0, MINUS] * 35,
        "empty": [],
        "one_value": [bits(-3.3)],
        "single_outlier": [bits(1e-4 * rng.gauss(0, 1)) for _ in range(9)] + [bits(1000.0)] + noise(rng, 1e-4, 60),
        "one_hot": [0] * 33 + [bits(-2.7)] + [0] * 36,
        "subnormals": [rng.getrandbits(23) >> rng.randrange(24) | (rng.getrandbits(1) << 31) for _ in range(LENGTH)],
        "tiniest": [1, MINUS | 1, 2, 3, 0] * 7,
        "nan": noise(rng)[:35] + [NAN] + noise(rng)[:34],
        "minus_nan": [MINUS | NAN] + noise(rng, 3.0, 69),
        "inf": noise(rng)[:50] + [INF, MINUS | INF] + noise(rng)[:18],
        "all_special": [NAN, INF, MINUS | INF, MINUS | NAN, 0x7F800001] * 8 + noise(rng)[:30],
        "flt_max": [FLT_MAX] + noise(rng, 1e38, 40) + [MINUS | FLT_MAX] + noise(rng, 1.0, 28),
        "both_flt_max": [FLT_MAX, MINUS | FLT_MAX, bits(1e38), bits(-2e38), 0, bits(5e37)] * 11,
        "flt_max_and_tiny": [FLT_MAX] + [1, 0, MINUS | 3] * 11 + noise(rng, 1e-30, 36),
        "constant": [bits(0.3)] * LENGTH,
        "constant_negative": [bits(-1.7)] * 40 + [bits(-1.6)] * 30,
        "positive": [bits(abs(rng.gauss(5, 1))) for _ in range(LENGTH)],
        "offset": [bits(rng.gauss(-100, 1)) for _ in range(LENGTH)],
        "ties": [bits(k / 16) for k in range(-32, 32)] + [bits(7.5), bits(-6.5), bits(3.5), bits(0.5), bits(-0.25), bits(2.0)],
        "integer_ties": [bits(k + 0.5) for k in range(-16, 15)] + [bits(15.0)] + [bits(k / 2) for k in range(-14, 14)] + [bits(7.0)] * 10,
        "levels_of_e4m3": [bits(448.0 - 32 * k) for k in range(15)] + [bits(2.0**-k) for k in range(0, 55)],
        "wide": log_uniform(rng, -20, 1),
        "whole_range": log_uniform(rng, -148, 127.9),
        "small_normals": log_uniform(rng, -130, -118),
        "large": log_uniform(rng, 110, 127.9),
        "descending_blocks": [bits(2.0 ** (-2 * (i // 16)) * rng.gauss(0, 1)) for i in range(64)] + [bits(2.0**-22 * rng.gauss(0, 1)) for _ in range(48)],
    }
    for name, value in dict(a=4.9375, b=10.5, c=3.14159, d=1.0).items():
        out[f"two_level_ties_{name}"] = two_level_ties(value)
    # -min / s of the integer zero point is k + 1/2 for 2, 3, 4, 8 bits in turn
    out["zero_point_ties"] = [w for low, high in ((-0.5, 2.5), (-2.5, 4.5), (-2.5, 12.5), (-100.5, 154.5))
                              for w in [bits(low), bits(high)] + [bits(low + (high - low) * k / 16) for k in range(14)]]
    # mean |x| is 10, so that 7 is on the threshold of TWN; then one ulp above
    out["threshold"] = [bits(v) for v in [7.0] + [10.0, -10.0] * 4 + [-10.0] + [10.5, -10.5] * 3]
    out["threshold"] += [bits(7.0) + 1] + out["threshold"][1:16] + [bits(-7.0)] + out["threshold"][1:16]
    # amax at and one ulp around powers of two and the largest mantissa of each element; the mantissas where `even` turns
    for name, mantissa in dict(one=0.0, e2m1=0.5, e4m3=0.75, e2m3=0.875, int8=0.984375, int6=0.9375, even1=0.75, even2=0.875,
                               even3=0.9375).items():
        middle = bits(1 + mantissa)
        for step in (-1, 0, 1):
            exponent = rng.randrange(-40, 40)
            out[f"max_{name}_{step:+d}"] = with_maximum(rng, middle + step + (exponent << 23))
    for name, word in dict(min_normal=0x00800000, below_normal=0x007FFFFF, half_normal=0x00400000, above_half=0x00400001).items():
        out[f"max_{name}"] = with_maximum(rng, word)
    for k, scale in enumerate((1.0, 1.0, 1e-3, 700.0, 3e-38, 1e37)):
        out[f"gauss_{k}"] = noise(rng, scale)
    return out
