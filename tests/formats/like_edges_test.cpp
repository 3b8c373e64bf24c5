// Named implementations: worked examples for a human, refusals, and that layout does not matter. The bits of the real
// code on 2^16 blocks a row are in like_test.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/block.hpp"
#include "formats/error.hpp"
#include "formats/like/like.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

using Codes = std::vector<std::uint32_t>;

std::string error_of(const std::string& name) {
  try {
    parse_format(name);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<float> ordinary_values(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(static_cast<std::int32_t>(random_word(7, 1, i)) >> 8) * 0x1p-20f;
  return x;
}

Quantized encoded(const std::string& name, const std::vector<float>& x, std::size_t columns) {
  return encode_ref(parse_format(name), Layout::matrix(x.size() / columns, columns), x.data());
}

Codes first_codes(const Quantized& q, std::size_t first, std::size_t count) {
  Codes codes;
  for (std::size_t i = 0; i < count; ++i) codes.push_back(q.code(first + i));
  return codes;
}

/// Four NVFP4 blocks under A = 10.5, G = 2^-8, of which the last two have E4M3 scales at and below the subnormals.
std::vector<float> four_blocks() {
  const std::vector<std::vector<float>> rows = {{10.5f, -8.75f, 6.125f, 4.375f, -3.0625f, 2.1875f, 1.3125f, -0.4375f},
                                                {0.6f, -0.5f, 0.35f, 0.3f, -0.2f, 0.1f, 0.05f, -0.02f},
                                                {0.0002f, -0.0001f, 0.00004f, 0.000005f},
                                                {0.00001f, -0.000004f}};
  std::vector<float> x(64, 0.0f);
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::copy(rows[r].begin(), rows[r].end(), x.begin() + static_cast<std::ptrdiff_t>(16 * r));
  return x;
}

const std::vector<float> kBlockA = {7, -5, 3.5f, 2.5f, -1.75f, 1.25f, 0.75f, -0.25f};

/// Names of everything in the table.
std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const like::Implementation* implementation : like::implementations())
    for (const std::string_view format : implementation->formats)
      names.push_back(contains(std::string(format), ":like=")
                          ? std::string(format)
                          : std::string(format) + ":like=" + std::string(implementation->name));
  return names;
}

std::vector<float> fake_of(const Format& format, const Layout& layout, const std::vector<float>& x,
                           const QuantizeContext& context = {}) {
  std::vector<float> y(x.size(), -1.0f);
  fake_quantize_ref(format, layout, x.data(), y.data(), context);
  return y;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float u, float v) {
    return std::bit_cast<std::uint32_t>(u) == std::bit_cast<std::uint32_t>(v);
  });
}

}  // namespace

TEST_CASE("NVFP4 of four implementations where block scales underflow", "[like][worked]") {
  const std::vector<float> x = four_blocks();
  const Quantized torchao = encoded("nvfp4:like=torchao", x, 16);
  CHECK(torchao.tensor_scale == 0x1p-8f);
  CHECK(torchao.scales == Codes{0x7E, 0x5D, 0x08, 0x08});
  CHECK(first_codes(torchao, 0, 8) == Codes{7, 0xE, 6, 4, 0xC, 2, 2, 8});
  CHECK(first_codes(torchao, 32, 4) == Codes{5, 0xB, 1, 0});
  CHECK(first_codes(torchao, 48, 2) == Codes{0, 8});
  const Quantized compressed = encoded("nvfp4:like=compressed_tensors", x, 16);
  CHECK(compressed.scales == Codes{0x7E, 0x5D, 0x04, 0x20});
  CHECK(first_codes(compressed, 48, 2) == Codes{0, 8});
  const Quantized modelopt = encoded("nvfp4:like=modelopt_export", x, 16);
  CHECK(modelopt.scales == Codes{0x7E, 0x5D, 0x04, 0x01});
  CHECK(first_codes(modelopt, 48, 2) == Codes{3, 9});
  std::vector<float> y(x.size());
  decode_ref(modelopt, y.data());
  CHECK(y[48] == 1.1444092e-5f);
  CHECK(y[49] == -3.8146973e-6f);
  CHECK_FALSE(std::signbit(y[7]));  // it decodes code 8 to +0
}

TEST_CASE("integers of compressed-tensors", "[like][worked]") {
  const Quantized symmetric = encoded("int4:g8:like=compressed_tensors", kBlockA, 8);
  CHECK(std::bit_cast<float>(symmetric.scales[0]) == 0.93333334f);
  CHECK(first_codes(symmetric, 0, 8) == Codes{7, 0xB, 4, 3, 0xE, 1, 1, 0});
  const Quantized asymmetric = encoded("int4:g8:asym:like=compressed_tensors", kBlockA, 8);
  CHECK(static_cast<std::int32_t>(asymmetric.zero_points[0]) == -2);
  CHECK(first_codes(asymmetric, 0, 8) == Codes{7, 8, 2, 1, 0xC, 0, 0xF, 0xE});
  std::vector<float> y(8);
  decode_ref(asymmetric, y.data());
  CHECK(y[0] == Approx(7.2).epsilon(1e-6));
  CHECK(y[1] == Approx(-4.8).epsilon(1e-6));
}

TEST_CASE("bitsandbytes FP4 on the CPU", "[like][worked]") {
  std::vector<float> x = kBlockA;
  x.insert(x.end(), {0.3125f, -0.1f, 0.0f, -0.0f});
  x.resize(64, 0.0f);
  const Quantized q = encoded("bnb_fp4:like=bitsandbytes", x, 64);
  CHECK(first_codes(q, 0, 12) == Codes{3, 10, 5, 4, 15, 6, 6, 9, 1, 9, 0, 0});
  std::vector<float> y(64);
  decode_ref(q, y.data());
  CHECK(y[1] == -4.666667f);
  CHECK(y[7] == -7 * std::bit_cast<float>(0x3baaaaabu));  // 0.0625 / 12 in float
}

TEST_CASE("what sets the two torchao versions apart", "[like][worked]") {
  const float tiny = -0x1p-128f;
  std::vector<float> x(32, 0.0f);
  x[4] = tiny;
  CHECK(fake_of(parse_format("mxfp4:like=torchao"), Layout::vector(32), x)[4] == tiny);
  CHECK(fake_of(parse_format("mxfp4:like=torchao_0_18"), Layout::vector(32), x)[4] == 0.0f);  // divides by 2^-126
  x[4] = std::numeric_limits<float>::infinity();
  CHECK(encoded("mxfp4:like=torchao", x, 32).scales == Codes{0xFF});
  CHECK(encoded("mxfp4:like=torchao_0_18", x, 32).scales == Codes{0xFD});
  CHECK(encoded("mxfp4:rule=ceil:like=torchao_0_18", x, 32).scales == Codes{0xFE});
}

TEST_CASE("an implementation refuses what it lacks and lists what it has", "[like][names]") {
  for (const std::string name :
       {"mxint8:like=torchao", "mxfp4:round=rna:like=torchao", "mxfp4:g16:like=torchao", "nvfp4:ts=e8m0:like=torchao",
        "nvfp4:like=gfloat", "mxfp4:rule=ceil:like=gfloat", "nf4:g48:like=bitsandbytes", "nf4:s=fp16:like=bitsandbytes",
        "mxfp4:rule=floor:like=compressed_tensors", "int4:g32:range=pow2:like=compressed_tensors",
        "nvfp4:ts=none:like=modelopt_export", "mxfp4:like=modelopt_triton", "mxfp4:rule=floor:like=modelopt_cuda",
        "mxfp4:round=rne:like=modelopt_mxfp4", "mxfp4:flush:like=torchao_0_18", "mxfp8_e5m2:like=compressed_tensors"}) {
    INFO(name << ": " << error_of(name));
    CHECK(contains(error_of(name), "does not have"));
    CHECK(contains(error_of(name), "it has"));
    CHECK_FALSE(contains(error_of(name), "\n"));
  }
}

TEST_CASE("an implementation's own defaults are printed by the long form", "[like][names]") {
  CHECK(contains(long_form(parse_format("mxfp4:like=compressed_tensors")), "rule=even"));
  CHECK(contains(long_form(parse_format("int4:g32:like=compressed_tensors")), "range=half"));
  CHECK(contains(long_form(parse_format("mxint8:like=gfloat")), "full"));
  CHECK(contains(long_form(parse_format("mxfp4:like=modelopt_mxfp4")), "round=rtsm"));
  CHECK(contains(long_form(parse_format("mxfp4:like=modelopt_cuda")), "rule=ceil"));
}

TEST_CASE("fake quantisers without codes refuse to encode", "[like]") {
  const std::vector<float> x(16, 1.0f);
  for (const like::Implementation* implementation : like::implementations()) {
    if (implementation->encode != nullptr) continue;
    const std::string name(implementation->formats[0]);
    const Format format =
        parse_format(contains(name, ":like=") ? name : name + ":like=" + std::string(implementation->name));
    INFO(implementation->name);
    CHECK_THROWS_AS(encode_ref(format, Layout::vector(16), x.data()), Error);
  }
}

TEST_CASE("named implementations do not depend on the axis, on aliasing, or on who finds the tensor's maximum",
          "[like]") {
  constexpr std::size_t kRows = 3, kLength = 512;
  const std::vector<float> x = ordinary_values(kRows * kLength);
  std::vector<float> transposed(x.size());
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < kLength; ++c) transposed[c * kRows + r] = x[r * kLength + c];
  for (const std::string& name : all_names()) {
    INFO(name);
    const Format format = parse_format(name);
    const std::vector<float> y = fake_of(format, Layout::matrix(kRows, kLength), x);
    const std::vector<float> other = fake_of(format, Layout({kLength, kRows}, 0), transposed);
    std::size_t differing = 0;
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kLength; ++c)
        differing +=
            std::bit_cast<std::uint32_t>(y[r * kLength + c]) != std::bit_cast<std::uint32_t>(other[c * kRows + r]);
    CHECK(differing == 0);
    std::vector<float> in_place = x;
    fake_quantize_ref(format, Layout::matrix(kRows, kLength), in_place.data(), in_place.data());
    CHECK(same_bits(in_place, y));
    // A tensor in two calls, the maximum given.
    QuantizeContext context;
    context.tensor_amax = finite_amax(x.data(), x.size());
    const std::vector<float> head(x.begin(), x.begin() + kLength), tail(x.begin() + kLength, x.end());
    std::vector<float> joined = fake_of(format, Layout::matrix(1, kLength), head, context);
    context.first_index = kLength;
    const std::vector<float> rest = fake_of(format, Layout::matrix(kRows - 1, kLength), tail, context);
    joined.insert(joined.end(), rest.begin(), rest.end());
    CHECK(same_bits(joined, y));
  }
}

TEST_CASE("every NaN of a named implementation is the canonical one", "[like][nan]") {
  std::vector<float> x = ordinary_values(512), y(x.size());
  x[37] = -std::numeric_limits<float>::infinity();
  x[170] = std::numeric_limits<float>::infinity();
  x[300] = std::bit_cast<float>(0xFFC12345u);
  x[400] = std::numeric_limits<float>::max();
  std::size_t seen = 0, other = 0;
  for (const like::Implementation* implementation : like::implementations())
    for (const std::string_view format : implementation->formats) {
      const std::string name(format), like = ":like=" + std::string(implementation->name);
      const Format parsed = parse_format(contains(name, ":like=") ? name : name + like);
      for (const std::size_t values : {std::size_t{256}, x.size()}) {  // without and with a NaN
        fake_quantize_ref(parsed, Layout::vector(values), x.data(), y.data());
        for (std::size_t i = 0; i < values; ++i) {
          if (!std::isnan(y[i])) continue;
          ++seen;
          if (std::bit_cast<std::uint32_t>(y[i]) != 0x7FC00000u && ++other == 1)
            UNSCOPED_INFO(to_string(parsed) << ", value " << i);
        }
      }
    }
  CHECK(seen > 0);
  CHECK(other == 0);
}
