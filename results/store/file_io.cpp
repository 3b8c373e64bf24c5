#include "results/store/file_io.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "formats/error.hpp"

namespace lowbit::store {
namespace {

/// A descriptor that is closed on every path; close() reports what the destructor cannot.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

/// Renames without replacing where the file system can (Linux); else looks first.
bool rename_new(const char* from, const char* to) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
#endif
  if (::access(to, F_OK) == 0) {
    errno = EEXIST;
    return false;
  }
  return ::rename(from, to) == 0;
}

bool sync_folder(const std::string& folder) {
  Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return true;  // a folder that may be written but not read: the rename itself has succeeded
  return ::fsync(fd.get()) == 0 || errno == EINVAL || errno == ENOTSUP;
}

}  // namespace

std::string attempt_name() {
  static std::atomic<unsigned> count{0};
  char host[256] = "host";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{}-{}-{}", host, ::getpid(), count++);
}

void make_folders(const std::string& path) {
  if (path.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error || !std::filesystem::is_directory(path, error))
    throw_error(ExitCode::cannot_create, "folder '{}' cannot be created: {}", path,
                error ? error.message() : "a file is in its place");
}

void remove_file(const std::string& path) noexcept {
  ::unlink(path.c_str());
}

AtomicFile::AtomicFile(const std::string& path, Overwrite overwrite) : path_(path), overwrite_(overwrite) {
  const std::filesystem::path target(path);
  folder_ = target.has_parent_path() ? target.parent_path().string() : ".";
  make_folders(folder_);
  std::error_code ignored;
  if (std::filesystem::is_directory(target, ignored))
    throw_error(ExitCode::cannot_create, "'{}' is a folder; the path of a file is expected", path);
  if (overwrite == Overwrite::refuse && std::filesystem::exists(target, ignored))
    throw_error(ExitCode::cannot_create, "'{}' exists and is not replaced unasked", path);
  temporary_ = fmt::format("{}/.{}.{}.tmp", folder_, target.filename().string(), attempt_name());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_error(ExitCode::cannot_create, "'{}' cannot be created: {}", path, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  remove_file(temporary_);
}

void AtomicFile::fail(int reason) {
  throw_error(ExitCode::io, "'{}' cannot be written: {}", path_, std::strerror(reason));
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  if (!write_all(descriptor_, bytes)) fail(errno);
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t most = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), most, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    const int reason = errno;
    remove_file(temporary_);
    fail(reason);
  }
  const bool renamed = overwrite_ == Overwrite::refuse ? rename_new(temporary_.c_str(), path_.c_str())
                                                       : ::rename(temporary_.c_str(), path_.c_str()) == 0;
  if (!renamed) {
    const int reason = errno;
    remove_file(temporary_);
    throw_error(reason == EEXIST ? ExitCode::cannot_create : ExitCode::io, "'{}' cannot be put in place: {}", path_,
                std::strerror(reason));
  }
  if (!sync_folder(folder_))
    throw_error(ExitCode::io, "'{}' is written but its folder cannot be forced to disk: {}", path_,
                std::strerror(errno));
}

void write_atomically(const std::string& path, std::span<const std::byte> bytes, Overwrite overwrite) {
  AtomicFile file(path, overwrite);
  file.append(bytes);
  file.commit();
}

std::vector<std::byte> read_whole(const std::string& path) {
  // without O_NONBLOCK a named pipe without a writer would hang here
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) throw_error(ExitCode::no_input, "'{}' cannot be opened: {}", path, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_error(ExitCode::io, "'{}': {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    throw_error(ExitCode::bad_data, "'{}' is {}; a regular file is expected", path,
                S_ISDIR(status.st_mode) ? "a folder" : "not a file");
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + have, std::min<std::size_t>(bytes.size() - have, 1u << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      throw_error(ExitCode::io, "'{}' cannot be read: {}", path, n < 0 ? std::strerror(errno) : "it ends early");
    have += static_cast<std::size_t>(n);
  }
  return bytes;
}

}  // namespace lowbit::store
