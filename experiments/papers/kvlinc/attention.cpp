// F3: what quantised keys and values do to the weights and the output of attention.
#include <array>
#include <cmath>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

struct Setting {
  const char* name;
  std::size_t d, group;
};
constexpr std::array kSettings = {Setting{"d64-g128", 64, 128}, Setting{"d64-g32", 64, 32},
                                  Setting{"d128-g128", 128, 128}};

// A pair of schemes; "fp" leaves that side as it is.
struct Pair {
  const char *name, *keys, *values;
};
constexpr std::array kPairs = {
    Pair{"kivi", "raw_channel", "raw_token"},   Pair{"quarot", "had_token", "had_token"},
    Pair{"kvlinc", "raw_channel", "had_token"}, Pair{"had_channel", "had_channel", "had_token"},
    Pair{"k_raw_channel", "raw_channel", "fp"}, Pair{"k_had_channel", "had_channel", "fp"},
    Pair{"k_had_token", "had_token", "fp"},     Pair{"k_raw_token", "raw_token", "fp"},
    Pair{"v_had_token", "fp", "had_token"},     Pair{"v_raw_token", "fp", "raw_token"},
    Pair{"v_raw_channel", "fp", "raw_channel"}, Pair{"v_had_channel", "fp", "had_channel"}};

const Setting& setting_of(const std::string& name) {
  for (const Setting& s : kSettings)
    if (name == s.name) return s;
  throw std::logic_error("no such setting");
}

Head make_head(const Point& p, Rng rng) {
  return head_of(p, setting_of(p.text("setting")).d, rng);
}

Matrix side(const Head& head, const Setting& setting, int bits, ConstRows rows, const std::string& scheme) {
  if (scheme == "fp") {
    Matrix same(rows.rows, rows.columns);
    model::copy_rows(rows, same);
    return same;
  }
  const bool channel = scheme.ends_with("channel");
  if (!channel) warn_of_group(setting.group, head.d);
  const std::size_t group = channel ? setting.group : std::min(setting.group, head.d);
  return apply_scheme(rows, scheme, min_format(bits, group)).rows;
}

Record compute_attention(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  const Setting& setting = setting_of(p.text("setting"));
  const auto bits = static_cast<int>(p.integer("bits"));
  const Attention exact = attention(head, head.k, head.v);
  std::vector<double> output, weights;
  for (const Pair& pair : kPairs) {
    const Matrix k = side(head, setting, bits, head.k, pair.keys), v = side(head, setting, bits, head.v, pair.values);
    const AttentionErrors errors = attention_errors(exact, attention(head, k, v));
    output.push_back(errors.output);
    weights.push_back(errors.weights);
  }
  return Record().set("o_err", output).set("a_err", weights);
}

Coordinates cell(const Setting& setting, const char* pair) {
  return {{"setting", setting.name}, {"pair", pair}};
}

std::vector<Row> attention_rows(const Results& results) {
  std::vector<Row> rows;
  const auto seeds = [&](const char* output, const Setting& s, const char* pair) {
    return over_seeds(results, output, cell(s, pair));
  };
  for (const Setting& s : kSettings) {
    for (const char* pair : {"kivi", "quarot", "kvlinc", "had_channel"}) {
      const std::string name = fmt::format("o_err[setting={},method={}]", s.name, pair);
      rows.push_back(mean_row(name, seeds("o_err", s, pair), results.rng(name)));
    }
    const std::string over = fmt::format("kvlinc_over_kivi[setting={}]", s.name);
    rows.push_back(ratio_row(over, seeds("o_err", s, "kvlinc"), seeds("o_err", s, "kivi"), results.rng(over)));
    const auto kivi = seeds("o_err", s, "kivi"), quarot = seeds("o_err", s, "quarot"),
               linc = seeds("o_err", s, "kvlinc");
    double worst = kivi.empty() ? std::nan("") : 0, best = worst;
    for (std::size_t i = 0; i < kivi.size(); ++i) {
      worst += quarot[i] > std::max(kivi[i], linc[i]);
      best += linc[i] <= kivi[i];
    }
    for (const auto& [name, count] :
         {std::pair{"quarot_worst_seeds", worst}, std::pair{"kvlinc_at_most_kivi_seeds", best}}) {
      rows.push_back(exact_row(fmt::format("{}[setting={}]", name, s.name), count));
      rows.back().note = fmt::format("of {}", kivi.size());
      rows.back().judged = kivi.size() == kBandSeeds;  // a count
    }
  }
  const Setting& first = kSettings[0];
  for (const char* pair : {"v_had_token", "v_raw_token", "v_raw_channel", "v_had_channel"}) {
    const std::string name = fmt::format("o_err[setting=d64-g128,method={}]", pair);
    rows.push_back(mean_row(name, seeds("o_err", first, pair), results.rng(name)));
  }
  for (const char* pair : {"k_raw_channel", "k_had_channel", "k_had_token", "k_raw_token"}) {
    const std::string name = fmt::format("a_err[setting=d64-g128,method={}]", pair);
    rows.push_back(mean_row(name, seeds("a_err", first, pair), results.rng(name)));
  }
  const std::string shape = "v_output_channel_over_token";
  rows.push_back(ratio_row(shape, seeds("o_err", first, "v_raw_channel"), seeds("o_err", first, "v_raw_token"),
                           results.rng(shape)));
  keep_full_runs(results, {{"bits", 2}, {"length", 2048}, {"queries", 256}}, rows);
  const Setting& wide = kSettings[over_file(results, "o_err", cell(first, "kivi")).empty() ? 2 : 0];
  for (const Pair& pair : kPairs) {
    const std::string name = fmt::format("file_median_o_err[method={}]", pair.name);
    Row row = median_row(name, over_file(results, "o_err", cell(wide, pair.name)), results.rng(name));
    row.note = fmt::format("heads of --tensors {}, setting {}", results.params().text("tensors"), wide.name);
    rows.push_back(row);
  }
  add_group_row(first.group, first.d, rows);
  add_open_row(results, 128, rows);
  return rows;
}

Experiment attention_figure() {
  std::vector<std::string> settings, pairs;
  for (const Setting& s : kSettings) settings.emplace_back(s.name);
  for (const Pair& pair : kPairs) pairs.emplace_back(pair.name);
  return with_references(
      with_heads(Experiment{"kvlinc/attention"}, 64, 2048)
          .paper(kPaper, "F3", "Error of attention under quantised keys and values")
          .param("bits", 2, "of the codes", between(2, 8))
          .axis("setting", texts(settings), "",
                "channels of a drawn head, and values of a group (token-wise: at most the head); heads of a file: d128 "
                "where they have 128 channels, else d64")
          .dim("pair", texts(pairs), "", "schemes of keys and values; k_ and v_: that side alone is quantised")
          .where([](const Point& p) { return setting_applies(p, setting_of(p.text("setting")).d); })
          .shared("head", {"setting", "tensor"}, make_head)
          .output("o_err", "1", "||O - O^||_F / ||O||_F of the last queries, mean over query heads", {"pair"})
          .output("a_err", "1", "||A - A^||_F / ||A||_F of the softmax weights", {"pair"})
          .quick("seeds=2 length=512")
          .cost(25)
          .point(compute_attention)
          .rows(attention_rows));
}
LOWBIT_REGISTER(attention_figure);

}  // namespace
}  // namespace lowbit
