"""Exact rationals with the roundings of IEEE 754 and of small elements: the arithmetic of the block oracle.

Nothing here comes from the C++ sources. A number is a Fraction; magnitudes and signs are kept apart where -0 matters.
"""
import bisect
import functools
import struct
from fractions import Fraction

INF = "inf"
NAN_BITS = 0x7FC00000


def floor_log2(a):
    """floor(log2(a)) of a positive Fraction."""
    e = a.numerator.bit_length() - a.denominator.bit_length()
    return e if Fraction(2) ** e <= a else e - 1


def round_half_even(a):
    """Nearest integer of a non-negative Fraction, ties to even."""
    whole, rest = divmod(a, 1)
    return int(whole) + (1 if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2) else 0)


def round_float(a, digits=24, emin=-126, emax=127):
    """Magnitude a in binary floating point with `digits` significant bits: Fraction or INF."""
    if a == INF or a == 0:
        return a
    quantum = Fraction(2) ** (max(floor_log2(a), emin) - digits + 1)
    rounded = round_half_even(a / quantum) * quantum
    return INF if rounded >= Fraction(2) ** (emax + 1) else rounded


def f32(a):
    """Signed Fraction rounded to float32; overflow gives None (no caller lets it happen unseen)."""
    rounded = round_float(abs(a))
    if rounded == INF:
        return None
    return -rounded if a < 0 else rounded


def bits_of(negative, a):
    """float32 bits of a magnitude that is a float32."""
    if a == INF:
        word = 0x7F800000
    else:
        word = struct.unpack("<I", struct.pack("<f", float(a)))[0]
        assert Fraction(struct.unpack("<f", struct.pack("<I", word))[0]) == a
    return word | (0x80000000 if negative else 0)


def value_of(bits):
    """(negative, magnitude) of float32 bits; the magnitude is INF or None for NaN where it is no number."""
    magnitude = bits & 0x7FFFFFFF
    if magnitude > 0x7F800000:
        return bool(bits >> 31), None
    if magnitude == 0x7F800000:
        return bool(bits >> 31), INF
    return bool(bits >> 31), Fraction(struct.unpack("<f", struct.pack("<I", magnitude))[0])


def choose(low, high, a, code, rounding, word):
    """code (value low) or code + 1 (value high) for low <= a < high."""
    share = (a - low) / (high - low)
    half = Fraction(1, 2)
    if rounding == "rtz":
        return code
    if rounding == "sr":
        return code + (word < share * 2**32)
    if share != half:
        return code + (share > half)
    return {"rne": code + code % 2, "rna": code + 1, "rtsm": code}[rounding]


class Float:
    """An element sign | exponent | mantissa, by the table of its magnitudes."""

    is_integer = False

    def __init__(self, bits, exponent_bits, mantissa_bits, bias, policy, signed=True):
        self.bits, self.mantissa_bits, self.policy = bits, mantissa_bits, policy
        self.sign = 1 << (exponent_bits + mantissa_bits) if signed else 0
        count = 1 << (exponent_bits + mantissa_bits)
        reserved = {"ieee": 1 << mantissa_bits, "fn": 1, "fnuz": 0, "none": 0}[policy]
        self.max_code = count - reserved - 1
        self.nan_code = {"ieee": self.max_code + 1 + (1 << max(mantissa_bits - 1, 0)), "fn": count - 1, "fnuz": self.sign,
                         "none": self.max_code}[policy]
        self.has_nan = policy != "none"
        self.value = []
        for code in range(self.max_code + 2):  # one more: the value that would follow the largest
            exponent, mantissa = code >> mantissa_bits, code & ((1 << mantissa_bits) - 1)
            significand = Fraction(mantissa, 1 << mantissa_bits) + (1 if exponent else 0)
            self.value.append(significand * Fraction(2) ** (max(exponent, 1) - bias))
        self.max = self.value[self.max_code]

    def encode(self, negative, a, rounding="rne", word=0, overflow="sat"):
        sign = self.sign if negative else 0
        if a is None:
            return self.nan_code
        if overflow == "sat" or self.policy == "none":
            if a == INF or a >= self.max:
                return sign | self.max_code
        elif a == INF or a >= self.value[-1]:
            if rounding == "rtz" and a != INF:
                return sign | self.max_code
            return sign | (self.max_code + 1) if self.policy == "ieee" else self.nan_code
        i = bisect.bisect_right(self.value, a) - 1
        code = choose(self.value[i], self.value[i + 1], a, i, rounding, word)
        if code == 0 and self.policy == "fnuz":  # no -0
            return 0
        if code > self.max_code and self.policy != "ieee":
            return self.nan_code
        return sign | code

    def decode(self, code):
        """(negative, magnitude) as value_of."""
        if self.policy == "fnuz" and code == self.sign:
            return False, None
        negative, magnitude = bool(code & self.sign), code & ~self.sign
        if magnitude <= self.max_code:
            return negative, self.value[magnitude]
        return negative, INF if self.policy == "ieee" and magnitude == self.max_code + 1 else None


class Float32:
    """The same interface for binary32 itself; its codes are the bits."""

    is_integer, bits, nan_code, has_nan = False, 32, NAN_BITS, True
    max = (2 - Fraction(2) ** -23) * 2**127
    mantissa_bits = 23

    def encode(self, negative, a, rounding="rne", word=0, overflow="sat"):
        assert rounding == "rne"
        rounded = round_float(a)
        return bits_of(negative, self.max if rounded == INF else rounded)

    def decode(self, code):
        return value_of(code)


class Integer:
    """Two's complement, codes low .. high, step 1; saturates."""

    is_integer, has_nan, nan_code = True, False, 0

    def __init__(self, bits, full=False):
        self.bits, self.high = bits, 2 ** (bits - 1) - 1
        self.low = -self.high - (1 if full else 0)
        self.max = Fraction(self.high)

    def encode(self, negative, a, rounding="rne", word=0, overflow="sat"):
        if a is None:
            return 0
        limit = -self.low if negative else self.high
        whole = limit if a == INF or a >= limit else choose(a // 1, a // 1 + 1, a, int(a // 1), rounding, word)
        return (-whole if negative else whole) & ((1 << self.bits) - 1)

    def decode(self, code):
        value = code - (1 << self.bits) if code >> (self.bits - 1) else code
        return value < 0, Fraction(abs(value))


class Codebook:
    """Values by code; thresholds are float32 midpoints and a value on one takes the lower neighbour."""

    is_integer, has_nan = False, False

    def __init__(self, bits, words):
        self.bits, self.values = bits, [value_of(w) for w in words]
        order = sorted((-a if n else a, code) for code, (n, a) in enumerate(self.values) if not (n and a == 0))
        self.order = [code for _, code in order]
        self.thresholds = [f32((order[i][0] + order[i + 1][0]) / 2) for i in range(len(order) - 1)]
        self.max = order[-1][0]
        self.minus_zero = next((c for c, (n, a) in enumerate(self.values) if n and a == 0), None)
        self.nan_code = self.encode(False, Fraction(0))

    def encode(self, negative, a, rounding="rne", word=0, overflow="sat"):
        assert rounding == "rne"
        if a is None:
            return self.nan_code
        x = Fraction(10**9) if a == INF else a
        x = -x if negative else x
        code = self.order[sum(t < x for t in self.thresholds)]
        if negative and self.values[code][1] == 0 and self.minus_zero is not None:
            return self.minus_zero
        return code

    def decode(self, code):
        return self.values[code]


NF4_WORDS = [int(w, 16) for w in
             "bf800000 bf3239b1 bf066b30 beca32a0 be91a24d be3d353f bdba7871 00000000 3da2faff 3e24cae3 3e7c04dd 3ead033a "
             "3ee1a4b8 3f1007ab 3f3913b3 3f800000".split()]
BNB_FP4_WORDS = [int(w, 16) for w in "00000000 3baaaaab 3f2aaaab 3f800000 3eaaaaab 3f000000 3e2aaaab 3e800000".split()]
BNB_FP4_WORDS += [w | 0x80000000 for w in BNB_FP4_WORDS]


@functools.lru_cache(None)
def element(name, full=False):
    if name.startswith("int"):
        return Integer(int(name[3:]), full)
    return {
        "e4m3": lambda: Float(8, 4, 3, 7, "fn"), "e5m2": lambda: Float(8, 5, 2, 15, "ieee"),
        "e2m3": lambda: Float(6, 2, 3, 1, "none"), "e3m2": lambda: Float(6, 3, 2, 3, "none"),
        "e2m1": lambda: Float(4, 2, 1, 1, "none"), "e3m4": lambda: Float(8, 3, 4, 3, "ieee"),
        "e4m3_ieee": lambda: Float(8, 4, 3, 7, "ieee"), "fp16": lambda: Float(16, 5, 10, 15, "ieee"),
        "e4m3fnuz": lambda: Float(8, 4, 3, 8, "fnuz"), "e4m3b11fnuz": lambda: Float(8, 4, 3, 11, "fnuz"),
        "e5m2fnuz": lambda: Float(8, 5, 2, 16, "fnuz"), "tf32": lambda: Float(19, 8, 10, 127, "ieee"),
        "bf16": lambda: Float(16, 8, 7, 127, "ieee"), "fp32": Float32,
        "ue4m3": lambda: Float(7, 4, 3, 7, "fn", signed=False),
        "ue1m6": lambda: Float(7, 1, 6, 0, "fn", signed=False), "uint8": lambda: Float(8, 1, 7, -6, "fn", signed=False),
        "nf4": lambda: Codebook(4, NF4_WORDS), "bnb_fp4": lambda: Codebook(4, BNB_FP4_WORDS),
    }[name]()


def philox_word(seed, stream, index):
    """Word `index` of a stream: Philox4x32-10 (Salmon et al., SC'11)."""
    mask = 0xFFFFFFFF
    block = index // 4
    c = [block & mask, block >> 32, stream & mask, stream >> 32]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c[index % 4]
