#include "sim/weights/quantise_model.hpp"

#include <algorithm>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/backward.hpp"
#include "sim/weights/block_pass.hpp"
#include "sim/weights/methods.hpp"
#include "sim/weights/statistics.hpp"

namespace lowbit::weights {
namespace {

using model::Hooks;
using model::Linear;
using model::LinearPoint;

/// Linears that read one tensor.
constexpr struct {
  Linear first;
  int count;
  bool after_norm;
} kGroups[] = {
    {Linear::q_proj, 3, true}, {Linear::o_proj, 1, false}, {Linear::gate_proj, 2, true}, {Linear::down_proj, 1, false}};

class InputMapHook : public model::TensorMap {
 public:
  InputMapHook(InputMap map, std::uint64_t stream) : map_(std::move(map)), stream_(stream) {}
  void apply(const model::Tensor& tensor, Rows rows) override { map_.apply(rows, stream_, tensor.threads); }

 private:
  InputMap map_;
  std::uint64_t stream_;
};

bool does_nothing(const InputMap& map) {
  return map.channel_divisor.empty() && map.transform->block() == 0 && !map.format;
}

std::vector<std::string> names_of(const InputGroup& group) {
  std::vector<std::string> names;
  for (const GroupLinear& linear : group.linears) names.push_back(linear.name);
  return names;
}

Needs join(Needs a, const Needs& b) {
  a.sample = std::max(a.sample, b.sample);
  return a;
}

class Driver {
 public:
  Driver(Hooks& hooks, const ModelJob& job, Threads& threads)
      : hooks_(hooks),
        base_(hooks),
        job_(job),
        threads_(threads),
        needs_(join(job.method->needs(), input_needs(job.target))) {
    for (const auto& text : job.calibration) {
      texts_.push_back({text, nullptr});
      tokens_ += text.size();
    }
  }
  ModelReport run();

 private:
  Target target_of(const InputGroup& group) const { return job_.target_of ? job_.target_of(group) : job_.target; }
  bool skipped(int layer) const {
    return std::find(job_.skip_layers.begin(), job_.skip_layers.end(), layer) != job_.skip_layers.end();
  }
  void check() const;
  void observe_gradients();
  void run_layer(int layer);
  void take_references(int layer, const std::vector<InputGroup>& groups);
  /// Observes the groups from `first` to `last` - 1 of a block in one pass and solves each when its last token is seen.
  Residual statistics_pass(Hooks& pass, int layer, const std::vector<InputGroup>& groups, std::size_t first,
                           std::size_t last);
  void solve(const InputGroup& group, Statistics statistics, std::size_t number);
  void put_to_work(const InputGroup& group, Solution solution);
  /// Raises the static maxima of the inputs that wait to what they show behind quantised weights, then attaches them.
  void settle_inputs(int layer);

  Hooks& hooks_;
  Hooks base_;  ///< the model as it was given
  const ModelJob& job_;
  Threads& threads_;
  Needs needs_;
  std::vector<model::TokenSpan> texts_;
  std::size_t tokens_ = 0;
  Residual working_, original_;
  Residual quantised_;                ///< before the block, where working_ is not of the quantised flow
  std::vector<std::size_t> waiting_;  ///< inputs of the report with static maxima, not attached yet
  std::vector<Matrix> references_;    ///< per group of the block
  std::vector<std::pair<std::size_t, Solution>> solutions_;
  std::map<std::string, std::vector<double>> gradients_;
  ModelReport report_;
  double weight_bits_ = 0, weights_ = 0, input_bits_ = 0, inputs_ = 0;
};

void Driver::check() const {
  const auto layers = static_cast<int>(hooks_.model().config().layers);
  std::size_t largest = 1;
  for (const int layer : job_.skip_layers)
    if (layer < 0 || layer >= layers)
      throw_error(ExitCode::usage, "layer {} to skip: the model has layers 0 to {}", layer, layers - 1);
  for (int layer = 0; layer < layers; ++layer) {
    if (skipped(layer)) continue;
    for (const InputGroup& group : layer_groups(hooks_, layer)) {
      nominal_input(group, target_of(group));
      largest = std::max(largest, std::min(target_of(group).weight.format.group_size, group.width()));
    }
  }
  if (!needs_.any()) return;
  if (texts_.empty()) throw_error(ExitCode::usage, "method {}: needs calibration tokens", job_.method->name());
  if (tokens_ < largest)
    throw_error(ExitCode::usage, "calibration of {} tokens is shorter than a group of {} values", tokens_, largest);
}

void Driver::observe_gradients() {
  Hooks pass(base_);
  std::map<std::string, double> rows;
  pass.observe("*_proj.output_gradient", [&](const model::Tensor& tensor, ConstRows g) {
    const std::string name = tensor.site.name.substr(0, tensor.site.name.rfind('.'));
    auto& squares = gradients_[name];
    squares.resize(g.columns);
    for (std::size_t i = 0; i < g.rows; ++i)
      for (std::size_t c = 0; c < g.columns; ++c) squares[c] += static_cast<double>(g.row(i)[c]) * g.row(i)[c];
    rows[name] += static_cast<double>(g.rows);
  });
  model::backward(pass, texts_, threads_);
  for (auto& [name, squares] : gradients_)
    for (double& v : squares) v /= rows[name];
}

void Driver::take_references(int layer, const std::vector<InputGroup>& groups) {
  if (needs_.reference == Reference::none) return;
  Hooks pass(base_);
  references_.assign(groups.size(), {});
  for (std::size_t g = 0; g < groups.size(); ++g) {
    references_[g] = Matrix(tokens_, groups[g].width());
    pass.observe(groups[g].name + ".input", [this, g](const model::Tensor& tensor, ConstRows x) {
      model::copy_rows(x, references_[g].view().slice(tensor.sequence.first_row, x.rows));
    });
  }
  const bool original = needs_.reference == Reference::original;
  Residual after = run_block(pass, layer, original ? original_ : working_, texts_, threads_);
  if (original) original_ = std::move(after);
}

Residual Driver::statistics_pass(Hooks& pass, int layer, const std::vector<InputGroup>& groups, std::size_t first,
                                 std::size_t last) {
  std::unique_ptr<StatisticsSum> sum;  // of the group that the pass is at
  for (std::size_t g = first; g < last; ++g) {
    const InputGroup& group = groups[g];
    pass.observe(group.name + ".input", [&, g](const model::Tensor& tensor, ConstRows x) {
      const Matrix* reference = needs_.reference == Reference::none ? nullptr : &references_[g];
      if (!sum) sum = std::make_unique<StatisticsSum>(needs_, groups[g].width(), tokens_, reference);
      sum->add(x, tensor.threads);
      if (sum->tokens() < tokens_) return;
      solve(groups[g], sum->take(), g);
      sum.reset();
    });
    if (needs_.flow != Flow::original) attach_input(pass, names_of(group), nominal_input(group, target_of(group)));
  }
  return run_block(pass, layer, working_, texts_, threads_);
}

void Driver::solve(const InputGroup& group, Statistics statistics, std::size_t number) {
  for (const GroupLinear& linear : group.linears)
    if (const auto found = gradients_.find(linear.name); found != gradients_.end())
      statistics.gradient_square[linear.name] = found->second;
  solutions_.emplace_back(number, job_.method->solve(group, statistics, target_of(group),
                                                     Rng(job_.seed, std::string_view(group.name)), threads_));
}

void Driver::put_to_work(const InputGroup& group, Solution solution) {
  if (job_.solved) job_.solved(group, solution);
  for (std::size_t i = 0; i < group.linears.size(); ++i) {
    const SolvedLinear& solved = solution.linears[i];
    hooks_.weight(group.linears[i].name,
                  [&](const model::Parameter&, Rows rows) { model::copy_rows(solved.effective.view(), rows); });
    report_.linears.push_back({group.linears[i].name, solved.bits, solved.report});
    const double n = static_cast<double>(solved.effective.rows() * solved.effective.columns());
    weight_bits_ += solved.bits * n, weights_ += n;
    inputs_ += static_cast<double>(group.width());
    input_bits_ += (solution.input.format ? solution.input.format->bits() : 32) * static_cast<double>(group.width());
  }
  if (!solution.fold.empty()) {
    const std::string layer = group.name.substr(0, group.name.find('.', std::string_view("model.layers.").size()));
    const bool attention = group.name.find("self_attn") != std::string::npos;
    const Rows gain =
        hooks_.parameter(layer + (attention ? ".input_layernorm.weight" : ".post_attention_layernorm.weight"));
    for (std::size_t c = 0; c < gain.columns; ++c) gain.data[c] *= solution.fold[c];
  }
  if (solution.input.fixed_maximum)
    waiting_.push_back(report_.inputs.size());
  else
    attach_input(hooks_, names_of(group), solution.input);
  report_.inputs.push_back({names_of(group), std::move(solution.input)});
}

// The statistics are of a block whose weights are not quantised yet. Behind quantised weights the few largest
// activations may be larger, and clipping one of them in an early block keeps those of later blocks from forming.
// Each group is seen behind the final inputs of those before it, as in the evaluation.
void Driver::settle_inputs(int layer) {
  for (const std::size_t i : waiting_) {
    GroupInput& input = report_.inputs[i];
    InputMap plain = input.map;
    plain.format.reset();
    float& largest = *input.map.fixed_maximum;
    Hooks pass(hooks_);
    pass.observe(input.linears.front() + ".input", [&largest, &plain](const model::Tensor& tensor, ConstRows x) {
      Matrix y(x.rows, x.columns);
      model::copy_rows(x, y);
      plain.apply(y, 0, tensor.threads);
      largest = std::max(largest, finite_amax(y.data(), y.rows() * y.columns()));
    });
    run_block(pass, layer, needs_.flow == Flow::original ? quantised_ : working_, texts_, threads_);
    attach_input(hooks_, input.linears, input.map);
  }
  waiting_.clear();
}

void Driver::run_layer(int layer) {
  const std::vector<InputGroup> groups = layer_groups(base_, layer);
  solutions_.clear();
  const auto work = [&] {
    for (auto& [number, solution] : solutions_) put_to_work(groups[number], std::move(solution));
    solutions_.clear();
    settle_inputs(layer);
  };
  const bool skip = skipped(layer);
  if (!needs_.any()) {
    for (std::size_t g = 0; !skip && g < groups.size(); ++g) solve(groups[g], {}, g);
    return work();
  }
  if (!skip) take_references(layer, groups);
  if (needs_.flow == Flow::original) {
    Hooks pass(base_);
    working_ = skip ? run_block(pass, layer, working_, texts_, threads_)
                    : statistics_pass(pass, layer, groups, 0, groups.size());
    work();
    if (job_.target.static_scales) quantised_ = run_block(hooks_, layer, quantised_, texts_, threads_);
    return;
  }
  for (std::size_t g = 0; !skip && g < groups.size(); ++g) {
    const bool together = needs_.flow == Flow::prefix;
    // sequential: what is solved in this block already works in the pass
    Hooks pass(together ? base_ : hooks_);
    statistics_pass(pass, layer, groups, g, together ? groups.size() : g + 1);
    work();
    if (together) break;
  }
  working_ = run_block(hooks_, layer, working_, texts_, threads_);
}

ModelReport Driver::run() {
  check();
  if (needs_.gradient_square) observe_gradients();
  const auto layers = static_cast<int>(hooks_.model().config().layers);
  for (int layer = 0; layer < layers; ++layer) run_layer(layer);
  if (weights_ > 0) report_.bits_weight = weight_bits_ / weights_;
  if (inputs_ > 0) report_.bits_activation = input_bits_ / inputs_;
  return std::move(report_);
}

}  // namespace

void attach_input(Hooks& hooks, const std::vector<std::string>& linears, const InputMap& map) {
  if (does_nothing(map)) return;
  const auto hook = std::make_shared<InputMapHook>(map, stream_of(linears.front() + ".input"));
  for (const std::string& linear : linears) hooks.replace(linear + ".input", hook);
}

std::vector<InputGroup> layer_groups(const Hooks& hooks, int layer) {
  const model::Model& m = hooks.model();
  std::vector<InputGroup> groups;
  for (const auto& [first, count, after_norm] : kGroups) {
    InputGroup group;
    group.after_norm = after_norm;
    for (int i = 0; i < count; ++i) {
      const std::size_t index = m.weight(layer, static_cast<Linear>(static_cast<int>(first) + i));
      const model::Parameter& p = m.parameters()[index];
      group.linears.push_back({p.name.substr(0, p.name.size() - 7), {hooks.data(index), p.rows, p.columns}});
    }
    group.name = group.linears.front().name;
    groups.push_back(std::move(group));
  }
  return groups;
}

ModelReport quantise_model(Hooks& hooks, const ModelJob& job, Threads& threads) {
  return Driver(hooks, job, threads).run();
}

}  // namespace lowbit::weights
