/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_routing -- claim B5: strip(route(key)) = key, and no other key is touched.
 *
 * Over every key of a grammar prefix layers.N.block.name: what checkpoints of GDN models are made of, and
 * names made to look like A_log and dt_bias without being them.
 */
#include "harness/contract.h"
#include "harness/probe.h"

#include <string.h>

static const char *const prefixes[] = {
    "", "model.", "model.language_model.", "language_model.model.", "base_model.model.model.", "mtp."};
static const char *const blocks[] = {"linear_attn.",   "self_attn.",         "mixer.",
                                     "mlp.experts.3.", "linear_attn.inner.", "my_linear_attn."};
static const char *const names[] = {"A_log",
                                    "dt_bias",
                                    "norm.weight",
                                    "conv1d.weight",
                                    "in_proj_qkv.weight",
                                    "in_proj_z.weight",
                                    "in_proj_a.weight",
                                    "in_proj_b.weight",
                                    "in_proj_qkvz.weight",
                                    "in_proj_ba.weight",
                                    "out_proj.weight",
                                    "foo_A_log",
                                    "foo_dt_bias",
                                    "A_log.weight",
                                    "xA_log",
                                    "norm.A_log",
                                    "dt_bias_scale",
                                    "D"};

enum { LAYERS = 64, NAMES = sizeof names / sizeof names[0] };

typedef struct tally {
    int keys, routed, wrongly, missed, changed_by_round_trip, not_idempotent;
} tally;

/* wanted: the key is A_log or dt_bias of a GDN layer. */
static gdn_status count(tally *t, gdn_route_rule rule, const char *key, bool wanted, gdn_error *err)
{
    char routed[256], stripped[256], again[300];
    if (!gdn_key_route(rule, key, routed, sizeof routed) ||
        !gdn_key_strip(routed, stripped, sizeof stripped) ||
        !gdn_key_route(rule, routed, again, sizeof again))
        return gdn_fail(err, GDN_MACHINE, "%s: the key is too long", key);
    bool touched = strcmp(routed, key) != 0;
    t->keys++;
    t->routed += touched;
    t->wrongly += touched && !wanted;
    t->missed += !touched && wanted;
    t->changed_by_round_trip += strcmp(stripped, key) != 0;
    t->not_idempotent += strcmp(again, routed) != 0;
    return GDN_OK;
}

static gdn_status count_all(tally *t, gdn_route_rule rule, gdn_error *err)
{
    gdn_status status = GDN_OK;
    for (size_t p = 0; p < sizeof prefixes / sizeof prefixes[0]; p++)
        for (int layer = 0; layer < LAYERS; layer++)
            for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++)
                for (int n = 0; n < NAMES && !status; n++) {
                    char key[200];
                    snprintf(key, sizeof key, "%slayers.%d.%s%s", prefixes[p], layer, blocks[b], names[n]);
                    status = count(t, rule, key, b == 0 && n < 2, err);
                }
    return status;
}

gdn_status gdn_probe_routing(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    gdn_status status = GDN_OK;
    for (gdn_route_rule r = 0; r < GDN_ROUTE_RULES && !status; r++) {
        tally t = {0};
        status = count_all(&t, r, err);
        const char *name = gdn_route_rule_names[r];
        gdn_probe_put(to, "keys", t.keys, "keys", "%s", name);
        gdn_probe_put(to, "routed", t.routed, "keys", "%s", name);
        gdn_probe_put(to, "routed_wrongly", t.wrongly, "keys", "%s", name);
        gdn_probe_put(to, "missed", t.missed, "keys", "%s", name);
        gdn_probe_put(to, "changed_by_round_trip", t.changed_by_round_trip, "keys", "%s", name);
        gdn_probe_put(to, "not_idempotent", t.not_idempotent, "keys", "%s", name);
    }
    return status;
}
