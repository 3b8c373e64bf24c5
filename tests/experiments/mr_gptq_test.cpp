// MR-GPTQ: the theory against sampling, points of every figure within their bands at fixed seeds, and coverage of the
// published and independently computed numbers.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <map>
#include <string>

#include "experiments/core/experiment.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "experiments/papers/mr_gptq/error_theory.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::mr_gptq;

namespace {

std::map<std::string, Reference> references_of(const std::string& figure) {
  const Experiment* experiment = find_experiment("mr_gptq/" + figure);
  REQUIRE(experiment != nullptr);
  std::map<std::string, Reference> all;
  for (const Reference& r : experiment->declared().references) all[r.quantity] = r;
  return all;
}

/// Checks that the figure lists the quantity with this value.
void expect(const std::map<std::string, Reference>& all, const std::string& quantity, double value) {
  CAPTURE(quantity);
  const auto found = all.find(quantity);
  REQUIRE(found != all.end());
  REQUIRE(found->second.value);
  CHECK(*found->second.value == Approx(value).epsilon(1e-9));
  CHECK(found->second.band);
}

Record point(const std::string& figure, const Coordinates& at) {
  return evaluate(*find_experiment("mr_gptq/" + figure), at, 1);
}

/// Is the row listed with the reason why it lies outside?
bool known_outside(const std::string& figure, const std::string& quantity) {
  std::ifstream list(LOWBIT_SOURCE_DIR "/results/reference/known_outside.tsv");
  REQUIRE(list);
  for (std::string line; std::getline(list, line);)
    if (line.starts_with("mr_gptq/" + figure + "\t" + quantity + "\t")) return true;
  return false;
}

/// Within the band, or outside and listed: a row that leaves the list or joins it fails.
void within_band(const std::string& figure, const std::string& quantity, double ours) {
  const Reference reference = references_of(figure).at(quantity);
  INFO(quantity << ": " << ours << ", band " << reference.band->low << " to " << reference.band->high);
  CHECK(reference.band->contains(ours) != known_outside(figure, quantity));
}

}  // namespace

TEST_CASE("mr_gptq: the quadrature agrees with sampling", "[mr_gptq]") {
  // absmax groups of 16, float scale, drawn and quantised by the formats themselves
  for (const char* source : {"normal", "laplace"})
    for (const char* element : {"e2m1", "int4"}) {
      const std::size_t n = 1 << 19, group = 16;
      Rng rng(11, std::string_view(source));
      std::vector<float> x(n), y(n);
      for (float& v : x) v = static_cast<float>(source[0] == 'n' ? rng.normal() : rng.laplace() * 0.7071067811865476);
      fake_quantize(parse_format(fmt::format("{}:g16:s=fp32", element)), Layout::vector(n), x.data(), y.data());
      double mse = 0, dead = 0;
      const ErrorTheory theory(source, element);
      for (std::size_t first = 0; first < n; first += group) {
        float amax = 0;
        for (std::size_t i = first; i < first + group; ++i) amax = std::max(amax, std::abs(x[i]));
        for (std::size_t i = first; i < first + group; ++i) {
          mse += std::pow(static_cast<double>(x[i]) - y[i], 2) / static_cast<double>(n);
          if (std::abs(x[i]) < theory.delta() * amax)
            dead += std::pow(static_cast<double>(x[i]), 2) / static_cast<double>(n);
        }
      }
      INFO(source << " " << element);
      CHECK(theory.mse(group) == Approx(mse).epsilon(0.02));
      CHECK(theory.dead_energy(group) == Approx(dead).epsilon(0.03));
    }
}

TEST_CASE("mr_gptq: closed forms", "[mr_gptq]") {
  // on [3, 6) with values 3, 4, 6: integral of (1 - q / x)^2 dx / x / ln 2 in closed form, piece by piece
  const auto piece = [](double q, double low, double high) {
    return std::log(high / low) + 2 * q * (1 / high - 1 / low) - q * q / 2 * (1 / (high * high) - 1 / (low * low));
  };
  const double exact = (piece(3, 3, 3.5) + piece(4, 3.5, 5) + piece(6, 5, 6)) / std::log(2.0);
  CHECK(top_error_log_uniform(3) == Approx(exact).epsilon(1e-9));
  CHECK(exact == Approx(.0107234).margin(5e-8));  // the comparison prints .01073
  // E4M3's relative rounding error of log-uniform values, from its codes, against (1/12) (1/8)^2 (3/8) / ln 2
  constexpr std::size_t kPoints = 1 << 16;
  std::vector<float> x(kPoints), y(kPoints);
  for (std::size_t i = 0; i < kPoints; ++i)
    x[i] = static_cast<float>(std::exp2((static_cast<double>(i) + 0.5) / static_cast<double>(kPoints)));
  fake_quantize(parse_format("e4m3"), Layout::matrix(1, kPoints), x.data(), y.data());
  double error = 0;
  for (std::size_t i = 0; i < kPoints; ++i) error += std::pow((y[i] - x[i]) / x[i], 2) / static_cast<double>(kPoints);
  CHECK(error == Approx(.000704).epsilon(0.01));
}

TEST_CASE("mr_gptq: theory within its bands", "[mr_gptq]") {
  for (const auto& [quantity, reference] : references_of("theory")) {
    if (!quantity.starts_with("mse[")) continue;
    const auto field = [&](const std::string& name) {
      const auto begin = quantity.find(name + "=") + name.size() + 1;
      return quantity.substr(begin, quantity.find_first_of(",]", begin) - begin);
    };
    within_band("theory", quantity, ErrorTheory(field("source"), field("element")).mse(std::stod(field("group"))));
  }
}

TEST_CASE("mr_gptq: group sizes within their bands", "[mr_gptq]") {
  for (const char* scale : {"e4m3", "e8m0", "int4"})
    for (const char* rotation : {"none", "had"})
      for (const int group : {16, 32}) {
        const Record r =
            point("group_size", {{"data", "laplace"}, {"scale", scale}, {"rotation", rotation}, {"group", group}});
        const std::string at = fmt::format("[data=laplace,scale={},rotation={},group={}]", scale, rotation, group);
        within_band("group_size", "rel" + at, r.scalar("rel"));
        if (scale[0] == 'e') within_band("group_size", "top_rel" + at, r.scalar("top_rel"));
      }
}

TEST_CASE("mr_gptq: scale formats within their bands", "[mr_gptq]") {
  for (const char* data : {"normal", "laplace"})
    for (const char* scale : {"fp32", "e4m3", "e8m0"}) {
      const Record r = point("scale_format", {{"data", data}, {"scale", scale}});
      within_band("scale_format", fmt::format("rel[data={},scale={}]", data, scale), r.scalar("rel"));
    }
}

TEST_CASE("mr_gptq: rotation sizes within their bands", "[mr_gptq]") {
  for (const int rotation : {1, 16, 32, 128}) {
    const auto rel = [&](const char* element, int group) {
      return point("rotation_size", {{"rows", 2048}, {"element", element}, {"group", group}, {"rotation", rotation}})
          .scalar("rel");
    };
    within_band("rotation_size", fmt::format("rel[format=nvfp4,rotation={}]", rotation), rel("nvfp4", 16));
    within_band("rotation_size", fmt::format("rel[format=mxfp4,rotation={}]", rotation), rel("mxfp4", 32));
    within_band("rotation_size", fmt::format("rel[format=int4_g32,rotation={}]", rotation), rel("int4", 32));
    within_band("rotation_size", fmt::format("rel[format=int4_row,rotation={}]", rotation), rel("int4", 512));
  }
}

TEST_CASE("mr_gptq: scale searches within their bands", "[mr_gptq]") {
  for (const auto& [quantity, reference] : references_of("grid")) {
    if (!quantity.starts_with("rel[")) continue;
    const auto field = [&](const std::string& name) {
      const auto begin = quantity.find(name + "=") + name.size() + 1;
      return quantity.substr(begin, quantity.find_first_of(",]", begin) - begin);
    };
    const Record r = point("grid", {{"data", "normal"},
                                    {"samples", 1 << 19},
                                    {"search", field("search")},
                                    {"scale", field("scale")},
                                    {"group", std::stoi(field("group"))}});
    within_band("grid", quantity, r.scalar("rel"));
  }
}

TEST_CASE("mr_gptq: every number of the published comparison has its row", "[mr_gptq]") {
  const int groups[] = {8, 16, 32, 64, 128, 256};
  const auto figure3 = references_of("group_size");
  const auto line = [&](const char* output, const char* scale, const char* rotation,
                        std::initializer_list<double> values) {
    int i = 0;
    for (const double value : values)
      expect(figure3,
             fmt::format("{}[data=laplace,scale={},rotation={},group={}]", output, scale, rotation, groups[i++]),
             value);
  };
  line("rel", "e4m3", "none", {.0066, .00865, .01064, .0126, .0146, .0166});
  line("rel", "e4m3", "had", {.0076, .0092, .01036, .0112, .0118, .0124});
  line("rel", "e8m0", "none", {.0131, .0147, .0170, .0199, .0236, .0278});
  line("rel", "e8m0", "had", {.0119, .0126, .0134, .0143, .0154, .0166});
  line("top_rel", "e4m3", "none", {.000704, .000704, .000704, .000704, .000704, .000704});
  line("top_rel", "e4m3", "had", {.00198, .00170, .00140, .00115, .00095, .00080});
  line("top_rel", "e8m0", "none", {.0107, .0107, .0107, .0107, .0107, .0107});
  line("top_rel", "e8m0", "had", {.00323, .00239, .00184, .00148, .00122, .00103});
  line("rel", "int4", "none", {.0062, .0097, .0141, .0193, .0253, .0318});
  line("rel", "int4", "had", {.0048, .0069, .0090, .0112, .0135, .0157});
  expect(figure3, "sign_changes[data=laplace,scale=e4m3]", 1);
  expect(figure3, "largest_group_that_rotation_hurts[data=laplace,scale=e4m3]", 16);
  for (const char* scale : {"e8m0", "int4"})
    expect(figure3, fmt::format("largest_group_that_rotation_hurts[data=laplace,scale={}]", scale), 0);

  const auto theory = references_of("theory");
  const auto mse = [&](const char* element, int group, double laplace, double normal) {
    expect(theory, fmt::format("mse[source=laplace,element={},group={}]", element, group), laplace);
    expect(theory, fmt::format("mse[source=normal,element={},group={}]", element, group), normal);
  };
  mse("e2m1", 8, .0060, .0070), mse("e2m1", 16, .0083, .0089), mse("e2m1", 24, .0097, .0097),
      mse("e2m1", 32, .0105, .0102);
  mse("e2m1", 64, .0126, .0112), mse("e2m1", 256, .0167, .0124), mse("e2m1", 4096, .0274, .0141),
      mse("int4", 2, .0015, .0014);
  expect(theory, "crossover_group", 24);
  expect(theory, "top_rel_log_uniform", .01073);
  const double lemma[] = {1.005, 1.008, 1.020, 1.031, 1.046, 1.056};
  for (int i = 0; i < 6; ++i) {
    expect(theory, fmt::format("top_ratio[source=normal,element=e2m1,group={}]", groups[i]), lemma[i]);
    expect(theory, fmt::format("top_ratio[source=normal,element=int4,group={}]", groups[i]), 1);
    expect(theory, fmt::format("rotation_ratio[source=normal,element=e2m1,group={}]", groups[i]), 1);
  }
  expect(theory, "largest_top_ratio[source=laplace,element=e2m1]", 1.122);

  const auto scales = references_of("scale_format");
  expect(scales, "rel[data=normal,scale=fp32]", .00888);
  expect(scales, "rel[data=normal,scale=e4m3]", .00905);
  expect(scales, "rel[data=laplace,scale=fp32]", .0084);
  expect(scales, "rel[data=laplace,scale=e4m3]", .0087);
  CHECK(scales.at("rel[data=normal,scale=e8m0]").band->low == .0125);
  CHECK(scales.at("rel[data=normal,scale=e8m0]").band->high == .0129);
  CHECK(scales.at("rel[data=laplace,scale=e8m0]").band->low == .0142);
  CHECK(scales.at("rel[data=laplace,scale=e8m0]").band->high == .0147);
  CHECK(scales.at("increase_percent[data=normal,scale=e8m0]").band->low == 41);
  CHECK(scales.at("increase_percent[data=normal,scale=e8m0]").band->high == 45);
  expect(scales, "increase_percent[data=normal,scale=e4m3]", 2);

  const auto sizes = references_of("rotation_size");
  const int rotations[] = {1, 16, 32, 64, 128, 256, 512};
  const auto series = [&](const char* format, std::initializer_list<double> values) {
    int i = 0;
    for (const double value : values)
      expect(sizes, fmt::format("rel[format={},rotation={}]", format, rotations[i++]), value);
    CHECK(sizes.count(fmt::format("best_rotation[format={}]", format)) == 1);
  };
  series("nvfp4", {.0084, .0123, .0115, .0106, .0102, .0097, .0097});
  series("mxfp4", {.0320, .0126, .0114, .0113, .0118, .0123, .0129});
  series("int4_g32", {.0284, .0060, .0046, .0050, .0059, .0069, .0079});
  series("int4_row", {.174, .032, .021, .014, .013, .0126, .0129});

  const auto grid = references_of("grid");
  expect(grid, "rel[data=normal,search=absmax,scale=fp32,group=16]", .0089);
  expect(grid, "rel[data=normal,search=mse,scale=fp32,group=16]", .0074);
  expect(grid, "rel[data=normal,search=mse,scale=e4m3,group=16]", .0079);
  expect(grid, "rel[data=normal,search=absmax,scale=fp32,group=32]", .0102);
  expect(grid, "rel[data=normal,search=mse,scale=fp32,group=32]", .0088);
  expect(grid, "dagger_over_fp32_scales[data=normal]", 1);

  const auto gptq = references_of("gptq");
  const auto layer = [&](const char* format, int rotation, double rounded, double best) {
    expect(gptq, fmt::format("w4a4_rtn[format={},rotation={}]", format, rotation), rounded);
    expect(gptq, fmt::format("w4a4_gptq_mse_act[format={},rotation={}]", format, rotation), best);
    expect(gptq, fmt::format("w4a4_ratio[format={},rotation={}]", format, rotation), best / rounded);
    for (const char* order :
         {"rtn_mse_over_rtn", "gptq_over_rtn_mse", "gptq_act_over_gptq", "gptq_mse_act_over_gptq_act"})
      CHECK(gptq.count(fmt::format("{}[format={},rotation={}]", order, format, rotation)) == 1);
    if (rotation > 1)
      CHECK(gptq.count(fmt::format("rotated_over_unrotated[format={},rotation={}]", format, rotation)) == 1);
  };
  layer("nvfp4", 1, .0156, .0116), layer("nvfp4", 16, .0202, .0124), layer("nvfp4", 128, .0183, .0106);
  layer("mxfp4", 1, .0463, .0393), layer("mxfp4", 32, .0228, .0124), layer("mxfp4", 128, .0234, .0128);
  layer("int4", 1, .0394, .0329), layer("int4", 32, .0130, .0056);
  expect(gptq, "weight_only_rtn[format=nvfp4,rotation=1]", .0081);
  expect(gptq, "weight_only_rtn[format=nvfp4,rotation=128]", .0089);
  expect(gptq, "weight_only_best[format=nvfp4,rotation=1]", .0041);
  expect(gptq, "weight_only_best[format=nvfp4,rotation=128]", .0014);
}
