#include "sim/source/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

// Renames without replacing. Where the file system cannot do that atomically, a hard link does it.
int rename_to_new(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::link(from, to) != 0) return -1;
  ::unlink(from);
  return 0;
}

}  // namespace

OutputFile::OutputFile(const std::string& path, bool force) : path_(path), force_(force) {
  static std::atomic<unsigned> counter{0};
  struct stat status {};
  if (path.empty()) throw Error("output path is empty; a file name is expected", ExitCode::cannot_create);
  if (::lstat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      throw_error(ExitCode::cannot_create, "{}: is a directory; a file name is expected", in_quotes(path));
    if (!force) throw_error(ExitCode::cannot_create, "{}: exists; --force replaces it", in_quotes(path));
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
      throw_error(ExitCode::cannot_create, "{}: is not a regular file and is not replaced", in_quotes(path));
  }
  const fs::path target(path);
  if (!target.has_filename())
    throw_error(ExitCode::cannot_create, "{}: names a folder; a file name is expected", in_quotes(path));
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  temporary_ = (folder / fmt::format(".{}.{}.{}.part", target.filename().string(), ::getpid(), counter++)).string();
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw_error(ExitCode::cannot_create, "{}: cannot be created: {}", in_quotes(path), std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(const std::string& what) {
  throw_error(ExitCode::io, "{}: {}: {}; nothing was written", in_quotes(path_), what, std::strerror(errno));
}

void OutputFile::write(const void* data, std::size_t bytes) {
  const auto* source = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, source, std::min<std::size_t>(bytes, 1u << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write error");
    source += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void OutputFile::commit() {
  if (::fsync(descriptor_) != 0) fail("cannot be synced");
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("cannot be closed");
  const int renamed =
      force_ ? std::rename(temporary_.c_str(), path_.c_str()) : rename_to_new(temporary_.c_str(), path_.c_str());
  if (renamed != 0 && errno == EEXIST)
    throw_error(ExitCode::cannot_create, "{}: exists; --force replaces it", in_quotes(path_));
  if (renamed != 0) fail("cannot be renamed");
  temporary_.clear();
  const fs::path folder = fs::path(path_).has_parent_path() ? fs::path(path_).parent_path() : fs::path(".");
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);  // makes the name itself survive a power loss; some file systems refuse it, the data are safe
                         // then too
    ::close(directory);
  }
}

}  // namespace lowbit
