#include "sim/source/hugging_face.hpp"

#include <filesystem>
#include <map>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/safetensors.hpp"
#include "sim/source/strict_json.hpp"
#include "sim/source/text.hpp"

namespace lowbit {

namespace fs = std::filesystem;

std::optional<std::string> find_shard_index(const std::string& folder) {
  constexpr std::string_view kEnding = ".safetensors.index.json";
  std::error_code problem;
  const fs::path usual = fs::path(folder) / "model.safetensors.index.json";
  if (fs::exists(usual, problem)) return usual.string();
  std::optional<std::string> found;
  for (fs::directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem)) {
    const std::string name = it->path().filename().string();
    if (name.size() <= kEnding.size() || name.compare(name.size() - kEnding.size(), kEnding.size(), kEnding) != 0)
      continue;
    if (found)
      throw_error(ExitCode::bad_data, "{}: holds several indexes, {} and {}; one is expected", in_quotes(folder),
                  in_quotes(fs::path(*found).filename().string()), in_quotes(name));
    found = it->path().string();
  }
  return found;
}

std::vector<StoredTensor> open_sharded(const std::string& index_path) {
  constexpr std::uint64_t kLongestIndex = 100'000'000;
  const std::string place = in_quotes(index_path);
  const nlohmann::json index = parse_strict_json(read_text(index_path, kLongestIndex), place);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object())
    throw_error(ExitCode::bad_data, "{}: an object \"weight_map\" of tensor names to file names is expected", place);

  std::map<std::string, std::map<std::string, StoredTensor>> shards;
  std::vector<StoredTensor> tensors;
  for (const auto& [name, value] : map->items()) {
    const std::string file = value.is_string() ? value.get<std::string>() : "";
    if (file.empty() || file == "." || file == ".." || file.find('/') != file.npos || file.find('\0') != file.npos)
      throw_error(ExitCode::bad_data,
                  "{}: tensor {} is said to be in {}; the name of a file in the same folder is expected", place,
                  in_quotes(name), in_quotes(value.dump()));
    const auto [shard, is_new] = shards.try_emplace(file);
    if (is_new)
      for (StoredTensor& tensor : open_safetensors((fs::path(index_path).parent_path() / file).string()))
        shard->second.emplace(tensor.name, tensor);
    const auto found = shard->second.find(name);
    if (found == shard->second.end())
      throw_error(ExitCode::bad_data, "{}: tensor {} is not in {}", place, in_quotes(name), in_quotes(file));
    tensors.push_back(found->second);
  }
  if (tensors.empty()) throw_error(ExitCode::bad_data, "{}: \"weight_map\" names no tensor", place);
  return tensors;
}

}  // namespace lowbit
