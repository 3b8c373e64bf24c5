// Groups in tensors of several axes, chunks and random words: against groups collected value by value.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "formats/block.hpp"
#include "formats/codec.hpp"
#include "formats/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using test::refusal_of;

namespace {

std::vector<float> noise(std::size_t n, std::uint64_t stream) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t word = random_word(3, stream, i);
    x[i] = std::ldexp(static_cast<float>(static_cast<std::int32_t>(word)), static_cast<int>(word % 11) - 36);
  }
  return x;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  for (const float v : values) out.push_back(std::bit_cast<std::uint32_t>(v));
  return out;
}

std::vector<float> fake(const Format& format, const Layout& layout, const std::vector<float>& x,
                        const QuantizeContext& context = {}) {
  std::vector<float> y(x.size());
  fake_quantize_ref(format, layout, x.data(), y.data(), context);
  return y;
}

/// Groups by definition: values of a rank-3 tensor with the same key, in C order. Keys ascend in the order of groups.
using Key = std::tuple<std::size_t, std::size_t, std::size_t>;
std::map<Key, std::vector<std::size_t>> groups_by_definition(const Format& format,
                                                             const std::vector<std::size_t>& shape, std::size_t axis) {
  std::map<Key, std::vector<std::size_t>> groups;
  const std::size_t row_axis = axis == 0 ? 1 : axis - 1;
  for (std::size_t i = 0; i < shape[0]; ++i)
    for (std::size_t j = 0; j < shape[1]; ++j)
      for (std::size_t k = 0; k < shape[2]; ++k) {
        std::size_t position[3] = {i, j, k};
        switch (format.group) {
          case GroupKind::tensor:
            position[0] = position[1] = position[2] = 0;
            break;
          case GroupKind::channel:
            position[axis] = 0;
            break;
          case GroupKind::tile:
            position[row_axis] /= format.tile_rows;
            [[fallthrough]];
          default:
            position[axis] /= format.group_size;
        }
        groups[{position[0], position[1], position[2]}].push_back((i * shape[1] + j) * shape[2] + k);
      }
  return groups;
}

}  // namespace

TEST_CASE("Any axis and any grouping equal the groups on their own", "[block][layout]") {
  const std::vector<std::size_t> shape{5, 37, 19};
  const std::vector<float> x = noise(5 * 37 * 19, 1);
  for (const char* name : {"mxfp4", "nvfp4", "int4:g8:asym", "int4:g1000:min", "e4m3:channel", "int8:tensor", "ternary",
                           "e4m3:tile4x8", "int4:tile3x100:asym", "nvfp4:tile16x16", "bf16:tile1x1", "int8:g1"})
    for (const int axis : {0, 1, 2, -1, -3}) {
      CAPTURE(name, axis);
      const Format format = parse_format(name);
      const Layout layout(shape, axis);
      const auto groups = groups_by_definition(format, shape, static_cast<std::size_t>(axis < 0 ? axis + 3 : axis));
      QuantizeContext context;
      context.tensor_amax = finite_amax(x.data(), x.size());
      const Quantized q = encode_ref(format, layout, x.data());
      const std::vector<float> y = fake(format, layout, x);
      std::vector<float> decoded(x.size());
      decode_ref(q, decoded.data());
      REQUIRE(q.group_count() == groups.size());
      std::size_t count = 1;
      for (const std::size_t extent : scale_shape(format, layout)) count *= extent;
      REQUIRE(count == groups.size());
      std::size_t number = 0;
      for (const auto& [key, members] : groups) {
        std::vector<float> values;
        for (const std::size_t i : members) values.push_back(x[i]);
        const Format alone =
            parse_format(std::string(name).substr(0, std::string(name).find(":tile")) +
                         (format.group == GroupKind::tile ? ":tensor" : "") +
                         (std::string(name).find("tile3x100:asym") != std::string::npos ? ":asym" : ""));
        const Quantized expected = encode_ref(alone, Layout::vector(values.size()), values.data(), context);
        const std::vector<float> expected_y = fake(alone, Layout::vector(values.size()), values, context);
        REQUIRE(q.scales[number] == expected.scales[0]);
        if (!q.zero_points.empty()) {
          REQUIRE(q.zero_points[number] == expected.zero_points[0]);
        }
        for (std::size_t m = 0; m < members.size(); ++m) {
          REQUIRE(group_of(format, layout, members[m]) == number);
          REQUIRE(q.code(members[m]) == expected.code(m));
          REQUIRE(std::bit_cast<std::uint32_t>(y[members[m]]) == std::bit_cast<std::uint32_t>(expected_y[m]));
          REQUIRE(std::bit_cast<std::uint32_t>(decoded[members[m]]) == std::bit_cast<std::uint32_t>(expected_y[m]));
        }
        ++number;
      }
    }
}

TEST_CASE("Shapes of scales", "[block][layout]") {
  using Shape = std::vector<std::size_t>;
  const Layout last({3, 70, 10}, 1), first({40, 70}, 0);
  CHECK(scale_shape(parse_format("mxfp4"), last) == Shape{3, 3, 10});
  CHECK(scale_shape(parse_format("e4m3:channel"), last) == Shape{3, 1, 10});
  CHECK(scale_shape(parse_format("e4m3:tensor"), last) == Shape{1});
  CHECK(scale_shape(parse_format("e4m3:tile2x32"), last) == Shape{2, 3, 10});
  CHECK(scale_shape(parse_format("e4m3:tile32x16"), first) == Shape{3, 3});  // 40 / 16 along the axis, 70 / 32 rows
  CHECK(scale_shape(parse_format("int4:g1073741824"), last) == Shape{3, 1, 10});
  CHECK(scale_shape(parse_format("e4m3"), last).empty());
  CHECK(scale_shape(parse_format("mxfp4"), Layout({4, 0}, -1)) == Shape{4, 0});
}

TEST_CASE("In place, chunked and whole give the same bits", "[block][layout]") {
  const std::vector<float> x = noise(40 * 96, 2);
  for (const char* name : {"mxfp4", "nvfp4", "mxfp8_e4m3:round=sr:seed=4", "int4:g32:asym:round=sr", "bf16:round=sr",
                           "int8:g32:min", "nf4", "ternary"})
    for (const int axis : {-1, 0}) {
      CAPTURE(name, axis);
      const Format format = parse_format(name);
      QuantizeContext context{.stream = 77, .first_index = 123, .tensor_amax = {}};
      const std::vector<float> whole = fake(format, Layout({40, 96}, axis), x, context);
      std::vector<float> inplace = x;
      fake_quantize_ref(format, Layout({40, 96}, axis), inplace.data(), inplace.data(), context);
      CHECK(bits_of(inplace) == bits_of(whole));
      if (axis == 0) continue;
      std::vector<float> chunked(x.size());
      context.tensor_amax = finite_amax(x.data(), x.size());
      for (std::size_t row = 0; row < 40; row += 7) {
        const std::size_t n = std::min<std::size_t>(7, 40 - row);
        context.first_index = 123 + row * 96;
        fake_quantize_ref(format, Layout::matrix(n, 96), x.data() + row * 96, chunked.data() + row * 96, context);
      }
      CHECK(bits_of(chunked) == bits_of(whole));
    }
}

TEST_CASE("The random word of a value is that of its flat index, on every axis", "[block][layout]") {
  const std::vector<float> x = noise(64 * 48, 9);
  const Format format = parse_format("mxfp8_e4m3:round=sr:seed=21");
  for (const int axis : {0, 1}) {
    const Layout layout({64, 48}, axis);
    const QuantizeContext context{.stream = stream_of("model.layers.0"), .first_index = 4001, .tensor_amax = {}};
    const Quantized q = encode_ref(format, layout, x.data(), context);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double scale = std::ldexp(1.0, static_cast<int>(q.scales[group_of(format, layout, i)]) - 127);
      const std::uint32_t word = random_word(21, context.stream, 4001 + i);
      REQUIRE(q.code(i) == encode(*format.element, x[i] / scale, format.conversion, word));
    }
  }
}

TEST_CASE("Stochastic rounding is unbiased and never leaves the neighbours", "[block][layout]") {
  const std::size_t n = 1 << 16;
  std::vector<float> x(n, 2.3f);
  for (std::size_t i = 0; i < n; i += 32) x[i] = 6.0f;
  const std::vector<float> y = fake(parse_format("mxfp4:round=sr:seed=8"), Layout::vector(n), x);
  double up = 0, count = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 32 == 0) {
      REQUIRE(y[i] == 6.0f);
      continue;
    }
    REQUIRE((y[i] == 2.0f || y[i] == 3.0f));
    up += y[i] == 3.0f;
    ++count;
  }
  CHECK(std::abs(up / count - 0.3) < 5 * std::sqrt(0.3 * 0.7 / count));
}

TEST_CASE("Calibrated tensor maxima saturate the block scales", "[block][layout]") {
  std::vector<float> x(16, 1.0f);
  x[0] = 10;
  QuantizeContext context;
  context.tensor_amax = 2688.0f * 0x1p-11f;  // G = 2^-11
  const Quantized q = encode_ref(parse_format("nvfp4"), Layout::vector(16), x.data(), context);
  CHECK(q.scales[0] == 0x7E);
  CHECK(*q.tensor_scale == 0x1p-11f);
  CHECK(fake(parse_format("nvfp4"), Layout::vector(16), x, context)[0] == 2688.0f * 0x1p-11f);
}

TEST_CASE("Doubles: casts round once, blocks take floats", "[block][layout]") {
  const double x[] = {1.0625 + 0x1p-40, -1.0625 - 0x1p-40};  // a tie of E4M3 once rounded to float
  float y[2];
  fake_quantize_ref(parse_format("e4m3"), Layout::vector(2), x, y);
  CHECK(y[0] == 1.125f);
  CHECK(y[1] == -1.125f);
  CHECK(encode_ref(parse_format("e4m3"), Layout::vector(2), x).codes == std::vector<std::uint8_t>{0x39, 0xB9});
  const double block[] = {1.0625 + 0x1p-40, 256.0};
  fake_quantize_ref(parse_format("mxfp8_e4m3"), Layout::vector(2), block, y);
  CHECK(y[0] == 1.0f);
}

TEST_CASE("Plain casts: codes of one, two and four bytes, integers in two's complement", "[block][layout]") {
  const float x[] = {-3.7f, 1.0f, 0.0f, 1e30f};
  const auto q = [&](const char* name) { return encode_ref(parse_format(name), Layout::vector(4), x); };
  CHECK(q("int4").codes == std::vector<std::uint8_t>{0xFC, 1, 0, 7});
  CHECK(q("int4:full").codes == std::vector<std::uint8_t>{0xFC, 1, 0, 7});
  CHECK(q("int4").code(0) == 0xC);
  CHECK(q("fp16").codes == std::vector<std::uint8_t>{0x66, 0xC3, 0x00, 0x3C, 0, 0, 0x00, 0x7C});
  CHECK(q("tf32").code_bytes == 4);
  CHECK(q("tf32").code(1) == 0x3F800000u >> 13);
  for (const char* name : {"int4", "int8:full", "fp16", "tf32", "bf16", "e5m2", "e8m0"}) {
    float fake_y[4], decoded[4];
    fake_quantize_ref(parse_format(name), Layout::vector(4), x, fake_y);
    decode_ref(q(name), decoded);
    for (int i = 0; i < 4; ++i)
      CHECK(std::bit_cast<std::uint32_t>(fake_y[i]) == std::bit_cast<std::uint32_t>(decoded[i]));
  }
  const float tiny[] = {0x1p-127f, -0x1p-127f, 0x1p-126f};
  float y[3];
  fake_quantize_ref(parse_format("bf16:flush"), Layout::vector(3), tiny, y);
  CHECK(bits_of({y[0], y[1], y[2]}) == std::vector<std::uint32_t>{0, 0x80000000u, 0x00800000u});
}

TEST_CASE("Layouts and parts that do not fit are refused in one line", "[block][layout]") {
  const std::vector<float> x(64, 1.0f);
  std::vector<float> y(64);
  CHECK(refusal_of([] { Layout({2, 3}, 2); }).names("axis 2"));
  CHECK(refusal_of([] { Layout({2, 3}, -3); }).names("-2 to 1"));
  CHECK(refusal_of([] { Layout({}, -1); }).names("axis"));
  CHECK(refusal_of([] { Layout({std::size_t{1} << 40, std::size_t{1} << 40}); }).names("too many"));
  CHECK(refusal_of([&] {
          fake_quantize_ref(parse_format("e4m3:tile4x4"), Layout::vector(64), x.data(), y.data());
        }).names("axes"));
  for (const float amax : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    QuantizeContext context;
    context.tensor_amax = amax;
    CHECK(refusal_of([&] {
            fake_quantize_ref(parse_format("nvfp4"), Layout::vector(64), x.data(), y.data(), context);
          }).names("tensor maximum"));
  }
  CHECK(refusal_of([&] {
          encode_ref(parse_format("bf16:g16:s=e4m3:ts=fp32"), Layout::vector(64), x.data());
        }).names("bf16"));
  const Quantized good = encode_ref(parse_format("nvfp4"), Layout::vector(64), x.data());
  Quantized bad = good;
  bad.codes.pop_back();
  CHECK(refusal_of([&] { decode_ref(bad, y.data()); }).names("codes"));
  bad = good;
  bad.scales.push_back(0);
  CHECK(refusal_of([&] { decode_ref(bad, y.data()); }).names("scales"));
  bad = good;
  bad.tensor_scale.reset();
  CHECK(refusal_of([&] { decode_ref(bad, y.data()); }).names("tensor scale"));
  bad = encode_ref(parse_format("int4:g32:asym"), Layout::vector(64), x.data());
  bad.zero_points.clear();
  CHECK(refusal_of([&] { decode_ref(bad, y.data()); }).names("zero points"));
}

TEST_CASE("Empty tensors are legal", "[block][layout]") {
  for (const char* name : {"mxfp4", "nvfp4", "e4m3:channel", "e4m3:tensor", "int4:g32:min", "e4m3"}) {
    const Quantized q = encode_ref(parse_format(name), Layout({4, 0}, -1), static_cast<const float*>(nullptr));
    CHECK(q.codes.empty());
    decode_ref(q, nullptr);
    fake_quantize_ref(parse_format(name), Layout({0, 4}, 0), static_cast<const float*>(nullptr), nullptr);
  }
}

TEST_CASE("A tensor without values costs nothing, however long its other axes", "[block][layout]") {
  constexpr std::size_t kLong = std::size_t{1} << 50;
  for (const char* name : {"mxfp4", "nvfp4:g3", "e4m3:channel", "int4:tensor", "int4:tile2x4", "int4:g32:asym", "nf4"}) {
    const Format format = parse_format(name);
    for (const Layout& layout : {Layout({kLong, 0}, -1), Layout({kLong, 0}, 0), Layout({0, kLong}, -1),
                                 Layout({0, kLong}, 0), Layout({4, kLong, 0}, 1)}) {
      INFO(name << ", axis " << layout.axis);
      fake_quantize(format, layout, nullptr, nullptr);
      fake_quantize_ref(format, layout, static_cast<const float*>(nullptr), nullptr);
      const Quantized q = encode_ref(format, layout, static_cast<const float*>(nullptr));
      CHECK(q.codes.empty());
      CHECK(q.scales.empty());
      decode_ref(q, nullptr);
    }
  }
}
