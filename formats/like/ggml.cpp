// like=ggml, ggml_avx: the block types of ggml (the tensor library of llama.cpp): the reference coders of its base
// library, and the AVX row function that its CPU backend uses for Q8_0.
#include <algorithm>
#include <array>
#include <string>

#include "formats/error.hpp"
#include "formats/like/ggml_block.hpp"
#include "formats/like/like.hpp"
#include "formats/like/options.hpp"

namespace lowbit::like {
namespace {

constexpr auto kSymmetric = IntegerRange::symmetric;
constexpr auto kPow2 = IntegerRange::pow2;

// clang-format off
constexpr std::array<GgmlType, 8> kTypes = {{
    {"q4_0",  "int4",             false, "fp16",  32,  32,  kPow2,      Rounding::rna,  ggml_quantize_signed,  ggml_dequantize_linear},
    {"q4_1",  "int4",             true,  "fp16",  32,  32,  kSymmetric, Rounding::rna,  ggml_quantize_minimum, ggml_dequantize_linear},
    {"q5_0",  "int5",             false, "fp16",  32,  32,  kPow2,      Rounding::rna,  ggml_quantize_signed,  ggml_dequantize_linear},
    {"q5_1",  "int5",             true,  "fp16",  32,  32,  kSymmetric, Rounding::rna,  ggml_quantize_minimum, ggml_dequantize_linear},
    {"q8_0",  "int8",             false, "fp16",  32,  32,  kSymmetric, Rounding::rna,  ggml_quantize_q8_0,    ggml_dequantize_linear},
    {"tq2_0", "ternary_codebook", false, "fp16",  256, 256, kSymmetric, Rounding::rna,  ggml_quantize_ternary, ggml_dequantize_linear},
    {"mxfp4", "e2m1",             false, "e8m0",  32,  32,  kSymmetric, Rounding::rtsm, ggml_quantize_mxfp4,   ggml_dequantize_mxfp4},
    {"nvfp4", "e2m1",             false, "ue4m3", 16,  16,  kSymmetric, Rounding::rtsm, ggml_quantize_nvfp4,   ggml_dequantize_nvfp4},
}};
// clang-format on
constexpr std::array<std::string_view, 8> kFormats = {"q4_0", "q4_1",  "q5_0",  "q5_1",
                                                      "q8_0", "tq2_0", "mxfp4", "nvfp4"};
constexpr std::array<std::string_view, 1> kAvxFormats = {"q8_0"};

constexpr bool is_e8m0(const Element* element) {
  return element != nullptr && element->kind == ElementKind::exponent;
}

}  // namespace

std::span<const GgmlType> ggml_types() {
  return kTypes;
}

const GgmlType* ggml_type_of(const Format& format) {
  for (const GgmlType& type : kTypes) {
    if (type.element != format.element->name) continue;
    if (type.has_minimum != (format.zero_point == ZeroPoint::minimum) || format.zero_point == ZeroPoint::integer)
      continue;
    if (type.scale_element == "e8m0" ? is_e8m0(format.scale_element)
                                     : format.scale_element != nullptr && !is_e8m0(format.scale_element))
      return &type;
  }
  return nullptr;
}

namespace {

/// The one format that `type` is, under the name that `format` has.
Format format_of(const GgmlType& type, const Format& format) {
  Format only;
  only.element = &element(type.element);
  only.group = GroupKind::size;
  only.group_size = type.group;
  only.scale_element = &element(type.scale_element);
  only.rule = type.scale_element == "e8m0" ? ScaleRule::floor
              : type.name == "tq2_0"       ? ScaleRule::absmax
                                           : ScaleRule::amax;
  if (type.has_minimum) {
    only.zero_point = ZeroPoint::minimum;
    only.zero_element = &element("fp16");
  }
  only.range = type.range;
  only.conversion.rounding = format.like == "ggml_avx" ? Rounding::rne : type.rounding;
  only.nan = NanPolicy::ignore;  // maxima skip a NaN
  only.like = format.like;
  only.preset = format.preset;
  return only;
}

/// Whether what the user wrote leaves room for `only`: defaults of ours that differ do not count.
bool agrees(const Format& format, const Format& only, std::span<const std::string> given) {
  const auto differs = [&](std::string_view key, bool different) { return different && is_given(given, key); };
  const bool other_group = format.group != only.group || format.group_size != only.group_size;
  const bool other_range = format.range != only.range;
  return !differs("g", other_group) && !is_given(given, "channel") && !is_given(given, "tensor") &&
         !is_given(given, "tile") && !differs("s", format.scale_element != only.scale_element) &&
         !differs("rule", format.rule != only.rule) && !differs("ts", format.second_level != only.second_level) &&
         !differs("z", format.zero_element != only.zero_element) && !differs("range", other_range) &&
         !differs("full", other_range) && !differs("round", format.conversion.rounding != only.conversion.rounding) &&
         !differs("ovf", format.conversion.overflow != only.conversion.overflow) && !is_given(given, "flush") &&
         !differs("nan", format.nan != only.nan);
}

void resolve_as(Format& format, std::span<const std::string> given, std::span<const std::string_view> formats) {
  const GgmlType* type = format.is_block() ? ggml_type_of(format) : nullptr;
  const bool known = type != nullptr && std::find(formats.begin(), formats.end(), type->name) != formats.end();
  if (known) {
    const Format only = format_of(*type, format);
    if (agrees(format, only, given)) {
      format = only;
      return;
    }
  }
  Format asked = format;
  asked.like.clear();
  throw_error(ExitCode::usage, "like={} does not have '{}'; it has {} without further options", format.like,
              long_form(asked), fmt::join(formats, ", "));
}

void resolve(Format& format, std::span<const std::string> given) {
  resolve_as(format, given, kFormats);
}
void resolve_avx(Format& format, std::span<const std::string> given) {
  resolve_as(format, given, kAvxFormats);
}

Pipeline pipeline(const Format& format) {
  const GgmlType& type = *ggml_type_of(format);
  return {nullptr, format.like == "ggml_avx" ? ggml_quantize_q8_0_avx : type.quantize, type.dequantize};
}

void fake_tensor(const Format& format, const Layout& layout, const float* x, float* y, const QuantizeContext& context) {
  require_whole_groups(format, layout, ggml_type_of(format)->row_multiple);
  fake(pipeline(format), format, layout, x, y, context);
}

Quantized encode_tensor(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  require_whole_groups(format, layout, ggml_type_of(format)->row_multiple);
  return encode(pipeline(format), format, layout, x, context);
}

void decode_tensor(const Quantized& quantized, float* y) {
  decode(pipeline(quantized.format), quantized, y);
}

}  // namespace

extern const Implementation kGgml;
const Implementation kGgml = {
    .name = "ggml",
    .description = "block types of ggml, reference coders",
    .source =
        "github.com/ggml-org/ggml d99724f, src/ggml-quants.c quantize_row_*_ref, dequantize_row_*; held to its output",
    .formats = kFormats,
    .resolve = resolve,
    .fake = fake_tensor,
    .encode = encode_tensor,
    .decode = decode_tensor};

extern const Implementation kGgmlAvx;
const Implementation kGgmlAvx = {
    .name = "ggml_avx",
    .description = "the AVX row function of ggml's Q8_0",
    .source = "github.com/ggml-org/ggml d99724f, src/ggml-cpu/arch/x86/quants.c quantize_row_q8_0; held to its output",
    .formats = kAvxFormats,
    .resolve = resolve_avx,
    .fake = fake_tensor,
    .encode = encode_tensor,
    .decode = decode_tensor};

}  // namespace lowbit::like
