// fake_quantize equals its reference bit for bit, on every target that this machine has.
#include <cmath>

#include "formats/error.hpp"
#include "tests/formats/kernels/spawning_workers.hpp"
#include "tests/formats/kernels/twin.hpp"

using namespace lowbit;
using namespace lowbit::test;

namespace {

void check_twin(const std::string& name, const Layout& layout, std::uint64_t stream, bool specials,
                std::size_t offset = 0, Workers* workers = nullptr) {
  const Format format = parse_format(name);
  const std::size_t n = layout.size();
  QuantizeContext context;
  context.stream = 5;
  context.first_index = stream * 1001;  // no multiple of the four words of a draw
  context.workers = workers;
  std::vector<float> x = twin_values(n + offset, stream, specials, is_wide(name)), expected(n), y(n + offset, -7.0f);
  fake_quantize_ref(format, layout, x.data() + offset, expected.data(), context);
  if (n >= 1024) {
    INFO(name << " has no kernel");
    REQUIRE(kernels::fake_quantize(format, layout, x.data() + offset, y.data() + offset, context));
  } else {  // a tensor of zeros has no second-level scale: the reference's business
    fake_quantize(format, layout, x.data() + offset, y.data() + offset, context);
  }
  const std::size_t at = first_difference(expected.data(), y.data() + offset, n);
  if (at < n) {
    FAIL(name << " on " << kernels::target() << ", n = " << n << ", offset " << offset << ": value " << at
              << ", x = " << x[at + offset] << ": reference " << expected[at] << ", kernel " << y[at + offset]);
  }
  for (std::size_t i = 0; i < offset; ++i) REQUIRE(y[i] == -7.0f);
  fake_quantize(format, layout, x.data() + offset, x.data() + offset, context);  // in place
  REQUIRE(first_difference(expected.data(), x.data() + offset, n) == n);
}

}  // namespace

TEST_CASE("block kernels equal the reference on whole and ragged tensors", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats())
      for (const Layout& layout : twin_layouts(name))
        for (const bool specials : {false, true}) check_twin(name, layout, layout.size() % 7, specials);
  });
}

TEST_CASE("block kernels equal the reference at every length and offset", "[kernels]") {
  on_every_target([] {
    for (const char* name : {"mxfp4", "mxint8:rule=ceil", "nvfp4", "int4:g32", "mxfp8_e4m3:rule=even", "int4:g32:asym",
                             "mxfp4:round=sr", "nf4", "int4:g64:min", "e4m3:channel"}) {
      for (std::size_t n = 1; n <= 130; ++n) check_twin(name, Layout::vector(n), n, n % 3 == 0);
      for (std::size_t offset = 0; offset < 17; ++offset) check_twin(name, Layout::vector(1024), 77, true, offset);
      // around the strips, and around the pieces that workers get
      for (const std::size_t edge : {2048, 4096, 8192})
        for (const std::size_t n : {edge - 32, edge - 1, edge, edge + 1, edge + 32})
          check_twin(name, Layout::vector(n), 3, false);
    }
  });
}

TEST_CASE("kernels equal the reference on groups across the contiguous axis", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_formats())
      for (const Layout& layout : twin_columns(name))
        for (const bool specials : {false, true}) check_twin(name, layout, layout.size() % 7, specials);
    SpawningWorkers workers(3);
    check_twin("mxfp4", Layout({1000, 1001}, 0), 1, false, 0, &workers);
    check_twin("int8:channel:asym:round=sr", Layout({3000, 300}, 0), 1, true, 0, &workers);
    CHECK(workers.loops > 0);
  });
}

TEST_CASE("draws equal the reference's around the end of the counters' lower half", "[kernels]") {
  on_every_target([] {
    const Format format = parse_format("mxfp4:round=sr:seed=9");
    const Layout layout = Layout::vector(2048);
    const std::vector<float> x = twin_values(layout.size(), 1, false, false);
    std::vector<float> expected(x.size()), y(x.size());
    for (const std::uint64_t before : {0, 1, 3, 4, 700, 1024, 2047, 2048, 5000}) {
      QuantizeContext context;
      context.first_index = (std::uint64_t{1} << 34) - before;  // 2^32 counters of four words
      fake_quantize_ref(format, layout, x.data(), expected.data(), context);
      REQUIRE(kernels::fake_quantize(format, layout, x.data(), y.data(), context));
      CAPTURE(before);
      CHECK(first_difference(expected.data(), y.data(), x.size()) == x.size());
    }
  });
}

TEST_CASE("block kernels equal the reference under narrow scales", "[kernels]") {
  // FLT_MAX in a tensor makes a second-level scale that the kernels leave to the reference where the scale element is
  // this narrow: no specials here
  on_every_target([] {
    for (const char* name : {"nvfp4:s=ue1m6", "nvfp4:s=ue2m5", "nvfp4:s=ue3m4", "nvint4:s=ue1m6"})
      check_twin(name, Layout::matrix(24, 96), 11, false);
  });
}

TEST_CASE("kernels equal the reference on plain casts", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_casts()) {
      for (const std::size_t n : {4097, 5000}) check_twin(name, Layout::vector(n), n, n == 5000, 3);
      for (std::size_t n = 1; n <= 70; ++n) check_twin(name, Layout::vector(n), n, n % 3 == 0);
    }
  });
}

TEST_CASE("kernels equal the reference on casts around the largest value", "[kernels]") {
  on_every_target([] {
    for (const std::string& name : twin_casts()) {
      const Format format = parse_format(name);
      const double largest = format.element->max();
      std::vector<float> x;
      for (int i = 0; i < 4096; ++i)  // from the largest value to two gaps beyond it, draws of all kinds with each
        x.push_back(static_cast<float>((i % 2 == 0 ? 1 : -1) * largest * (1 + std::ldexp(i % 512 - 128, -16))));
      for (int i = 0; i < 4096; ++i)
        x.push_back(static_cast<float>((i % 2 == 0 ? 1 : -1) * largest * (1 + std::ldexp(i % 512 - 128, -10))));
      const Layout layout = Layout::vector(x.size());
      std::vector<float> expected(x.size()), y(x.size());
      fake_quantize_ref(format, layout, x.data(), expected.data());
      REQUIRE(kernels::fake_quantize(format, layout, x.data(), y.data(), {}));
      const std::size_t at = first_difference(expected.data(), y.data(), x.size());
      if (at < x.size())
        FAIL(name << " on " << kernels::target() << ": x = " << x[at] << ": reference " << expected[at] << ", kernel "
                  << y[at]);
    }
  });
}

TEST_CASE("outputs that are stored past the caches have the same bits", "[kernels]") {
  on_every_target([] {
    const auto check = [](const char* name, const Layout& layout) {
      const Format format = parse_format(name);
      const std::size_t n = layout.size();
      const std::vector<float> x = twin_values(n, 5, true, is_wide(name));
      std::vector<float> expected(n), room(n + 17, -7.0f);
      float* y = room.data();  // aligned, as such stores must be
      while (reinterpret_cast<std::uintptr_t>(y) % 64 != 0) ++y;
      fake_quantize_ref(format, layout, x.data(), expected.data());
      REQUIRE(kernels::fake_quantize(format, layout, x.data(), y, {}));
      INFO(name << " on " << kernels::target());
      CHECK(first_difference(expected.data(), y, n) == n);
      CHECK(room.back() == -7.0f);
    };
    const std::size_t n = (std::size_t{2} << 20) + 64;  // 8 MiB and a little
    for (const char* name : {"mxfp4:rule=ceil", "nvfp4", "e4m3:tensor", "bf16", "int8:g48"})
      check(name, Layout::vector(n));
    check("int4:channel:asym", Layout::matrix(n / 4096, 4096));
    check("mxfp4", Layout({n / 2048, 2048}, 0));
  });
}

TEST_CASE("the number of workers does not show in the values", "[kernels]") {
  on_every_target([] {
    for (const std::size_t threads : {2, 3, 7}) {
      SpawningWorkers workers(threads);
      for (const char* name : {"mxfp4", "nvfp4:round=sr", "int8:tensor", "int4:channel:asym"})
        check_twin(name, Layout::matrix(3, 300007), threads, false, 0, &workers);
      CHECK(workers.loops > 0);
    }
  });
}

TEST_CASE("the caller's flush-to-zero state neither matters nor changes", "[kernels]") {
#if defined(__SSE2__)
  const unsigned before = __builtin_ia32_stmxcsr();
  on_every_target([&] {
    for (const char* name : {"mxfp4", "int8:g32", "e5m2:channel", "int4:g32:asym"}) {
      const Format format = parse_format(name);
      std::vector<float> x(64), y(64), expected(64);
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(0x08000000 + 77777 * i));
      fake_quantize_ref(format, Layout::vector(64), x.data(), expected.data());
      const Quantized q = encode_ref(format, Layout::vector(64), x.data());
      std::vector<float> decoded(64);
      __builtin_ia32_ldmxcsr(before | 0x8040u);  // FTZ and DAZ
      fake_quantize(format, Layout::vector(64), x.data(), y.data());
      Quantized coded{format, Layout::vector(64), 1, {}, {}, {}, {}};
      const bool encoded = kernels::encode(format, Layout::vector(64), x.data(), coded, {});
      const bool has_decoded = kernels::decode(coded, decoded.data());
      const unsigned after = __builtin_ia32_stmxcsr();
      __builtin_ia32_ldmxcsr(before);
      CHECK((after & 0x8040u) == 0x8040u);
      CHECK(first_difference(expected.data(), y.data(), 64) == 64);
      CHECK((encoded && has_decoded));
      CHECK(coded.codes == q.codes);
      CHECK(first_difference(expected.data(), decoded.data(), 64) == 64);
    }
  });
#endif
}

TEST_CASE("an unknown kernel is refused with those that this machine has", "[kernels]") {
  CHECK_THROWS_WITH(kernels::force_target("avx9000"),
                    lowbit::test::contains("accepted: ") && lowbit::test::contains("ref"));
  kernels::force_target("ref");
  CHECK(kernels::target() == "ref");
  CHECK_FALSE(kernels::fake_quantize(parse_format("mxfp4"), Layout::vector(32), nullptr, nullptr, {}));
  kernels::force_target("");
}
