// KIVI, KVQuant, GEAR and QuaRot side by side on equal heads, from the packed cache of each.
#include <algorithm>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

struct Case {
  const char *name, *method;
  std::size_t group;  // of keys; 0: all tokens
};
// values: groups of the head where the method has groups and they are longer
constexpr Case kCases[] = {{"kivi_g32", "kivi", 32},
                           {"kivi_g64", "kivi", 64},
                           {"kivi_g128", "kivi", 128},
                           {"kivi_pre_g128", "kivi_pre", 128},
                           {"range_post", "kivi", 0},
                           {"range_pre", "kivi_pre", 0},
                           {"kvquant_0", "kvquant_0", 128},
                           {"kvquant", "kvquant", 128},
                           {"kvquant_post", "kvquant_post", 128},
                           {"kvquant_uniform", "kvquant_uniform", 128},
                           {"kvquant_percentile", "kvquant_percentile", 128},
                           {"kvquant_percentile_uniform", "kvquant_percentile_uniform", 128},
                           {"gear_l", "gear_l", 64},
                           {"gear", "gear", 64},
                           {"quarot", "quarot", 64},
                           {"resq", "resq", 64},
                           {"kvlinc", "kvlinc", 128},
                           {"per_token", "per_token", 64}};

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const Case& c : kCases) names.emplace_back(c.name);
  return names;
}

Head make_head(const Point& p, Rng rng) {
  return head_of(p, 64, rng, true);
}

Attention make_exact(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  return attention(head, head.k, head.v);
}

Record compute_baselines(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  const Case& c =
      *std::find_if(std::begin(kCases), std::end(kCases), [&](const Case& c) { return p.text("cache") == c.name; });
  kv::MethodOptions options;
  options.bits = static_cast<int>(p.integer("bits"));
  options.group = c.group == 0 ? head.tokens() : c.group;
  const std::size_t v_group = c.group == 0 ? 64 : c.group;
  options.v_group = std::min<std::size_t>(v_group, 64);
  const Kept kept = keep(head, c.method, options);
  warn_of_group(v_group, head.d);
  const AttentionErrors errors = attention_errors(p.shared<Attention>("exact"), attention(head, kept.k, kept.v));
  const auto values = static_cast<double>(2 * head.tokens() * head.d);
  return {{"k_rel_f", relative_error(head.k, kept.k)},
          {"v_rel_f", relative_error(head.v, kept.v)},
          {"o_err", errors.output},
          {"stored_bits", 8 * static_cast<double>(kept.bytes.total()) / values}};
}

std::vector<Row> baselines_rows(const Results& results) {
  std::vector<Row> rows;
  const auto seeds = [&](const char* output, const std::string& method, int bits) {
    return over_seeds(results, output, {{"cache", method}, {"bits", bits}});
  };
  for (const int bits : {2, 3, 4})
    for (const Case& c : kCases) {
      const std::string where = fmt::format("[method={},bits={}]", c.name, bits), method = c.name;
      if (method == "kivi_g128")
        rows.push_back(mean_row("k_rel_f" + where, seeds("k_rel_f", method, bits), results.rng("k" + where)));
      else
        rows.push_back(ratio_row("k_over_kivi_g128" + where, seeds("k_rel_f", method, bits),
                                 seeds("k_rel_f", "kivi_g128", bits), results.rng("k" + where)));
      rows.push_back(mean_row("v_rel_f" + where, seeds("v_rel_f", method, bits), results.rng("v" + where)));
      rows.push_back(mean_row("o_err" + where, seeds("o_err", method, bits), results.rng("o" + where)));
    }
  const std::vector<std::string> chain = {"kvquant", "gear", "gear_l", "kivi_g64", "kivi_g128", "quarot"};
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    const std::string name = fmt::format("k_order[{}<{}]", chain[i], chain[i + 1]);
    rows.push_back(
        ratio_row(name, seeds("k_rel_f", chain[i], 2), seeds("k_rel_f", chain[i + 1], 2), results.rng(name)));
  }
  const auto gain = [&](const std::string& name, const std::vector<double>& better, const std::vector<double>& worse) {
    Row row = ratio_row(name, better, worse, results.rng(name));
    row.ours = 100 * (1 - row.ours);
    if (row.interval) row.interval = Interval{100 * (1 - row.interval->high), 100 * (1 - row.interval->low)};
    rows.push_back(row);
  };
  for (const auto& [pre, post] : {std::pair{"kivi_pre_g128", "kivi_g128"}, std::pair{"range_pre", "range_post"},
                                  std::pair{"kvquant", "kvquant_post"}})
    gain(fmt::format("pre_rope_gain[{}]", pre), seeds("k_rel_f", pre, 2), seeds("k_rel_f", post, 2));
  for (const int bits : {2, 3, 4})
    for (const char* side : {"k", "v"}) {
      const std::string output = std::string(side) + "_rel_f";
      gain(fmt::format("nuq_gain[side={},bits={}]", side, bits), seeds(output.c_str(), "kvquant", bits),
           seeds(output.c_str(), "kvquant_uniform", bits));
    }
  keep_full_runs(results, {{"length", 2048}, {"queries", 256}}, rows);
  add_group_row(128, 64, rows);
  add_open_row(results, 128, rows);
  return rows;
}

Experiment baselines() {
  return with_references(
      with_heads(Experiment{"kvlinc/baselines"}, 64, 2048)
          .paper("arXiv:2402.02750, 2401.18079, 2403.05527, 2404.00456", "",
                 "KIVI, KVQuant, GEAR and QuaRot on equal heads")
          .axis("cache", texts(case_names()), "",
                "method and group of keys; values: 64; range: one scale a channel; no residual window. Heads of a "
                "file: the "
                "second half of the tokens is measured, tables are fitted to the first")
          .axis("bits", bounded({2, 3, 4}, 2, 8), "bit", "of the codes")
          .shared("head", {"tensor"}, make_head)
          .shared("exact", {"tensor"}, make_exact)
          .output("k_rel_f", "1", "||K - K^||_F / ||K||_F of keys after RoPE")
          .output("v_rel_f", "1", "||V - V^||_F / ||V||_F")
          .output("o_err", "1", "||O - O^||_F / ||O||_F of the last queries, mean over query heads")
          .output("stored_bits", "bit", "bytes of the cache * 8 / cached values, tables of fitted methods included")
          .quick("seeds=2 length=512 bits=2")
          .cost(45)
          .point(compute_baselines)
          .rows(baselines_rows));
}
LOWBIT_REGISTER(baselines);

}  // namespace
}  // namespace lowbit
