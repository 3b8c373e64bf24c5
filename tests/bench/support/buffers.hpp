// Memory for benchmarks: plain malloc pages or huge pages, touched beforehand; sizes of the caches.
#pragma once
#include <cstddef>
#include <memory>

namespace lowbit::bench {

enum class Pages { plain, huge };

/// `bytes` of memory aligned to 2 MiB, every page touched. huge: madvise(MADV_HUGEPAGE), a wish that the system may
/// refuse; plain: madvise(MADV_NOHUGEPAGE), which is what malloc gives where huge pages are not the system's default.
class Buffer {
 public:
  Buffer(std::size_t bytes, Pages pages);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* floats() { return static_cast<float*>(data_); }
  std::byte* bytes() { return static_cast<std::byte*>(data_); }

 private:
  void* data_;
  std::size_t bytes_;
};

/// Bytes of the L2 cache of one core; 1 MiB where the system does not say.
std::size_t l2_bytes();

}  // namespace lowbit::bench
