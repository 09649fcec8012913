/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step -- the arithmetic of the layer in double-double and in double, written once for a double, a register
 * of them and a GPU thread.
 *
 * dd_tile.c, fp64_tile.c and device_layer.h say what is summed in which order; here stands what happens to
 * one element. The text is step_body.h (see dd_body.h for the names).
 */
#ifndef GDN_REFERENCE_STEP_H
#define GDN_REFERENCE_STEP_H

#include "base/shape.h"
#include "base/shared.h"
#include "reference/dd_math.h"

/*
 * Several rows in flight against the latency of the arithmetic. Each step of a loop over rows is written for
 * all of them before the next step: compilers keep that order, and the machine's window is too short to find
 * it itself. A GPU has other warps instead.
 */
#if defined(__CUDACC__)
enum { GDN_FLIGHT = 1 };
#define GDN_EACH for (int f = 0; f < GDN_FLIGHT; f++)
#else
enum { GDN_FLIGHT = 4 };
#define GDN_EACH _Pragma("GCC unroll 4") for (int f = 0; f < GDN_FLIGHT; f++)
#endif

/* Sums over rows have this many partial sums at most; rows are padded with zeros to a multiple of it. */
enum { GDN_ROW_PAD = 16 };

/* n up to the next multiple of unit. */
GDN_SHARED int gdn_padded(int n, int unit)
{
    return (n + unit - 1) / unit * unit;
}

/* eps of both norms, the decimal 1e-6, as a pair. */
GDN_DD_FUNCTION gdn_dd gdn_dd_eps(void)
{
    return gdn_dd_set(GDN_NORM_EPS, 0x1.b5a63f9a49c2cp-75);
}

#define DD(name) gdn_dd_##name
#define DD_REAL double
#define DD_BITS uint64_t
#define DD_PAIR gdn_dd
#include "reference/step_body.h"
#undef DD
#undef DD_REAL
#undef DD_BITS
#undef DD_PAIR

#if !defined(__CUDACC__)

#define DD(name) gdn_ddv_##name
#define DD_REAL gdn_lanes
#define DD_BITS gdn_lane_bits
#define DD_PAIR gdn_ddv
#include "reference/step_body.h"
#undef DD
#undef DD_REAL
#undef DD_BITS
#undef DD_PAIR

#endif

#endif
