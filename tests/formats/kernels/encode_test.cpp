// Codes, scales, packed forms and what they decode to equal the reference's, on every target that this machine has.
#include "formats/pack.hpp"
#include "formats/packed.hpp"
#include "tests/formats/kernels/spawning_workers.hpp"
#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

/// Index of the first difference of two byte or word lists, or their length.
template <class T>
std::size_t first_unequal(const std::vector<T>& a, const std::vector<T>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) return i;
  return a.size();
}

void check_codes(const std::string& name, const Layout& layout, std::uint64_t stream, bool specials) {
  INFO(name << " on " << kernels::target() << ", " << layout.size() << " values, specials " << specials);
  const Format format = parse_format(name);
  QuantizeContext context;
  context.first_index = stream * 1001;
  const std::size_t n = layout.size();
  const std::vector<float> x = twin_values(n, stream, specials, is_wide(name));
  const Quantized expected = encode_ref(format, layout, x.data(), context);
  Quantized got{format, layout, 1, {}, {}, {}, {}};
  REQUIRE((kernels::encode(format, layout, x.data(), got, context) || n < 1024));
  if (n < 1024) got = encode(format, layout, x.data(), context);
  CHECK(first_unequal(expected.scales, got.scales) == expected.scales.size());
  CHECK(first_unequal(expected.zero_points, got.zero_points) == expected.zero_points.size());
  REQUIRE(expected.code_bytes == got.code_bytes);
  const std::size_t at = first_unequal(expected.codes, got.codes) / static_cast<std::size_t>(got.code_bytes);
  if (at < n)
    FAIL("code " << at << ", x = " << x[at] << ": reference " << expected.code(at) << ", kernel " << got.code(at));
  CHECK(expected.tensor_scale == got.tensor_scale);

  std::vector<float> values(n), decoded(n, -7.0f);
  decode_ref(expected, values.data());
  decode(got, decoded.data());
  const std::size_t wrong = first_difference(values.data(), decoded.data(), n);
  if (wrong < n)
    FAIL("value " << wrong << " of code " << int{got.codes[wrong]} << ": reference " << values[wrong] << ", kernel "
                  << decoded[wrong]);
}

void check_packed(const std::string& name, const Layout& layout, std::uint64_t stream, bool specials,
                  Workers* workers = nullptr) {
  INFO(name << " on " << kernels::target() << ", " << layout.size() << " values");
  const Format format = parse_format(name);
  const std::size_t n = layout.size();
  const std::vector<float> x = twin_values(n, stream, specials, is_wide(name));
  PackedTensor expected, got;
  QuantizeContext context;
  quantize_packed_ref(format, layout, x.data(), expected, context);
  context.workers = workers;
  quantize_packed(format, layout, x.data(), got, context);
  CHECK(first_unequal(expected.codes, got.codes) == expected.codes.size());
  CHECK(first_unequal(expected.scales, got.scales) == expected.scales.size());
  CHECK(first_unequal(expected.zero_points, got.zero_points) == expected.zero_points.size());
  CHECK(expected.tensor_scale == got.tensor_scale);
  std::vector<float> values(n), decoded(n, -7.0f);
  dequantize_packed_ref(expected, values.data());
  dequantize_packed(got, decoded.data(), workers);
  CHECK(first_difference(values.data(), decoded.data(), n) == n);
}

}  // namespace

TEST_CASE("codes and scales of kernels equal the reference's", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats())
      for (const Layout& layout : twin_layouts(name))
        for (const bool specials : {false, true}) check_codes(name, layout, layout.size() % 7, specials);
  });
}

TEST_CASE("codes of short and ragged vectors equal the reference's", "[kernels]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "mxint6", "nvfp4", "int4:g32:asym", "mxfp6_e3m2:round=sr", "nf4"})
      for (std::size_t n = 1; n <= 130; ++n) check_codes(name, Layout::vector(n), n, n % 3 == 0);
  });
}

TEST_CASE("codes of groups across the contiguous axis and of casts equal the reference's", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats())
      for (const Layout& layout : twin_columns(name)) check_codes(name, layout, layout.size() % 7, true);
    for (const std::string& name : twin_casts()) check_codes(name, Layout::vector(4999), 1, true);
  });
}

TEST_CASE("packed forms of kernels equal the reference's", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats()) {
      if (name.find("round=rna") != std::string::npos) continue;
      for (const Layout& layout : twin_layouts(name)) check_packed(name, layout, 3, true);
    }
    for (const char* name : {"mxfp4", "mxfp6_e2m3", "mxint3", "nvfp4", "int5:g32", "int7:g16"})
      for (std::size_t n = 1; n <= 130; ++n) check_packed(name, Layout::vector(n), n, n % 3 == 0);
    SpawningWorkers workers(3);
    check_packed("nvfp4", Layout::matrix(3, 300016), 1, false, &workers);
    check_packed("mxfp6_e2m3", Layout::vector(600000), 1, false, &workers);
    CHECK(workers.loops > 0);
  });
}

TEST_CASE("dense bit streams of kernels equal those of the layouts' positions", "[kernels]") {
  on_every_target([] {
    const std::string target(kernels::target());
    for (int bits = 1; bits <= 8; ++bits)
      for (std::size_t n = 1; n <= 300; n = n < 150 ? n + 1 : n + 50) {
        std::vector<std::uint8_t> codes(n);
        for (std::size_t i = 0; i < n; ++i)
          codes[i] = static_cast<std::uint8_t>(random_word(1, bits, i) >> (32 - bits));
        kernels::force_target("ref");
        const std::vector<std::uint8_t> expected = pack_codes(pack_layout("dense"), bits, codes, n);
        kernels::force_target(target);
        const std::vector<std::uint8_t> bytes = pack_codes(pack_layout("dense"), bits, codes, n);
        REQUIRE(bytes == expected);
        REQUIRE(unpack_codes(pack_layout("dense"), bits, bytes, 1, n) == codes);
      }
  });
}

TEST_CASE("packed forms across the contiguous axis equal the reference's", "[kernels]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "mxfp6_e2m3", "int4:g32:asym"}) check_packed(name, Layout({70, 49}, 0), 1, true);
  });
}

TEST_CASE("kernels decode any codes and scales as the reference does", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats()) {
      if (name.find("round=rne") == std::string::npos) continue;
      INFO(name << " on " << kernels::target());
      const Format format = parse_format(name);
      const Layout layout = twin_layouts(name)[1];
      const std::size_t n = layout.size();
      const std::vector<float> x = twin_values(n, 9, true, is_wide(name));
      Quantized q = encode_ref(format, layout, x.data());
      const std::uint32_t scale_mask = format.scale_element->bits >= 32 ? ~0u : (1u << format.scale_element->bits) - 1;
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t w = random_word(3, 1, i);
        const int unused = 8 - format.element->bits;
        const auto signed_code = static_cast<std::int8_t>(w << unused) >> unused;
        const bool extends = format.element->is_integer() && format.zero_point == ZeroPoint::none;
        q.codes[i] = static_cast<std::uint8_t>(extends ? signed_code : (w & 0xffu) >> unused);
      }
      for (std::size_t g = 0; g < q.scales.size(); ++g) q.scales[g] = random_word(3, 2, g) & scale_mask;
      std::vector<float> expected(n), got(n, -7.0f);
      decode_ref(q, expected.data());
      decode(q, got.data());
      const std::size_t at = first_difference(expected.data(), got.data(), n);
      if (at < n)
        FAIL("value " << at << " of code " << int{q.codes[at]} << ", scale code "
                      << q.scales[group_of(format, layout, at)] << ": reference " << expected[at] << ", kernel "
                      << got[at]);
    }
  });
}
