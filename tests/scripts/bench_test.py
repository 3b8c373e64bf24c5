"""What scripts/bench makes of measurements: the table, the document and the picture."""

from lowbit_bench import roofline, summary


def row(**changes):
    values = {"case": "fake_quantize", "format": "mxfp4", "threads": 1, "bytes": 1 << 28, "place": "out", "pages": "huge", "memory": "256 MiB",
              "ge_per_s": 2.0, "limit_ge_per_s": 2.5, "limit": "streaming stores", "ratio": 0.8, "ratio_quartiles": [0.78, 0.83], "ratio_memcpy": 1.2,
              "limit_ratio_memcpy": 1.5, "pairs": 15, "dropped": 2, "foreign_cores": 0.1, "target": 0.9, "met": False}
    return {**values, **changes}


def result(*rows):
    limits = [{"pattern": "copy", "variant": "streaming stores", "pages": "huge", "memory": "256 MiB", "threads": 1, "gb_per_s": 20.0, "to_memcpy": 1.5, "fastest": True},
              {"pattern": "copy", "variant": "memcpy", "pages": "huge", "memory": "256 MiB", "threads": 1, "gb_per_s": 13.0, "to_memcpy": 1.0, "fastest": False}]
    return {"machine": {"cpu": "Test CPU", "kernel": "AVX2", "highway": "1.0.3", "l2_bytes": 1 << 20}, "limits": limits, "rows": list(rows),
            "analyze": {"mib": 1024, "formats": 8, "threads_1": {"read_8_times_s": 2.0, "analyze_s": 3.0, "ratio": 1.5, "target": 3}}}


def test_misses_are_named():
    found = result(row(), row(format="mxint8", ratio=0.95, met=True), row(case="hadamard", target=None, met=None), row(format="nf4", foreign_cores=1.0))
    table = roofline.table(found).splitlines()
    assert [("MISSES" in line, "met" in line) for line in table[1:4]] == [(True, False), (False, True), (False, False)]
    assert "ratio 1.5 (at most 3)" in table[5]
    text = summary.markdown(found)
    assert text.count("**missed**") == 1 and text.count(" met |") == 1 and text.count("0.90 disturbed") == 1
    assert "Test CPU" in text and "kernels for AVX2" in text and "at least 15 pairs" in text
    assert "| 0.80 (0.78 0.83) | 1.20 | 15 (2) | 0.10 |" in text
    assert "| copy | 256 MiB | huge | 1 | 20.0 | 1.50 | streaming stores |" in text and "| memcpy |" not in text


def test_traffic_of_a_value():
    assert roofline.bytes_a_value(row()) == 8
    assert roofline.bytes_a_value(row(place="read")) == 4
    assert roofline.bytes_a_value(row(limit="read (loads), then copy (stores)")) == 12


def test_picture(tmp_path):
    paths = roofline.draw(result(row(), row(threads=2, memory="L2"), row(threads=2)), tmp_path / "roofline")
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"] and all(path.stat().st_size > 5000 for path in paths)
