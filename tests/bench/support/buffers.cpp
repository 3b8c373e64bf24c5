#include "tests/bench/support/buffers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "formats/error.hpp"

namespace lowbit::bench {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

}  // namespace

Buffer::Buffer(std::size_t bytes, Pages pages) : data_(nullptr), bytes_((bytes + kHuge - 1) / kHuge * kHuge) {
  // one huge page more, so that an aligned range lies inside; what is not touched costs nothing
  void* whole = ::mmap(nullptr, bytes_ + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) throw_error(ExitCode::io, "{} bytes for a benchmark: {}", bytes_, std::strerror(errno));
  const std::size_t start = reinterpret_cast<std::size_t>(whole), aligned = (start + kHuge - 1) / kHuge * kHuge;
  if (aligned > start) ::munmap(whole, aligned - start);
  const std::size_t rest = start + kHuge - aligned;
  if (rest > 0) ::munmap(reinterpret_cast<char*>(aligned) + bytes_, rest);
  data_ = reinterpret_cast<void*>(aligned);
  ::madvise(data_, bytes_, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::memset(data_, 0, bytes_);
}

Buffer::~Buffer() {
  ::munmap(data_, bytes_);
}

std::size_t l2_bytes() {
  const long bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : std::size_t{1} << 20;
}

}  // namespace lowbit::bench
