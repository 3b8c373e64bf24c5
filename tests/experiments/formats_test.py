"""`lowbit formats`."""
import csv
import io

import pytest

from lowbit_cli import ok, ok_json


def test_the_table_holds_the_published_limits():
    rows = {row["name"]: row for row in ok_json("formats")["rows"]}
    # bits a value, max, smallest positive, of the OCP and NVIDIA definitions
    for name, bits, largest, smallest in [("mxfp8_e4m3", 8.25, 448, 2**-9), ("mxfp8_e5m2", 8.25, 57344, 2**-16), ("mxfp6_e2m3", 6.25, 7.5, 0.125),
                                          ("mxfp6_e3m2", 6.25, 28, 0.0625), ("mxfp4", 4.25, 6, 0.5), ("mxint8", 8.25, 127 / 64, 1 / 64),
                                          ("nvfp4", 4.5, 6, 0.5)]:
        row = rows[name]
        assert (row["bits"], row["max"], row["min"]) == (bits, largest, smallest)
        assert row["dynamic_range"] == largest / smallest
    assert rows["mxint4"]["dynamic_range"] == 7 and rows["mxfp8_e4m3"]["dynamic_range"] == 1.75 * 2**17


def test_one_format_in_full():
    record = ok_json("formats", "mxfp4")
    assert [c["value"] for c in record["codes"]] == [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]
    assert record["codes"][9] == {"code": "0x9", "bits": "1001", "value": -0.5}
    assert "rule=floor" in record["long_form"] and record["rule_equation"] and record["rule_source"] and record["source"]
    assert ok_json("formats", record["long_form"])["long_form"] == record["long_form"]


@pytest.mark.parametrize("name, scale, encode", [
    ("nvfp4", "t = amax(tensor) / (6 * 448), s = e4m3(amax / (6 * t))", "e2m1.rne(x / (s * t))"),
    ("mxint8", "floor(log2 amax)", "clamp(rne(x / 2^(X - 6)), -127, 127)"),
    ("int4:g8:s=fp16:asym", "s = fp16((max(hi, 0) - min(lo, 0)) / 15)", "clamp(rne(x / s) + z, 0, 15)"),
    ("int2:g8:min:s=fp16", "s = fp16((hi - lo) / 3), z = fp16(lo)", "rne((x - z) / s)"),
    ("int4:g8:range=half", "s = amax / 7.5", "int4"), ("ternary", "0.7 mean |x|", "sign(x)"), ("e4m3:round=rtz", None, "e4m3.rtz(x)")])
def test_the_equations_are_those_of_the_format(name, scale, encode):
    record = ok_json("formats", name)
    assert encode in record["encode_equation"] and record["decode_equation"].startswith("y = ")
    assert scale in record["rule_equation"] if scale else "rule_equation" not in record
    assert "rule_equation" not in ok_json("formats", "nvfp4:like=int_vs_fp")  # its pipeline is its own


def test_tf32_names_the_instruction_that_rounds_so():
    assert "cvt.rna.tf32.f32" in (record := ok_json("formats", "tf32"))["hardware"] and "tf32:round=rna" in record["hardware"]
    assert "hardware" not in ok_json("formats", "bf16")


def test_named_implementations_are_listed_with_their_source():
    rows = {row["name"]: row for row in ok_json("formats")["implementations"]}
    assert {"microxcaling", "torchao", "ggml", "int_vs_fp", "compressed_tensors", "bitsandbytes"} <= set(rows)
    assert all(row["source"] and row["formats"] for row in rows.values())
    assert rows["ggml"]["codes"] and not rows["int_vs_fp"]["codes"]
    assert "pytorch/ao" in ok_json("formats", "mxfp4:like=torchao")["like_source"]


@pytest.mark.parametrize("name, count", [("e4m3", 256), ("int4:g32", 16), ("int4:g32:asym", 16), ("nf4", 16), ("ternary", 3), ("mxint8", 256)])
def test_code_tables(name, count):
    assert len(ok_json("formats", name)["codes"]) == count


def test_special_codes_are_named():
    values = {c["code"]: c["value"] for c in ok_json("formats", "e5m2")["codes"]}
    assert values["0x7C"] == "inf" and values["0xFC"] == "-inf" and values["0x7E"] == "nan" and values["0x7B"] == 57344
    assert [c["value"] for c in ok_json("formats", "int4:g32:asym")["codes"]] == list(range(16))
    assert any(c["value"] == 65504 for c in ok_json("formats", "fp16")["codes"])


def test_forms_of_stdout():
    assert "mxfp4" in ok("formats") and "Codes:" in ok("formats", "mxfp4")
    rows = list(csv.DictReader(io.StringIO(ok("formats", "--output", "csv"))))
    assert {row["name"] for row in rows} >= {"mxfp4", "nvfp4", "q4_0"} and all(row["description"] for row in rows)
    assert len(list(csv.DictReader(io.StringIO(ok("formats", "e2m1", "--output", "csv"))))) == 16
