// Options that the verbs on language models share: --model, --tokens or --text, and formats at sites.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/command_line.hpp"
#include "sim/model/quantised_sites.hpp"
#include "sim/threads.hpp"

namespace lowbit {

/// Declares --model (required), --threads.
void declare_model(CommandLine& line);
/// Declares --tokens and --text, of which one must be given.
void declare_tokens(CommandLine& line);
/// Declares --weights, --activations, --kv, --transform, --kv-transform, --site, --include-lm-head, --skip-layers.
void declare_sites(CommandLine& line);

model::SiteOptions site_options(const CommandLine& line);

/// The numbers of --tokens, or those of --text under the model's tokenizer. Text is tokenised by scripts/tokenize once;
/// the result is kept in the cache directory of models.
std::vector<std::int32_t> token_input(const CommandLine& line, const std::string& folder, std::size_t vocabulary);
/// The same for a text given directly.
std::vector<std::int32_t> tokenise(const std::string& folder, const std::string& text, std::size_t vocabulary);

/// "0,3,5-7" as numbers; `place` begins messages.
std::vector<int> parse_numbers(const std::string& text, const std::string& place);

/// A line that says so if the weights already lie on a grid of at most 16 values in each group of 32 (a model made from
/// 4-bit weights), else empty. Looks at the first layer.
std::string grid_note(const model::Model& model);

}  // namespace lowbit
