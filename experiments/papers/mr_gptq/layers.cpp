// The errors of Figure 3 and the tails of rows, tensor by tensor: weights and inputs of a language model, weights of
// MiniLM.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "experiments/core/bootstrap.hpp"
#include "experiments/core/model_param.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "formats/error.hpp"
#include "sim/metric/kurtosis.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/tokens.hpp"
#include "sim/source/tensor_source.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;
using model::Linear;

constexpr const char* kPersuasion = "persuasion";
const std::vector<std::int64_t> kGroups{8, 16, 32, 64};
const std::vector<std::string> kScales{"e4m3", "e8m0"}, kRotations{"none", "had"};

std::string source_file(const std::string& name) {
  return std::string(LOWBIT_SOURCE_DIR) + "/results/reference/" + name;
}
std::string token_path(const std::string& tokens) {
  return tokens == kPersuasion ? source_file("persuasion_tokens.npy") : tokens;
}

/// Tensors as rows; what a name on the axis stands for.
struct Table {
  std::map<std::string, std::pair<std::vector<float>, std::size_t>> tensors;  ///< values, columns
};
using SharedTable = std::shared_ptr<const Table>;

/// "q_proj.weight" of every linear, "q_proj.input" of the first linear of every input group, of all layers.
std::vector<std::string> model_names(const model::Config& config) {
  std::vector<std::string> names;
  for (std::size_t layer = 0; layer < config.layers; ++layer)
    for (int i = 0; i < model::kLinears; ++i) {
      const auto linear = static_cast<Linear>(i);
      const std::string name = fmt::format("model.layers.{}.{}", layer, model::linear_name(linear));
      names.push_back(name + ".weight");
      const bool first = linear == Linear::q_proj || linear == Linear::o_proj || linear == Linear::gate_proj ||
                         linear == Linear::down_proj;
      if (first) names.push_back(name + ".input");
    }
  return names;
}

std::vector<StoredTensor> minilm() {
  std::vector<StoredTensor> all;
  for (auto& tensor : open_tensors(source_file("minilm_l6_v2_sample.safetensors")))
    if (tensor.shape.size() == 2 && tensor.is_float()) all.push_back(tensor);
  return all;
}

Values tensor_names(const Params& params) {
  std::vector<std::string> names;
  for (const auto& tensor : minilm()) names.push_back("minilm:" + tensor.name);
  try {
    const auto own = model_names(model::read_config(model::find_model(params.text("model"))));
    names.insert(names.end(), own.begin(), own.end());
  } catch (const Error&) {  // the experiment is then not run: unavailable_when says why
  }
  return texts(std::move(names));
}

/// Up to `rows` rows, evenly spaced.
std::pair<std::vector<float>, std::size_t> some_rows(model::ConstRows all, std::size_t rows) {
  const std::size_t count = std::min(rows, all.rows);
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    const float* row = all.row(i * all.rows / count);
    values.insert(values.end(), row, row + all.columns);
  }
  return {std::move(values), all.columns};
}

SharedTable load(const Point& p, Rng) {
  auto table = std::make_shared<Table>();
  Threads threads(2);
  const auto rows = static_cast<std::size_t>(p.integer("rows")),
             context = static_cast<std::size_t>(p.integer("context"));
  for (const auto& tensor : minilm()) {
    const auto values = tensor.load_float();
    table->tensors["minilm:" + tensor.name] = some_rows({values.data(), tensor.shape[0], tensor.shape[1]}, rows);
  }
  const auto m = model::Model::load(p.text("model"), threads);
  for (std::size_t i = 0; i < m.parameters().size(); ++i) {
    const auto& parameter = m.parameters()[i];
    if (parameter.linear >= 0 && parameter.layer >= 0)
      table->tensors[parameter.name] = some_rows({m.data(i), parameter.rows, parameter.columns}, rows);
  }
  const auto tokens = model::read_tokens(token_path(p.text("tokens")), m.config().vocabulary);
  const auto window = model::windows(tokens, context, 1, m.config().context).front();
  model::Hooks hooks(m);
  hooks.observe("*.input", [&](const model::Tensor& tensor, model::ConstRows x) {
    if (tensor.site.linear >= 0 && tensor.site.layer >= 0) table->tensors[tensor.site.name] = some_rows(x, rows);
  });
  const model::TokenSpan span{window, nullptr};
  model::forward(hooks, {&span, 1}, threads);
  return table;
}

double median_kurtosis(const std::vector<float>& values, std::size_t columns) {
  std::vector<double> rows;
  for (std::size_t first = 0; first + columns <= values.size(); first += columns)
    if (const double k = excess_kurtosis(&values[first], columns); std::isfinite(k)) rows.push_back(k);
  return quantile(rows, 0.5);
}

Record compute(const Point& p, Rng rng) {
  const auto& [values, columns] = p.shared<SharedTable>("table")->tensors.at(p.text("tensor"));
  std::vector<float> rotated(values.size());
  lowbit::apply(*parse_transform("had:32"), Layout::matrix(values.size() / columns, columns), values.data(),
                rotated.data());
  std::vector<double> rel, top;
  for (const std::string& scale : kScales)
    for (const std::int64_t group : kGroups)
      for (const std::string& rotation : kRotations) {
        const GroupErrors e =
            group_errors(scaled_format(scale, group), rotation == "had" ? fmt::format("had:{}", group) : "id",
                         static_cast<std::size_t>(group), {values}, rng);
        rel.push_back(e.rel), top.push_back(e.top);
      }
  Record record{{"kurtosis", median_kurtosis(values, columns)},
                {"kurtosis_rotated", median_kurtosis(rotated, columns)}};
  return record.set("rel", rel).set("top_rel", top);
}

/// A question asked of each tensor of a kind.
class Summary {
 public:
  Summary(const Results& r, std::string kind) : r_(r), kind_(std::move(kind)) {
    for (const Value& name : r.coordinates("tensor")) {
      const bool mini = name.text().starts_with("minilm:");
      const bool weight = !mini && name.text().ends_with(".weight"), input = !mini && name.text().ends_with(".input");
      if ((kind_ == "weights" && weight) || (kind_ == "activations" && input) || (kind_ == "minilm" && mini))
        names_.push_back(name.text());
    }
  }
  template <class Ask>
  std::vector<double> each(Ask ask) const {
    std::vector<double> values;
    for (const auto& name : names_) values.push_back(ask(name));
    return values;
  }
  double rel(const std::string& name, const char* scale, std::int64_t group, const char* rotation,
             const char* output = "rel") const {
    return r_.at(output, {{"tensor", name}, {"scale", scale}, {"group", group}, {"rotation", rotation}});
  }
  double plain(const char* output, const std::string& name) const { return r_.at(output, {{"tensor", name}}); }
  Row share(const std::string& what, const std::vector<double>& yes) const {
    double sum = 0;
    for (const double v : yes) sum += v;
    const double n = static_cast<double>(yes.size());
    Interval i = wilson(sum, n);
    return sampled_row(quantity(what), yes.empty() ? std::nan("") : 100 * sum / n, {100 * i.low, 100 * i.high},
                       fmt::format("{:.0f} of {:.0f} tensors", sum, n));
  }
  Row median(const std::string& what, const std::vector<double>& values) const {
    const auto at = [&](std::span<const std::size_t> picks) {
      std::vector<double> some;
      for (const std::size_t i : picks) some.push_back(values[i]);
      return quantile(some, 0.5);
    };
    return sampled_row(quantity(what), quantile(values, 0.5), bootstrap(values.size(), at, r_.rng(quantity(what)), 400),
                       "median over tensors");
  }
  Row extreme(const std::string& what, const std::vector<double>& values, bool largest) const {
    const auto found =
        largest ? std::max_element(values.begin(), values.end()) : std::min_element(values.begin(), values.end());
    return exact_row(quantity(what), found == values.end() ? std::nan("") : *found);
  }
  std::string quantity(const std::string& what) const { return fmt::format("{}[data={}]", what, kind_); }
  bool empty() const { return names_.empty(); }

 private:
  const Results& r_;
  std::string kind_;
  std::vector<std::string> names_;
};

/// Claims about weights are those on MiniLM's; the language model's say what they are.
void note_grid(const Results& r, std::vector<Row>& rows) {
  const std::string note = weights_note(r.params());
  for (Row& row : rows)
    if (!note.empty() && row.quantity.find("data=weights") != std::string::npos)
      row.note += (row.note.empty() ? "" : "; ") + note;
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const char* kind : {"weights", "activations", "minilm"}) {
    const Summary s(r, kind);
    if (s.empty()) continue;
    rows.push_back(
        s.share("kurtosis_above_0_percent", s.each([&](const auto& n) { return s.plain("kurtosis", n) > 0; })));
    rows.push_back(s.share("rotated_kurtosis_below_0.3_percent",
                           s.each([&](const auto& n) { return std::abs(s.plain("kurtosis_rotated", n)) < 0.3; })));
    rows.push_back(s.median("kurtosis", s.each([&](const auto& n) { return s.plain("kurtosis", n); })));
    rows.push_back(s.share("e8m0_rotation_helps_percent[group=32]", s.each([&](const auto& n) {
      return s.rel(n, "e8m0", 32, "had") < s.rel(n, "e8m0", 32, "none");
    })));
    rows.push_back(s.median("e8m0_relative_reduction[group=32]", s.each([&](const auto& n) {
      return 1 - s.rel(n, "e8m0", 32, "had") / s.rel(n, "e8m0", 32, "none");
    })));
    const auto top = s.each([&](const auto& n) { return s.rel(n, "e8m0", 32, "none", "top_rel"); });
    rows.push_back(s.median("e8m0_top_rel[group=32]", top));
    rows.push_back(s.extreme("smallest_e8m0_top_rel[group=32]", top, false));
    rows.push_back(s.extreme("largest_e8m0_top_rel[group=32]", top, true));
    rows.push_back(s.extreme("largest_e4m3_top_rel[group=16]",
                             s.each([&](const auto& n) { return s.rel(n, "e4m3", 16, "none", "top_rel"); }), true));
    // the smallest group size at which the mean error over tensors is lower with rotation
    double crossover = 128;
    for (const std::int64_t group : {64, 32, 16, 8}) {
      double gain = 0;
      for (const double v :
           s.each([&](const auto& n) { return s.rel(n, "e4m3", group, "none") - s.rel(n, "e4m3", group, "had"); }))
        gain += v;
      if (gain > 0) crossover = static_cast<double>(group);
    }
    rows.push_back(exact_row(s.quantity("e4m3_first_group_that_rotation_helps"), crossover, "128: none of 8 to 64"));
  }
  const Summary weights(r, "weights"), inputs(r, "activations");
  const auto reduction = [](const Summary& s) {
    return quantile(
        s.each([&](const auto& n) { return 1 - s.rel(n, "e8m0", 32, "had") / s.rel(n, "e8m0", 32, "none"); }), 0.5);
  };
  rows.push_back(exact_row("reduction_of_activations_minus_weights",
                           inputs.empty() ? std::nan("") : reduction(inputs) - reduction(weights),
                           "medians over tensors"));
  for (const char* site : {"self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"}) {
    std::vector<double> kurtosis, gain;
    for (const Value& name : r.coordinates("tensor"))
      if (name.text().ends_with(fmt::format("{}.input", site))) {
        kurtosis.push_back(inputs.plain("kurtosis", name.text()));
        gain.push_back(1 - inputs.rel(name.text(), "e8m0", 32, "had") / inputs.rel(name.text(), "e8m0", 32, "none"));
      }
    rows.push_back(exact_row(fmt::format("kurtosis[input={}]", site), quantile(kurtosis, 0.5), "median over layers"));
    rows.push_back(
        exact_row(fmt::format("e8m0_relative_reduction[input={}]", site), quantile(gain, 0.5), "median over layers"));
  }
  note_grid(r, rows);
  return rows;
}

Experiment layers() {
  Experiment e = declare("layers", "Figures 2 and 3, real tensors",
                         "Errors and kurtosis per tensor of a language model and of MiniLM");
  e.param("model", kDefaultModel, kModelHelp, input_path())
      .param("tokens", kPersuasion, "text of the activations: a .npy of token numbers, or persuasion", input_path())
      .param("context", 512, "tokens of the text, from its beginning", between(2, 1 << 20))
      .param("rows", 128, "rows of each tensor, evenly spaced", at_least(1))
      .axis("tensor", tensor_names, "", "weights and inputs of linear layers; minilm: rows of MiniLM-L6's weights")
      .dim("scale", texts(kScales), "", "E2M1 with E4M3 and tensor scale, E2M1 with E8M0, as the paper's repository")
      .dim("group", integers(kGroups), "1", "values per scale")
      .dim("rotation", texts(kRotations), "", "had: Hadamard matrix of the size of the group, undone before the error")
      .draws_vary_with({})
      .shared("table", {}, load)
      .output("rel", "1", "mean over groups of sum (x - xq)^2 / sum x^2", {"scale", "group", "rotation"})
      .output("top_rel", "1", "mean over groups of (x_I - xq_I)^2 / x_I^2, I = argmax |x|",
              {"scale", "group", "rotation"})
      .output("kurtosis", "1", "excess kurtosis of a row, median over rows")
      .output("kurtosis_rotated", "1", "the same after Hadamard blocks of 32")
      .quick("context=32 rows=4")
      .cost(25)
      .unavailable_when(model_missing)
      .point(compute)
      .rows(rows_of);
  const char* source = "independent simulation on SmolLM2-135M";
  e.reference(within("kurtosis_above_0_percent[data=weights]", 100 * 197 / 210.0, {95, 100}, source,
                     "measured there: 197 of 210"));
  e.reference(within("kurtosis_above_0_percent[data=minilm]", 100, {95, 100}, source, "measured there: 36 of 36"));
  e.reference(within("rotated_kurtosis_below_0.3_percent[data=weights]", {}, {90, 100}, source));
  e.reference(within("e4m3_first_group_that_rotation_helps[data=weights]", {}, {8, 64}, source));
  e.reference(within("e4m3_first_group_that_rotation_helps[data=minilm]", 32, {8, 64}, source));
  for (const char* kind : {"weights", "activations"}) {
    const auto name = [&](const char* what) { return fmt::format("{}[data={}]", what, kind); };
    e.reference(within(name("e8m0_rotation_helps_percent[group=32]"), {}, {80, 100}, source));
    e.reference(within(name("e8m0_top_rel[group=32]"), .0107, {.0100, .0114}, source));
    e.reference(within(name("smallest_e8m0_top_rel[group=32]"), {}, {.0095, .0126}, source));
    e.reference(within(name("largest_e8m0_top_rel[group=32]"), {}, {.0095, .0126}, source));
    e.reference(within(name("largest_e4m3_top_rel[group=16]"), {}, {0, .001}, source));
  }
  e.reference(
      within("reduction_of_activations_minus_weights", {}, {0, 1}, source, "measured there: 20 to 37 % against 3 %"));
  e.reference({.quantity = "kurtosis[input=self_attn.q_proj]", .value = 141, .source = source});
  e.reference({.quantity = "kurtosis[input=mlp.down_proj]", .value = 167, .source = source});
  return e;
}
LOWBIT_REGISTER(layers);

}  // namespace
}  // namespace lowbit
