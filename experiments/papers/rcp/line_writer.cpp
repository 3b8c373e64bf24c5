#include "experiments/papers/rcp/line_writer.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "experiments/core/output_paths.hpp"
#include "formats/error.hpp"

namespace lowbit::rcp {

LineWriter::LineWriter(std::string path, store::Overwrite overwrite) : path_(std::move(path)), overwrite_(overwrite) {
  if (path_.empty() || path_ == "-") {
    file_ = stdout;
    return;
  }
  check_outputs({path_}, overwrite_ == store::Overwrite::replace);
  const std::filesystem::path target(path_);
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  store::make_folders(folder);
  temporary_ = fmt::format("{}/.{}.{}.tmp", folder, target.filename().string(), store::attempt_name());
  file_ = std::fopen(temporary_.c_str(), "wbxe");
  if (file_ == nullptr) throw_error(ExitCode::cannot_create, "'{}' cannot be created: {}", path_, std::strerror(errno));
}

LineWriter::~LineWriter() {
  if (temporary_.empty()) return;
  if (file_ != nullptr) std::fclose(file_);
  store::remove_file(temporary_);
}

void LineWriter::fail(const char* what) {
  throw_error(ExitCode::io, "'{}' cannot be {}: {}", temporary_.empty() ? "stdout" : path_, what, std::strerror(errno));
}

void LineWriter::write(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fputc('\n', file_) == EOF) fail("written");
}

void LineWriter::finish() {
  if (std::fflush(file_) != 0) fail("written");
  if (temporary_.empty()) return;
  if (::fsync(::fileno(file_)) != 0 && errno != EINVAL) fail("forced to disk");
  const int closed = std::fclose(file_);
  file_ = nullptr;
  if (closed != 0) fail("written");
  // a link does not replace what another process has put there meanwhile
  if (overwrite_ == store::Overwrite::refuse) {
    if (::link(temporary_.c_str(), path_.c_str()) != 0) fail("put in place");
    store::remove_file(temporary_);
  } else if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("put in place");
  }
  temporary_.clear();
}

}  // namespace lowbit::rcp
