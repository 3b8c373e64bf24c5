#include "sim/model/tokens.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/npy.hpp"

namespace lowbit::model {
namespace {

// Value i of little-endian integers; uint64 beyond int64 counts as out of range like any other wrong number.
std::int64_t integer_at(const std::vector<std::byte>& bytes, std::size_t i, std::size_t width, bool is_signed) {
  std::uint64_t value = 0;
  for (std::size_t b = 0; b < width; ++b) value |= std::to_integer<std::uint64_t>(bytes[i * width + b]) << (8 * b);
  if (is_signed && width < 8 && (value >> (8 * width - 1)) != 0) value -= std::uint64_t{1} << (8 * width);
  return std::bit_cast<std::int64_t>(value);
}

// The characters that GPT-2's tokenizer writes for bytes: printable ones for themselves, the others from U+0100 on.
std::map<std::string, char> byte_characters() {
  std::map<std::string, char> map;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const int point = printable ? byte : next++;
    std::string utf8;
    if (point < 128) {
      utf8 = static_cast<char>(point);
    } else {
      utf8 = {static_cast<char>(0xC0 | (point >> 6)), static_cast<char>(0x80 | (point & 63))};
    }
    map[utf8] = static_cast<char>(byte);
  }
  return map;
}

std::string to_bytes(const std::string& token, const std::map<std::string, char>& characters) {
  std::string out;
  for (std::size_t i = 0; i < token.size();) {
    const std::size_t length = (token[i] & 0x80) == 0 ? 1 : 2;
    const auto found = characters.find(token.substr(i, length));
    if (found == characters.end()) return token;  // not a byte-level token
    out += found->second;
    i += length;
  }
  return out;
}

}  // namespace

std::vector<std::int32_t> read_tokens(const std::string& path, std::size_t vocabulary) {
  const StoredTensor tensor = open_npy(path);
  const std::string& type = tensor.dtype_name;
  const bool integer = type.size() == 3 && (type[0] == '<' || type[0] == '|') && (type[1] == 'i' || type[1] == 'u');
  if (!integer) throw_error(ExitCode::bad_data, "{}: type {}, expected little-endian integers", tensor.place(), type);
  if (tensor.shape.size() != 1)
    throw_error(ExitCode::bad_data, "{}: shape {}, expected a vector of tokens", tensor.place(),
                to_string(tensor.shape));
  const auto bytes = tensor.load_bytes();
  std::vector<std::int32_t> tokens(tensor.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::int64_t token = integer_at(bytes, i, static_cast<std::size_t>(type[2] - '0'), type[1] == 'i');
    if (token < 0 || token >= static_cast<std::int64_t>(vocabulary))
      throw_error(ExitCode::bad_data, "{}: token {} at place {} is outside the vocabulary of {}", tensor.place(), token,
                  i, vocabulary);
    tokens[i] = static_cast<std::int32_t>(token);
  }
  return tokens;
}

std::vector<std::span<const std::int32_t>> windows(std::span<const std::int32_t> tokens, std::size_t length,
                                                   std::size_t limit, std::size_t context) {
  if (length < 2 || length > context)
    throw_error(ExitCode::usage, "context {}: expected 2 to {}, the model's max_position_embeddings", length, context);
  std::size_t count = tokens.size() / length;
  if (count == 0)
    throw_error(ExitCode::bad_data, "{} tokens do not fill one window of {}; give more text or a smaller context",
                tokens.size(), length);
  if (limit > 0) count = std::min(count, limit);
  std::vector<std::span<const std::int32_t>> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(tokens.subspan(i * length, length));
  return out;
}

TokenText::TokenText(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  const auto json = nlohmann::json::parse(read_text(path, 256 << 20), nullptr, false);
  const auto vocabulary =
      json.is_object() && json.contains("model") ? json["model"].value("vocab", nlohmann::json()) : nlohmann::json();
  if (!vocabulary.is_object() || json["model"].value("type", "") != "BPE" ||
      json["model"].value("byte_fallback", false))
    throw_error(ExitCode::bad_data, "'{}': not a byte-level BPE tokenizer", path);
  const auto characters = byte_characters();
  const auto put = [&](std::size_t id, std::string text) {
    if (id >= (1u << 24)) throw_error(ExitCode::bad_data, "'{}': token number {} is beyond 2^24", path, id);
    if (bytes_.size() <= id) bytes_.resize(id + 1);
    bytes_[id] = std::move(text);
  };
  for (const auto& [token, id] : vocabulary.items())
    if (id.is_number_unsigned()) put(id.get<std::size_t>(), to_bytes(token, characters));
  for (const auto& added : json.value("added_tokens", nlohmann::json::array()))
    if (added.contains("id") && added["id"].is_number_unsigned())
      put(added["id"].get<std::size_t>(), added.value("content", ""));
}

std::string TokenText::text(std::span<const std::int32_t> tokens) const {
  std::string out;
  for (const std::int32_t token : tokens)
    if (token >= 0 && static_cast<std::size_t>(token) < bytes_.size()) out += bytes_[static_cast<std::size_t>(token)];
  return out;
}

}  // namespace lowbit::model
