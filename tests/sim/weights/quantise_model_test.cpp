// The driver on tiny models: against formats attached directly, its statistics against observers, its errors.
#include "sim/weights/quantise_model.hpp"

#include <cmath>
#include <map>
#include <set>

#include "sim/model/quantised_sites.hpp"
#include "sim/weights/rotate_model.hpp"
#include "tests/sim/weights/support.hpp"
#include "tests/support/errors.hpp"

using namespace lowbit;
using namespace lowbit::weights;
using namespace lowbit::test_weights;
using lowbit::test::refusal_of;

namespace {

/// Rounds to nearest and keeps the statistics that it asked for.
class Recorder : public Method {
 public:
  explicit Recorder(Needs needs) : needs_(needs) {}
  std::string name() const override { return "recorder"; }
  Needs needs() const override { return needs_; }
  Solution solve(const InputGroup& group, const Statistics& statistics, const Target& target, Rng rng,
                 Threads& threads) const override {
    seen[group.name].tokens = statistics.tokens;
    seen[group.name].moment = statistics.moment;
    seen[group.name].cross_moment = statistics.cross_moment;
    seen[group.name].channel_amax = statistics.channel_amax;
    seen[group.name].channel_square = statistics.channel_square;
    seen[group.name].sample = Matrix(statistics.sample.rows(), statistics.sample.columns());
    model::copy_rows(statistics.sample.view(), seen[group.name].sample);
    seen[group.name].gradient_square = statistics.gradient_square;
    return parse_method("rtn")->solve(group, statistics, target, rng, threads);
  }
  mutable std::map<std::string, Statistics> seen;

 private:
  Needs needs_;
};

/// E[x x^T] of a site by an observer of its own.
arma::mat observed(model::Hooks hooks, const std::string& site, const std::vector<std::int32_t>& text) {
  arma::mat sum;
  double rows = 0;
  hooks.observe(site, [&](const model::Tensor&, model::ConstRows x) {
    if (sum.is_empty()) sum.zeros(x.columns, x.columns);
    for (std::size_t t = 0; t < x.rows; ++t)
      for (std::size_t i = 0; i < x.columns; ++i)
        for (std::size_t j = 0; j < x.columns; ++j) sum(i, j) += static_cast<double>(x.row(t)[i]) * x.row(t)[j];
    rows += static_cast<double>(x.rows);
  });
  model::forward(hooks, test::batch(text), test_threads());
  return sum / rows;
}

double difference(const arma::mat& a, const arma::mat& b) {
  if (a.n_rows != b.n_rows || a.n_cols != b.n_cols) return HUGE_VAL;
  return arma::abs(a - b).max() / arma::abs(b).max();
}

}  // namespace

TEST_CASE("quantise_model: rounding equals the formats attached to the sites", "[weights]") {
  const auto text = tokens();
  for (const char* format : {"nvfp4:g8", "mxfp4:g8:like=fp_quant", "nvfp4:g16:like=fp_quant", "int4:g16:s=fp16"})
    for (const char* transform : {"id", "had:8"}) {
      INFO(format << " " << transform);
      const auto method = parse_method("rtn");
      ModelJob job = job_of(*method, format, true, text);
      job.calibration.clear();
      job.target.transform = transform;
      model::Hooks ours(tiny()), theirs(tiny());
      const ModelReport report = quantise_model(ours, job, test_threads());
      model::SiteOptions options;
      options.weights = options.activations = format;
      options.transform = transform;
      const model::SiteSummary summary = model::attach(theirs, options, test_threads());
      CHECK(logits(ours, text) == logits(theirs, text));
      CHECK(report.linears.size() == tiny().config().layers * model::kLinears);
      CHECK(report.bits_weight == Approx(summary.bits_weight).epsilon(0.02));
    }
}

TEST_CASE("quantise_model: statistics are those of the flow that was asked for", "[weights]") {
  const auto text = tokens();
  const auto layers = static_cast<int>(tiny().config().layers);
  REQUIRE(layers >= 2);
  const std::string last = fmt::format("model.layers.{}.", layers - 1);
  Needs needs;
  needs.moment = needs.channel_amax = needs.channel_square = needs.gradient_square = true;
  needs.sample = 5;
  SECTION("original: the model as it is") {
    needs.reference = Reference::original;
    const Recorder method(needs);
    model::Hooks hooks(tiny());
    const ModelJob job = job_of(method, "int4:g8:s=fp16", true, text);
    quantise_model(hooks, job, test_threads());
    CHECK(method.seen.size() == tiny().config().layers * 4);
    for (const char* site : {"self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"}) {
      INFO(site);
      const Statistics& s = method.seen.at(last + site);
      const arma::mat expected = observed(model::Hooks(tiny()), last + site + ".input", text);
      CHECK(s.tokens == text.size());
      CHECK(difference(s.moment, expected) < 1e-5);
      CHECK(difference(s.cross_moment, expected) < 1e-5);  // both flows are the same
      CHECK(s.sample.rows() == 5);
      for (std::size_t c = 0; c < s.channel_square.size(); ++c) {
        CHECK(s.channel_square[c] == Approx(expected(c, c)).epsilon(1e-5));
        CHECK(s.channel_amax[c] * s.channel_amax[c] >= s.channel_square[c] * 0.999);
      }
    }
    CHECK(method.seen.at(last + "mlp.gate_proj").gradient_square.size() == 2);
    CHECK(method.seen.at(last + "mlp.down_proj").gradient_square.count(last + "mlp.down_proj") == 1);
  }
  SECTION("prefix: blocks before are quantised, weights of this one are not, its activations are") {
    needs.flow = Flow::prefix;
    needs.reference = Reference::original;
    const Recorder method(needs);
    model::Hooks hooks(tiny());
    const ModelJob job = job_of(method, "int4:g8:s=fp16", true, text);
    quantise_model(hooks, job, test_threads());
    // the same by hand: formats on all layers before, activations alone on the last
    model::SiteOptions options;
    options.weights = options.activations = "int4:g8:s=fp16";
    for (const char* linear : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
      options.sites.push_back(last + linear + ".weight=none");
    for (const char* site : {"self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"}) {
      INFO(site);
      // x before its own activation quantiser: an observer attached first
      model::Hooks by_hand(tiny());
      arma::mat expected;
      double rows = 0;
      by_hand.observe(last + site + ".input", [&](const model::Tensor&, model::ConstRows x) {
        if (expected.is_empty()) expected.zeros(x.columns, x.columns);
        for (std::size_t t = 0; t < x.rows; ++t)
          for (std::size_t i = 0; i < x.columns; ++i)
            for (std::size_t j = 0; j < x.columns; ++j)
              expected(i, j) += static_cast<double>(x.row(t)[i]) * x.row(t)[j];
        rows += static_cast<double>(x.rows);
      });
      model::attach(by_hand, options, test_threads());
      model::forward(by_hand, test::batch(text), test_threads());
      const Statistics& s = method.seen.at(last + site);
      CHECK(difference(s.moment, expected / rows) < 1e-5);
      // the reference flow differs from the quantised one
      CHECK(difference(s.cross_moment, s.moment) > 1e-4);
    }
  }
  SECTION("sequential: what is solved in the block works already") {
    Needs prefix, sequential;
    prefix.moment = sequential.moment = true;
    prefix.flow = Flow::prefix;
    sequential.flow = Flow::sequential;
    const Recorder a(prefix), b(sequential);
    model::Hooks first(tiny()), second(tiny());
    const ModelJob job_a = job_of(a, "int4:g8:s=fp16", false, text), job_b = job_of(b, "int4:g8:s=fp16", false, text);
    quantise_model(first, job_a, test_threads());
    quantise_model(second, job_b, test_threads());
    const std::string zero = "model.layers.0.";
    CHECK(difference(a.seen.at(zero + "self_attn.q_proj").moment, b.seen.at(zero + "self_attn.q_proj").moment) == 0);
    CHECK(difference(a.seen.at(zero + "mlp.down_proj").moment, b.seen.at(zero + "mlp.down_proj").moment) > 1e-4);
    model::Hooks rounded(tiny());
    model::SiteOptions options;
    options.weights = "int4:g8:s=fp16";
    options.sites = {zero + "mlp.down_proj.weight=none"};
    model::attach(rounded, options, test_threads());
    CHECK(difference(b.seen.at(zero + "mlp.down_proj").moment, observed(rounded, zero + "mlp.down_proj.input", text)) <
          1e-5);
    CHECK(logits(first, text) == logits(second, text));  // rounding does not look at the data
  }
}

TEST_CASE("quantise_model: GPTQ lowers the weighted error of nearly every linear", "[weights]") {
  const auto text = tokens();
  for (const char* name : {"gptq", "mr_gptq", "gptq:grid=mse2:order=act:block=8"}) {
    const auto method = parse_method(name);
    ModelJob job = job_of(*method, "nvfp4:g8", true, text);
    job.target.transform = "had:8";
    std::set<std::string> solved;
    job.solved = [&](const InputGroup& group, const Solution& solution) {
      CHECK(solution.linears.size() == group.linears.size());
      for (std::size_t i = 0; i < group.linears.size(); ++i) {
        solved.insert(group.linears[i].name);
        std::vector<float> decoded(solution.linears[i].effective.rows() * solution.linears[i].effective.columns());
        decode(*solution.linears[i].representation.codes, decoded.data());
        CHECK(decoded == test::values(solution.linears[i].effective.view()));
      }
    };
    model::Hooks hooks(tiny());
    const ModelReport report = quantise_model(hooks, job, test_threads());
    std::size_t better = 0;
    for (const LinearReport& linear : report.linears) {
      CHECK_FALSE(linear.report.fell_back);
      better += linear.report.error < linear.report.rounding_error;
    }
    INFO(name << ": " << better << " of " << report.linears.size());
    CHECK(better * 10 >= report.linears.size() * 9);
    CHECK(solved.size() == report.linears.size());
    for (const float v : logits(hooks, text)) REQUIRE(std::isfinite(v));
  }
}

TEST_CASE("quantise_model: SmoothQuant keeps the function and folds into the norms", "[weights]") {
  const auto text = tokens();
  const auto method = parse_method("smoothquant:alpha=0.5");
  ModelJob job = job_of(*method, "int8:g8:s=fp32", false, text);
  std::size_t folds = 0;
  job.solved = [&](const InputGroup& group, const Solution& solution) {
    CHECK(solution.fold.empty() != group.after_norm);
    CHECK(solution.input.channel_divisor.empty() == group.after_norm);
    folds += !solution.fold.empty();
  };
  model::Hooks hooks(tiny()), rounded(tiny());
  quantise_model(hooks, job, test_threads());
  CHECK(folds == 2 * tiny().config().layers);
  const auto plain = logits(model::Hooks(tiny()), text);
  CHECK(test::norm_error(logits(hooks, text), plain) < 0.02);  // 8-bit weights
}

TEST_CASE("rotate_model: the model computes what it did", "[weights]") {
  const auto text = tokens();
  model::Hooks hooks(tiny());
  const std::string online = rotate_model(hooks, 3);
  CHECK(online == fmt::format("had:{}", tiny().config().intermediate));
  CHECK(test::max_error(logits(hooks, text), logits(model::Hooks(tiny()), text)) < 1e-4);
  // and its weights are others
  const auto groups = layer_groups(hooks, 0);
  CHECK(test::values(groups[0].linears[0].weight) !=
        test::values(layer_groups(model::Hooks(tiny()), 0)[0].linears[0].weight));
}

TEST_CASE("quantise_model: mistakes are refused before any weight changes", "[weights]") {
  const auto text = tokens();
  model::Hooks hooks(tiny());
  const auto before = logits(hooks, text);
  const auto gptq = parse_method("gptq");
  ModelJob job = job_of(*gptq, "nvfp4:g8", true, text);
  job.calibration.clear();
  CHECK(refusal_of([&] { quantise_model(hooks, job, test_threads()); }).names("calibration"));
  const std::vector<std::int32_t> few(text.begin(), text.begin() + 3);
  job.calibration = {std::span<const std::int32_t>(few)};
  CHECK(refusal_of([&] { quantise_model(hooks, job, test_threads()); }).names("3 tokens"));
  job.calibration = texts(text);
  job.target.transform = "had:7";
  CHECK(refusal_of([&] { quantise_model(hooks, job, test_threads()); }).names("size 7"));
  job.target.transform = "had:4096";
  const auto refusal = refusal_of([&] { quantise_model(hooks, job, test_threads()); });
  CHECK(refusal.names("sizes that do"));
  CHECK(refusal.names("model.layers.0.self_attn.q_proj"));
  job.target.transform = "id";
  job.skip_layers = {99};
  CHECK(refusal_of([&] { quantise_model(hooks, job, test_threads()); }).names("layer 99"));
  CHECK(logits(hooks, text) == before);
  for (const char* name : {"gptq:damp=-1", "gptq:grid=best", "rtn:damp=1", "awq", "gptq:order",
                           "gptq:damp=0.1:damp=0.1", "smoothquant:alpha=2"}) {
    const auto bad = refusal_of([&] { parse_method(name); });
    CAPTURE(name, bad.message);
    CHECK(bad.names("method '"));
  }
  for (const char* name :
       {"rtn:grid=mse", "gptq:grid=absmax:order=act:damp=0.05:block=64", "smoothquant:alpha=0.25:grid=mse2"})
    CHECK(parse_method(parse_method(name)->name())->name() == parse_method(name)->name());
}

TEST_CASE("quantise_model: static scales cover what the quantised model shows on its calibration", "[weights]") {
  const auto text = tokens();
  for (const char* name : {"rtn", "gptq", "smoothquant"})
    for (const char* transform : {"id", "had:8"}) {
      INFO(name << " " << transform);
      const auto method = parse_method(name);
      ModelJob job = job_of(*method, "nvfp4:g8", true, text);
      job.target.transform = transform;
      job.target.static_scales = true;
      model::Hooks hooks(tiny());
      const ModelReport report = quantise_model(hooks, job, test_threads());
      // the model as it is evaluated: quantised weights, static maxima; observers see x before its map
      const auto maxima = [&] {
        std::map<std::string, float> seen;
        model::Hooks again(tiny());
        for (const GroupInput& input : report.inputs) {
          InputMap plain = input.map;
          plain.format.reset();
          again.observe(input.linears.front() + ".input",
                        [&seen, plain, input](const model::Tensor& t, model::ConstRows x) {
                          Matrix y(x.rows, x.columns);
                          model::copy_rows(x, y);
                          plain.apply(y, 0, t.threads);
                          float& most = seen[input.linears.front()];
                          most = std::max(most, finite_amax(y.data(), y.rows() * y.columns()));
                        });
          attach_input(again, input.linears, input.map);
        }
        for (std::size_t i = 0; i < tiny().parameters().size(); ++i) {
          const model::Parameter& p = tiny().parameters()[i];
          if (!tiny().has_parameter(i) || (i == tiny().lm_head() && tiny().config().tied_embeddings)) continue;
          const model::Rows rows = again.parameter(p.name);
          std::copy_n(hooks.data(i), p.rows * p.columns, rows.data);
        }
        logits(again, text);
        return seen;
      }();
      REQUIRE(maxima.size() == report.inputs.size());
      for (const GroupInput& input : report.inputs) {
        INFO(input.linears.front());
        CHECK(maxima.at(input.linears.front()) <= *input.map.fixed_maximum);
      }
    }
}

TEST_CASE("quantise_model: fused groups share the second-level scale", "[weights]") {
  const auto text = tokens();
  const auto method = parse_method("rtn");
  for (const char* format : {"nvfp4:g8", "nvfp4:g8:like=fp_quant"})
    for (const bool fused : {false, true}) {
      ModelJob job = job_of(*method, format, false, text);
      job.calibration.clear();
      job.target.fuse_scales = fused;
      std::size_t shared = 0, groups = 0;
      job.solved = [&](const InputGroup& group, const Solution& solution) {
        if (group.linears.size() < 2) return;
        ++groups;
        const auto scale = [&](std::size_t i) { return *solution.linears[i].representation.codes->tensor_scale; };
        bool same = true;
        for (std::size_t i = 1; i < group.linears.size(); ++i) same = same && scale(i) == scale(0);
        shared += same;
        if (!fused) return;
        float amax = 0;
        for (const GroupLinear& linear : group.linears)
          amax = std::max(amax, finite_amax(linear.weight.data, linear.weight.rows * linear.weight.columns));
        const bool reciprocal = std::string(format).find("like") != std::string::npos;
        CHECK(scale(0) == Approx(reciprocal ? 2688 / amax : amax / 2688));
      };
      model::Hooks hooks(tiny());
      quantise_model(hooks, job, test_threads());
      INFO(format);
      CHECK(shared == (fused ? groups : 0));
      CHECK(groups == 2 * tiny().config().layers);
    }
}

TEST_CASE("quantise_model: MXFP4-dagger shares alpha between weights and inputs", "[weights]") {
  const auto once = tokens();
  auto text = once;  // twice: a calibration must not be shorter than a group
  text.insert(text.end(), once.begin(), once.end());
  const auto method = parse_method("gptq");
  ModelJob job = job_of(*method, "mxfp4_dagger", true, text);
  std::size_t groups = 0;
  job.solved = [&](const InputGroup& group, const Solution& solution) {
    ++groups;
    REQUIRE(solution.input.levels);
    std::vector<float> scales;
    for (std::size_t i = 0; i < group.linears[0].weight.rows; ++i)
      for (std::size_t c = 0; c < group.width(); c += 32) {
        float amax = 0;
        for (std::size_t k = c; k < std::min(group.width(), c + 32); ++k)
          amax = std::max(amax, std::abs(group.linears[0].weight.row(i)[k]));
        scales.push_back(amax / 6);
      }
    CHECK(solution.input.levels->alpha == Approx(LogLevels::fit(scales).alpha));
    CHECK(solution.linears[0].bits == 4.25);
  };
  model::Hooks hooks(tiny());
  quantise_model(hooks, job, test_threads());
  CHECK(groups == 4 * tiny().config().layers);
  for (const float v : logits(hooks, text)) REQUIRE(std::isfinite(v));
}
