#include "experiments/papers/kvlinc/perplexity_rows.hpp"

#include <fmt/format.h>

#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit::kvlinc {
namespace {

/// Mean losses of the texts: of a method in a view at some bits, NaN where it was not run.
class Losses {
 public:
  explicit Losses(const Results& results) : results_(results) {}
  std::vector<double> of(const std::string& method, const std::string& view, int bits) const {
    // unquantised, all and decode are one: it is computed once, at the first bits
    const std::string own = method == "fp" && view == "decode" ? "all" : view;
    const Value own_bits = method == "fp" ? results_.coordinates("bits").front() : Value(bits);
    std::vector<double> losses;
    for (const Value& text : results_.coordinates("text"))
      losses.push_back(results_.at("loss", {{"cache", method}, {"view", own}, {"bits", own_bits}, {"text", text}}));
    return losses;
  }

 private:
  const Results& results_;
};

struct Difference {
  double mean = NAN, error = NAN;  // standard error
  std::size_t n = 0;
  bool resolved() const { return n > 1 && std::abs(mean) > 2 * error; }
};

Difference difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!std::isnan(a[i] - b[i])) d.push_back(a[i] - b[i]);
  Difference out;
  out.n = d.size();
  if (d.empty()) return out;
  out.mean = 0;
  for (const double x : d) out.mean += x / static_cast<double>(d.size());
  double squares = 0;
  for (const double x : d) squares += (x - out.mean) * (x - out.mean);
  if (d.size() > 1) out.error = std::sqrt(squares / static_cast<double>(d.size() - 1) / static_cast<double>(d.size()));
  return out;
}

/// Bands belong to 4 texts of 2048 tokens and more; a smaller run has rows of its own.
std::string prefix(const Results& results) {
  const bool full = results.params().integer("texts") >= 4 && results.params().integer("context") >= 2048;
  return full ? "" : "small run: ";
}

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

void add_increases(const Table& table, std::vector<Row>& rows) {
  for (const Value& method : table.results.coordinates("cache")) {
    if (method.text() == "fp") continue;
    const std::vector<double> own = table.of(method.text());
    const Difference d = difference(own, table.of("fp")), level = difference(own, std::vector<double>(own.size()));
    if (d.n == 0) continue;
    Row row = increase_row(fmt::format("{}increase[method={},view={},bits={}]", prefix(table.results), method.text(),
                                       table.view, table.bits),
                           d);
    double stored = 0;
    for (const Value& text : table.results.coordinates("text")) {
      const double bits = table.results.at(
          "stored_bits", {{"cache", method}, {"view", table.view}, {"bits", table.bits}, {"text", text}});
      if (!std::isnan(bits)) stored += bits / static_cast<double>(d.n);
    }
    row.note += fmt::format("; perplexity {:.2f}, {:.2f} bits stored", std::exp(level.mean), stored);
    rows.push_back(row);
  }
}

void add_orders(const Table& table, std::vector<Row>& rows) {
  for (const auto& [a, b] :
       {std::pair{"kvlinc", "kivi"}, std::pair{"kvlinc_adapters", "kvlinc"}, std::pair{"kvlinc_adapters", "kivi"},
        std::pair{"had_channel", "kvlinc"}, std::pair{"had_channel", "kivi"}, std::pair{"kvquant", "kivi_pre"},
        std::pair{"kivi_pre", "kivi"}, std::pair{"quarot", "kivi"}, std::pair{"gear_l", "kivi"},
        std::pair{"resq", "kivi"}, std::pair{"gear", "gear_l"}, std::pair{"kivi:sinks=4", "kivi"},
        std::pair{"kvlinc:sinks=4", "kvlinc"}, std::pair{"had_channel:sinks=4", "had_channel"}}) {
    const Difference d = difference(table.of(a), table.of(b));
    if (d.n == 0) continue;
    Row row = increase_row(fmt::format("{}{} against {}{}", prefix(table.results), a, b, table.tail()), d);
    row.note += d.n < 2 ? "" : d.resolved() ? "; resolved" : "; not resolved";
    rows.push_back(row);
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
    const std::string quantity = prefix(table.results) + name + table.tail();
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
  const Difference fp = difference(losses.of("fp", "all", 2), std::vector<double>(results.coordinates("text").size()));
  Row row = exact_row(prefix(results) + "perplexity[method=fp]", std::exp(fp.mean));
  row.note =
      fmt::format("{} texts of {} tokens", results.params().integer("texts"), results.params().integer("context"));
  rows.push_back(row);
  return rows;
}

}  // namespace lowbit::kvlinc
