// Whole files, written so that a reader never sees half of one: temporary name, fsync, rename.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lowbit::store {

enum class Overwrite { refuse, replace };

/// A file that appears under its name when it is complete: written under a temporary name beside `path` (a name of its own
/// for each attempt), forced to disk and renamed by commit(). Without commit() nothing is left. Missing folders are made.
/// Errors: 73 for what cannot be created (a folder in the way, no permission, an existing file under Overwrite::refuse), 74
/// for writing.
class AtomicFile {
 public:
  AtomicFile(const std::string& path, Overwrite overwrite);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Adds `bytes` after what was appended before.
  void append(std::span<const std::byte> bytes);
  /// Writes `bytes` from `offset` on; any thread may call.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail(int reason);

  std::string path_, folder_, temporary_;
  Overwrite overwrite_;
  int descriptor_ = -1;
};

/// One AtomicFile that holds `bytes`.
void write_atomically(const std::string& path, std::span<const std::byte> bytes, Overwrite overwrite);

/// The bytes of a regular file. Error: 66 if it does not exist or cannot be opened, 65 for a folder or device, 74 if it
/// cannot be read or is shorter than it says.
std::vector<std::byte> read_whole(const std::string& path);

/// Creates a folder and its parents; Error 73 naming the first that cannot be made.
void make_folders(const std::string& path);

/// Removes a file if it is there.
void remove_file(const std::string& path) noexcept;

/// "host-pid-count": unique for each attempt of each process, part of temporary names.
std::string attempt_name();

}  // namespace lowbit::store
