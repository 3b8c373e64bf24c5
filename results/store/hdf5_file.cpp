#include "results/store/hdf5_file.hpp"

#include <hdf5_hl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "formats/error.hpp"
#include "results/store/hdf5_handle.hpp"

namespace lowbit::store {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

/// Once per process: no exit handler (it crashes after a failed write), no error stack on stderr.
void start_library() {
  static const bool started = [] {
    ::setenv("HDF5_USE_FILE_LOCKING", "BEST_EFFORT", 0);
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)started;
}

Handle text_type(std::size_t length) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
  check(H5Tset_size(type, std::max<std::size_t>(length, 1)), "text size");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "text character set");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "text padding");
  return type;
}

/// In memory and in the file the same: little-endian, no conversion.
template <class T>
hid_t number_type() {
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::is_same_v<T, std::uint16_t>) return H5T_STD_U16LE;
  if constexpr (std::is_same_v<T, std::uint32_t>) return H5T_STD_U32LE;
}

// ---- writing

Handle dataspace(const std::vector<std::size_t>& shape) {
  std::vector<hsize_t> extents(shape.begin(), shape.end());
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "dataspace"};
  return {H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, "dataspace"};
}

void put_attribute(hid_t object, const std::string& name, hid_t type, const std::vector<std::size_t>& shape,
                   const void* data) {
  const Handle space = dataspace(shape);
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "attribute");
  check(H5Awrite(attribute, type, data), "attribute");
  attribute.close();
}

void write_attribute(hid_t object, const Attribute& attribute) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          put_attribute(object, attribute.name, text_type(value.size()), {}, value.c_str());
        } else if constexpr (std::is_arithmetic_v<T>) {
          put_attribute(object, attribute.name, number_type<T>(), {}, &value);
        } else {
          if (value.empty()) throw std::logic_error(fmt::format("attribute '{}' is an empty list", attribute.name));
          put_attribute(object, attribute.name, number_type<typename T::value_type>(), {value.size()}, value.data());
        }
      },
      attribute.value);
}

/// Chunks of at most 1 MiB, cut along the first dimensions.
std::vector<hsize_t> chunk_shape(const std::vector<std::size_t>& shape, std::size_t value_bytes) {
  std::vector<hsize_t> chunk(shape.begin(), shape.end());
  std::size_t bytes = value_bytes;
  for (hsize_t extent : chunk) bytes *= extent;
  for (hsize_t& extent : chunk) {
    if (bytes <= kChunkBytes) break;
    const std::size_t row = bytes / extent;
    extent = std::max<std::size_t>(1, kChunkBytes / row);
    bytes = row * extent;
  }
  return chunk;
}

void put_dataset(hid_t group, const Array& array, hid_t type, const void* data, const void* fill) {
  const Handle space = dataspace(array.shape);
  const Handle creation = property_list(H5P_DATASET_CREATE);
  const std::vector<hsize_t> chunk = chunk_shape(array.shape, H5Tget_size(type));
  check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
  check(H5Pset_fletcher32(creation), "checksum");
  check(H5Pset_obj_track_times(creation, false), "times");
  if (fill) check(H5Pset_fill_value(creation, type, fill), "fill value");
  Handle set(H5Dcreate2(group, array.name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, "dataset");
  check(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "dataset");
  if (array.is_coordinate()) check(H5DSset_scale(set, array.name.c_str()), "dimension scale");
  for (const Attribute& attribute : array.attributes) write_attribute(set, attribute);
  set.close();
}

void write_array(hid_t group, const Array& array) {
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<T, std::string>) {
          std::size_t length = 1;
          for (const std::string& text : values) length = std::max(length, text.size());
          std::string packed(values.size() * length, '\0');
          for (std::size_t i = 0; i < values.size(); ++i) values[i].copy(&packed[i * length], length);
          put_dataset(group, array, text_type(length), packed.data(), nullptr);
        } else if constexpr (std::is_floating_point_v<T>) {
          const T nan = std::numeric_limits<T>::quiet_NaN();
          put_dataset(group, array, number_type<T>(), values.data(), &nan);
        } else {
          put_dataset(group, array, number_type<T>(), values.data(), nullptr);
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

void write_group(hid_t id, const Group& group) {
  for (const Attribute& attribute : group.attributes) write_attribute(id, attribute);
  for (const Array& array : group.arrays) write_array(id, array);
  for (const Array& array : group.arrays) attach_scales(id, array);
  for (const Group& child : group.groups) {
    const Handle creation = property_list(H5P_GROUP_CREATE);
    check(H5Pset_obj_track_times(creation, false), "times");
    Handle child_id(H5Gcreate2(id, child.name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose, "group");
    write_group(child_id, child);
    child_id.close();
  }
}

Handle file_access() {
  Handle access = property_list(H5P_FILE_ACCESS);
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "library version");
  return access;
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

// ---- reading

constexpr const char* kScaleAttributes[] = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid",
                                            "_Netcdf4Coordinates"};

std::string unpadded(const char* text, std::size_t length) {
  return std::string(text, std::find(text, text + length, '\0'));
}

struct Reader {
  std::size_t file_bytes;

  /// Element count, after checking that so much data can be in the file at all.
  std::size_t value_count(hid_t space, hid_t type) const {
    const hssize_t n = check(H5Sget_simple_extent_npoints(space), "dataspace");
    const std::size_t bytes = H5Tget_size(type);
    if (bytes == 0 || static_cast<std::size_t>(n) > file_bytes / bytes) throw Hdf5Failure("claims more data than the file has");
    return static_cast<std::size_t>(n);
  }

  template <class T, class Read>
  static std::vector<T> numbers(std::size_t n, const Read& read) {
    std::vector<T> values(n);
    check(read(number_type<T>(), values.data()), "is damaged (checksum)");
    return values;
  }

  template <class Read>
  ArrayData data(hid_t type, std::size_t n, const Read& read) const {
    const std::size_t bytes = H5Tget_size(type);
    switch (H5Tget_class(type)) {
      case H5T_STRING: {
        if (check(H5Tis_variable_str(type), "text")) throw Hdf5Failure("holds variable-length texts, which are not read");
        std::string packed(n * bytes, '\0');
        check(read(type, packed.data()), "is damaged (checksum)");
        std::vector<std::string> texts(n);
        for (std::size_t i = 0; i < n; ++i) texts[i] = unpadded(&packed[i * bytes], bytes);
        return texts;
      }
      case H5T_FLOAT:
        if (check(H5Tequal(type, H5T_IEEE_F64LE), "type") > 0) return numbers<double>(n, read);
        if (check(H5Tequal(type, H5T_IEEE_F32LE), "type") > 0) return numbers<float>(n, read);
        break;
      case H5T_INTEGER:
        if (bytes == 1 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint8_t>(n, read);
        if (bytes == 2 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint16_t>(n, read);
        if (bytes == 4 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint32_t>(n, read);
        if (bytes <= 8 && H5Tget_sign(type) == H5T_SGN_2) return numbers<std::int64_t>(n, read);
        break;
      default: break;
    }
    throw Hdf5Failure("has a type that is not read (integers, float32, float64 and fixed-length texts are)");
  }

  Attribute attribute(hid_t object, const std::string& name) const {
    const Handle id(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute");
    const Handle type(H5Aget_type(id), H5Tclose, "attribute");
    const Handle space(H5Aget_space(id), H5Sclose, "attribute");
    const std::size_t n = value_count(space, type);
    const bool scalar = H5Sget_simple_extent_ndims(space) == 0;
    const ArrayData values = data(type, n, [&](hid_t t, void* to) { return H5Aread(id, t, to); });
    return {name, std::visit([&](const auto& v) { return as_attribute(v, scalar); }, values)};
  }

  template <class T>
  static AttributeValue as_attribute(const std::vector<T>& values, bool scalar) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (values.size() != 1) throw Hdf5Failure("list of texts");
      return values[0];
    } else {
      using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;
      if (scalar && values.size() == 1) return static_cast<Wide>(values[0]);
      return std::vector<Wide>(values.begin(), values.end());
    }
  }

  std::vector<Attribute> attributes(hid_t object) const {
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* to) -> herr_t {
      static_cast<std::vector<std::string>*>(to)->push_back(name);
      return 0;
    };
    check(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "attributes");
    std::vector<Attribute> found;
    for (const std::string& name : names)
      if (std::find(std::begin(kScaleAttributes), std::end(kScaleAttributes), name) == std::end(kScaleAttributes))
        found.push_back(attribute(object, name));
    return found;
  }

  static std::string own_name(hid_t id) {
    char path[1024] = {};
    check(H5Iget_name(id, path, sizeof path), "name");
    const std::string_view whole(path);
    return std::string(whole.substr(whole.rfind('/') + 1));
  }

  static std::vector<std::string> dim_names(hid_t set, const std::string& name, std::size_t rank) {
    if (check(H5DSis_scale(set), "dimension scale") > 0) return {name};
    std::vector<std::string> dims;
    const auto take = [](hid_t, unsigned, hid_t scale, void* to) -> herr_t {
      try {
        static_cast<std::vector<std::string>*>(to)->push_back(own_name(scale));
      } catch (const std::exception&) {
        return -1;
      }
      return 1;
    };
    for (unsigned d = 0; d < rank; ++d) {
      if (check(H5DSget_num_scales(set, d), "dimension scale") == 0) return {};
      check(H5DSiterate_scales(set, d, nullptr, take, &dims), "dimension scale");
    }
    return dims;
  }

  Array array(hid_t group, const std::string& name) const {
    const Handle set(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "cannot be opened");
    const Handle type(H5Dget_type(set), H5Tclose, "type");
    const Handle space(H5Dget_space(set), H5Sclose, "dataspace");
    const int rank = check(H5Sget_simple_extent_ndims(space), "dataspace");
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "dataspace");
    Array array{name, dim_names(set, name, extents.size()), {extents.begin(), extents.end()}, {}, {}};
    array.data = data(type, value_count(space, type),
                      [&](hid_t t, void* to) { return H5Dread(set, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, to); });
    array.attributes = attributes(set);
    return array;
  }

  Group group(hid_t id, const std::string& name, int depth) const {
    if (depth > 8) throw Hdf5Failure("groups nest deeper than 8 levels");
    Group result{name, attributes(id), {}, {}};
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* link, const H5L_info_t* info, void* to) -> herr_t {
      if (info->type != H5L_TYPE_HARD) return -1;  // a link out of the file is no part of a result
      static_cast<std::vector<std::string>*>(to)->push_back(link);
      return 0;
    };
    check(H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "links");
    for (const std::string& child : names) {
      try {
        const Handle object(H5Oopen(id, child.c_str(), H5P_DEFAULT), H5Oclose, "cannot be opened");
        if (H5Iget_type(object) == H5I_GROUP)
          result.groups.push_back(group(object, child, depth + 1));
        else
          result.arrays.push_back(array(id, child));
      } catch (const Hdf5Failure& e) {
        throw Hdf5Failure(fmt::format("'{}' {}", child, e.what()));
      }
    }
    return result;
  }
};

}  // namespace

std::vector<std::byte> encode_tree(const Group& root) {
  check_tree(root);
  start_library();
  try {
    const Handle access = file_access();
    CapturedImage image(access);
    const Handle creation = property_list(H5P_FILE_CREATE);
    check(H5Pset_obj_track_times(creation, false), "times");
    Handle file(H5Fcreate("lowbit", H5F_ACC_TRUNC, creation, access), H5Fclose, "file");
    write_group(file, root);
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

Group read_tree(const std::string& path) {
  start_library();
  std::vector<std::byte> bytes = read_whole(path);
  try {
    const Handle access = file_access();
    check(H5Pset_fapl_core(access, std::size_t{1} << 20, false), "memory driver");
    check(H5Pset_file_image(access, bytes.data(), bytes.size()), "is no HDF5 file");
    const Handle file(H5Fopen("lowbit", H5F_ACC_RDONLY, access), H5Fclose, "is no HDF5 file or is cut short");
    return Reader{bytes.size()}.group(file, "", 0);
  } catch (const Hdf5Failure& e) {
    throw_error(ExitCode::bad_data, "'{}' {}", path, e.what());
  }
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace lowbit::store
