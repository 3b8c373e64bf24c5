#include "results/store/tensor_stream.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "results/store/hdf5_parts.hpp"
#include "results/store/streamed_file.hpp"

namespace lowbit::store {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

Handle bf16_type() {
  Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "type");
  check(H5Tset_fields(type, 15, 7, 8, 0, 7), "bfloat16 fields");
  check(H5Tset_precision(type, 16), "bfloat16 precision");
  check(H5Tset_size(type, 2), "bfloat16 size");
  check(H5Tset_ebias(type, 127), "bfloat16 bias");
  return type;
}

// Near 1 MiB, cut along the first axes; where slices are tensors themselves a chunk belongs to one of them, so that
// appending never touches a chunk twice.
std::vector<hsize_t> tensor_chunk(const std::vector<std::size_t>& shape, std::size_t value_bytes) {
  std::vector<hsize_t> chunk(shape.begin(), shape.end());
  if (chunk.size() > 2) chunk[0] = 1;
  std::size_t bytes = value_bytes;
  for (const hsize_t extent : chunk) bytes *= extent;
  for (hsize_t& extent : chunk) {
    if (bytes <= kChunkBytes) break;
    const std::size_t slice = bytes / extent;
    const hsize_t most = std::max<std::size_t>(1, kChunkBytes / slice), pieces = (extent + most - 1) / most;
    extent = (extent + pieces - 1) / pieces;  // equal pieces: the last chunk is stored whole
    bytes = slice * extent;
  }
  return chunk;
}

struct Set {
  std::size_t handle;
  std::string name;
  std::vector<std::size_t> shape;
  StoredFloat type;
  std::size_t slices = 0;  // written so far
};

}  // namespace

std::uint16_t bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

struct TensorStream::State {
  State(const std::string& path, Overwrite overwrite) : file(path, overwrite) {
    file.guarded([&] { bf16 = file.keep(bf16_type()); });
  }
  hid_t type(StoredFloat type) const { return type == StoredFloat::bf16 ? file.kept(bf16) : H5T_IEEE_F32LE; }

  StreamedFile file;
  std::size_t bf16 = 0;
  std::vector<Set> sets;
};

TensorStream::TensorStream(const std::string& path, Overwrite overwrite, const std::vector<Attribute>& attributes)
    : state_(std::make_unique<State>(path, overwrite)) {
  state_->file.guarded([&] {
    for (const Attribute& attribute : attributes) write_attribute(state_->file.id(), attribute);
  });
}

TensorStream::~TensorStream() = default;

std::size_t TensorStream::add(const std::string& name, const std::vector<std::size_t>& shape, StoredFloat type,
                              const std::vector<Attribute>& attributes) {
  state_->file.guarded([&] {
    const hid_t stored = state_->type(type);
    const std::vector<hsize_t> extents(shape.begin(), shape.end()), chunk = tensor_chunk(shape, H5Tget_size(stored));
    const Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose,
                       "dataspace");
    const Handle creation = property_list(H5P_DATASET_CREATE);
    check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
    check(H5Pset_fletcher32(creation), "checksum");
    check(H5Pset_obj_track_times(creation, false), "times");
    Handle set(H5Dcreate2(state_->file.id(), name.c_str(), stored, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
               "dataset");
    for (const Attribute& attribute : attributes) write_attribute(set, attribute);
    state_->sets.push_back({state_->file.keep(std::move(set)), name, shape, type});
  });
  return state_->sets.size() - 1;
}

void TensorStream::append(std::size_t tensor, std::span<const float> values) {
  Set& set = state_->sets.at(tensor);
  const hid_t id = state_->file.kept(set.handle);
  std::size_t slice = 1;
  for (std::size_t d = 1; d < set.shape.size(); ++d) slice *= set.shape[d];
  const std::size_t count = values.size() / slice;
  if (count * slice != values.size() || set.slices + count > set.shape[0])
    throw std::logic_error(
        fmt::format("tensor '{}': {} values are no whole slices that are left", set.name, values.size()));
  std::vector<std::uint16_t> narrow;
  if (set.type == StoredFloat::bf16)
    for (const float value : values) narrow.push_back(bf16_bits(value));
  state_->file.guarded([&] {
    std::vector<hsize_t> start(set.shape.size(), 0), extent(set.shape.begin(), set.shape.end());
    start[0] = set.slices;
    extent[0] = count;
    const Handle space(H5Dget_space(id), H5Sclose, "dataspace");
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr), "slice");
    const Handle memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                        "dataspace");
    // the same type in memory and in the file: the library's own conversion to narrow floats rounds wrongly
    const hid_t type = state_->type(set.type);
    const void* data = set.type == StoredFloat::bf16 ? static_cast<const void*>(narrow.data()) : values.data();
    check(H5Dwrite(id, type, memory, space, H5P_DEFAULT, data), "data");
  });
  set.slices += count;
}

void TensorStream::link(const std::string& name, std::size_t tensor) {
  state_->file.guarded([&] {
    check(H5Lcreate_hard(state_->file.id(), state_->sets.at(tensor).name.c_str(), state_->file.id(), name.c_str(),
                         H5P_DEFAULT, H5P_DEFAULT),
          "link");
  });
}

void TensorStream::finish() {
  for (const Set& set : state_->sets)
    if (set.slices != set.shape[0]) throw std::logic_error(fmt::format("tensor '{}' is incomplete", set.name));
  state_->file.finish();
}

}  // namespace lowbit::store
