// Token numbers: files of them, windows, and text of byte-level tokenizers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lowbit::model {

/// A one-dimensional .npy of integers (1 to 8 bytes, signed or not). Error: another type or shape, no tokens, a number
/// outside 0 .. vocabulary - 1 (value and place named).
std::vector<std::int32_t> read_tokens(const std::string& path, std::size_t vocabulary);

/// Consecutive pieces of `length` tokens that do not overlap; a last partial one is dropped. At most `limit` of them
/// (0: all). Error where there is not one, or where length is not in 2 .. context.
std::vector<std::span<const std::int32_t>> windows(std::span<const std::int32_t> tokens, std::size_t length,
                                                   std::size_t limit, std::size_t context);

/// Turns token numbers back into text with FOLDER/tokenizer.json.
class TokenText {
 public:
  /// Error: no such file, or a tokenizer that is not byte-level BPE.
  explicit TokenText(const std::string& folder);
  /// Bytes of the tokens (UTF-8 once a character is complete); special tokens as they are written.
  std::string text(std::span<const std::int32_t> tokens) const;

 private:
  std::vector<std::string> bytes_;  // by token
};

}  // namespace lowbit::model
