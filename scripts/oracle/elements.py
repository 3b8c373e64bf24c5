#!/usr/bin/env python3
"""Write tests/vectors/elements: what every element's codes mean and how values are converted to them.

Values come from the field layout of the specifications, in exact rationals; conversions from a search among those
values. Nothing here calls or copies the C++ code. Usage: elements.py [FOLDER]

<name>.tsv           code value                   one row per code (elements of up to 8 bits)
                     code count value step        arithmetic progressions of consecutive codes (wider elements)
<name>.convert.tsv   input, the code under each rounding and overflow that differ, WORD:CODE of stochastic draws (the
                     last word that goes up, the first that does not, another)
"""
import bisect
import struct
import sys
from fractions import Fraction
from pathlib import Path

# name: (exponent bits, mantissa bits, bias, signed, codes at the top: ieee | fn | fnuz | none)
FLOATS = {
    "e4m3": (4, 3, 7, True, "fn"), "e5m2": (5, 2, 15, True, "ieee"), "e2m3": (2, 3, 1, True, "none"),
    "e3m2": (3, 2, 3, True, "none"), "e2m1": (2, 1, 1, True, "none"), "e4m3_ieee": (4, 3, 7, True, "ieee"),
    "e4m3fnuz": (4, 3, 8, True, "fnuz"), "e4m3b11fnuz": (4, 3, 11, True, "fnuz"), "e5m2fnuz": (5, 2, 16, True, "fnuz"),
    "e3m4": (3, 4, 3, True, "ieee"), "fp16": (5, 10, 15, True, "ieee"), "bf16": (8, 7, 127, True, "ieee"),
    "tf32": (8, 10, 127, True, "ieee"), "fp32": (8, 23, 127, True, "ieee"), "ue4m3": (4, 3, 7, False, "fn"),
    "ue1m6": (1, 6, 0, False, "fn"), "ue2m5": (2, 5, 1, False, "fn"), "ue3m4": (3, 4, 3, False, "fn"),
    "ue5m3": (5, 3, 15, False, "fn"), "uint8": (1, 7, -6, False, "fn"),
}
UNSIGNED = {name for name, layout in FLOATS.items() if not layout[3]}
OVERFLOWS = {"fp16", "bf16", "tf32", "fp32"}

NF4_BITS = """bf800000 bf3239b1 bf066b30 beca32a0 be91a24d be3d353f bdba7871 00000000
              3da2faff 3e24cae3 3e7c04dd 3ead033a 3ee1a4b8 3f1007ab 3f3913b3 3f800000"""
FP4_BITS = "00000000 3baaaaab 3f2aaaab 3f800000 3eaaaaab 3f000000 3e2aaaab 3e800000"


def float_of_bits(text):
    return struct.unpack(">f", bytes.fromhex(text))[0]


def float_value(code, layout):
    """The value of one code: a Fraction, or 'nan', 'inf', '-inf', '-0'."""
    exponent_bits, mantissa_bits, bias, signed, top = layout
    width = exponent_bits + mantissa_bits
    negative = signed and code >> width & 1
    field = code >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = code & (1 << mantissa_bits) - 1
    all_ones = (1 << exponent_bits) - 1
    if top == "ieee" and field == all_ones:
        return "nan" if mantissa else "-inf" if negative else "inf"
    if top == "fn" and field == all_ones and mantissa == (1 << mantissa_bits) - 1:
        return "nan"
    if top == "fnuz" and code == 1 << width:
        return "nan"
    if field == 0:
        magnitude = Fraction(mantissa, 1 << mantissa_bits) * Fraction(2) ** (1 - bias)
    else:
        magnitude = (1 + Fraction(mantissa, 1 << mantissa_bits)) * Fraction(2) ** (field - bias)
    if negative:
        return "-0" if magnitude == 0 else -magnitude
    return magnitude


def table_of(name):
    """All codes of an element of up to 8 bits: list of values in code order."""
    if name in FLOATS:
        exponent_bits, mantissa_bits, _, signed, _ = FLOATS[name]
        return [float_value(c, FLOATS[name]) for c in range(1 << exponent_bits + mantissa_bits + signed)]
    if name == "e8m0":
        return [Fraction(2) ** (c - 127) for c in range(255)] + ["nan"]
    if name.startswith("int"):
        bits = int(name[3])
        return [Fraction(c if c < 1 << bits - 1 else c - (1 << bits)) for c in range(1 << bits)]
    if name == "ternary_codebook":
        return [Fraction(-1), Fraction(0), Fraction(1), "nan"]
    if name == "nf4_codebook":
        return [Fraction(float_of_bits(b)) for b in NF4_BITS.split()]
    half = [Fraction(float_of_bits(b)) for b in FP4_BITS.split()]
    return half + ["-0" if v == 0 else -v for v in half]


def text_of(value):
    if isinstance(value, str):
        return {"-0": "-0x0p+0"}.get(value, value)
    assert Fraction(float(value)) == value
    return float(value).hex()


def progressions(name):
    """(code, count, value, step) rows of a wide float: one per sign and exponent field, one per special code run."""
    layout = FLOATS[name]
    exponent_bits, mantissa_bits, bias, signed, _ = layout
    count = 1 << mantissa_bits
    for negative in range(1 + signed):
        for field in range(1 << exponent_bits):
            first = (negative << exponent_bits | field) << mantissa_bits
            step = Fraction(2) ** (max(field, 1) - bias - mantissa_bits) * (-1) ** negative
            if field == (1 << exponent_bits) - 1:
                yield first, 1, float_value(first, layout), Fraction(0)
                yield first + 1, count - 1, "nan", Fraction(0)
                continue
            start = float_value(first, layout)
            for m in (1, count // 3, count - 1):  # the progression holds what the definition says
                assert float_value(first + m, layout) == (0 if start == "-0" else start) + m * step
            yield first, count, start, step


class Search:
    """Nearest values among the finite codes, by magnitude for formats with a sign."""

    def __init__(self, name):
        self.name = name
        self.codebook = name.endswith("codebook")
        unused = -(1 << int(name[3]) - 1) if name.startswith("int") and not name.endswith("full") else None
        values = {}
        for code, value in enumerate(table_of(name)):
            if isinstance(value, Fraction) and value != unused:
                values.setdefault(value, code)
        self.values = sorted(values)
        self.code = values
        self.nan = None
        if name in FLOATS:
            codes = [c for c, v in enumerate(table_of(name)) if v == "nan"]
            layout = FLOATS[name]
            if codes:
                self.nan = codes[0] if layout[4] != "ieee" else codes[0] - 1 + (1 << layout[1] - 1)
        self.infinity = name in FLOATS and FLOATS[name][4] == "ieee"
        if name == "e8m0":
            self.nan = 255

    def negative_zero(self):
        return self.code[Fraction(0)] | len(table_of(self.name)) // 2 if "-0" in table_of(self.name) else self.code[Fraction(0)]

    def convert(self, x, rounding, overflow, word=0):
        """The code of a non-zero Fraction."""
        if self.name == "e8m0" and x < 0:
            return self.nan
        if self.name in UNSIGNED and x < 0:
            nearest = self.convert(-x, "rne" if rounding == "sr" else rounding, overflow)
            return 0 if overflow == "sat" or rounding == "rtz" or nearest == 0 else self.nan
        values = self.values
        at = bisect.bisect_right(values, x)
        if at == 0 or at == len(values):
            return self.beyond(x, rounding, overflow, values[0] if at == 0 else values[-1])
        low, high = values[at - 1], values[at]
        if low == x:
            return self.code[x]
        return self.signed(self.choose(x, low, high, rounding, word), x)

    def signed(self, value, x):
        return self.negative_zero() if value == 0 and x < 0 else self.code[value]

    def choose(self, x, low, high, rounding, word):
        near, far = (low, high) if x > 0 else (high, low)  # near: the smaller magnitude
        if rounding == "rtz":
            return near
        if rounding == "sr":
            return far if word < (x - near) / (far - near) * 2**32 else near
        middle = (low + high) / 2
        if self.codebook:  # published thresholds are floats
            middle = Fraction(struct.unpack("f", struct.pack("f", float(middle)))[0])
        if x != middle:
            return high if x > middle else low
        if rounding == "rna":
            return far
        if rounding == "rtsm":
            return near
        if self.codebook:
            return near if self.name.startswith("ternary") else low
        return near if self.code[near] % 2 == 0 else far

    def decisive_words(self, x):
        """The last word that draws x up and the first that does not."""
        at = bisect.bisect_right(self.values, x)
        if at == 0 or at == len(self.values):
            return {0, 2**32 - 1}
        near, far = sorted(self.values[at - 1:at + 1], key=abs)
        first_down = -(-(x - near) * 2**32 // (far - near))
        return {max(first_down - 1, 0), min(first_down, 2**32 - 1)}

    def beyond(self, x, rounding, overflow, end):
        """x outside the finite values, or on the last one."""
        ends = self.code[end]
        if x == end or overflow == "sat" or rounding == "rtz" or self.nan is None:
            return ends
        if self.name == "e8m0" and x < end:
            return ends
        step = end - (self.values[-2] if end > 0 else self.values[1])
        following = end * 2 if self.name == "e8m0" else end + step
        middle = (end + following) / 2
        past = abs(x) > abs(middle)
        if abs(x) == abs(middle):
            past = rounding == "rna" or (rounding in ("rne", "sr") and ends % 2 == 1)
        if not past:
            return ends
        if not self.infinity:
            return self.nan
        return next(c for c, v in enumerate(table_of(self.name)) if v == ("inf" if x > 0 else "-inf"))


def probes(search):
    """Midpoints and their double neighbours, values, quarter points, and what lies beyond both ends."""
    points = set()
    values = search.values
    for low, high in zip(values, values[1:]):
        middle = float((low + high) / 2)
        points |= {low + (high - low) * 7 / 8, Fraction(float(low + (high - low) * Fraction(731058578630, 10**12)))}
        points |= {Fraction(middle), Fraction(middle) * (1 + Fraction(1, 2**52)), Fraction(middle) * (1 - Fraction(1, 2**52))}
        if search.codebook:
            points.add(Fraction(struct.unpack("f", struct.pack("f", middle))[0]))
    for end, inner in ((values[-1], values[-2]), (values[0], values[1])):
        step = end - inner
        points |= {end, end + step / 4, end + step / 2, end + step * 3 / 4, end + step, end + 2 * step, 4 * end}
        points |= {(end + step / 2) * (1 + Fraction(1, 2**52)), (end + step / 2) * (1 - Fraction(1, 2**52))}
    points |= {Fraction(2) ** -200, -Fraction(2) ** -200, Fraction(2) ** 200, -Fraction(2) ** 200}
    return sorted(p for p in points if p != 0 and Fraction(float(p)) == p)


def write_conversions(folder, name):
    search = Search(name)
    modes = [(r, o) for o in ("sat", "ovf") if o == "sat" or search.nan is not None for r in ("rne", "rna", "rtz", "rtsm")]
    lines = [f"# {name}: conversions by exact rational search, scripts/oracle/elements.py",
             "# input\t" + "\t".join(f"{r}:{o}" for r, o in modes) + "\tword:code of sr:sat"]
    for i, x in enumerate(probes(search)):
        codes = [str(search.convert(x, *mode)) for mode in modes]
        words = sorted({(i * 2654435761) % 2**32} | search.decisive_words(x))
        codes += [f"{word}:{search.convert(x, 'sr', 'sat', word)}" for word in words]
        lines.append("\t".join([float(x).hex()] + codes))
    (folder / f"{name}.convert.tsv").write_text("\n".join(lines) + "\n")


def write_values(folder, name):
    if name in FLOATS and sum(FLOATS[name][:2]) + FLOATS[name][3] > 8:
        rows = [f"{c}\t{n}\t{text_of(v)}\t{text_of(s)}" for c, n, v, s in progressions(name)]
        columns = "# code\tcount\tvalue\tstep"
    else:
        rows = [f"{c}\t{text_of(v)}" for c, v in enumerate(table_of(name))]
        columns = "# code\tvalue"
    header = f"# {name}: value of every code, exact, scripts/oracle/elements.py\n{columns}\n"
    (folder / f"{name}.tsv").write_text(header + "\n".join(rows) + "\n")


def main():
    default = Path(__file__).resolve().parents[2] / "tests/vectors/elements"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    integers = [f"int{b}{suffix}" for b in range(2, 9) for suffix in ("", "_full")]
    names = list(FLOATS) + ["e8m0"] + integers + ["ternary_codebook", "nf4_codebook", "bnb_fp4_codebook"]
    for name in names:
        write_values(folder, name)
        if name not in OVERFLOWS:
            write_conversions(folder, name)


if __name__ == "__main__":
    main()
