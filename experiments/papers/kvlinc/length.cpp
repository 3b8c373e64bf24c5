// F5: output error against the length of the context, decoding with a residual window. T1: average bits beside it.
#include <algorithm>
#include <cmath>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/kv_math.hpp"
#include "experiments/papers/kvlinc/match.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

/// A method decoding the last tokens of a head one by one on its packed cache.
struct Decoded {
  double output_error = 0;
  double bits = 0;  ///< stored for a cached element while the last token attends
  kv::Bytes bytes;
};

Decoded decode(const Head& head, const std::string& method, const kv::MethodOptions& options, kv::KvMath math,
               std::size_t state_values) {
  const kv::LayerShape shape{1, head.d};
  const kv::Calibration calibration = head.calibration();
  const kv::LayerRules rules = kv::make_method(method, options)->rules(shape, &calibration);
  kv::Cache cache({shape}, std::make_unique<kv::WindowPolicy>(std::vector{rules}, head.rope.get()), false);
  const auto positions = head.positions();
  const auto give = [&](std::size_t first, std::size_t count) {
    cache.append({0, positions.data() + first, head.k.view().slice(first, count), head.k_pre.view().slice(first, count),
                  head.k.view().slice(first, count), head.v.view().slice(first, count)});
  };
  if (state_values > 0) cache.storage(0).state("correction", 0, state_values);
  const std::size_t queries = head.q.front().rows(), first = head.first_query();
  if (first > 0) give(0, first);
  const Attention exact = attention(head, head.k, head.v);
  Decoded result;
  std::vector<Matrix> outputs(head.q.size(), Matrix(queries, head.d));
  Matrix q(head.q.size(), head.d), out(head.q.size(), head.d);
  for (std::size_t t = 0; t < queries; ++t) {
    give(first + t, 1);
    for (std::size_t g = 0; g < head.q.size(); ++g) std::copy_n(head.q[g].view().row(t), head.d, q.view().row(g));
    kv::HeadReader reader = cache.reader(0, 0);
    reader.math = math;
    kv::attend(reader, q, positions[first + t], head.scale(), out);
    for (std::size_t g = 0; g < head.q.size(); ++g) std::copy_n(out.view().row(g), head.d, outputs[g].view().row(t));
  }
  for (std::size_t g = 0; g < head.q.size(); ++g)
    result.output_error += relative_error(exact.output[g], outputs[g]) / static_cast<double>(head.q.size());
  result.bytes = cache.held();
  result.bits = 8 * static_cast<double>(result.bytes.total()) / static_cast<double>(2 * head.tokens() * head.d);
  return result;
}

const std::vector<std::string> kLengthMethods = {"kivi", "quarot", "kvlinc", "had_channel", "gear_l", "kvquant"};

Head make_length_head(const Point& p, Rng rng) {
  warn_of_short(static_cast<std::size_t>(p.integer("context")));
  return synthetic_head(64, static_cast<std::size_t>(p.integer("context")),
                        static_cast<std::size_t>(p.integer("queries")), rng);
}

Record compute_length(const Point& p, Rng) {
  kv::MethodOptions options;
  options.residual = static_cast<std::size_t>(p.integer("residual"));
  warn_of_groups(options, {1, p.shared<Head>("head").d});
  std::vector<double> error, bits;
  for (const std::string& method : kLengthMethods) {
    const Decoded decoded = decode(p.shared<Head>("head"), method, options, kv_math(p), 0);
    error.push_back(decoded.output_error);
    bits.push_back(decoded.bits);
  }
  return Record().set("o_err", error).set("stored_bits", bits);
}

std::vector<Row> length_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& context : results.coordinates("context"))
    for (const std::string& method : kLengthMethods) {
      const std::string name = fmt::format("o_err[method={},context={}]", method, context.integer());
      rows.push_back(
          mean_row(name, results.along("o_err", "draw", {{"context", context}, {"cache", method}}), results.rng(name)));
      const auto bits = results.along("stored_bits", "draw", {{"context", context}, {"cache", method}});
      if (!bits.empty() && bits.front() == 16) rows.back().note = "all tokens stay open, unquantised";
    }
  add_group_row({}, {1, 64}, rows);
  return rows;
}

// A head holds the queries that are decoded.
Values contexts(const Params& params) {
  Values values = integers({512, 1024, 2048, 4096, 8192});
  values.domain = between(static_cast<double>(params.integer("queries")), 1 << 20);
  return values;
}

Values seed_numbers(const Params& params) {
  return indices(static_cast<std::size_t>(params.integer("seeds")));
}

Experiment length() {
  return with_references(
      with_kv_math(Experiment{"kvlinc/length"})
          .paper(kPaper, "F5", "Error of attention against the length of the context")
          .param("seeds", 8, "drawn heads", between(1, 10000))
          .param("queries", 64, "last tokens, decoded one by one", between(1, 256))
          .param("residual", 128, "tokens that stay open; a multiple of 128", between(0, 4096))
          .axis("context", contexts, "1", "tokens of the head, at least as many as queries")
          .axis("draw", seed_numbers, "1", "number of the drawn head")
          .dim("cache", texts(kLengthMethods), "", "method, 2 bits, G = 128 (values: 64)")
          .draws_vary_with({"context", "draw"})
          .shared("head", {"context", "draw"}, make_length_head)
          .output("o_err", "1", "||O - O^||_F / ||O||_F over the decoded tokens", {"cache"})
          .output("stored_bits", "bit", "bytes held while the last token attends * 8 / cached values", {"cache"})
          .validate([](const Params& p) {
            kv::Window{kv::Window::Kind::filled, static_cast<std::size_t>(p.integer("residual")), 0}.check(
                128, "--residual");
          })
          .quick("seeds=2 context=512,1024 queries=16")
          .cost(12)
          .point(compute_length)
          .rows(length_rows));
}
LOWBIT_REGISTER(length);

// ---- T1 ----

struct Budget {
  const char *name, *method;
  std::size_t features;  // D of the correction states
};
constexpr Budget kBudgets[] = {
    {"kivi", "kivi", 0},         {"quarot", "quarot", 0},   {"resq", "resq", 0},     {"gear_l", "gear_l", 0},
    {"gear", "gear", 0},         {"kvquant", "kvquant", 0}, {"kvlinc", "kvlinc", 0}, {"kvlinc_d256", "kvlinc", 256},
    {"kvlinc_d64", "kvlinc", 64}};
constexpr const char* kKinds[] = {"codes", "scales", "outliers", "factors", "states", "tail", "indices"};

struct Shape {
  std::size_t d, tokens;
};
Shape shape_of(const std::string& setting) {
  return setting == "published" ? Shape{128, 8192} : Shape{64, 2048};
}

Head make_budget_head(const Point& p, Rng rng) {
  const Shape shape = shape_of(p.text("setting"));
  return synthetic_head(shape.d, shape.tokens, static_cast<std::size_t>(p.integer("queries")), rng);
}

Record compute_average_bits(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  const Budget& budget = *std::find_if(std::begin(kBudgets), std::end(kBudgets),
                                       [&](const Budget& b) { return p.text("cache") == b.name; });
  const std::size_t states = budget.features * (head.d + 1);
  const kv::LayerShape shape{1, head.d};
  const auto view = kv::View::decode;
  warn_of_groups({}, shape);
  kv::MethodOptions options;
  double target = std::nan("");
  if (p.text("match") == "bits" && budget.features == 0) {
    target = stored_bits("kvlinc", {}, shape, head.tokens(), view) +
             state_bits(static_cast<std::size_t>(p.integer("features")), head.d, head.tokens());
    options = match_bits(budget.method, options, shape, head.tokens(), target, view);
  }
  const Decoded decoded = decode(head, budget.method, options, kv_math(p), states);
  const kv::Bytes& b = decoded.bytes;
  std::vector<double> kinds;
  for (const std::size_t bytes : {b.codes, b.scales, b.outliers, b.factors, b.states, b.tail, b.indices})
    kinds.push_back(8 * static_cast<double>(bytes) / static_cast<double>(2 * head.tokens() * head.d));
  Record record{{"stored_bits", decoded.bits},
                {"o_err", budget.features == 0 ? decoded.output_error : std::nan("")},
                {"matched_bits", target},
                {"group", static_cast<double>(options.group)},
                {"v_group", static_cast<double>(options.v_group.value_or(options.group))},
                {"rank", static_cast<double>(options.rank)}};
  return record.set("bits_of_kind", kinds);
}

// What --match bits chose and what it reached.
std::string matched_note(const Results& results, const Budget& budget, const Coordinates& where, double bits) {
  const auto number = [&](const char* output) { return static_cast<std::size_t>(results.at(output, where)); };
  const std::string choice = choice_note(budget.method, number("group"), number("v_group"), number("rank"));
  return fmt::format("; {}{}", choice.empty() ? "nothing to choose" : choice,
                     match_note(bits, results.at("matched_bits", where)));
}

std::vector<Row> average_bits_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& setting : results.coordinates("setting"))
    for (const Budget& budget : kBudgets) {
      const Coordinates where{{"setting", setting}, {"cache", budget.name}};
      const double bits = results.at("stored_bits", where);
      Row row = exact_row(fmt::format("bits[setting={},method={}]", setting.text(), budget.name), bits);
      row.unit = "bit";
      row.note = fmt::format("output error {:.3f}", results.at("o_err", where));
      if (const std::string note = kv::shape_note({}, {1, shape_of(setting.text()).d}); !note.empty())
        row.note += "; " + note;
      if (std::string_view(budget.method) == "kvquant")
        row.note +=
            fmt::format("; percentiles of one head's token: 2 of {} values are listed (perplexity: of the layer's)",
                        shape_of(setting.text()).d);
      if (budget.features > 0) row.note = "quantiser's output error; states of the adapters counted";
      if (!std::isnan(results.at("matched_bits", where))) row.note += matched_note(results, budget, where, bits);
      rows.push_back(row);
    }
  keep_band_runs(results, {{"match", "none"}}, rows);
  return rows;
}

Experiment average_bits() {
  std::vector<std::string> methods;
  for (const Budget& budget : kBudgets) methods.emplace_back(budget.name);
  return with_references(
      with_kv_math(Experiment{"kvlinc/average_bits"})
          .paper(kPaper, "T1", "Average bits of a cached element, from the bytes held")
          .param("queries", 64, "last tokens, decoded one by one", between(1, 256))
          .param("match", "none",
                 "bits: G of keys and of values or rank of each method such that its bits come nearest to KVLinC with "
                 "adapters",
                 one_of({"none", "bits"}))
          .param("features", 256, "D of the adapters whose bits are matched", between(1, 1024))
          .axis("setting", texts({"published", "model"}), "",
                "published: head of 128, 8192 tokens; model: head of 64, 2048 tokens; open tokens as float16")
          .axis("cache", texts(methods), "",
                "method, 2 bits, G = 128, R = 128; d: with correction states of D features")
          .dim("kind", texts({std::begin(kKinds), std::end(kKinds)}), "", "what the bytes are")
          .draws_vary_with({"setting"})
          .shared("head", {"setting"}, make_budget_head)
          .output("stored_bits", "bit", "bytes held while the last token attends * 8 / cached values")
          .output("bits_of_kind", "bit", "the same by kind of bytes", {"kind"})
          .output("o_err", "1", "||O - O^||_F / ||O||_F over the decoded tokens of one drawn head")
          .output("matched_bits", "bit", "what --match bits aims at: those of KVLinC with adapters")
          .output("group", "1", "G of keys, of methods with groups")
          .output("v_group", "1", "G of values, at most the head where a group is channels of a token")
          .output("rank", "1", "rank of GEAR")
          .quick("queries=16 setting=published")
          .cost(4)
          .point(compute_average_bits)
          .rows(average_bits_rows));
}
LOWBIT_REGISTER(average_bits);

}  // namespace
}  // namespace lowbit
