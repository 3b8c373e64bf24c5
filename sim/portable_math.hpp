// Elementary functions whose bits do not depend on the machine: built from IEEE + - * / alone. The C library's log and
// exp pick FMA code paths by CPU and may differ in the last bit between two computers.
#pragma once

namespace lowbit {

/// Natural logarithm, error below 1 ulp. 0 gives -Inf, negative and NaN give NaN, +Inf gives +Inf.
double portable_log(double x);

/// e^x, error below 1 ulp where the result is normal. Overflow gives +Inf, underflow 0 or a subnormal, NaN gives NaN.
double portable_exp(double x);

/// x^y for x >= 0 as exp(y log x): relative error about (1 + |y log x|) 2^-52. 0^y = 0 for y > 0.
double portable_pow(double x, double y);

/// Error function by its all-positive series erf x = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!; relative error
/// below 1e-14. |x| > 6 gives +-1.
double portable_erf(double x);

/// 10 log10(ratio): decibels of a power ratio. 0 gives -Inf.
double decibel(double ratio);

}  // namespace lowbit
