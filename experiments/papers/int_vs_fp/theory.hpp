// Theorems 1 and 2 of "INT v.s. FP" (arXiv:2510.25602, section 4 and appendix B): QSNR of block formats on Gaussian
// data as a function of the crest factor.
#pragma once
#include <span>
#include <string_view>

namespace lowbit::int_vs_fp {

/// How the constant 12 Q^2 of Theorem 1 is taken.
enum class IntegerConstant {
  printed_everywhere,  ///< 4.78 + 6.02 b whatever the scale
  printed,             ///< 4.78 + 6.02 b for E8M0 scales, exact 12 * 4^(b-1) for E4M3: what the paper's plot uses
  power_of_two,        ///< 12 * 4^(b-1) exactly
  exact_q              ///< 12 Q^2 with Q = 2^(b-1) - 1
};

/// A format as the theorems see it.
struct TheoryFormat {
  std::string_view name;
  bool is_integer;
  int bits;                 ///< integer: b
  int mantissa_bits, bias;  ///< float: M, B
  double largest;           ///< float: largest value
  int group;                ///< values per scale
  bool e4m3_scale;          ///< E4M3 scale (the block maximum is free of error) or E8M0
};

/// The eight formats of the paper's Table 1, integer and float of a pair next to each other.
std::span<const TheoryFormat> theory_formats();
/// The row of that name; asserts that there is one.
const TheoryFormat& theory_format(std::string_view name);

/// The rho of the paper's figure 3: 1.5 for E8M0 scales, 1.05 for E4M3 (its text says 1 for the latter).
double figure_rho(const TheoryFormat& format);

/// E[1/r^2] of the phase r of float values within their binade: 1/2 for r uniform on [1, 2) (the paper), 0.375 / ln 2
/// for log-uniform r.
inline constexpr double kUniformPhase = 0.5;
inline constexpr double kLogUniformPhase = 0.5410106403333613;

/// What a curve is drawn with.
struct TheoryVariant {
  double rho = 1.5;
  IntegerConstant constant = IntegerConstant::printed;
  double inverse_square_phase = kUniformPhase;
  bool zero_region = true;  ///< floats: split off the values that become zero
};

/// QSNR in dB at crest factor kappa > 0 and scale overhead rho > 0. Theorem 1 for integers; Theorem 2 for floats, with
/// Gaussian closed forms; the zero region is |x| < half the smallest subnormal. In the E4M3 case the normal
/// term is floored at 0 and kappa^2/g carries no rho. Differs from the paper: the zero region is the authors' plotting
/// code's, the text's p_sub includes it.
double theory_qsnr(const TheoryFormat& format, double kappa, const TheoryVariant& variant);

/// Theorem 2 with w_norm = 1 and p_sub = 0: the float plateau 13.80 + 6.02 M dB.
double float_upper_bound(int mantissa_bits);

struct Crossover {
  double kappa;
  double qsnr;
};
/// Where the integer format of the pair falls below the float one: bisection of the difference on [1.2, 12] to 1e-9.
Crossover theory_crossover(const TheoryFormat& integer, const TheoryFormat& floating, const TheoryVariant& variant);

/// Crest factor at which the normal term of an E4M3-scaled float format reaches its floor: kappa^2 / g = w_norm.
double normal_term_kink(const TheoryFormat& format, double rho);

}  // namespace lowbit::int_vs_fp
