// Owning HDF5 identifiers and checked calls: what hdf5_write.cpp, hdf5_read.cpp and tensor_stream.cpp share, and the only file of this
// layer that includes the library.
#pragma once
#include <fmt/format.h>
#include <hdf5.h>
#include <hdf5_hl.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

namespace lowbit::store {

/// A call of the library failed; turned into an Error with the file's name further up.
struct Hdf5Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Result of a call that returns a negative number on failure.
template <class T>
T check(T result, const char* what) {
  if (result < 0) throw Hdf5Failure(what);
  return result;
}

/// An identifier with its closing function; close() checks, the destructor cannot.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t), const char* what) : id_(check(id, what)), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }
  void close() { check(close_(std::exchange(id_, -1)), "close"); }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// Attribute of every dataset with named dimensions: their names, separated by blanks.
inline constexpr const char* kDims = "dims";

/// What the netCDF library calls a dimension scale that holds no coordinates; the extent follows.
inline constexpr std::string_view kNoVariable = "This is a netCDF dimension but not a netCDF variable. ";

/// Once per process: no exit handler (it crashes after a failed write), no error stack on stderr.
inline void start_library() {
  static const bool started = [] {
    ::setenv("HDF5_USE_FILE_LOCKING", "BEST_EFFORT", 0);
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)started;
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

inline Handle property_list(hid_t kind) {
  return {H5Pcreate(kind), H5Pclose, "property list"};
}

/// A creation list without object times, whose attributes stay in the checksummed object header: a flipped byte in the
/// fractal heap that would hold more than eight of them crashes the library.
inline Handle creation_list(hid_t kind) {
  constexpr unsigned kNeverDense = 4096;
  Handle list = property_list(kind);
  check(H5Pset_obj_track_times(list, false), "times");
  check(H5Pset_attr_phase_change(list, kNeverDense, 0), "attribute storage");
  if (kind != H5P_DATASET_CREATE) check(H5Pset_link_phase_change(list, kNeverDense, 0), "link storage");
  return list;
}

inline Handle file_access() {
  Handle access = property_list(H5P_FILE_ACCESS);
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "library version");
  return access;
}

}  // namespace lowbit::store
