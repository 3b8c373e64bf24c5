#include "experiments/core/input_digest.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <vector>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/model.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

std::uint64_t hash_file(const std::string& path, std::uint64_t& bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_error(ExitCode::no_input, "'{}' cannot be opened: {}", path, std::strerror(errno));
  struct stat status {};
  void* data = MAP_FAILED;
  if (::fstat(fd, &status) == 0 && status.st_size > 0)
    data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (status.st_size == 0) return stream_of("");
  if (data == MAP_FAILED) throw_error(ExitCode::io, "'{}' cannot be read: {}", path, std::strerror(errno));
  const auto size = static_cast<std::size_t>(status.st_size);
  const std::uint64_t hash = stream_of({static_cast<const char*>(data), size});
  ::munmap(data, size);
  bytes += size;
  return hash;
}

/// Regular files of a folder, links followed, sorted.
std::vector<fs::path> files_under(const fs::path& folder) try {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::follow_directory_symlink))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
} catch (const fs::filesystem_error& e) {  // links in a circle, a folder that may not be read
  throw_error(ExitCode::no_input, "folder '{}' cannot be read: {}", folder.string(), e.code().message());
}

std::string digest(const fs::path& path) {
  std::uint64_t bytes = 0;
  if (fs::is_regular_file(path)) {
    const std::uint64_t hash = hash_file(path.string(), bytes);
    return fmt::format("{} bytes, fnv1a64 {:016x}", bytes, hash);
  }
  const std::vector<fs::path> files = files_under(path);
  std::string list;
  for (const fs::path& file : files)
    list += fmt::format("{} {:016x}\n", file.lexically_relative(path).string(), hash_file(file.string(), bytes));
  return fmt::format("{} bytes in {} files, fnv1a64 {:016x}", bytes, files.size(), stream_of(list));
}

// "model:NAME", or the name of a model in the cache: its folder. Anything else stays as it is.
std::string folder_of_model(const std::string& input) {
  constexpr std::string_view kPrefix = "model:";
  const std::string name = input.starts_with(kPrefix) ? input.substr(kPrefix.size()) : input;
  std::error_code missing;
  if (name.empty() || fs::exists(name, missing)) return name;
  try {
    return model::find_model(name);
  } catch (const Error&) {
    return name;
  }
}

}  // namespace

std::string input_digest(const std::string& input) {
  std::error_code missing;
  const std::string path = folder_of_model(input);
  const bool folder = !path.empty() && fs::is_directory(path, missing);
  if (!folder && (path.empty() || !fs::is_regular_file(path, missing))) return "";
  static std::mutex mutex;
  static std::map<std::string, std::string> known;  // the figures of one program read the same files
  const std::lock_guard lock(mutex);
  auto& text = known[fs::absolute(path).string()];
  if (text.empty()) text = digest(path);
  return text;
}

}  // namespace lowbit
