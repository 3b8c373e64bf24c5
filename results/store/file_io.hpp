// Whole files, written so that a reader never sees half of one: temporary name, fsync, rename.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace lowbit::store {

enum class Overwrite { refuse, replace };

/// Writes `bytes` to a temporary file beside `path` (a name of its own for each attempt), forces it to disk and renames
/// it. Missing folders are made. On any failure the temporary file is removed and an Error says what failed: 73 for
/// what cannot be created (a folder in the way, no permission, an existing file under Overwrite::refuse), 74 for
/// writing.
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
