// Sums over packed rows: the bits of unpacking first, for every instruction set; and folded scales.
#include "sim/kv/packed_rows.hpp"

#include <bit>
#include <cstring>

#include "sim/kv/half.hpp"
#include "tests/sim/kv/support.hpp"

using namespace lowbit;
using namespace lowbit::kv;
using namespace lowbit::test;

namespace {

// Rows of codes with scales and minima, and what they unpack to one by one.
struct Case {
  int bits;
  std::size_t width, rows, group;
  std::vector<std::uint8_t> codes;
  std::vector<float> scale, zero;  // by channel (group 0) or by row and group
  model::Matrix values;

  Case(int bits, std::size_t width, std::size_t rows, std::size_t group)
      : bits(bits), width(width), rows(rows), group(group), values(rows, width) {
    Rng rng(bits + 7 * width + 11 * rows + group, "packed");
    const std::size_t row_bytes = width * static_cast<std::size_t>(bits) / 8;
    codes.resize(rows * row_bytes);
    for (auto& byte : codes) byte = static_cast<std::uint8_t>(rng.below(256));
    const std::size_t count = group == 0 ? width : rows * (width / group);
    for (std::size_t i = 0; i < count; ++i) {
      scale.push_back(static_cast<float>(rng.normal()));
      zero.push_back(static_cast<float>(rng.normal()));
    }
    for (std::size_t t = 0; t < rows; ++t)
      for (std::size_t c = 0; c < width; ++c) {
        const std::size_t place = c * static_cast<std::size_t>(bits);
        const int code = codes[t * row_bytes + place / 8] >> (place % 8) & ((1 << bits) - 1);
        const std::size_t i = group == 0 ? c : t * (width / group) + c / group;
        const volatile float product = scale[i] * static_cast<float>(code);
        values.view().row(t)[c] = product + zero[i];
      }
  }
  PackedRows packed() const { return {codes.data(), width * static_cast<std::size_t>(bits) / 8, rows, width}; }
};

double largest_difference(const model::Matrix& a, const model::Matrix& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.rows() * a.columns(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a.data()[i]) - b.data()[i]));
  return most;
}

/// Runs `check` with every instruction set of this processor.
template <class Check>
void with_each_kernel(Check check) {
  const auto names = packed_kernels();
  for (std::size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    use_packed_kernels(i);
    check();
  }
  use_packed_kernels(0);
}

}  // namespace

TEST_CASE("logits of packed rows have the bits of unpacking and lane_dot", "[kv]") {
  with_each_kernel([] {
    for (const int bits : {2, 4})
      for (const std::size_t width : {64ul, 128ul})
        for (const std::size_t rows : {1ul, 15ul, 16ul, 33ul})
          for (const std::size_t queries : {1ul, 2ul, 3ul, 5ul, 7ul}) {
            const Case c(bits, width, rows, 0);
            const auto q = random_rows(queries, width, 5);
            model::Matrix expected(queries, rows), packed(queries, rows), plain(queries, rows), folded(queries, rows);
            for (std::size_t i = 0; i < queries; ++i)
              for (std::size_t t = 0; t < rows; ++t)
                expected.view().row(i)[t] = lane_dot(q.view().row(i), c.values.view().row(t), width);
            packed_logits(bits, c.packed(), c.scale.data(), c.zero.data(), q.view(), KvMath::exact, packed);
            REQUIRE(float_logits(c.values.view(), q.view(), plain));
            CHECK(same_bits(expected.view(), packed.view()));
            CHECK(same_bits(expected.view(), plain.view()));
            packed_logits(bits, c.packed(), c.scale.data(), c.zero.data(), q.view(), KvMath::fused, folded);
            CHECK(largest_difference(expected, folded) < 1e-4);  // of sums of 64 terms of up to 15 * |N| * |N|
            if (rows == 33 && queries == 3) CHECK(!same_bits(expected.view(), folded.view()));
          }
  });
}

TEST_CASE("sums over packed rows have the bits of adding row after row", "[kv]") {
  with_each_kernel([] {
    for (const int bits : {2, 4})
      for (const std::size_t width : {64ul, 128ul})
        for (const std::size_t group : {16ul, 64ul})
          for (const std::size_t rows : {1ul, 17ul, 130ul})
            for (const std::size_t queries : {1ul, 3ul, 5ul}) {
              const Case c(bits, width, rows, group);
              const auto weights = random_rows(queries, rows, 6), start = random_rows(queries, width, 8);
              model::Matrix expected = start, packed = start, plain = start, folded = start;
              for (std::size_t i = 0; i < queries; ++i)
                for (std::size_t t = 0; t < rows; ++t)
                  for (std::size_t k = 0; k < width; ++k) {
                    const volatile float product = weights.view().row(i)[t] * c.values.view().row(t)[k];
                    expected.view().row(i)[k] += product;
                  }
              packed_sums(bits, c.packed(), group, c.scale.data(), c.zero.data(), weights.view(), KvMath::exact,
                          packed);
              REQUIRE(float_sums(c.values.view(), weights.view(), plain));
              CHECK(same_bits(expected.view(), packed.view()));
              CHECK(same_bits(expected.view(), plain.view()));
              packed_sums(bits, c.packed(), group, c.scale.data(), c.zero.data(), weights.view(), KvMath::fused,
                          folded);
              CHECK(largest_difference(expected, folded) < 1e-3);  // sums of 130 terms of up to 15 * |N| * |N|
            }
  });
}

TEST_CASE("rows in float16 have the bits of converting them first", "[kv]") {
  with_each_kernel([] {
    for (const std::size_t width : {64ul, 128ul})
      for (const std::size_t rows : {1ul, 16ul, 45ul})
        for (const std::size_t queries : {1ul, 2ul, 3ul, 4ul}) {
          Rng rng(width + rows, "halves");
          std::vector<std::uint16_t> codes(rows * width);
          model::Matrix values(rows, width);
          for (std::size_t i = 0; i < codes.size(); ++i) {  // every finite value: subnormal ones and both zeros too
            do codes[i] = static_cast<std::uint16_t>(rng.below(1 << 16));
            while ((codes[i] & 0x7C00) == 0x7C00);
            values.data()[i] = half_value(codes[i]);
          }
          const HalfRows halves{codes.data(), rows, width};
          const auto q = random_rows(queries, width, 5), weights = random_rows(queries, rows, 6),
                     start = random_rows(queries, width, 8);
          model::Matrix expected(queries, rows), own(queries, rows), sums = start, plain = start;
          for (std::size_t i = 0; i < queries; ++i)
            for (std::size_t t = 0; t < rows; ++t)
              expected.view().row(i)[t] = lane_dot(q.view().row(i), values.view().row(t), width);
          REQUIRE(half_logits(halves, q.view(), own));
          CHECK(same_bits(expected.view(), own.view()));
          REQUIRE(half_sums(halves, weights.view(), sums));
          REQUIRE(float_sums(values.view(), weights.view(), plain));
          CHECK(same_bits(plain.view(), sums.view()));
        }
  });
}

TEST_CASE("widths and bits without kernels are left to unpacking", "[kv]") {
  CHECK(packed_rows_fit(2, 64));
  CHECK(packed_rows_fit(4, 128));
  CHECK(!packed_rows_fit(3, 64));
  CHECK(!packed_rows_fit(2, 96));
  model::Matrix rows(4, 32), out(1, 4);
  CHECK(!float_logits(rows.view(), random_rows(1, 32).view(), out));
  const std::vector<std::uint16_t> halves(4 * 32);
  CHECK(!half_logits({halves.data(), 4, 32}, random_rows(1, 32).view(), out));
}

TEST_CASE("fused attention is the exact one to 1e-5", "[kv]") {
  const LayerShape shape{1, 64};
  const Tokens tokens(700, shape);
  const auto q = random_rows(3, 64, 77);
  for (const char* name : {"kivi", "kvlinc", "had_channel", "quarot", "per_token"})
    for (const int bits : {2, 3, 4}) {
      CAPTURE(name, bits);
      MethodOptions options;
      options.bits = bits;
      const auto rules = make_method(name, options)->rules(shape, nullptr);
      Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, nullptr), true);
      tokens.give(0, 700, [&](const auto& step) { cache.append(step); });
      model::Matrix exact(3, 64), fused(3, 64);
      HeadReader reader = cache.reader(0, 0);
      attend(reader, q, 699, 0.125f, exact);
      reader.math = KvMath::fused;
      attend(reader, q, 699, 0.125f, fused);
      CHECK(largest_difference(exact, fused) < 1e-5);
      CHECK(same_bits(exact.view(), fused.view()) == (bits == 3));  // 3 bits are unpacked in both
    }
}

TEST_CASE("decoding with fused sums is decoding with exact ones to 1e-5", "[kv]") {
  // two KV heads with two query heads each, token by token past several blocks
  const LayerShape shape{2, 64};
  constexpr std::size_t kTokens = 400;
  const Tokens tokens(kTokens, shape);
  const auto q = random_rows(kTokens, 4 * 64, 9);
  const auto rope = test_rope(64);
  const model::AttentionShape attention{0, 4, 2, 64, 0.125f, 0};
  Threads threads(2);
  for (const char* name : {"kivi", "kivi_pre", "kvlinc", "quarot"}) {
    CAPTURE(name);
    const auto rules = make_method(name, {})->rules(shape, nullptr);
    model::Matrix out[2] = {model::Matrix(kTokens, 256), model::Matrix(kTokens, 256)};
    for (const KvMath math : {KvMath::exact, KvMath::fused}) {
      const Rows own = out[math == KvMath::fused].view();
      Cache cache({shape}, std::make_unique<WindowPolicy>(std::vector{rules}, &rope), false);
      PackedAttention packed(math);
      for (std::size_t t = 0; t < kTokens; ++t) {
        const auto position = static_cast<std::int64_t>(t);
        tokens.give(t, 1, [&](const auto& step) { cache.append(step); });
        packed.apply({attention,
                      {0, 0, 1, position, &cache},
                      q.view().slice(t, 1),
                      &position,
                      tokens.k.view().slice(t, 1),
                      tokens.v.view().slice(t, 1),
                      own.slice(t, 1),
                      threads});
      }
    }
    CHECK(largest_difference(out[0], out[1]) < 1e-5);
    // up to the first block nothing is packed; afterwards the sums are others
    CHECK(same_bits(out[0].view().slice(0, 128), out[1].view().slice(0, 128)));
    CHECK(!same_bits(out[0].view().slice(256, 144), out[1].view().slice(256, 144)));
  }
}
