/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_chains -- claims A5, A7, A10 and B4: what parameters are worth after the formats that frameworks move
 * them through, and what a later upcast gives back.
 *
 * A bf16 value survives every upcast, so a stored file is bit-identical after bf16 -> fp32 -> bf16. The
 * forward is identical only where the gate upcasts A_log before exp: where the format of exp(A_log) and of
 * the norm's output follows that of the parameter, an upcast of the parameter changes both.
 */
#include "base/inputs.h"
#include "harness/probe.h"
#include "harness/profile.h"
#include "kernels/gate.h"
#include "kernels/norm.h"
#include "reference/dd_math.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { DRAWS = 100000 };

/* What happens to an fp32 master A_log between the checkpoint and the gate. */
static const struct {
    const char *name;
    gdn_chain chain;
} chains[] = {
    {"fp32 throughout", {1, {GDN_FP32}}},
    {"fp32; Float16Module; upcast later", {3, {GDN_FP32, GDN_BF16, GDN_FP32}}},
    {"MambaMixer: fp32 at construction; Float16Module", {2, {GDN_FP32, GDN_BF16}}},
    {"fp32 at construction; bf16 checkpoint loaded into it", {2, {GDN_BF16, GDN_FP32}}},
    {"fp32 checkpoint; from_pretrained in bf16; saved; loaded into fp32",
     {3, {GDN_FP32, GDN_BF16, GDN_FP32}}},
    {"bf16 pair hi + lo", {1, {GDN_LINK_BF16_PAIR}}},
};

static double draw_a_log(uint64_t i)
{
    return (float)gdn_log(0.02 + 15.98 * gdn_uniform(7, GDN_STREAM_A_LOG, 0, i));
}

static void storage(const gdn_probe_sink *to)
{
    for (int c = 0; c < COUNT(chains); c++) {
        int kept = 0, coarse = 0;
        gdn_spread rate = {0};
        for (uint64_t i = 0; i < DRAWS; i++) {
            double x = draw_a_log(i), y = gdn_chain_apply(&chains[c].chain, x);
            kept += y == x;
            coarse += y == gdn_round(&gdn_formats[GDN_BF16], x);
            gdn_dd e = gdn_dd_add_real(gdn_dd_exp(gdn_dd_pair(y - x, 0)), -1);
            gdn_spread_add(&rate, e.hi + e.lo);
        }
        gdn_probe_put(to, "master_value_share", kept / (double)DRAWS, "1", "%s", chains[c].name);
        gdn_probe_put(to, "bf16_value_share", coarse / (double)DRAWS, "1", "%s", chains[c].name);
        gdn_probe_put(to, "rms_relative_error_of_A", gdn_spread_rms(&rate), "1", "%s", chains[c].name);
    }
}

/* Every bf16 number through fp32 and back; a NaN comes back as a NaN, quiet. */
static void upcast(const gdn_probe_sink *to)
{
    int numbers = 0, nans = 0, same = 0, still_nan = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = gdn_bf16_to_float((uint16_t)h);
        uint16_t back = gdn_float_to_bf16(x);
        bool nan = x != x;
        numbers += !nan;
        nans += nan;
        same += !nan && back == h;
        still_nan += nan && gdn_bf16_to_float(back) != gdn_bf16_to_float(back);
    }
    const char *name = "bf16 -> fp32 -> bf16";
    gdn_probe_put(to, "numbers", numbers, "values", "%s", name);
    gdn_probe_put(to, "identical", same, "values", "%s", name);
    gdn_probe_put(to, "nans", nans, "values", "%s", name);
    gdn_probe_put(to, "still_nan", still_nan, "values", "%s", name);
}

/* g where a bf16 A_log rests, and where it rests upcast to fp32. upcast_first: exp(A_log) in fp32 anyway. */
static void gate_forward(const gdn_probe_sink *to, bool upcast_first)
{
    gdn_recipe plain = {
        .op = GDN_FP32, .exp_a = upcast_first ? GDN_FP32 : GDN_BF16, .softplus = GDN_SOFTPLUS_TORCH};
    gdn_recipe upcasted = plain;
    int differ = 0;
    gdn_spread change = {0};
    upcasted.exp_a = GDN_FP32;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double stored = gdn_chain_apply(&(gdn_chain){1, {GDN_BF16}}, draw_a_log(i));
        double upcast_value = gdn_chain_apply(&(gdn_chain){1, {GDN_FP32}}, stored);
        double x = 6 * gdn_uniform(7, GDN_STREAM_A, 0, i) - 4, a = gdn_round(&gdn_formats[GDN_BF16], x);
        double g = gdn_gate_token(&plain, GDN_FP64, gdn_gate_rate(&plain, false, stored), 1, a).g;
        double h = gdn_gate_token(&upcasted, GDN_FP64, gdn_gate_rate(&upcasted, false, upcast_value), 1, a).g;
        differ += g != h;
        gdn_spread_add(&change, h / g - 1);
    }
    const char *name = upcast_first ? "g; A_log.float().exp()" : "g; A_log.exp() in the dtype of A_log";
    gdn_probe_put(to, "changed_by_upcast_share", differ / (double)DRAWS, "1", "%s", name);
    gdn_probe_put(to, "max_relative_change", change.max, "1", "%s", name);
}

/* y where a bf16 weight of out_norm rests, and where it rests upcast: format of w o / rms(o) before the gate.
 */
static void norm_forward(const gdn_probe_sink *to, const char *name, gdn_format_id plain,
                         gdn_format_id upcasted)
{
    enum { ROWS = 1000, D = 128 };
    const gdn_recipe *megatron = gdn_recipe_by_name("megatron");
    gdn_recipe before = *megatron, after = *megatron;
    int differ = 0;
    before.norm_out = plain;
    after.norm_out = upcasted;
    for (uint64_t i = 0; i < ROWS; i++) {
        float o[D], z[D], w[D];
        double y[D], changed[D];
        gdn_normals(7, GDN_STREAM_V, 0, i * D, D, o);
        gdn_normals(7, GDN_STREAM_Z, 0, i * D, D, z);
        gdn_normals(7, GDN_STREAM_NORM_WEIGHT, 0, i * D, D, w);
        for (int j = 0; j < D; j++)
            w[j] = gdn_bf16_round(1 + 0.1f * w[j]);
        gdn_out_norm(&before, o, z, w, D, y);
        gdn_out_norm(&after, o, z, w, D, changed);
        for (int j = 0; j < D; j++)
            differ += y[j] != changed[j];
    }
    gdn_probe_put(to, "changed_by_upcast_share", differ / ((double)ROWS * D), "1", "%s", name);
}

gdn_status gdn_probe_chains(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    gdn_status status = gdn_inputs_init(err);
    if (status)
        return status;
    storage(to);
    upcast(to);
    gate_forward(to, true);
    gate_forward(to, false);
    norm_forward(to, "y; norm output in fp32 whatever the weight", GDN_FP32, GDN_FP32);
    norm_forward(to, "y; norm output in the dtype of the weight", GDN_BF16, GDN_FP32);
    return GDN_OK;
}
