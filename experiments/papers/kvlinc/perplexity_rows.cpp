#include "experiments/papers/kvlinc/perplexity_rows.hpp"

#include <fmt/format.h>

#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/match.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit::kvlinc {
namespace {

/// Mean losses of the texts: of a method in a view at some bits, NaN where it was not run.
class Losses {
 public:
  explicit Losses(const Results& results) : results_(results) {}
  std::vector<double> of(const std::string& method, const std::string& view, int bits) const {
    const std::string own = method == "fp" ? fp_view(view) : view;
    const Value own_bits = method == "fp" ? results_.coordinates("bits").front() : Value(bits);
    std::vector<double> losses;
    for (const Value& text : results_.coordinates("text"))
      losses.push_back(results_.at("loss", {{"cache", method}, {"view", own}, {"bits", own_bits}, {"text", text}}));
    return losses;
  }

 private:
  // unquantised, all and decode are one: computed in the first of them and at the first bits
  std::string fp_view(const std::string& view) const {
    if (view != "prefill_fp")
      for (const Value& own : results_.coordinates("view"))
        if (own.text() != "prefill_fp") return own.text();
    return view;
  }

  const Results& results_;
};

// Percent of perplexity added, from paired losses: 100 (e^d - 1), with 2 standard errors.
Row increase_row(const std::string& quantity, const Difference& d) {
  const auto percent = [](double x) { return 100 * (std::exp(x) - 1); };
  if (d.n == 0) return exact_row(quantity, std::nan(""));
  Row row = sampled_row(quantity, percent(d.mean), {percent(d.mean - 2 * d.error), percent(d.mean + 2 * d.error)});
  if (d.n == 1) row.interval = Interval{row.ours, row.ours}, row.note = "one text: no standard error; ";
  row.unit = "%";
  row.note += fmt::format("{} texts, interval of 2 standard errors of paired losses", d.n);
  return row;
}

/// One view at one number of bits.
struct Table {
  const Results& results;
  const Losses& losses;
  std::string view;
  int bits;
  std::vector<double> of(const std::string& method) const { return losses.of(method, view, bits); }
  std::string tail() const { return fmt::format("[view={},bits={}]", view, bits); }
};

// Bits stored, mean over texts, and whether --match bits brought them to what it aims at.
std::string stored_note(const Table& table, const std::string& method) {
  std::vector<double> stored, aim;
  for (const Value& text : table.results.coordinates("text")) {
    const Coordinates where{{"cache", method}, {"view", table.view}, {"bits", table.bits}, {"text", text}};
    const double bits = table.results.at("stored_bits", where);
    if (std::isnan(bits)) continue;
    stored.push_back(bits);
    aim.push_back(table.results.at("matched_bits", where));
  }
  const double own = mean(stored), target = mean(aim);
  std::string note = fmt::format("{:.2f} bits stored", own);
  if (!std::isnan(target)) note += match_note(own, target);
  return note;
}

// Perplexity added to the unquantised model; where that was not run, the perplexity itself.
void add_increases(const Table& table, std::vector<Row>& rows) {
  for (const Value& method : table.results.coordinates("cache")) {
    if (method.text() == "fp") continue;
    const std::vector<double> own = table.of(method.text());
    const Difference d = paired_difference(own, table.of("fp")),
                     level = paired_difference(own, std::vector<double>(own.size()));
    if (level.n == 0) continue;
    const std::string where = fmt::format("[method={},view={},bits={}]", method.text(), table.view, table.bits);
    if (d.n > 0) {
      rows.push_back(increase_row("increase" + where, d));
      rows.back().note += fmt::format("; perplexity {:.2f}", std::exp(level.mean));
    } else {
      rows.push_back(exact_row("perplexity" + where, std::exp(level.mean)));
      rows.back().note = fmt::format("{} texts; nothing is added to, as fp is not among --cache", level.n);
    }
    rows.back().note += "; " + stored_note(table, method.text());
  }
}

void add_orders(const Table& table, std::vector<Row>& rows) {
  for (const auto& [a, b] :
       {std::pair{"kvlinc", "kivi"}, std::pair{"kvlinc_adapters", "kvlinc"}, std::pair{"kvlinc_adapters", "kivi"},
        std::pair{"had_channel", "kvlinc"}, std::pair{"had_channel", "kivi"}, std::pair{"kvquant", "kivi_pre"},
        std::pair{"kivi_pre", "kivi"}, std::pair{"quarot", "kivi"}, std::pair{"gear_l", "kivi"},
        std::pair{"resq", "kivi"}, std::pair{"gear", "gear_l"}, std::pair{"kivi:sinks=4", "kivi"},
        std::pair{"kvlinc:sinks=4", "kvlinc"}, std::pair{"had_channel:sinks=4", "had_channel"}}) {
    const Difference d = paired_difference(table.of(a), table.of(b));
    if (d.n == 0) continue;
    rows.push_back(increase_row(fmt::format("{} against {}{}", a, b, table.tail()), d));
    judge_if_resolved(d, rows.back());
  }
}

// Ratios of what methods add to the perplexity, over resampled texts: (e^a - 1) / (e^b - 1) with a, b mean losses above
// the unquantised ones.
double added(const std::vector<double>& own, const std::vector<double>& fp, std::span<const std::size_t> picks) {
  double d = 0;
  for (const std::size_t i : picks) d += (own[i] - fp[i]) / static_cast<double>(picks.size());
  return std::exp(d) - 1;
}

void add_shares(const Table& table, std::vector<Row>& rows) {
  const std::vector<double> fp = table.of("fp"), kivi = table.of("kivi");
  std::vector<std::size_t> texts;
  for (std::size_t i = 0; i < fp.size(); ++i)
    if (!std::isnan(fp[i] + kivi[i])) texts.push_back(i);
  if (texts.empty()) return;
  const auto put = [&](const std::string& name, const std::string& method, const char* unit, const auto& statistic) {
    const std::vector<double> own = table.of(method);
    for (const std::size_t i : texts)
      if (std::isnan(own[i])) return;
    const auto of = [&](std::span<const std::size_t> picks) {
      std::vector<std::size_t> chosen;
      for (const std::size_t i : picks) chosen.push_back(texts[i]);
      return statistic(added(own, fp, chosen), added(kivi, fp, chosen));
    };
    std::vector<std::size_t> all(texts.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    const std::string quantity = name + table.tail();
    rows.push_back(sampled_row(quantity, of(all), bootstrap(all.size(), of, table.results.rng(quantity))));
    rows.back().unit = unit;
    rows.back().note = fmt::format("{} texts", texts.size());
  };
  put("increase per_token / kivi", "per_token", "1", [](double own, double kivi) { return own / kivi; });
  for (const char* method : {"kvlinc", "kvlinc_adapters", "had_channel"})
    put(fmt::format("share of kivi's loss won back by {}", method), method, "%",
        [](double own, double kivi) { return 100 * (1 - own / kivi); });
}

void add_free_running(const Results& results, std::vector<Row>& rows) {
  for (const Value& bits : results.coordinates("bits"))
    for (const Value& method : results.coordinates("cache")) {
      const Coordinates where{{"cache", method}, {"view", "decode"}, {"bits", bits}, {"text", 0}};
      const double share = results.at("free_running_difference", where);
      if (std::isnan(share)) continue;
      Row row = exact_row(
          fmt::format("free-running: sealed bytes that differ[method={},bits={}]", method.text(), bits.integer()),
          100 * share);
      row.unit = "%";
      row.note = fmt::format("{} tokens one by one against one pass", results.params().integer("stepwise"));
      rows.push_back(row);
    }
}

// The unquantised model, on whole texts and on their second halves (prefill_fp).
void add_unquantised(const Results& results, const Losses& losses, std::vector<Row>& rows) {
  for (const char* view : {"all", "prefill_fp"}) {
    const std::vector<double> own = losses.of("fp", view, 0);
    const Difference fp = paired_difference(own, std::vector<double>(own.size()));
    if (fp.n == 0) continue;
    const bool half = std::string_view(view) == "prefill_fp";
    rows.push_back(
        exact_row(half ? "perplexity[method=fp,view=prefill_fp]" : "perplexity[method=fp]", std::exp(fp.mean)));
    rows.back().note = fmt::format("{} texts of {} tokens{}", fp.n, results.params().integer("context"),
                                   half ? ", second halves" : "");
  }
}

}  // namespace

std::vector<Row> perplexity_rows(const Results& results) {
  const Losses losses(results);
  std::vector<Row> rows;
  for (const Value& view : results.coordinates("view"))
    for (const Value& bits : results.coordinates("bits")) {
      const Table table{results, losses, view.text(), static_cast<int>(bits.integer())};
      add_increases(table, rows);
      add_orders(table, rows);
      add_shares(table, rows);
    }
  add_free_running(results, rows);
  add_unquantised(results, losses, rows);
  keep_model_runs(results, {{"residual", 128}, {"group_span", "head"}, {"match", "none"}}, rows);
  return rows;
}

}  // namespace lowbit::kvlinc
