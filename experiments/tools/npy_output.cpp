#include "experiments/tools/npy_output.hpp"

#include <cstring>

#include "results/store/file_io.hpp"
#include "sim/source/npy.hpp"

namespace lowbit {

void write_npy(const std::string& path, const Shape& shape, const std::vector<float>& values, bool force) {
  const std::string header = npy_header(shape, "<f4");
  std::vector<std::byte> bytes(header.size() + values.size() * sizeof(float));
  std::memcpy(bytes.data(), header.data(), header.size());
  if (!values.empty()) std::memcpy(bytes.data() + header.size(), values.data(), values.size() * sizeof(float));
  store::write_atomically(path, bytes, force ? store::Overwrite::replace : store::Overwrite::refuse);
}

}  // namespace lowbit
