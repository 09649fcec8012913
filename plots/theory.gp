# SPDX-License-Identifier: Apache-2.0
#
# theory.gp -- the formulas of the predictions, for rules, envelopes and overlays.
#
# u(p)        unit roundoff of a format with p significand bits (the hidden one counted): bf16 p = 8, fp32 p
# = 24
# c           root mean square of a rounding error in units of u, for log-uniform significands:
#             sqrt((3/8) / (3 ln 2))
# h(a,p)      largest |change of A_log| when A_log = a is stored with p bits: half a unit in the last place
# geff        rate at which a state forgets: decay and delta rule, isotropic keys; b1 = E beta, b2 = E beta^2
# RA(x)       relative error of the state over eps gamma/gamma_eff, for a fixed relative gate error eps, x =
# gamma_eff T
# PA(x)       the same after an RMS norm
# RS(T,ge,p)  relative error of a state stored with p bits at every step
# EA          RA with its factors
#
# RA, PA and RS lose digits for x < 1e-3 and change to the first term of their series there.

c = 0.42466
u(p) = 2.0**(-p)
h(a, p) = 2.0**(floor(log(abs(a)) / log(2)) - p)
geff(g, b1, b2, dk) = g + (2 * b1 - b2) / (2.0 * dk)

M0(x) = 0.5 * (1 - exp(-2.0 * x))
M1(x) = 0.25 - exp(-2.0 * x) * (0.5 * x + 0.25)
M2(x) = 0.25 - exp(-2.0 * x) * (0.5 * x * x + 0.5 * x + 0.25)
RA(x) = x < 1e-3 ? x / sqrt(3) : sqrt(M2(x) / M0(x))
PA(x) = x < 1e-3 ? x / sqrt(12) : sqrt(M2(x) / M0(x) - (M1(x) / M0(x))**2)
RS(T, ge, p) = ge * T < 1e-3 ? c * u(p) * sqrt(0.5 * T) : \
    c * u(p) * sqrt((1 - exp(-2 * ge * T) * (1 + 2 * ge * T)) / (2 * ge * (1 - exp(-2 * ge * T))))
EA(T, eps, g, ge) = eps * g / ge * RA(ge * T)
