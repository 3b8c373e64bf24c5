// Transforms: orthogonal maps of blocks of neighbours along an axis, applied before quantising and undone after.
// A transform has a name of its own ("id", "had:32", "rhad:32:seed=1", "dct:64") and is never part of a format's name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "formats/block.hpp"
#include "formats/rotate.hpp"

namespace lowbit {

/// The contract: y = x T for row vectors x of block() values, T orthogonal.
class Transform {
 public:
  virtual ~Transform() = default;
  /// Canonical name; parse_transform(name()) is the same transform (of the same stream).
  virtual std::string name() const = 0;
  /// Values a block; 0: the identity, which fits every axis.
  virtual std::size_t block() const = 0;
  /// Whether block() could be `n`: what an error offers for an axis that block() does not divide.
  virtual bool size_exists(std::size_t n) const = 0;
  /// The Walsh-Hadamard transform that it is, nullptr where it is none: quantisers run fused with these.
  virtual const Rotation* rotation() const { return nullptr; }
  /// y = x T for `blocks` consecutive blocks; y may be x. float32 arithmetic; NaN and Inf spread over their block.
  virtual void forward(const float* x, float* y, std::size_t blocks) const = 0;
  /// y = x T^-1: undoes forward up to rounding.
  virtual void inverse(const float* x, float* y, std::size_t blocks) const = 0;
};

/// Parses `id`, `had:N` (Walsh-Hadamard), `rhad:N[:seed=S]` (signs before it; S defaults to 1), `orth:N[:seed=S]`
/// (random orthogonal matrix) or `dct:N` (orthonormal cosine transform). `stream`: the random stream of signs and
/// matrix, 0 in the tools, the site's in a model. Error: unknown name, size or option, naming the accepted ones.
std::shared_ptr<const Transform> parse_transform(std::string_view name, std::uint64_t stream = 0);

/// Error (usage) where the transform's block does not divide the axis of `layout`; names the sizes that do.
void check_fits(const Transform& transform, const Layout& layout, const std::string& place);

/// y = x with each block along the axis of `layout` transformed; y may be x. Errors as check_fits.
void apply(const Transform& transform, const Layout& layout, const float* x, float* y);
/// y = x with each block transformed back.
void apply_inverse(const Transform& transform, const Layout& layout, const float* x, float* y);

/// y = Q(x T) along the axis of `layout`, or Q(x T) T^-1 with `back`; y may be x. The bits of apply, fake_quantize and
/// apply_inverse one after the other, in one pass over memory where a kernel has it. Errors as these.
void apply_and_quantise(const Transform& transform, const Format& format, const Layout& layout, bool back,
                        const float* x, float* y, const QuantizeContext& context = {});

}  // namespace lowbit
