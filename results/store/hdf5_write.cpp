#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>

#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "results/store/hdf5_handle.hpp"
#include "results/store/hdf5_parts.hpp"

namespace lowbit::store {
namespace {

bool is_text(const Array& array) {
  return std::holds_alternative<std::vector<std::string>>(array.data);
}

/// Numbers that the netCDF library gives the dimensions of a group; it needs them to read text coordinates.
using DimensionIds = std::map<std::string, std::int32_t>;

Handle put_dataset(hid_t group, const std::string& name, const std::vector<std::size_t>& shape, hid_t type,
                   const void* data, const void* fill) {
  const Handle space = dataspace(shape);
  const Handle creation = creation_list(H5P_DATASET_CREATE);
  const std::vector<hsize_t> chunk = chunk_shape(shape, H5Tget_size(type));
  check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
  check(H5Pset_fletcher32(creation), "checksum");
  if (fill) check(H5Pset_fill_value(creation, type, fill), "fill value");
  Handle set(H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, "dataset");
  check(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "dataset");
  return set;
}

/// Texts as bytes of one length, each ended by NUL (the netCDF library reads on without it, and takes texts of length 1
/// for characters); `length` counts it.
std::string packed_texts(const std::vector<std::string>& texts, std::size_t& length) {
  length = 2;
  for (const std::string& text : texts) length = std::max(length, text.size() + 1);
  std::string packed(texts.size() * length, '\0');
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i].copy(&packed[i * length], length);
  return packed;
}

std::string characters_dimension(const Array& array) {
  std::size_t length = 0;
  packed_texts(std::get<std::vector<std::string>>(array.data), length);
  return fmt::format("string{}", length);
}

/// Ids of the group's coordinates and of the character dimensions of its text coordinates; `next` counts over the file.
DimensionIds dimension_ids(const Group& group, std::int32_t& next) {
  DimensionIds ids;
  const auto add = [&](const std::string& name) {
    if (ids.emplace(name, next).second) ++next;
  };
  for (const Array& array : group.arrays)
    if (array.is_coordinate()) add(array.name);
  for (const Array& array : group.arrays)
    if (array.is_coordinate() && is_text(array)) add(characters_dimension(array));
  return ids;
}

/// Names of the dimensions and the attributes of an array.
void write_about(hid_t set, const Array& array) {
  std::string dims;
  for (const std::string& dim : array.dims) dims += (dims.empty() ? "" : " ") + dim;
  if (!dims.empty()) write_attribute(set, {kDims, dims});
  for (const Attribute& attribute : array.attributes) write_attribute(set, attribute);
}

/// A text coordinate is stored as characters, texts x length: what netCDF and h5netcdf both turn into texts.
void write_text_coordinate(hid_t group, const Array& array, const DimensionIds& ids) {
  const auto& texts = std::get<std::vector<std::string>>(array.data);
  std::size_t length = 0;
  const std::string packed = packed_texts(texts, length);
  const std::string dimension = characters_dimension(array);
  if (H5Lexists(group, dimension.c_str(), H5P_DEFAULT) == 0) {
    const std::vector<float> empty(length);
    Handle set = put_dataset(group, dimension, {length}, H5T_IEEE_F32LE, empty.data(), nullptr);
    mark_scale(set, fmt::format("{}{:10}", kNoVariable, length), {ids.at(dimension)});
    set.close();
  }
  Handle set = put_dataset(group, array.name, {texts.size(), length}, text_type(1), packed.data(), nullptr);
  mark_scale(set, array.name, {ids.at(array.name), ids.at(dimension)});
  write_attribute(set, {"_Encoding", std::string("utf-8")});
  write_about(set, array);
  set.close();
}

void write_array(hid_t group, const Array& array, const DimensionIds& ids) {
  if (array.is_coordinate() && is_text(array)) return write_text_coordinate(group, array, ids);
  const auto finish = [&](Handle set) {
    if (array.is_coordinate()) mark_scale(set, array.name, {ids.at(array.name)});
    write_about(set, array);
    set.close();
  };
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<T, std::string>) {
          std::size_t length = 0;
          const std::string packed = packed_texts(values, length);
          finish(put_dataset(group, array.name, array.shape, text_type(length), packed.data(), nullptr));
        } else if constexpr (std::is_floating_point_v<T>) {
          const T nan = std::numeric_limits<T>::quiet_NaN();
          finish(put_dataset(group, array.name, array.shape, number_type<T>(), values.data(), &nan));
        } else {
          finish(put_dataset(group, array.name, array.shape, number_type<T>(), values.data(), nullptr));
        }
      },
      array.data);
}

void attach_scales(hid_t group, const Array& array) {
  if (array.is_coordinate() || array.dims.empty()) return;
  Handle set(H5Dopen2(group, array.name.c_str(), H5P_DEFAULT), H5Dclose, "dataset");
  for (std::size_t d = 0; d < array.dims.size(); ++d) {
    Handle scale(H5Dopen2(group, array.dims[d].c_str(), H5P_DEFAULT), H5Dclose, "coordinate");
    check(H5DSattach_scale(set, scale, static_cast<unsigned>(d)), "dimension scale");
    scale.close();
  }
  set.close();
}

void write_group(hid_t id, const Group& group, std::int32_t& next_dimension) {
  for (const Attribute& attribute : group.attributes) write_attribute(id, attribute);
  const DimensionIds ids = dimension_ids(group, next_dimension);
  for (const Array& array : group.arrays) write_array(id, array, ids);
  for (const Array& array : group.arrays) attach_scales(id, array);
  for (const Group& child : group.groups) {
    const Handle creation = creation_list(H5P_GROUP_CREATE);
    Handle child_id(H5Gcreate2(id, child.name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose, "group");
    write_group(child_id, child, next_dimension);
    child_id.close();
  }
}

/// The bytes of a file that the memory driver closes: the library never writes to a disk, whose errors it does not
/// survive. They are taken when the driver gives its buffer back; an image of the open file would be marked as being
/// written, and refused by readers.
class CapturedImage {
 public:
  explicit CapturedImage(hid_t access) {
    check(H5Pset_fapl_core(access, std::size_t{16} << 20, false), "memory driver");
    H5FD_file_image_callbacks_t callbacks{allocate, copy, grow, give_back, keep, drop, this};
    check(H5Pset_file_image_callbacks(access, &callbacks), "memory driver");
  }
  CapturedImage(const CapturedImage&) = delete;
  CapturedImage& operator=(const CapturedImage&) = delete;
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  static CapturedImage* self(void* data) { return static_cast<CapturedImage*>(data); }
  static void* allocate(std::size_t size, H5FD_file_image_op_t, void* data) {
    self(data)->capacity_ = size;
    return std::malloc(size);
  }
  static void* copy(void* to, const void* from, std::size_t size, H5FD_file_image_op_t, void*) {
    return std::memcpy(to, from, size);
  }
  static void* grow(void* old, std::size_t size, H5FD_file_image_op_t, void* data) {
    self(data)->capacity_ = size;
    return std::realloc(old, size);
  }
  static herr_t give_back(void* buffer, H5FD_file_image_op_t operation, void* data) {
    if (operation == H5FD_FILE_IMAGE_OP_FILE_CLOSE) self(data)->capture(static_cast<const std::byte*>(buffer));
    std::free(buffer);
    return 0;
  }
  static void* keep(void* data) { return data; }
  static herr_t drop(void*) { return 0; }

  /// The end of the file stands in its superblock, version 3: bytes 28 to 35.
  void capture(const std::byte* buffer) {
    std::uint64_t end = 0;
    if (capacity_ >= 48) std::memcpy(&end, buffer + 28, sizeof end);
    if (end >= 48 && end <= capacity_) bytes_.assign(buffer, buffer + end);
  }

  std::size_t capacity_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace

std::vector<std::byte> encode_tree(const Group& root) {
  check_tree(root);
  start_library();
  try {
    const Handle access = file_access();
    CapturedImage image(access);
    const Handle creation = creation_list(H5P_FILE_CREATE);
    Handle file(H5Fcreate("lowbit", H5F_ACC_TRUNC, creation, access), H5Fclose, "file");
    std::int32_t next_dimension = 0;
    write_group(file, root, next_dimension);
    file.close();
    std::vector<std::byte> bytes = image.take();
    if (bytes.empty()) throw Hdf5Failure("file image");
    return bytes;
  } catch (const Hdf5Failure& e) {
    throw_error(ExitCode::io, "the file cannot be put together in memory: {}", e.what());
  }
}

void write_tree(const std::string& path, const Group& root, Overwrite overwrite) {
  write_atomically(path, encode_tree(root), overwrite);
}

}  // namespace lowbit::store
