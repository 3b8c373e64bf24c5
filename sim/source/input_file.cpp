#include "sim/source/input_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {

InputFile::InputFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe without a writer must fail below, not wait
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0)
    throw_error(ExitCode::no_input, "{}: cannot be opened: {}", in_quotes(path), std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw_error(ExitCode::no_input, "{}: {}; a regular file is expected", in_quotes(path),
                known && S_ISDIR(status.st_mode) ? "is a directory" : "is not a file");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (mapped_ != nullptr) ::munmap(mapped_, size_);
  ::close(descriptor_);
}

const std::byte* InputFile::map() {
  if (mapped_ == nullptr && size_ > 0) {
    void* place = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (place != MAP_FAILED) mapped_ = place;
  }
  return static_cast<const std::byte*>(mapped_);
}

void InputFile::read(std::uint64_t offset, std::size_t count, void* out) const {
  if (offset > size_ || count > size_ - offset)
    throw_error(ExitCode::bad_data, "{}: {} bytes at offset {} are wanted but the file has {}: truncated",
                in_quotes(path_), count, offset, size_);
  auto* target = static_cast<char*>(out);
  while (count > 0) {
    const ssize_t got =
        ::pread(descriptor_, target, std::min<std::size_t>(count, 1u << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_error(ExitCode::io, "{}: read error: {}", in_quotes(path_), std::strerror(errno));
    if (got == 0) throw_error(ExitCode::bad_data, "{}: became shorter while it was read", in_quotes(path_));
    target += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

std::string read_text(const std::string& path, std::uint64_t limit) {
  const InputFile file(path);
  if (file.size() > limit)
    throw_error(ExitCode::bad_data, "{}: {} bytes; at most {} are accepted", in_quotes(path), file.size(), limit);
  std::string text(file.size(), '\0');
  file.read(0, text.size(), text.data());
  return text;
}

}  // namespace lowbit
