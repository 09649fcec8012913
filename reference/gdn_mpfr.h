/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdn_mpfr -- the definition of truth: the layer of spec section 1, term by term, in GNU MPFR.
 *
 * Nothing here is clever. Each line of the formula is one loop, each operation is rounded once to `precision`
 * bits (113 by default: MPFR's fast paths want all operands at one precision between 64 and 128 bits, and a
 * product followed by a sum beats mpfr_fma). Its certificate is the same run at 160 bits: the two must
 * agree.
 */
#ifndef GDN_REFERENCE_GDN_MPFR_H
#define GDN_REFERENCE_GDN_MPFR_H

#include "base/engine.h"

enum { GDN_MPFR_PRECISION = 113, GDN_MPFR_CHECK_PRECISION = 160 };

/* setup->precision chooses the bits; columns may be sampled; outputs are hi + lo, good to 2^-106 relative. */
extern const gdn_engine gdn_mpfr_engine;

#endif
