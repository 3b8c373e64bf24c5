// Block formats on worked examples of the specifications and papers: scale codes, element codes and values typed by
// hand.
#include "formats/block.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "formats/block_quantizer.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::bit_cast<float>(0x7FC00000u);

std::uint32_t bits(float v) {
  return std::bit_cast<std::uint32_t>(v);
}

// Block A: fourteen decades of nothing special, both zeros.
const std::vector<float> kBlockA{7, -5, 3.5f, 2.5f, -1.75f, 1.25f, 0.75f, -0.25f, 0.3125f, -0.1f, 0.0f, -0.0f};

std::vector<float> padded(std::vector<float> x, std::size_t n) {
  x.resize(n, 0.0f);
  return x;
}

struct Expected {
  const char* format;
  std::uint32_t scale;
  std::vector<std::uint32_t> codes;  ///< element codes, integers two's complement of the element's bits
  std::vector<float> values;
};

void check(const Expected& e, std::vector<float> x, std::size_t group, std::size_t block = 0,
           const QuantizeContext& context = {}) {
  CAPTURE(e.format);
  const Format format = parse_format(e.format);
  if (x.size() < group) x = padded(x, group);
  const Layout layout = Layout::vector(x.size());
  std::vector<float> fake(x.size()), decoded(x.size());
  fake_quantize_ref(format, layout, x.data(), fake.data(), context);
  const Quantized q = encode_ref(format, layout, x.data(), context);
  decode_ref(q, decoded.data());
  CHECK(q.scales[block] == e.scale);
  for (std::size_t i = 0; i < e.codes.size(); ++i) {
    CAPTURE(i);
    CHECK(q.code(block * group + i) == e.codes[i]);
  }
  for (std::size_t i = 0; i < e.values.size(); ++i) {
    CAPTURE(i, fake[block * group + i]);
    CHECK(bits(fake[block * group + i]) == bits(e.values[i]));
    CHECK(bits(decoded[block * group + i]) == bits(e.values[i]));
  }
}

/// Two's complement of `b` bits.
std::vector<std::uint32_t> integers(int b, std::vector<int> values) {
  std::vector<std::uint32_t> codes;
  for (const int v : values) codes.push_back(static_cast<std::uint32_t>(v) & ((1u << b) - 1));
  return codes;
}

}  // namespace

TEST_CASE("MX formats on block A", "[block][worked]") {
  const std::vector<Expected> rows = {
      {"mxfp4", 0x7F, {7, 0xE, 6, 4, 0xC, 2, 2, 8, 1, 8, 0, 8}, {6, -4, 4, 2, -2, 1, 1, -0.0f, 0.5f, -0.0f, 0, -0.0f}},
      {"mxfp4:rule=ceil",
       0x80,
       {6, 0xC, 4, 2, 0xA, 1, 1, 8, 0, 8, 0, 8},
       {8, -4, 4, 2, -2, 1, 1, -0.0f, 0, -0.0f, 0, -0.0f}},
      {"mxfp4:rule=even",
       0x80,
       {6, 0xC, 4, 2, 0xA, 1, 1, 8, 0, 8, 0, 8},
       {8, -4, 4, 2, -2, 1, 1, -0.0f, 0, -0.0f, 0, -0.0f}},
      {"mxfp4:rule=ceil_pow2",
       0x80,
       {6, 0xC, 4, 2, 0xA, 1, 1, 8, 0, 8, 0, 8},
       {8, -4, 4, 2, -2, 1, 1, -0.0f, 0, -0.0f, 0, -0.0f}},
      {"mxfp6_e2m3",
       0x7F,
       {0x1E, 0x3A, 0x16, 0x12, 0x2E, 0x0A, 0x06, 0x22, 0x02, 0x21, 0x00, 0x20},
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .25f, -.125f, 0, -0.0f}},
      {"mxfp6_e3m2",
       0x7D,
       {0x1F, 0x3D, 0x1B, 0x19, 0x37, 0x15, 0x12, 0x2C, 0x0D, 0x26, 0x00, 0x20},
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .3125f, -.09375f, 0, -0.0f}},
      {"mxfp8_e4m3",
       0x79,
       {0x7E, 0xFA, 0x76, 0x72, 0xEE, 0x6A, 0x64, 0xD8, 0x5A, 0xCD, 0x00, 0x80},
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .3125f, -.1015625f, 0, -0.0f}},
      {"mxfp8_e5m2",
       0x72,
       {0x7B, 0xF9, 0x77, 0x75, 0xF3, 0x71, 0x6E, 0xE8, 0x69, 0xE2, 0x00, 0x80},
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .3125f, -.09375f, 0, -0.0f}},
      {"mxint8",
       0x81,
       integers(8, {112, -80, 56, 40, -28, 20, 12, -4, 5, -2, 0, 0}),
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .3125f, -.125f, 0, 0}},
      {"mxint6:rule=ceil",
       127 - 2 + 4,
       integers(6, {28, -20, 14, 10, -7, 5, 3, -1, 1, 0, 0, 0}),
       {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, .75f, -.25f, .25f, 0, 0, 0}},
      {"mxint4:rule=ceil",
       127 + 0 + 2,
       integers(4, {7, -5, 4, 2, -2, 1, 1, 0, 0, 0, 0, 0}),
       {7, -5, 4, 2, -2, 1, 1, 0, 0, 0, 0, 0}},
  };
  for (const Expected& row : rows) check(row, kBlockA, 32);
  for (std::string name : {"mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8"})
    for (Expected row : rows)
      if (row.format == name) {
        name += ":rule=ceil";  // the same result
        row.format = name.c_str();
        check(row, kBlockA, 32);
      }
}

TEST_CASE("MXFP8 saturation and subnormals, block B", "[block][worked]") {
  const std::vector<float> x{500,           -464,           30.5f,          29,    1.0625f, 0.013671875f,
                             0.0009765625f, 0.00097656256f, -0.0029296875f, 0.001f};
  check({"mxfp8_e4m3",
         0x7F,
         {0x7E, 0xFE, 0x5F, 0x5E, 0x38, 0x07, 0x00, 0x01, 0x82, 0x01},
         {448, -448, 30, 28, 1, 0.013671875f, 0, 0.001953125f, -0.00390625f, 0.001953125f}},
        x, 32);
  check({"mxfp8_e4m3:rule=ceil",
         0x80,
         {0x78, 0xF6, 0x57, 0x56, 0x30, 0x04, 0x00, 0x00, 0x81, 0x00},
         {512, -448, 30, 28, 1, 0.015625f, 0, 0, -0.00390625f, 0}},
        x, 32);
  check({"mxfp8_e4m3:ovf", 0x7F, {0x7F, 0xFE}, {kNan, -448}}, x, 32);
}

TEST_CASE("MXINT8 in the clamp band, block C; tiny block D", "[block][worked]") {
  const std::vector<float> x{1.995f, -1.99f, 0.5078125f, 0.4921875f, 0.0078125f, -0.0234375f, 0.015625f};
  check({"mxint8",
         0x7F,
         integers(8, {127, -127, 32, 32, 0, -2, 1}),
         {1.984375f, -1.984375f, .5f, .5f, 0, -.03125f, .015625f}},
        x, 32);
  check({"mxint8:full", 0x7F, integers(8, {127, -127, 32, 32, 0, -2, 1}), {}}, x, 32);
  check({"mxint8:full", 0x7F, integers(8, {-128, 64}), {-2, 1}}, {-1.995f, 1}, 32);
  check({"mxint8:rule=ceil", 0x80, integers(8, {64, -64, 16, 16, 0, -1, 0}), {2, -2, .5f, .5f, 0, -.03125f, 0}}, x, 32);
  check({"mxfp4", 0, {0, 0, 0, 0, 9}, {0, 0, 0, 0, -0x1p-128f}}, {0x1p-130f, 0, 0, 0x1p-131f, -0x1p-128f}, 32);
  check({"mxfp4", 0, {0, 0, 0}, {0, 0, 0}}, {0, -0.0f, 0}, 32);
}

TEST_CASE("NVFP4: four blocks under one tensor scale", "[block][worked]") {
  std::vector<float> x(64, 0.0f);
  const std::vector<std::vector<float>> blocks{{10.5f, -8.75f, 6.125f, 4.375f, -3.0625f, 2.1875f, 1.3125f, -0.4375f},
                                               {0.6f, -0.5f, 0.35f, 0.3f, -0.2f, 0.1f, 0.05f, -0.02f},
                                               {0.0002f, -0.0001f, 0.00004f, 0.000005f},
                                               {0.00001f, -0.000004f}};
  for (std::size_t b = 0; b < 4; ++b)
    std::copy(blocks[b].begin(), blocks[b].end(), x.begin() + static_cast<long>(16 * b));
  check({"nvfp4", 0x7E, {7, 0xE, 6, 4, 0xC, 2, 2, 8}, {10.5f, -7, 7, 3.5f, -3.5f, 1.75f, 1.75f, -0.0f}}, x, 16, 0);
  check({"nvfp4",
         0x5D,
         {7, 0xE, 5, 5, 0xC, 2, 1, 8},
         {.609375f, -.40625f, .3046875f, .3046875f, -.203125f, .1015625f, .05078125f, -0.0f}},
        x, 16, 1);
  check({"nvfp4", 0x04, {7, 0xD, 3, 0}, {6 * 0x1p-15f, -3 * 0x1p-15f, 1.5f * 0x1p-15f, 0}}, x, 16, 2);
  check({"nvfp4", 0x00, {0, 0, 0}, {0, 0, 0}}, x, 16, 3);
  const Quantized q = encode_ref(parse_format("nvfp4"), Layout::vector(64), x.data());
  REQUIRE(q.tensor_scale.has_value());
  CHECK(*q.tensor_scale == 0x1p-8f);
}

TEST_CASE("NVINT4: two blocks under one tensor scale", "[block][worked]") {
  std::vector<float> x(32, 0.0f);
  const std::vector<float> a{12.25f, -8.75f, 6.125f, 4.375f, -3.0625f, 2.1875f, 0.875f, -0.4375f};
  const std::vector<float> b{0.6f, -0.5f, 0.35f, 0.3f, -0.2f, 0.1f, 0.05f, -0.02f};
  std::copy(a.begin(), a.end(), x.begin());
  std::copy(b.begin(), b.end(), x.begin() + 16);
  check({"nvint4", 0x7E, integers(4, {7, -5, 4, 2, -2, 1, 0, 0}), {12.25f, -8.75f, 7, 3.5f, -3.5f, 1.75f, 0, 0}}, x, 16,
        0);
  check({"nvint4",
         0x5B,
         integers(4, {7, -6, 4, 3, -2, 1, 1, 0}),
         {.6015625f, -.515625f, .34375f, .2578125f, -.171875f, .0859375f, .0859375f, 0}},
        x, 16, 1);
}

TEST_CASE("Integer groups: the variants of scale and offset", "[block][worked]") {
  const std::vector<float> x(kBlockA.begin(), kBlockA.begin() + 8);
  check({"int4:g8", bits(1.0f), integers(4, {7, -5, 4, 2, -2, 1, 1, 0}), {7, -5, 4, 2, -2, 1, 1, 0}}, x, 8);
  check({"int4:g8:range=half", bits(7 / 7.5f), integers(4, {7, -5, 4, 3, -2, 1, 1, 0}), {}}, x, 8);
  check({"int4:g8:range=pow2",
         bits(0.875f),
         integers(4, {7, -6, 4, 3, -2, 1, 1, 0}),
         {6.125f, -5.25f, 3.5f, 2.625f, -1.75f, .875f, .875f, 0}},
        x, 8);
  check({"int4:g8:asym",
         bits(0.8f),
         {15, 0, 10, 9, 4, 8, 7, 6},
         {9 * 0.8f, -6 * 0.8f, 4 * 0.8f, 3 * 0.8f, -2 * 0.8f, 2 * 0.8f, 0.8f, 0}},
        x, 8);
  check({"int4:g8:min", bits(0.8f), {15, 0, 11, 9, 4, 8, 7, 6}, {}}, x, 8);
  check({"int2:g8:min:s=fp16:z=fp16", 0x4400, {3, 0, 2, 2, 1, 2, 1, 1}, {7, -5, 3, 3, -1, 3, -1, -1}}, x, 8);
  const Quantized asym = encode_ref(parse_format("int4:g8:asym"), Layout::vector(8), x.data());
  CHECK(asym.zero_points == std::vector<std::uint32_t>{6});
  const Quantized minimum = encode_ref(parse_format("int4:g8:min"), Layout::vector(8), x.data());
  CHECK(minimum.zero_points == std::vector<std::uint32_t>{bits(-5.0f)});
}

TEST_CASE("NF4 on block A", "[block][worked]") {
  const Format format = parse_format("nf4");
  const Quantized q = encode_ref(format, Layout::vector(12), kBlockA.data());
  CHECK(q.scales == std::vector<std::uint32_t>{bits(7.0f)});
  CHECK(q.codes == std::vector<std::uint8_t>{15, 1, 12, 11, 4, 9, 8, 7, 8, 7, 7, 7});
  std::vector<float> y(12);
  fake_quantize_ref(format, Layout::vector(12), kBlockA.data(), y.data());
  const float expected[] = {7,          -4.8733497f, 3.0849688f, 2.3654068f, -1.9910897f, 1.1265115f,
                            0.5570621f, 0,           0.5570621f, 0,          0,           0};
  for (std::size_t i = 0; i < 12; ++i) CHECK(bits(y[i]) == bits(expected[i]));
}

TEST_CASE("NaN and Inf poison their block and no other", "[block][special]") {
  for (const char* name : {"mxfp8_e4m3", "mxfp4", "mxint8", "nvfp4", "nvint4", "int4:g16", "e4m3:g16:s=fp16",
                           "int4:g16:asym", "int4:g16:min", "ternary", "nf4:g16", "fp16:g16"}) {
    CAPTURE(name);
    const Format format = parse_format(name);
    const std::size_t g = format.group_size;
    for (const float special : {kNan, -kNan, kInf, -kInf}) {
      std::vector<float> x(3 * g), y(3 * g), clean(3 * g);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.25f * static_cast<float>(i % 7) - 0.5f;
      fake_quantize_ref(format, Layout::vector(x.size()), x.data(), clean.data());
      x[g + 5] = special;
      const Quantized q = encode_ref(format, Layout::vector(x.size()), x.data());
      fake_quantize_ref(format, Layout::vector(x.size()), x.data(), y.data());
      CHECK(q.scales[1] == format.scale_element->nan_code());
      for (std::size_t i = 0; i < x.size(); ++i) {
        REQUIRE(bits(y[i]) == (i / g == 1 ? 0x7FC00000u : bits(clean[i])));
        if (i / g == 1) {
          REQUIRE(q.code(i) == 0);
        }
      }
    }
  }
}

TEST_CASE("nan=ignore takes the maximum over finite values", "[block][special]") {
  check({"mxfp8_e4m3:nan=ignore", 0x7F - 8, {0x7F, 0x7E, 0x78, 0xFE}, {kNan, 1.75f, 1, -1.75f}}, {kNan, kInf, 1, -kInf},
        32);
  check({"mxfp4:nan=ignore", 0x7F - 2, {7, 7, 6, 0xF}, {1.5f, 1.5f, 1, -1.5f}}, {kNan, kInf, 1, -kInf}, 32);
  check({"int4:g4:nan=ignore", bits(1.0f), integers(4, {0, 7, 7, -7}), {0, 7, 7, -7}}, {kNan, kInf, 7, -kInf}, 4);
  check({"mxint8:nan=ignore", 0x7F, integers(8, {0, 127, 64, -127}), {0, 127 / 64.0f, 1, -127 / 64.0f}},
        {kNan, kInf, 1, -kInf}, 32);
}

TEST_CASE("Decoding takes codes that no encoder emits", "[block][special]") {
  const auto decoded = [](const char* name, std::vector<std::uint8_t> codes, std::vector<std::uint32_t> scales,
                          std::vector<std::uint32_t> zero_points, std::optional<float> tensor_scale) {
    const Quantized q{parse_format(name), Layout::vector(codes.size()), 1, codes, scales, zero_points, tensor_scale};
    std::vector<float> y(codes.size());
    decode_ref(q, y.data());
    std::vector<std::uint32_t> out;
    for (const float v : y) out.push_back(bits(v));
    return out;
  };
  using Bits = std::vector<std::uint32_t>;
  CHECK(decoded("mxint8", {0x80, 0x7F}, {0x7F}, {}, {}) == Bits{bits(-2.0f), bits(127 / 64.0f)});
  CHECK(decoded("mxfp8_e5m2", {0x7C, 0xFC, 0x7D, 0xFF, 0x80}, {0}, {}, {}) ==
        Bits{bits(kInf), bits(-kInf), 0x7FC00000u, 0x7FC00000u, 0x80000000u});
  CHECK(decoded("mxfp8_e4m3", {0x7E, 0xFF}, {0xFE}, {}, {}) == Bits{bits(kInf), 0x7FC00000u});  // 448 * 2^127
  CHECK(decoded("mxfp4", {0, 8, 7}, {0xFF}, {}, {}) == Bits{0x7FC00000u, 0x7FC00000u, 0x7FC00000u});
  CHECK(decoded("nvfp4", {8, 0xF}, {0}, {}, 1.0f) == Bits{0x80000000u, 0x80000000u});
  // a product that underflows: floats keep the sign, integers have no -0
  CHECK(decoded("nvfp4", {0x9}, {0x01}, {}, 0x1p-149f) == Bits{0x80000000u});
  CHECK(decoded("nvint4", {0xFF}, {0x01}, {}, 0x1p-149f) == Bits{0u});
  CHECK(decoded("int4:g16:asym", {0, 6, 0xF5}, {0}, {6}, {}) == Bits{0u, 0u, 0u});
  CHECK(decoded("int4:g16:asym", {0xFF, 6}, {bits(0.5f)}, {6}, {}) == Bits{bits(4.5f), 0u});  // upper bits do not count
  CHECK(decoded("e5m2:g4:s=fp16", {0x7C, 0x3C}, {0}, {}, {}) == Bits{0x7FC00000u, 0u});       // Inf * 0
  // NF4 value * fp16 scale * float32 scale within 2^-53 of a midpoint; expected bits from exact integers
  CHECK(decoded("nf4:g16:s=fp16:ts=fp32", {9}, {0x3C00 + 1265 - 1024}, {}, 9917041 * 0x1p-23f) == Bits{0x3E70AB49u});
  CHECK(decoded("nf4:g16:s=fp16:ts=fp32", {13}, {0x3C00 + 1543 - 1024}, {}, 13089755 * 0x1p-23f) == Bits{0x3FA95421u});
  CHECK(decoded("ternary", {0, 1, 2, 3}, {0x38}, {}, {}) == Bits{bits(-1.0f), 0u, bits(1.0f), 0x7FC00000u});
}

TEST_CASE("Products of more than 53 bits are rounded once", "[block][special]") {
  // (1 + 2^-30)(1 + 2^-24 - 2^-30) = 1 + 2^-24 + 2^-54 - 2^-60: above the midpoint of 1 and 1 + 2^-23 by less than half
  // an ulp of double, which alone would round to the midpoint and then to 1
  const double a = 1 + 0x1p-30, b = 1 + 0x1p-24 - 0x1p-30;
  CHECK(static_cast<float>(a * b) == 1.0f);
  CHECK(round_product(a, b) == 1 + 0x1p-23f);
  CHECK(round_product(-a, b) == -1 - 0x1p-23f);
  // (1 - 2^-31)(1 + 3 * 2^-24 + 2^-31) = 1 + 3 * 2^-24 - 3 * 2^-55 - 2^-62: below the midpoint of 1 + 2^-23 and 1 +
  // 2^-22
  const double c = 1 - 0x1p-31, d = 1 + 3 * 0x1p-24 + 0x1p-31;
  CHECK(static_cast<float>(c * d) == 1 + 0x1p-22f);
  CHECK(round_product(c, d) == 1 + 0x1p-23f);
  CHECK(round_product(0.0, 3.0) == 0.0f);
  CHECK(std::isnan(round_product(kNan, 1.0)));
  CHECK(round_product(kInf, 2.0) == kInf);
}
