#include "results/store/streamed_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "formats/error.hpp"

namespace lowbit::store {

namespace fs = std::filesystem;

StreamedFile::StreamedFile(const std::string& path, Overwrite overwrite) : path_(path), overwrite_(overwrite) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw_error(ExitCode::cannot_create, "'{}' is a folder; the path of a file is expected", path);
  if (overwrite == Overwrite::refuse && fs::exists(path, ignored))
    throw_error(ExitCode::cannot_create, "'{}' exists and is not replaced unasked", path);
  const std::string folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
  make_folders(folder);
  temporary_ = fmt::format("{}/.{}.{}.tmp", folder, fs::path(path).filename().string(), attempt_name());
  start_library();
  guarded([&] {
    const Handle access = file_access(), creation = creation_list(H5P_FILE_CREATE);
    file_ = std::make_unique<Handle>(H5Fcreate(temporary_.c_str(), H5F_ACC_EXCL, creation, access), H5Fclose, "create");
  });
}

StreamedFile::~StreamedFile() {
  if (finished_) return;
  handles_.clear();
  file_.reset();
  remove_file(temporary_);
}

void StreamedFile::fail(const char* what) {
  const int reason = errno;
  for (auto& handle : handles_) (void)handle.release();
  (void)file_.release();
  remove_file(temporary_);
  throw_error(ExitCode::io, "'{}' cannot be written ({}): {}", path_, what,
              reason != 0 ? std::strerror(reason) : "HDF5 error");
}

std::size_t StreamedFile::keep(Handle handle) {
  handles_.push_back(std::make_unique<Handle>(std::move(handle)));
  return handles_.size() - 1;
}

void StreamedFile::finish() {
  guarded([&] {
    for (auto& handle : handles_) handle->close();
    check(H5Fflush(*file_, H5F_SCOPE_GLOBAL), "flush");
    file_->close();
  });
  handles_.clear();
  file_.reset();
  const int fd = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  std::error_code error;
  if (!synced) fail("sync");
  if (overwrite_ == Overwrite::refuse && fs::exists(path_, error))
    throw_error(ExitCode::cannot_create, "'{}' exists and is not replaced unasked", path_);
  fs::rename(temporary_, path_, error);
  if (error) {
    errno = error.value();
    fail("rename");
  }
  finished_ = true;
}

}  // namespace lowbit::store
