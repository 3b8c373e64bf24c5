// Divergences of two models, token files, windows, and the anchor on a real model.
#include "sim/model/compare.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>

#include "formats/error.hpp"
#include "sim/model/tokens.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

TEST_CASE("comparisons of small distributions are those worked out by hand", "[model]") {
  const float reference[] = {std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const float changed[] = {std::log(0.25f) + 7, std::log(0.25f) + 7, std::log(0.5f) + 7};
  const TokenComparison c = compare_logits(reference, changed, 3, 2);
  const double kl = 0.5 * std::log(2.0) + 0.25 * std::log(0.5);
  CHECK(c.kl_full == Approx(kl).epsilon(1e-6));
  CHECK(c.kl_top == Approx(kl).epsilon(1e-6));  // fewer tokens than 25: the same
  CHECK(c.loss == Approx(std::log(2.0)).epsilon(1e-6));
  CHECK(c.reference_loss == Approx(std::log(4.0)).epsilon(1e-6));
  CHECK(c.delta_p == Approx(0.25).epsilon(1e-6));
  CHECK_FALSE(c.same_top);
  const TokenComparison same = compare_logits(reference, reference, 3, 0);
  CHECK(same.kl_full == 0);
  CHECK(same.kl_top == 0);
  CHECK(same.same_top);
}

TEST_CASE("the top divergence keeps the 25 likeliest of the reference and renormalises", "[model]") {
  std::vector<float> p(40), q(40);
  for (std::size_t i = 0; i < 40; ++i)
    p[i] = static_cast<float>((i * 17) % 40) * 0.1f, q[i] = static_cast<float>((i * 23) % 40) * 0.1f;
  double p_sum = 0, q_sum = 0, kl = 0;
  for (std::size_t i = 0; i < 40; ++i)
    if (p[i] >= 1.45f) p_sum += std::exp(p[i]), q_sum += std::exp(q[i]);  // ranks 15 to 39
  for (std::size_t i = 0; i < 40; ++i)
    if (p[i] >= 1.45f) kl += std::exp(p[i]) / p_sum * (p[i] - std::log(p_sum) - q[i] + std::log(q_sum));
  CHECK(compare_logits(p.data(), q.data(), 40, 0).kl_top == Approx(kl).epsilon(1e-9));
}

TEST_CASE("a kept reference gives the comparisons of two models side by side", "[model]") {
  const Model model = Model::load(family_folder("llama3"), test_threads());
  const Hooks plain(model);
  Hooks changed(model);
  changed.weight("*", [](const Parameter&, Rows w) {
    for (std::size_t i = 0; i < w.rows * w.columns; ++i) w.data[i] *= i % 3 == 0 ? 1.5f : 0.75f;
  });
  std::vector<std::int32_t> window;
  for (std::int32_t i = 0; i < 40; ++i) window.push_back(i * 37 % 96);
  const std::span<const std::int32_t> span(window);
  const auto expected = compare_windows(plain, changed, {&span, 1}, test_threads()).front();
  const auto reference = reference_window(plain, window, test_threads());
  const auto kept = compare_window(reference, changed, window, test_threads());
  REQUIRE(kept.size() == expected.size());
  REQUIRE(reference.front().count == kTopCount);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CHECK(kept[i].kl_top == Approx(expected[i].kl_top).epsilon(1e-9));
    CHECK(kept[i].loss == Approx(expected[i].loss).margin(1e-6));
    CHECK(kept[i].reference_loss == Approx(expected[i].reference_loss).margin(1e-6));
    CHECK(kept[i].delta_p == Approx(expected[i].delta_p).margin(1e-6));
    CHECK(kept[i].same_top == expected[i].same_top);
    CHECK(std::isnan(kept[i].kl_full));
  }
}

TEST_CASE("estimates weigh tokens and take their errors from windows", "[model]") {
  WindowComparisons windows(2);
  for (const double loss : {1.0, 2.0, 3.0}) windows[0].push_back({loss});
  for (const double loss : {4.0, 6.0}) windows[1].push_back({loss});
  const auto loss = estimate(windows, [](const TokenComparison& t) { return t.loss; });
  CHECK(loss.value == Approx(16.0 / 5));
  CHECK(*loss.standard_error == Approx(1.5));  // means 2 and 5: deviation 3/sqrt(2), over sqrt(2)
  CHECK(perplexity(windows, &TokenComparison::loss).value == Approx(std::exp(3.2)));
  windows.pop_back();
  CHECK_FALSE(perplexity(windows, &TokenComparison::loss).standard_error);
}

void write_npy(const std::string& path, const std::string& descr, const std::string& shape, const std::string& data) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr, shape);
  header.resize(117, ' ');
  header += '\n';
  std::ofstream(path, std::ios::binary) << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(118) << '\0'
                                        << header << data;
}

TEST_CASE("token files are checked before anything is computed", "[model]") {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("lowbit-tokens-{}.npy", getpid())).string();
  write_npy(path, "<i4", "(3,)", std::string("\x01\0\0\0\x05\0\0\0\x02\0\0\0", 12));
  CHECK(read_tokens(path, 6) == std::vector<std::int32_t>{1, 5, 2});
  CHECK_THROWS_WITH(read_tokens(path, 5), contains("token 5 at place 1") && contains("vocabulary of 5"));
  write_npy(path, "<i2", "(2,)", std::string("\x01\0\xFE\xFF", 4));
  CHECK_THROWS_WITH(read_tokens(path, 6), contains("token -2 at place 1"));
  write_npy(path, "<f4", "(1,)", std::string(4, '\0'));
  CHECK_THROWS_WITH(read_tokens(path, 6), contains("<f4") && contains("integers"));
  write_npy(path, "|u1", "(1, 2)", std::string(2, '\0'));
  CHECK_THROWS_WITH(read_tokens(path, 6), contains("(1, 2)") && contains("vector"));
  std::filesystem::remove(path);
  const std::vector<std::int32_t> tokens(25, 1);
  CHECK(windows(tokens, 10, 0, 64).size() == 2);
  CHECK(windows(tokens, 10, 1, 64).size() == 1);
  CHECK_THROWS_WITH(windows(tokens, 26, 0, 64), contains("25 tokens do not fill one window of 26"));
  CHECK_THROWS_WITH(windows(tokens, 65, 0, 64), contains("expected 2 to 64"));
}

// Catch2 before 3.3 cannot skip, so that the name says what is checked where the model is missing: nothing.
TEST_CASE("SmolLM2-135M has the perplexity that torch gives it (checks nothing without scripts/get-model smollm2-135m)",
          "[model][real-model]") {
  std::string folder;
  try {
    folder = find_model("smollm2-135m");
  } catch (const Error& error) {
#ifdef SKIP
    SKIP(error.what());
#else
    WARN("not run: " << error.what());
    return;
#endif
  }
  const Model model = Model::load(folder, test_threads());
  const auto tokens = read_tokens(std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/model/persuasion_tokens.npy",
                                  model.config().vocabulary);
  const auto pieces = windows(tokens, 512, 0, model.config().context);
  REQUIRE(pieces.size() == 8);
  const auto result = evaluate_windows(Hooks(model), pieces, test_threads());
  CHECK(perplexity(result, &TokenComparison::loss).value == Approx(38.683).margin(0.01));
}

}  // namespace
}  // namespace lowbit::test
