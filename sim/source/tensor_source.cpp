#include "sim/source/tensor_source.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include "formats/error.hpp"
#include "formats/format.hpp"
#include "sim/source/h5.hpp"
#include "sim/source/hugging_face.hpp"
#include "sim/source/npy.hpp"
#include "sim/source/safetensors.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

bool is_readable_extension(const std::string& extension) {
  return extension == ".npy" || extension == ".safetensors" || extension == ".h5" || extension == ".hdf5";
}

std::vector<StoredTensor> open_file(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  if (extension == ".npy") return {open_npy(path)};
  if (extension == ".safetensors") return open_safetensors(path);
  if (extension == ".h5" || extension == ".hdf5") return open_h5(path);
  throw_error(ExitCode::bad_data, "{}: unknown kind of file (accepted: .npy, .safetensors, .h5, .hdf5 or a folder)",
              in_quotes(path));
}

std::vector<std::string> readable_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code problem;
  for (fs::directory_iterator it(folder, problem), end; !problem && it != end; it.increment(problem))
    if (is_readable_extension(it->path().extension().string())) files.push_back(it->path().string());
  if (problem) throw_error(ExitCode::no_input, "{}: cannot be read: {}", in_quotes(folder), problem.message());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<StoredTensor> open_folder(const std::string& folder) {
  if (const auto index = find_shard_index(folder)) return open_sharded(*index);
  std::vector<StoredTensor> all;
  std::map<std::string, std::string> owner;
  for (const std::string& file : readable_files(folder))
    for (StoredTensor& tensor : open_file(file)) {
      const auto [known, is_new] = owner.emplace(tensor.name, file);
      if (!is_new)
        throw_error(ExitCode::bad_data, "{}: tensor {} is in {} and in {}", in_quotes(folder), in_quotes(tensor.name),
                    in_quotes(known->second), in_quotes(file));
      all.push_back(std::move(tensor));
    }
  if (all.empty()) throw_error(ExitCode::no_input, "{}: holds no .npy, .safetensors or .h5 tensors", in_quotes(folder));
  return all;
}

// Splits PATH:NAME at the first colon whose left side exists; the whole is a path if it exists.
std::pair<std::string, std::string> split_spec(const std::string& spec) {
  std::error_code ignored;
  if (fs::exists(spec, ignored)) return {spec, ""};
  for (std::size_t colon = spec.find(':'); colon != spec.npos; colon = spec.find(':', colon + 1))
    if (fs::exists(spec.substr(0, colon), ignored)) return {spec.substr(0, colon), spec.substr(colon + 1)};
  throw_error(ExitCode::no_input,
              "{}: no such file (accepted: FILE.npy, or FILE:NAME of .safetensors, .h5 or a folder)", in_quotes(spec));
}

std::string names_for_message(const std::vector<StoredTensor>& tensors) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(tensors.size(), 8); ++i)
    text += (i ? ", " : "") + in_quotes(tensors[i].name);
  return tensors.size() > 8 ? fmt::format("{}, ... {} in all", text, tensors.size()) : text;
}

}  // namespace

std::vector<StoredTensor> open_tensors(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? open_folder(path) : open_file(path);
}

StoredTensor open_tensor(const std::string& spec) {
  const auto [path, name] = split_spec(spec);
  std::vector<StoredTensor> tensors = open_tensors(path);
  if (name.empty()) {
    if (tensors.size() == 1) return tensors[0];
    throw_error(ExitCode::no_input, "{}: holds {} tensors; give one as {}:NAME (names: {})", in_quotes(path),
                tensors.size(), path, names_for_message(tensors));
  }
  std::vector<std::string> names;
  for (StoredTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
    names.push_back(tensor.name);
  }
  for (StoredTensor& tensor : tensors)  // HDF5 calls the dataset w of the group grp /grp/w
    if ("/" + tensor.name == name) return tensor;
  const auto meant = did_you_mean(name, names);
  throw_error(ExitCode::no_input, "{}: holds no tensor {}{} (names: {})", in_quotes(path), in_quotes(name),
              meant ? "; did you mean " + in_quotes(*meant) + "?" : "", names_for_message(tensors));
}

}  // namespace lowbit
