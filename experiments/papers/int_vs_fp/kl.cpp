// Tables 12 to 15 and Table 3 for one small model: KL divergence from the unquantised model and perplexity of the eight
// formats, without rotation, with a Hadamard and with random Hadamard rotations of the block size.
#include <cmath>

#include "experiments/core/model_param.hpp"
#include "experiments/papers/int_vs_fp/direct_cast.hpp"
#include "experiments/papers/int_vs_fp/model_tensors.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "formats/error.hpp"
#include "sim/model/quantised_sites.hpp"

namespace lowbit {
namespace int_vs_fp {

std::shared_ptr<const model::Hooks> direct_cast(const model::Model& model, const std::string& format,
                                                const std::string& transform, Threads& threads) {
  model::SiteOptions options;
  options.weights = options.activations = format;
  const Format parsed = parse_format(format);
  if (transform != "id") {
    if (parsed.group != GroupKind::size)
      throw_error(ExitCode::usage, "format '{}' has no blocks of a fixed size, which a rotation takes its order from",
                  format);
    options.transform = transform == "had" ? fmt::format("had:{}", parsed.group_size)
                                           : fmt::format("rhad:{}{}", parsed.group_size, transform.substr(4));
  }
  auto hooks = std::make_shared<model::Hooks>(model);
  attach(*hooks, options, threads);
  return hooks;
}

}  // namespace int_vs_fp

namespace {
using namespace int_vs_fp;

using SharedModel = std::shared_ptr<const EvaluatedModel>;
using SharedHooks = std::shared_ptr<const model::Hooks>;

SharedModel make_model(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto context = static_cast<std::size_t>(p.integer("context"));
  auto model = model::Model::load(p.text("model"), threads);
  auto tokens =
      evaluation_tokens(p.text("tokens"), static_cast<std::size_t>(p.integer("windows")), context, model.config());
  return std::make_shared<const EvaluatedModel>(EvaluatedModel{std::move(model), std::move(tokens), context});
}

SharedHooks make_quantised(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  return direct_cast(p.shared<SharedModel>("model")->model, p.text("format"), p.text("transform"), threads);
}

model::ReferenceWindow make_reference(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto& m = *p.shared<SharedModel>("model");
  return model::reference_window(model::Hooks(m.model), m.window(static_cast<std::size_t>(p.integer("window"))),
                                 threads);
}

/// Seed of "rhad:seed=S", 0 for the others.
std::int64_t seed_of(const std::string& transform) {
  const auto equal = transform.find('=');
  return equal == transform.npos ? 0 : std::stoll(transform.substr(equal + 1));
}

/// Unless crossed, each window has one of the seeds in turn: the same tokens for every transform, at the price of one.
bool applies(const Point& p) {
  const std::int64_t seed = seed_of(p.text("transform"));
  return seed == 0 || p.integer("crossed") == 1 || p.integer("window") % p.integer("seeds") == seed - 1;
}

Record compute_kl(const Point& p, Rng) {
  Threads threads(static_cast<std::size_t>(p.threads()));
  const auto& m = *p.shared<SharedModel>("model");
  const auto tokens =
      model::compare_window(p.shared<model::ReferenceWindow>("reference"), *p.shared<SharedHooks>("quantised"),
                            m.window(static_cast<std::size_t>(p.integer("window"))), threads);
  double kl = 0, loss = 0, reference_loss = 0, same = 0;
  for (const auto& token : tokens) {
    kl += token.kl_top;
    loss += token.loss;
    reference_loss += token.reference_loss;
    same += token.same_top;
  }
  const auto n = static_cast<double>(tokens.size());
  return {{"kl_top25", kl / n}, {"loss", loss / n}, {"reference_loss", reference_loss / n}, {"same_top", same / n}};
}

std::vector<std::string> eight_formats() {
  std::vector<std::string> names;
  for (const auto& pair : kPairs)
    for (const auto name : {pair.integer, pair.floating}) names.push_back(paper_format(name));
  return names;
}

Values transforms(const Params& params) {
  std::vector<std::string> names{"id", "had"};
  for (std::int64_t seed = 1; seed <= params.integer("seeds"); ++seed)
    names.push_back(fmt::format("rhad:seed={}", seed));
  return texts(std::move(names));
}

Experiment kl() {
  return with_references(
      Experiment{"int_vs_fp/kl"}
          .paper(kPaper, "Tables 3, 12-15", "Direct-cast inference of a small model: KL divergence and perplexity")
          .param("model", kDefaultModel, kModelHelp, input_path())
          .param("tokens", kPersuasion, "text: a .npy of token numbers, or persuasion", input_path())
          .param("windows", 16, "windows of the text, from its beginning, without overlap", between(1, 100000))
          .param("context", 512, "tokens of a window; all but the first are predicted", between(2, 1 << 20))
          .param("seeds", 4, "random rotations", between(1, 1000))
          .param("crossed", 0, "1: every seed reads every window; 0: window w has seed 1 + w mod seeds", between(0, 1))
          .axis("format", formats(eight_formats()), "", "of weights and inputs of all linear layers but lm_head")
          .axis("transform", transforms, "", "along the input features of both, of the order of the format's block")
          .axis(
              "window",
              [](const Params& params) { return indices(static_cast<std::size_t>(params.integer("windows"))); }, "1",
              "window of the text")
          .where(applies)
          .shared("model", {}, make_model)
          .shared("quantised", {"format", "transform"}, make_quantised)
          .shared("reference", {"window"}, make_reference)
          .output("kl_top25", "nat",
                  "KL(reference || quantised) over the 25 likeliest tokens of the reference, both renormalised; mean "
                  "over tokens")
          .output("loss", "nat", "-log of the probability of the token that follows, mean over tokens")
          .output("reference_loss", "nat", "the same of the unquantised model")
          .output("same_top", "1", "share of tokens where the likeliest next token is the same")
          .unavailable_when(model_missing)
          .runs_alone()
          .quick("windows=2 context=64 seeds=1 format=mxint8:rule=ceil,mxfp8_e4m3:rule=ceil,nvint4,nvfp4")
          .full("windows=64 crossed=1")
          .cost(400)
          .point(compute_kl)
          .rows(kl_rows));
}
LOWBIT_REGISTER(kl);

}  // namespace
}  // namespace lowbit
