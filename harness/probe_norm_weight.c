/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_norm_weight -- claim A4: the weight of out_norm stored as w, and as w - 1 (zero-centred).
 *
 * w - 1 is rounded on the grid of w - 1: finer than that of w for w in [0.5, 3], coarser below. A bf16 w that
 * is converted to bf16 w - 1 survives where w - 1 lies on that grid.
 */
#include "base/inputs.h"
#include "harness/probe.h"
#include "harness/profile.h"

static const struct {
    const char *name;
    double lo, hi;
} ranges[] = {{"0.02..0.05", 0.02, 0.05},
              {"0.05..0.25", 0.05, 0.25},
              {"0.25..0.5", 0.25, 0.5},
              {"0.5..0.75", 0.5, 0.75},
              {"0.75..1.5", 0.75, 1.5},
              {"1.5..2", 1.5, 2},
              {"2..3", 2, 3}};

static const struct {
    const char *name;
    bool zero_centred;
} forms[] = {{"w", false}, {"w - 1", true}};

static gdn_profile profile(bool zero_centred)
{
    return (gdn_profile){.norm_weight = {1, {GDN_BF16}}, .zero_centred = zero_centred};
}

/* What is left of the bf16 numbers in [2^-7, 8) after they have rested as bf16(w - 1). */
static void grid(const gdn_probe_sink *to)
{
    gdn_profile p = profile(true);
    int inexact = 0, exported = 0;
    double least = INFINITY, most = 0;
    enum { FROM = 0x3c00, TO = 0x4100 };
    for (uint32_t h = FROM; h < TO; h++) {
        double w = gdn_bf16_to_float((uint16_t)h), back = gdn_profile_norm_weight(&p, w);
        exported += gdn_round(&gdn_formats[GDN_BF16], back) != w;
        if (back == w)
            continue;
        inexact++;
        least = fmin(least, w);
        most = fmax(most, w);
    }
    const char *name = "bf16 w in 2^-7..8 through bf16 w - 1";
    gdn_probe_put(to, "values", TO - FROM, "values", "%s", name);
    gdn_probe_put(to, "inexact", inexact, "values", "%s", name);
    gdn_probe_put(to, "inexact_after_export_to_bf16", exported, "values", "%s", name);
    gdn_probe_put(to, "least_inexact", least, "1", "%s", name);
    gdn_probe_put(to, "largest_inexact", most, "1", "%s", name);
}

gdn_status gdn_probe_norm_weight(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    (void)err;
    enum { DRAWS = 100000 };
    for (uint32_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++)
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            gdn_profile p = profile(forms[f].zero_centred);
            gdn_spread s = {0};
            for (uint64_t i = 0; i < DRAWS; i++) {
                double u = gdn_uniform(4, GDN_STREAM_NORM_WEIGHT, r, i);
                double w = (float)(ranges[r].lo + u * (ranges[r].hi - ranges[r].lo));
                gdn_spread_add(&s, (gdn_profile_norm_weight(&p, w) - w) / w);
            }
            gdn_probe_put(to, "rms_relative_error", gdn_spread_rms(&s), "1", "%s stored in bf16; w in %s",
                          forms[f].name, ranges[r].name);
            gdn_probe_put(to, "max_relative_error", s.max, "1", "%s stored in bf16; w in %s", forms[f].name,
                          ranges[r].name);
        }
    grid(to);
    return GDN_OK;
}
