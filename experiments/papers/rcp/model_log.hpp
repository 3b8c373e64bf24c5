// Traces of a text under a language model: what an end token's rank does at the ends of its sentences, with keys and
// values in float32 and in formats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/early_exit/trace.hpp"
#include "sim/model/hooks.hpp"

namespace lowbit::rcp {

/// Consecutive sentences of a text that a model reads at once.
struct TextWindow {
  std::size_t first = 0;          ///< first token
  std::vector<std::size_t> ends;  ///< of its sentences: tokens from the window's beginning
  std::size_t tokens() const { return ends.back(); }
};

/// As many whole sentences a window as fit into `context` tokens; at most `limit` windows (0: all). `ends`: tokens from
/// the text's beginning to each sentence's end. Error (bad_data): a sentence longer than the context.
std::vector<TextWindow> text_windows(std::span<const std::size_t> ends, std::size_t context, std::size_t limit);

/// A .npy vector of ascending numbers of tokens, the last at most `tokens`. Error (bad_data) naming value and place.
std::vector<std::size_t> read_sentence_ends(const std::string& path, std::size_t tokens);

struct LogOptions {
  std::int32_t end_token = 0;
  bool verify = false;  ///< find the ranks at sentence ends by sorting too; std::logic_error where they differ
};

/// One pass over the window: rank, ties, logp and boost at sentence ends, the rank after every token. A cache of the
/// hooks is filled before attention reads it, so that each token attends to quantised keys and values, its own
/// included, as in decoding token by token. `pieces`: texts of all tokens of the file, for `wait`. Nothing is known of
/// an answer. Boost is left out where it is infinite.
early_exit::Trace log_window(const model::Hooks& hooks, std::span<const std::int32_t> tokens,
                             std::span<const std::string> pieces, const TextWindow& window, const LogOptions& options,
                             Threads& threads);

}  // namespace lowbit::rcp
