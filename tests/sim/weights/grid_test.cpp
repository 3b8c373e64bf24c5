#include "sim/weights/grid.hpp"

#include <cmath>
#include <cstring>

#include "sim/rng.hpp"
#include "sim/weights/group_scale.hpp"
#include "sim/weights/scale_search.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::weights;
using lowbit::test::refusal_of;

namespace {

Threads& threads() {
  static Threads pool(2);
  return pool;
}

Matrix draw(std::size_t rows, std::size_t columns, std::uint64_t seed, double scale = 0.02) {
  Matrix w(rows, columns);
  Rng rng(seed, std::string_view("grid"));
  for (std::size_t i = 0; i < rows * columns; ++i) w.data()[i] = static_cast<float>(scale * rng.laplace());
  for (std::size_t c = 0; c < std::min<std::size_t>(columns, 32); ++c)
    w.view().row(rows / 2)[c] = 0;  // a group of zeros
  return w;
}

Matrix rounded(const Grid& grid, const Matrix& w) {
  Matrix y(w.rows(), w.columns());
  grid.round(w, y, threads());
  return y;
}

double squared_error(const Matrix& a, const Matrix& b, double power = 2) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rows() * a.columns(); ++i)
    sum += std::pow(std::abs(static_cast<double>(a.data()[i]) - b.data()[i]), power);
  return sum;
}

bool same(const float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    if (!(a[i] == b[i])) return false;
  return true;
}

}  // namespace

TEST_CASE("grid: absmax grids round as the formats themselves do", "[weights]") {
  for (const char* name : {"nvfp4",
                           "mxfp4",
                           "mxfp4:rule=ceil",
                           "nvint4",
                           "mxint4",
                           "int4:g32",
                           "int4:g32:s=fp16",
                           "int4:channel:s=fp16",
                           "int4:g32:range=half",
                           "int4:g32:asym",
                           "int3:g32:min",
                           "nf4",
                           "nvfp4:s=ue1m6",
                           "nvfp4:s=uint8",
                           "e2m1:g32:s=fp32",
                           "nvfp4:g24",
                           "mxfp4:like=fp_quant",
                           "nvfp4:like=fp_quant",
                           "int4:g32:like=fp_quant",
                           "mxfp4:g8:like=fp_quant",
                           "nvfp4:g64:like=fp_quant",
                           "int8:g32:like=fp_quant"}) {
    INFO(name);
    const Format format = parse_format(name);
    for (const double scale : {0.02, 3e4, 1e-12}) {
      const Matrix w = draw(33, 192, 5, scale);
      std::vector<float> expected(w.rows() * w.columns());
      fake_quantize(format, Layout::matrix(w.rows(), w.columns()), w.data(), expected.data());
      const Grid grid = Grid::make(format, w, ScaleSearch::absmax, threads());
      const Matrix y = rounded(grid, w);
      CHECK(same(y.data(), expected.data(), expected.size()));
      for (std::size_t c = 0; c < w.columns(); ++c) CHECK(grid.value(3, c, w.view().row(3)[c]) == y.view().row(3)[c]);
      // the codes are those of the format, and decode to the values
      const Quantized q = grid.encode(y, threads());
      std::vector<float> decoded(expected.size());
      decode(q, decoded.data());
      const bool zero_group_differs = std::string(name).find("nvfp4:") == 0 && !format.like.empty();
      if (!zero_group_differs) CHECK(same(decoded.data(), expected.data(), expected.size()));
      const Quantized own = encode(format, Layout::matrix(w.rows(), w.columns()), w.data());
      CHECK(q.codes == own.codes);
      if (!zero_group_differs) CHECK(q.scales == own.scales);
    }
  }
}

TEST_CASE("grid: values between, at and beyond the grid are those of the codec", "[weights]") {
  // one group of scale s: ties and their neighbours, zeros of both signs, subnormals, the largest floats
  for (const char* name : {"e2m1:g8:s=fp32", "e2m1:g8:s=fp16", "nvfp4:g8", "mxfp4:g8", "mxfp6_e2m3:g8", "mxfp6_e3m2:g8",
                           "mxfp8_e4m3:g8", "mxfp8_e5m2:g8", "mxint8:g8", "int4:g8:s=fp32", "int4:g8:range=half",
                           "int8:g8:s=fp16", "mxfp4:g8:like=fp_quant", "nvfp4:g8:like=fp_quant"}) {
    const Format format = parse_format(name);
    Matrix w(1, 8);
    for (std::size_t c = 0; c < 8; ++c) w.data()[c] = 0.1f * static_cast<float>(c) - 0.35f;
    const Grid grid = Grid::make(format, w, ScaleSearch::absmax, threads());
    const GroupScales scales(format, finite_amax(w.data(), 8));
    const GroupScale scale = scales.absmax(w.data(), 8);
    std::vector<float> probes{0.0f, -0.0f, 1e-45f, -1e-45f, 1e-38f, 3e38f, -3e38f, 1.0f, -1.0f};
    for (int half = 0; half <= 40; ++half)
      for (const float sign : {1.0f, -1.0f}) {
        const float tie = sign * 0.125f * static_cast<float>(half) * static_cast<float>(scale.state.step);
        probes.insert(probes.end(), {tie, std::nextafter(tie, HUGE_VALF), std::nextafter(tie, -HUGE_VALF)});
      }
    for (const float x : probes) {
      std::uint32_t code;
      float expected;
      scales.quantizer().encode(scale.state, &x, 1, nullptr, &code);
      scales.quantizer().decode(scale.state, &code, 1, &expected);
      const float ours = grid.value(0, 3, x);
      INFO(name << " " << x);
      CHECK(std::memcmp(&ours, &expected, 4) == 0);
    }
  }
}

TEST_CASE("grid: a searched scale is the best of its candidates", "[weights]") {
  // by brute force in double: s (1 - 0.008 i), |x - y|^p under the unrounded candidate
  const Matrix w = draw(4, 64, 9);
  for (const char* name : {"e2m1:g16:s=fp32", "int4:g32:s=fp32", "e2m3:g16:s=fp32", "int4:g16:s=fp32:range=half"}) {
    for (const bool squares : {false, true}) {
      INFO(name << (squares ? " mse2" : " mse"));
      const Format format = parse_format(name);
      const Element& element = coded_element(format);
      const Grid grid = Grid::make(format, w, squares ? ScaleSearch::mse2 : ScaleSearch::mse, threads());
      const Matrix y = rounded(grid, w);
      const double power = squares ? 2 : 2.4;
      const std::size_t group = format.group_size;
      for (std::size_t first = 0; first < 4 * 64; first += group) {
        const float amax = finite_amax(w.data() + first, group);
        double best = HUGE_VAL, ours = 0;
        for (int i = 0; i < 100; ++i) {
          const double s = amax / scale_divisor(format) * (1 - 0.008 * i);
          double error = 0;
          for (std::size_t c = first; c < first + group; ++c)
            error += std::pow(std::abs(w.data()[c] - s * round_to(element, w.data()[c] / s)), power);
          best = std::min(best, error);
        }
        for (std::size_t c = first; c < first + group; ++c)
          ours += std::pow(std::abs(static_cast<double>(w.data()[c]) - y.data()[c]), power);
        CHECK(ours <= best * (1 + 1e-4));
      }
    }
  }
}

TEST_CASE("grid: E8M0 searches choose between S and S / 2", "[weights]") {
  const Matrix w = draw(8, 64, 2);
  for (const char* name : {"mxfp4", "mxfp4:like=fp_quant"}) {
    const Format format = parse_format(name);
    const Matrix whole = rounded(Grid::make(format, w, ScaleSearch::absmax, threads()), w);
    const Matrix best = rounded(Grid::make(format, w, ScaleSearch::mse2, threads()), w);
    const GroupScales scales(format, finite_amax(w.data(), 8 * 64));
    std::size_t halves = 0;
    for (std::size_t first = 0; first < 8 * 64; first += 32) {
      const GroupScale s = scales.absmax(w.data() + first, 32);
      if (finite_amax(w.data() + first, 32) == 0) continue;
      const GroupScale half = scales.from_code(s.code - 1);
      CHECK(half.state.step == s.state.step / 2);
      double at_whole = 0, at_half = 0, chosen = 0;
      for (std::size_t c = first; c < first + 32; ++c) {
        const auto error = [&](const GroupScale& g) {
          std::uint32_t code;
          float y;
          scales.quantizer().encode(g.state, w.data() + c, 1, nullptr, &code);
          scales.quantizer().decode(g.state, &code, 1, &y);
          return std::pow(static_cast<double>(w.data()[c]) - y, 2);
        };
        at_whole += error(s), at_half += error(half);
        chosen += std::pow(static_cast<double>(w.data()[c]) - best.data()[c], 2);
      }
      CHECK(chosen == Approx(std::min(at_whole, at_half)));
      halves += at_half < at_whole;
    }
    CHECK(halves < 16);
    CHECK(squared_error(w, best) <= squared_error(w, whole));
  }
}

TEST_CASE("grid: alternation never loses to absmax, nor to one sweep over group scales", "[weights]") {
  const Matrix w = draw(32, 128, 4);
  const Format format = parse_format("nvfp4");
  const double absmax = squared_error(w, rounded(Grid::make(format, w, ScaleSearch::absmax, threads()), w));
  SearchOptions one;
  one.rounds = 1;
  const double sweep = squared_error(w, rounded(Grid::make(format, w, ScaleSearch::alternate, threads(), {}, one), w));
  const double full = squared_error(w, rounded(Grid::make(format, w, ScaleSearch::alternate, threads()), w));
  CHECK(sweep < absmax);
  CHECK(full <= sweep);
}

TEST_CASE("grid: dagger has 256 levels from the smallest to the largest scale", "[weights]") {
  const Matrix w = draw(64, 128, 8);
  const Grid grid = Grid::dagger(w);
  std::vector<float> scales(64 * 4);
  absmax_scales(w, 32, scales.data());
  float low = HUGE_VALF, high = 0;
  for (const float s : scales) {
    if (s > 0) low = std::min(low, s);
    high = std::max(high, s);
  }
  const LogLevels& levels = *grid.levels();
  CHECK(levels.value(0) == Approx(low));
  CHECK(levels.value(255) == Approx(high));
  CHECK(levels.value(100) / levels.value(99) == Approx(levels.value(2) / levels.value(1)));
  for (const float s : scales)
    if (s > 0) CHECK(std::abs(std::log2(levels.value(levels.code(s)) / s)) <= levels.alpha / 2 * 1.0001);
  CHECK(levels.ending_at(5).value(255) == Approx(5));
  Matrix y = rounded(grid, w), x = Matrix(w.rows(), w.columns());
  model::copy_rows(w.view(), x);
  quantise_log(levels, 32, x);
  CHECK(same(x.data(), y.data(), 64 * 128));
}

TEST_CASE("grid: what has no grid is refused by name", "[weights]") {
  const Matrix w = draw(4, 32, 1);
  struct Case {
    const char* format;
    ScaleSearch search;
    const char* says;
  };
  for (const Case& c :
       {Case{"mxfp4:tile2x16", ScaleSearch::absmax, "gN"}, Case{"e4m3", ScaleSearch::absmax, "gN"},
        Case{"ternary", ScaleSearch::absmax, "ternary"}, Case{"mxfp4:round=sr", ScaleSearch::absmax, "round="},
        Case{"mxfp4:like=torchao", ScaleSearch::absmax, "like=fp_quant"},
        Case{"int4:g32:asym", ScaleSearch::mse, "grid=absmax"}, Case{"mxfp4", ScaleSearch::alternate, "ts=fp32"},
        Case{"nf4", ScaleSearch::mse2, "grid=absmax"}}) {
    const auto refusal = refusal_of([&] { Grid::make(parse_format(c.format), w, c.search, threads()); });
    CAPTURE(c.format, refusal.message);
    CHECK(refusal.names(c.says));
  }
}
