// THE table of element encodings: one row each, independent facts only (layout, bias, non-finite codes, integer range).
#include <array>

#include "formats/element.hpp"

namespace lowbit {
namespace {

constexpr std::string_view kOfp8 = "OCP 8-bit Floating Point Specification (OFP8) rev 1.0, section 5";
constexpr std::string_view kMx = "OCP Microscaling Formats (MX) v1.0, section 5.3";
constexpr std::string_view kLlvm = "LLVM APFloat semantics (also ml_dtypes)";
constexpr std::string_view kFnuz = "Noune et al., 8-bit Numerical Formats for Deep Neural Networks, arXiv:2206.02915";
constexpr std::string_view kIeee = "IEEE 754-2019, table 3.5";
constexpr std::string_view kGaudi = "LLVM APFloat Float8E4M3 (IEEE style; Gaudi 2)";
constexpr std::string_view kBf16 = "bfloat16: binary32 without its low 16 bits";
constexpr std::string_view kTf32 = "NVIDIA TF32: binary32 without its low 13 bits; 19-bit codes";
constexpr std::string_view kUe4m3 = "NVFP4 block scale: E4M3 without the sign (PTX ISA, .ue4m3)";
constexpr std::string_view kScale =
    "8-bit scale formats without their sign, NaN at all ones as in UE4M3 (scale ablation of MR-GPTQ, arXiv:2509.23202)";
constexpr std::string_view kUe5m3 = "unsigned E5M3 block scale, NaN at all ones as in UE4M3 (8 bits)";
constexpr std::string_view kUint8 = "unsigned integer scale 0 .. 254, NaN at 255 (scale ablation of MR-GPTQ, arXiv:2509.23202)";
constexpr std::string_view kInt = "symmetric integer grid -Q..Q, Q = 2^(b-1) - 1 (INT v.s. FP, arXiv:2510.25602)";
constexpr std::string_view kIntFull = "two's complement, all 2^b codes";

// Codes 0..15 of NormalFloat, rounded to float (Dettmers et al., QLoRA, arXiv:2305.14314, appendix E; bitsandbytes).
constexpr std::array<float, 16> kNf4 = {
    -1.0f,                  -0.6961928009986877f,  -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f,  -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f,   0.16093020141124725f,  0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f,   0.5626170039176941f,   0.7229568362236023f,  1.0f};

// bitsandbytes "fp4": code 8 is the sign; magnitudes 0, 1/16, 8, 12, 4, 6, 2, 3, each divided by 12 in float.
constexpr std::array<float, 16> kBnbFp4 = {
    0.0f,  0.0625f / 12,  8.0f / 12,  12.0f / 12,  4.0f / 12,  6.0f / 12,  2.0f / 12,  3.0f / 12,
    -0.0f, -0.0625f / 12, -8.0f / 12, -12.0f / 12, -4.0f / 12, -6.0f / 12, -2.0f / 12, -3.0f / 12};

constexpr std::array<float, 3> kTernary = {-1.0f, 0.0f, 1.0f};  // code = value + 1

constexpr Element floating(std::string_view name, std::string_view alias, int exponent_bits, int mantissa_bits,
                           int bias, NonFinite non_finite, std::string_view source, bool is_signed = true) {
  return {.name = name, .alias = alias, .kind = ElementKind::floating,
          .bits = exponent_bits + mantissa_bits + (is_signed ? 1 : 0), .exponent_bits = exponent_bits,
          .mantissa_bits = mantissa_bits, .bias = bias, .is_signed = is_signed, .non_finite = non_finite,
          .q_min = 0, .q_max = 0, .codebook = {}, .ties_down = false, .source = source};
}

constexpr Element exponent(std::string_view name, std::string_view alias, int bits, int bias, std::string_view source) {
  return {.name = name, .alias = alias, .kind = ElementKind::exponent, .bits = bits, .exponent_bits = bits,
          .mantissa_bits = 0, .bias = bias, .is_signed = false, .non_finite = NonFinite::fn, .q_min = 0, .q_max = 0,
          .codebook = {}, .ties_down = false, .source = source};
}

constexpr Element integer(std::string_view name, int bits, bool full) {
  const int q = (1 << (bits - 1)) - 1;
  return {.name = name, .alias = {}, .kind = ElementKind::integer, .bits = bits, .exponent_bits = 0, .mantissa_bits = 0,
          .bias = 0, .is_signed = true, .non_finite = NonFinite::none, .q_min = full ? -q - 1 : -q, .q_max = q,
          .codebook = {}, .ties_down = false, .source = full ? kIntFull : kInt};
}

constexpr Element codebook(std::string_view name, std::string_view alias, int bits, std::span<const float> values,
                           bool ties_down, std::string_view source) {
  return {.name = name, .alias = alias, .kind = ElementKind::codebook, .bits = bits, .exponent_bits = 0,
          .mantissa_bits = 0, .bias = 0, .is_signed = true, .non_finite = NonFinite::none, .q_min = 0, .q_max = 0,
          .codebook = values, .ties_down = ties_down, .source = source};
}

// The codebook elements carry a suffix because "nf4", "bnb_fp4" and "ternary" as format names are the block formats.
// clang-format off
constexpr std::array kElements = {
    //        name           alias       E  M   bias non-finite       source
    floating("e4m3",         "e4m3fn",   4, 3,  7,   NonFinite::fn,   kOfp8),
    floating("e5m2",         "",         5, 2,  15,  NonFinite::ieee, kOfp8),
    floating("e2m3",         "e2m3fn",   2, 3,  1,   NonFinite::none, kMx),
    floating("e3m2",         "e3m2fn",   3, 2,  3,   NonFinite::none, kMx),
    floating("e2m1",         "e2m1fn",   2, 1,  1,   NonFinite::none, kMx),
    floating("e4m3_ieee",    "",         4, 3,  7,   NonFinite::ieee, kGaudi),
    floating("e4m3fnuz",     "",         4, 3,  8,   NonFinite::fnuz, kFnuz),
    floating("e4m3b11fnuz",  "",         4, 3,  11,  NonFinite::fnuz, kLlvm),
    floating("e5m2fnuz",     "",         5, 2,  16,  NonFinite::fnuz, kFnuz),
    floating("e3m4",         "",         3, 4,  3,   NonFinite::ieee, kLlvm),
    floating("fp16",         "float16",  5, 10, 15,  NonFinite::ieee, kIeee),
    floating("bf16",         "bfloat16", 8, 7,  127, NonFinite::ieee, kBf16),
    floating("tf32",         "",         8, 10, 127, NonFinite::ieee, kTf32),
    floating("fp32",         "float32",  8, 23, 127, NonFinite::ieee, kIeee),
    floating("ue4m3",        "",         4, 3,  7,   NonFinite::fn,   kUe4m3, false),
    floating("ue1m6",        "",         1, 6,  0,   NonFinite::fn,   kScale, false),
    floating("ue2m5",        "",         2, 5,  1,   NonFinite::fn,   kScale, false),
    floating("ue3m4",        "",         3, 4,  3,   NonFinite::fn,   kScale, false),
    floating("ue5m3",        "",         5, 3,  15,  NonFinite::fn,   kUe5m3, false),
    // One exponent bit is a uniform grid over both fields: with this bias the value is the code.
    floating("uint8",        "",         1, 7,  -6,  NonFinite::fn,   kUint8, false),
    exponent("e8m0",         "e8m0fnu",  8, 127, "OCP Microscaling Formats (MX) v1.0, section 5.4.1, table 7"),
    integer("int2", 2, false), integer("int3", 3, false), integer("int4", 4, false), integer("int5", 5, false),
    integer("int6", 6, false), integer("int7", 7, false), integer("int8", 8, false),
    integer("int2_full", 2, true), integer("int3_full", 3, true), integer("int4_full", 4, true),
    integer("int5_full", 5, true), integer("int6_full", 6, true), integer("int7_full", 7, true),
    integer("int8_full", 8, true),
    codebook("ternary_codebook", "ternary", 2, kTernary, false,
             "codes {-1, 0, +1}, code = value + 1 (ThinKV, arXiv:2510.01290; BitNet b1.58, arXiv:2402.17764)"),
    codebook("nf4_codebook", "nf4", 4, kNf4, true, "QLoRA, arXiv:2305.14314, appendix E; bitsandbytes"),
    codebook("bnb_fp4_codebook", "bnb_fp4", 4, kBnbFp4, true, "bitsandbytes fp4 (not OCP E2M1)"),
};
// clang-format on

}  // namespace

std::span<const Element> elements() { return kElements; }

}  // namespace lowbit
