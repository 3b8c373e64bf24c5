// Files that a run reads, held by their content: a result is not reused for other tensors of the same name.
#pragma once
#include <string>

namespace lowbit {

/// "4194304 bytes, fnv1a64 0123456789abcdef" of a file, or of all files below a folder with their names; "" where there
/// is no such file (a word that only looks like a path). "model:NAME" and the name of a model in the cache stand for
/// the model's folder. Error 66 or 74 if it cannot be read.
std::string input_digest(const std::string& input);

}  // namespace lowbit
