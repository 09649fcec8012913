/* SPDX-License-Identifier: Apache-2.0 */
/* format -- the format table and rounding into it; see format.h, and round.h for the arithmetic. */
#include "base/round.h"

const gdn_format gdn_formats[GDN_FORMATS] = {GDN_FORMAT_ROWS};

const gdn_format *gdn_format_by_name(const char *name)
{
    for (int i = 0; i < GDN_FORMATS; i++)
        if (strcmp(gdn_formats[i].name, name) == 0)
            return &gdn_formats[i];
    return NULL;
}

double gdn_ulp(const gdn_format *f, double x)
{
    return gdn_ulp_of(f, x);
}

double gdn_round(const gdn_format *f, double x)
{
    return gdn_round_to(f, x);
}

double gdn_round_stochastic(const gdn_format *f, double x, uint32_t r)
{
    return gdn_round_stochastic_to(f, x, r);
}

float gdn_fp16_to_float(uint16_t h)
{
    int e = (h >> 10) & 0x1f, m = h & 0x3ff;
    double size = e == 0    ? m * 0x1p-24
                  : e == 31 ? (m ? gdn_nan() : gdn_infinity())
                            : (1024 + m) * gdn_power_of_two(e - 25);
    return (float)(h & 0x8000 ? -size : size);
}
