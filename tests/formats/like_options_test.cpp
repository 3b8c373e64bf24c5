// Which options the implementations fill in, have and refuse.
#include <string>

#include "formats/block.hpp"
#include "formats/error.hpp"
#include "tests/support/catch.hpp"

namespace {

using lowbit::test::contains;

struct Filled {
  const char* name;
  const char* long_form;
};

constexpr Filled kFilled[] = {
    {"mxfp4:like=microxcaling", "e2m1:g32:s=e8m0:rule=floor:ts=none:round=rna:sat:nan=poison:like=microxcaling"},
    {"mxint4:g64:flush:round=rne:like=microxcaling_cpp",
     "int4:g64:s=e8m0:rule=floor:ts=none:round=rne:sat:flush:nan=poison:like=microxcaling_cpp"},
    {"mxfp8_e4m3:like=int_vs_fp", "e4m3:g32:s=e8m0:rule=ceil:ts=none:round=rne:sat:nan=poison:like=int_vs_fp"},
    {"mxint6:rule=floor:like=int_vs_fp", "int6:g32:s=e8m0:rule=floor:ts=none:round=rne:sat:nan=poison:like=int_vs_fp"},
    {"int8_full:g32:like=int_vs_fp", "int8:g32:s=fp32:rule=amax:ts=none:full:round=rne:sat:nan=poison:like=int_vs_fp"},
    {"nvint4:ts=e8m0:like=int_vs_fp", "int4:g16:s=e4m3:rule=amax:ts=e8m0:round=rne:sat:nan=poison:like=int_vs_fp"},
    {"int4:g32:like=fp_quant", "int4:g32:s=fp32:rule=amax:ts=none:range=half:round=rne:sat:nan=poison:like=fp_quant"},
    {"int4:g128:asym:like=fp_quant_ste",
     "int4:g128:s=fp32:rule=amax:ts=none:asym:round=rne:sat:nan=poison:like=fp_quant_ste"},
    {"q4_0", "int4:g32:s=fp16:rule=amax:ts=none:range=pow2:round=rna:sat:nan=ignore:like=ggml"},
    {"q5_1", "int5:g32:s=fp16:rule=amax:ts=none:min:z=fp16:round=rna:sat:nan=ignore:like=ggml"},
    {"q8_0:like=ggml_avx", "int8:g32:s=fp16:rule=amax:ts=none:round=rne:sat:nan=ignore:like=ggml_avx"},
    {"tq2_0", "ternary_codebook:g256:s=fp16:rule=absmax:ts=none:round=rna:sat:nan=ignore:like=ggml"},
    {"nvfp4:like=ggml", "e2m1:g16:s=ue4m3:rule=amax:ts=none:round=rtsm:sat:nan=ignore:like=ggml"},
    {"nvfp4:like=transformer_engine",
     "e2m1:g16:s=e4m3:rule=amax:ts=fp32:round=rne:sat:nan=poison:like=transformer_engine"},
};

struct Refused {
  const char* name;
  const char* text;  ///< part of the one line: what there is instead
};

constexpr Refused kRefused[] = {
    {"mxint6:like=microxcaling", "mxfp6_e3m2, mxfp4, mxint8, mxint4"},
    {"mxfp4:rule=ceil:like=microxcaling", "round=rna (default), rne, rtz; flush"},
    {"mxfp4:round=rtsm:like=microxcaling", "round=rna (default), rne, rtz"},
    {"mxfp4:round=rtz:like=microxcaling_cpp", "round=rna (default), rne; flush"},
    {"mxfp8_e4m3:ovf:like=microxcaling_cpp", "mxfp8_e4m3, mxfp8_e5m2"},
    {"mxfp4:tensor:like=microxcaling", "any gN or channel"},
    {"nvfp4:like=microxcaling", "mxint8, mxint4"},
    {"mxfp4:rule=ceil_pow2:like=int_vs_fp", "rule=ceil (default), floor (its ocp), floor_ratio (its floor), round"},
    {"int8:g32:s=fp16:like=int_vs_fp", "int8:g32, int6:g32, int4:g32"},
    {"nvfp4:ts=none:like=int_vs_fp", "ts=e8m0 with nvfp4, nvint4"},
    {"mxfp4:flush:like=int_vs_fp", "full with integers"},
    {"e4m3:like=int_vs_fp", "nvfp4, nvint4"},
    {"mxint8:like=fp_quant", "mxfp4, nvfp4, e2m1:g32"},
    {"int4:g32:full:like=fp_quant", "int4:g32:range=half"},
    {"q4_0:g64", "q4_0, q4_1, q5_0, q5_1, q8_0, tq2_0, mxfp4, nvfp4"},
    {"q8_0:round=rne", "q4_0, q4_1, q5_0, q5_1, q8_0"},
    {"q4_0:like=ggml_avx", "it has q8_0"},
    {"nvfp4:ts=fp32:like=ggml", "mxfp4, nvfp4"},
    {"mxfp4:like=transformer_engine", "it has nvfp4"},
    {"nvfp4:g32:like=transformer_engine", "it has nvfp4"},
    // presets of others are not read as formats of the same element
    {"nvint4:like=ggml", "does not have nvint4; it has q4_0, q4_1"},
    {"ternary:like=ggml", "does not have ternary; it has q4_0"},
    {"q4_0:like=fp_quant", "does not have q4_0; it has mxfp4, nvfp4"},
    {"q8_0:like=compressed_tensors", "does not have q8_0; it has mxfp4"},
    {"mxfp4:like=microxscaling", "did you mean 'microxcaling'"},
};

}  // namespace

TEST_CASE("an implementation fills in its own defaults", "[like][options]") {
  for (const Filled& row : kFilled) {
    INFO(row.name);
    const lowbit::Format format = lowbit::parse_format(row.name);
    CHECK(lowbit::long_form(format) == row.long_form);
    CHECK(lowbit::parse_format(lowbit::long_form(format)) == format);
    CHECK(lowbit::parse_format(lowbit::to_string(format)) == format);
  }
}

TEST_CASE("what an implementation lacks is refused with what it has", "[like][options]") {
  for (const Refused& row : kRefused) {
    INFO(row.name);
    CHECK_THROWS_WITH(lowbit::parse_format(row.name), contains(row.text));
  }
}

TEST_CASE("codes and ragged groups exist where the implementation has them", "[like][options]") {
  const std::vector<float> x(80, 1.5f);
  std::vector<float> y(80);
  const auto encode = [&](const char* name) {
    return lowbit::encode_ref(lowbit::parse_format(name), lowbit::Layout::vector(64), x.data());
  };
  CHECK_THROWS_WITH(encode("mxfp4:like=microxcaling"), contains("no codes"));
  CHECK_THROWS_WITH(encode("mxfp4:like=int_vs_fp"), contains("no codes"));
  CHECK_THROWS_WITH(encode("mxfp4:like=fp_quant_ste"), contains("no codes"));
  CHECK_THROWS_WITH(encode("int4:g32:asym:like=fp_quant"), contains("zero points"));
  CHECK(encode("mxfp4:like=fp_quant").scales.size() == 2);
  const auto fake = [&](const char* name) {
    lowbit::fake_quantize_ref(lowbit::parse_format(name), lowbit::Layout::vector(80), x.data(), y.data());
  };
  CHECK_THROWS_WITH(fake("mxfp4:like=int_vs_fp"), contains("80 values; accepted are multiples of 32"));
  CHECK_THROWS_WITH(fake("mxfp4:like=fp_quant"), contains("multiples of 32"));
  CHECK_THROWS_WITH(fake("q8_0"), contains("multiples of 32"));
  CHECK_NOTHROW(fake("mxfp4:like=microxcaling"));  // pads with zeros
  CHECK_NOTHROW(fake("int8:channel:like=int_vs_fp"));
}
