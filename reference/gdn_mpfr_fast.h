/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdn_mpfr_fast -- the MPFR recurrence with the decay deferred into a scale, columns over threads.
 *
 * With c the product of all alphas so far, S = c S~, |k|^2 = sum k^2 + eps and |q| likewise (both 1 where the
 * L2 norm is off), scale = d_k^(-1/2) unless one is given,
 *
 *     c <- alpha c
 *     S~ <- S~ + k (beta / |k|^2) (v |k| / c - S~ . k)
 *     o = (c scale / |q|) (S~ . q)
 *
 * saves the passes that multiply the state by alpha, and k and q by their norms. What is left over [d_k]
 * takes q and k as they were given, as integers, and S~ in fixed point (reference/fixed.h, with its error);
 * scalars are MPFR numbers. MPFR's exponents (2^62) hold c over any length; alpha = 0 clears the state and
 * sets c back to 1. Equal to the literal form to its certificate (tests/test_mpfr_fast.c), not bit for bit;
 * where that has infinities this has NaN, in the whole column from there on.
 */
#ifndef GDN_REFERENCE_GDN_MPFR_FAST_H
#define GDN_REFERENCE_GDN_MPFR_FAST_H

#include "base/engine.h"

extern const gdn_engine gdn_mpfr_fast_engine;

#endif
