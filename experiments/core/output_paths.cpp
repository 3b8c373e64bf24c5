#include "experiments/core/output_paths.hpp"

#include <filesystem>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {

void check_outputs(const std::vector<std::string>& paths, bool force) {
  namespace fs = std::filesystem;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].empty()) continue;
    std::error_code ignored;
    const fs::file_status status = fs::status(paths[i], ignored);
    if (fs::is_directory(status))
      throw_error(ExitCode::cannot_create, "{}: is a directory; a file name is expected", in_quotes(paths[i]));
    if (fs::exists(status) && !force)
      throw_error(ExitCode::cannot_create, "{}: exists; --force replaces it", in_quotes(paths[i]));
    if (fs::exists(status) && !fs::is_regular_file(status))
      throw_error(ExitCode::cannot_create, "{}: is not a regular file and is not replaced", in_quotes(paths[i]));
    for (std::size_t k = 0; k < i; ++k)
      if (fs::path(paths[k]).lexically_normal() == fs::path(paths[i]).lexically_normal())
        throw_error(ExitCode::usage, "{}: named for two outputs", in_quotes(paths[i]));
  }
}

}  // namespace lowbit
