/* SPDX-License-Identifier: Apache-2.0 */
/* ieee -- subnormal numbers and rounding of this thread; see ieee.h. */
#include "base/ieee.h"

#include <stddef.h>

gdn_status gdn_ieee_check(gdn_error *err)
{
    /* volatile: what a compiler computes says nothing of the machine */
    volatile double least = 0x1p-1022, one = 1, half_ulp = 0x1p-53;
    volatile float least_float = 0x1p-126f, denormal = 0x1p-149f;
    const char *wrong = NULL;
    if (least * 0.5 == 0 || least_float * 0.5f == 0 || denormal * 2 == 0)
        wrong = "makes zeros of subnormal numbers";
    else if (one + half_ulp != 1 || one - half_ulp / 2 != 1 || -one - half_ulp != -1)
        wrong = "does not round to nearest";
    return wrong ? gdn_fail(err, GDN_MACHINE,
                            "the processor is in a mode that %s, and results would not be those of other "
                            "machines; a library built with -ffast-math may have set it",
                            wrong)
                 : GDN_OK;
}
