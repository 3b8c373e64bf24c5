// THE presets, one row each: a preset is a shorthand for an element with options.
#include <array>

#include "formats/format.hpp"

namespace lowbit {
namespace {

constexpr std::string_view kMx = "OCP Microscaling Formats (MX) v1.0, section 5.2";
constexpr std::string_view kMxInt = "INT v.s. FP, arXiv:2510.25602, section 2; microxcaling int elements";
constexpr std::string_view kNvfp4 =
    "NVIDIA, Pretraining LLMs with NVFP4, arXiv:2509.25149; order of operations of ModelOpt";
constexpr std::string_view kThinkv = "ThinKV, arXiv:2510.01290 (scale rule not stated there: TWN, arXiv:1605.04711)";
constexpr std::string_view kGgml = "ggml, quantize_row_*_ref";

// clang-format off
constexpr std::array kPresets = {
    Preset{"mxfp8_e4m3", "e4m3:g32:s=e8m0:rule=floor", "MXFP8, E4M3 elements", kMx, "mxfp8"},
    Preset{"mxfp8_e5m2", "e5m2:g32:s=e8m0:rule=floor", "MXFP8, E5M2 elements", kMx, ""},
    Preset{"mxfp6_e2m3", "e2m3:g32:s=e8m0:rule=floor", "MXFP6, E2M3 elements", kMx, "mxfp6"},
    Preset{"mxfp6_e3m2", "e3m2:g32:s=e8m0:rule=floor", "MXFP6, E3M2 elements", kMx, ""},
    Preset{"mxfp4", "e2m1:g32:s=e8m0:rule=floor", "MXFP4, E2M1 elements", kMx, "mxfp4_e2m1"},
    Preset{"mxint8", "int8:g32:s=e8m0:rule=floor", "MXINT8, 8-bit integers with an implicit 2^-6", kMx, ""},
    Preset{"mxint6", "int6:g32:s=e8m0:rule=floor",
           "6-bit integers with an implicit 2^-4 under an E8M0 scale", kMxInt, ""},
    Preset{"mxint4", "int4:g32:s=e8m0:rule=floor",
           "4-bit integers with an implicit 2^-2 under an E8M0 scale", kMxInt, ""},
    Preset{"mxint3", "int3:g32:s=e8m0:rule=floor",
           "3-bit integers with an implicit 2^-1 under an E8M0 scale", kMxInt, ""},
    Preset{"mxint2", "int2:g32:s=e8m0:rule=floor", "-1, 0, +1 under an E8M0 scale", kMxInt, ""},
    Preset{"nvfp4", "e2m1:g16:s=e4m3:rule=amax:ts=fp32",
           "NVFP4, E4M3 block scales and a float tensor scale", kNvfp4, ""},
    Preset{"nvint4", "int4:g16:s=e4m3:rule=amax:ts=fp32",
           "NVFP4's scales over 4-bit integers", "INT v.s. FP, arXiv:2510.25602", ""},
    Preset{"ternary", "ternary_codebook:g16:s=e4m3:rule=twn", "-1, 0, +1 times an E4M3 scale", kThinkv, ""},
    Preset{"nf4", "nf4_codebook:g64:s=fp32:rule=amax",
           "NormalFloat, absmax blocks of 64", "QLoRA, arXiv:2305.14314; bitsandbytes", ""},
    Preset{"bnb_fp4", "bnb_fp4_codebook:g64:s=fp32:rule=amax",
           "bitsandbytes FP4, absmax blocks of 64", "bitsandbytes", ""},
    Preset{"q4_0", "int4:g32:s=fp16:rule=amax:range=pow2:like=ggml",
           "ggml Q4_0: the value of largest magnitude becomes -8", kGgml, ""},
    Preset{"q4_1", "int4:g32:s=fp16:rule=amax:min:z=fp16:like=ggml",
           "ggml Q4_1: minimum and step", kGgml, ""},
    Preset{"q5_0", "int5:g32:s=fp16:rule=amax:range=pow2:like=ggml",
           "ggml Q5_0: the value of largest magnitude becomes -16", kGgml, ""},
    Preset{"q5_1", "int5:g32:s=fp16:rule=amax:min:z=fp16:like=ggml",
           "ggml Q5_1: minimum and step", kGgml, ""},
    Preset{"q8_0", "int8:g32:s=fp16:rule=amax:like=ggml", "ggml Q8_0: symmetric, amax / 127", kGgml, ""},
    Preset{"tq2_0", "ternary_codebook:g256:s=fp16:rule=absmax:like=ggml",
           "ggml TQ2_0: ternary, absmax blocks of 256", kGgml, ""},
};
// clang-format on

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const Preset* find_preset(std::string_view name) {
  if (name.empty()) return nullptr;
  for (const Preset& preset : kPresets) {
    if (preset.name == name || preset.alias == name) return &preset;
  }
  return nullptr;
}

}  // namespace lowbit
