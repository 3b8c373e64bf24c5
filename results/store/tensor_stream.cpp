#include "results/store/tensor_stream.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "formats/error.hpp"
#include "results/store/hdf5_handle.hpp"

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

void put(hid_t object, const std::string& name, hid_t type, hid_t space, const void* data) {
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "attribute");
  check(H5Awrite(attribute, type, data), "attribute");
  attribute.close();
}

void put_attribute(hid_t object, const Attribute& attribute) {
  const Handle scalar(H5Screate(H5S_SCALAR), H5Sclose, "dataspace");
  if (const auto* text = std::get_if<std::string>(&attribute.value)) {
    const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
    check(H5Tset_size(type, std::max<std::size_t>(text->size(), 1)), "text size");
    check(H5Tset_cset(type, H5T_CSET_UTF8), "text character set");
    check(H5Tset_strpad(type, H5T_STR_NULLPAD), "text padding");
    put(object, attribute.name, type, scalar, text->c_str());
  } else if (const auto* integer = std::get_if<std::int64_t>(&attribute.value)) {
    put(object, attribute.name, H5T_STD_I64LE, scalar, integer);
  } else if (const auto* real = std::get_if<double>(&attribute.value)) {
    put(object, attribute.name, H5T_IEEE_F64LE, scalar, real);
  } else {
    throw std::logic_error(fmt::format("attribute '{}': lists are not stored here", attribute.name));
  }
}

// Near 1 MiB, cut along the first axes; where slices are tensors themselves a chunk belongs to one of them, so that
// appending never touches a chunk twice.
std::vector<hsize_t> chunk_shape(const std::vector<std::size_t>& shape, std::size_t value_bytes) {
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
  Handle id;
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

// After a failed write the library's own clean-up is not safe: handles are then left alone, the file is removed.
struct TensorStream::State {
  std::string path, temporary;
  Overwrite overwrite = Overwrite::refuse;
  std::unique_ptr<Handle> file, bf16;
  std::vector<std::unique_ptr<Set>> sets;
  bool finished = false;

  [[noreturn]] void fail(const char* what) {
    const int reason = errno;
    for (auto& set : sets) (void)set.release();
    (void)file.release();
    (void)bf16.release();
    remove_file(temporary);
    throw_error(ExitCode::io, "'{}' cannot be written ({}): {}", path, what,
                reason != 0 ? std::strerror(reason) : "HDF5 error");
  }
  template <class Work>
  void guarded(Work work) {
    errno = 0;
    try {
      work();
    } catch (const Hdf5Failure& failure) {
      fail(failure.what());
    }
  }
};

TensorStream::TensorStream(const std::string& path, Overwrite overwrite, const std::vector<Attribute>& attributes)
    : state_(std::make_unique<State>()) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw_error(ExitCode::cannot_create, "'{}' is a folder; the path of a file is expected", path);
  if (overwrite == Overwrite::refuse && fs::exists(path, ignored))
    throw_error(ExitCode::cannot_create, "'{}' exists and is not replaced unasked", path);
  const std::string folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
  make_folders(folder);
  state_->path = path;
  state_->overwrite = overwrite;
  state_->temporary = fmt::format("{}/.{}.{}.tmp", folder, fs::path(path).filename().string(), attempt_name());
  start_library();
  state_->guarded([&] {
    const Handle access = property_list(H5P_FILE_ACCESS), creation = property_list(H5P_FILE_CREATE);
    check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "library version");
    check(H5Pset_obj_track_times(creation, false), "times");
    state_->file = std::make_unique<Handle>(H5Fcreate(state_->temporary.c_str(), H5F_ACC_EXCL, creation, access),
                                            H5Fclose, "create");
    state_->bf16 = std::make_unique<Handle>(bf16_type());
    for (const Attribute& attribute : attributes) put_attribute(*state_->file, attribute);
  });
}

TensorStream::~TensorStream() {
  if (state_->finished || state_->temporary.empty()) return;
  state_->sets.clear();
  state_->bf16.reset();
  state_->file.reset();
  remove_file(state_->temporary);
}

std::size_t TensorStream::add(const std::string& name, const std::vector<std::size_t>& shape, StoredFloat type,
                              const std::vector<Attribute>& attributes) {
  state_->guarded([&] {
    const hid_t stored = type == StoredFloat::bf16 ? static_cast<hid_t>(*state_->bf16) : H5T_IEEE_F32LE;
    const std::vector<hsize_t> extents(shape.begin(), shape.end()), chunk = chunk_shape(shape, H5Tget_size(stored));
    const Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose,
                       "dataspace");
    const Handle creation = property_list(H5P_DATASET_CREATE);
    check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
    check(H5Pset_fletcher32(creation), "checksum");
    check(H5Pset_obj_track_times(creation, false), "times");
    Handle set(H5Dcreate2(*state_->file, name.c_str(), stored, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
               "dataset");
    for (const Attribute& attribute : attributes) put_attribute(set, attribute);
    state_->sets.push_back(std::make_unique<Set>(Set{std::move(set), name, shape, type}));
  });
  return state_->sets.size() - 1;
}

void TensorStream::append(std::size_t tensor, std::span<const float> values) {
  Set& set = *state_->sets.at(tensor);
  std::size_t slice = 1;
  for (std::size_t d = 1; d < set.shape.size(); ++d) slice *= set.shape[d];
  const std::size_t count = values.size() / slice;
  if (count * slice != values.size() || set.slices + count > set.shape[0])
    throw std::logic_error(
        fmt::format("tensor '{}': {} values are no whole slices that are left", set.name, values.size()));
  std::vector<std::uint16_t> narrow;
  if (set.type == StoredFloat::bf16)
    for (const float value : values) narrow.push_back(bf16_bits(value));
  state_->guarded([&] {
    std::vector<hsize_t> start(set.shape.size(), 0), extent(set.shape.begin(), set.shape.end());
    start[0] = set.slices;
    extent[0] = count;
    const Handle space(H5Dget_space(set.id), H5Sclose, "dataspace");
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr), "slice");
    const Handle memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                        "dataspace");
    // the same type in memory and in the file: the library's own conversion to narrow floats rounds wrongly
    const hid_t type = set.type == StoredFloat::bf16 ? static_cast<hid_t>(*state_->bf16) : H5T_IEEE_F32LE;
    const void* data = set.type == StoredFloat::bf16 ? static_cast<const void*>(narrow.data()) : values.data();
    check(H5Dwrite(set.id, type, memory, space, H5P_DEFAULT, data), "data");
  });
  set.slices += count;
}

void TensorStream::link(const std::string& name, std::size_t tensor) {
  state_->guarded([&] {
    check(H5Lcreate_hard(*state_->file, state_->sets.at(tensor)->name.c_str(), *state_->file, name.c_str(), H5P_DEFAULT,
                         H5P_DEFAULT),
          "link");
  });
}

void TensorStream::finish() {
  for (const auto& set : state_->sets)
    if (set->slices != set->shape[0]) throw std::logic_error(fmt::format("tensor '{}' is incomplete", set->name));
  state_->guarded([&] {
    for (auto& set : state_->sets) set->id.close();
    check(H5Fflush(*state_->file, H5F_SCOPE_GLOBAL), "flush");
    state_->sets.clear();
    state_->bf16.reset();
    state_->file->close();
  });
  state_->file.reset();
  const int fd = ::open(state_->temporary.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  std::error_code error;
  if (!synced) state_->fail("sync");
  if (state_->overwrite == Overwrite::refuse && std::filesystem::exists(state_->path, error))
    throw_error(ExitCode::cannot_create, "'{}' exists and is not replaced unasked", state_->path);
  std::filesystem::rename(state_->temporary, state_->path, error);
  if (error) state_->fail("rename");
  state_->finished = true;
}

}  // namespace lowbit::store
