/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ieee -- does this thread compute as IEEE 754 says: to nearest, subnormal numbers kept?
 *
 * Processors have modes in which they do not, and a library built with -ffast-math switches one on for the
 * whole process when it is loaded. Threads begin with the modes of the thread that starts them.
 */
#ifndef GDN_BASE_IEEE_H
#define GDN_BASE_IEEE_H

#include "base/status.h"

/* GDN_MACHINE, in a sentence, where it does not. */
gdn_status gdn_ieee_check(gdn_error *err);

#endif
