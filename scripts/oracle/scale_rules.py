#!/usr/bin/env python3
"""Write tests/vectors/scale_rules.tsv: stored E8M0 exponents of the power-of-two scale rules, in exact rationals.

Every rule is computed from its definition with logarithms (floor, ceil and nearest integer of log2 of a rational, found
by comparing with powers of two), not from exponent and mantissa fields. Usage: scale_rules.py [FILE]
"""
import struct
import sys
from fractions import Fraction
from pathlib import Path

# element: (largest value, mantissa bits or None, bits of an integer or None)
ELEMENTS = {
    "e4m3": (Fraction(448), 3, None), "e5m2": (Fraction(57344), 2, None), "e2m3": (Fraction(15, 2), 3, None),
    "e3m2": (Fraction(28), 2, None), "e2m1": (Fraction(6), 1, None), "e4m3_ieee": (Fraction(240), 3, None),
    "e3m4": (Fraction(31, 2), 4, None), "nf4_codebook": (Fraction(1), None, None),
    **{f"int{b}": (Fraction(2 ** (b - 1) - 1), None, b) for b in range(2, 9)},
}
RULES = ("floor", "ceil", "ceil_pow2", "even", "floor_ratio", "round")


def floor_log2(x):
    k = x.numerator.bit_length() - x.denominator.bit_length() - 1
    while Fraction(2) ** (k + 1) <= x:
        k += 1
    return k


def ceil_log2(x):
    k = floor_log2(x)
    return k if Fraction(2) ** k == x else k + 1


def nearest_log2(x):
    """Nearest integer of log2(x); x^2 is never an odd power of two for rational x, so there is no tie."""
    return (floor_log2(x * x) + 1) // 2


def round_mantissa(x, bits):
    """x to the nearest value with so many mantissa bits, half up: adding half a unit and dropping the rest."""
    unit = Fraction(2) ** (floor_log2(x) - bits)
    return (x / unit + Fraction(1, 2)).__floor__() * unit


def exponent(rule, element, amax):
    largest, mantissa, bits = ELEMENTS[element]
    emax = floor_log2(largest)
    grid = {
        "floor": lambda: floor_log2(amax) - emax,
        "ceil": lambda: ceil_log2(amax / largest),
        "ceil_pow2": lambda: ceil_log2(amax) - emax,
        "even": lambda: floor_log2(round_mantissa(amax, mantissa)) - emax if mantissa else None,
        "floor_ratio": lambda: floor_log2(amax / largest),
        "round": lambda: nearest_log2(amax / largest),
    }[rule]()
    if grid is None:
        return "-"
    return min(max(grid + (bits - 2 if bits else 0), -127), 127)  # the clamp applies to the stored exponent


def float_of(bits):
    return Fraction(struct.unpack("f", struct.pack("I", bits))[0])


def probes(largest):
    patterns = {0x00000001, 0x00000002, 0x00000003, 0x003FFFFF, 0x00400000, 0x00400001, 0x007FFFFF, 0x7F7FFFFF, 0x7F7FFFFE}
    for scale in (-126, -125, -120, -64, -2, -1, 0, 1, 2, 5, 40, 120, 127):
        for point in (Fraction(1), largest, Fraction(3, 2), Fraction(7, 4), Fraction(15, 8), Fraction(31, 16), Fraction(14142136, 10**7)):
            value = point / Fraction(2) ** floor_log2(point) * Fraction(2) ** scale
            bits = struct.unpack("I", struct.pack("f", float(value)))[0]
            patterns |= {bits - 1, bits, bits + 1}
    return sorted(b for b in patterns if 0 < b < 0x7F800000)


def main():
    default = Path(__file__).resolve().parents[2] / "tests/vectors/scale_rules.tsv"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    lines = ["# Stored E8M0 exponent (code - 127) of each rule, scripts/oracle/scale_rules.py; amax as float bits",
             "# element\tamax\t" + "\t".join(RULES)]
    for element, (largest, _, _) in ELEMENTS.items():
        for bits in probes(largest):
            amax = float_of(bits)
            lines.append("\t".join([element, f"{bits:08x}"] + [str(exponent(rule, element, amax)) for rule in RULES]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
