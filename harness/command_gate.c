/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_gate -- gdnprec gate: one decay gate, g = -exp(A_log) softplus(a + dt_bias), with A_log, dt_bias,
 * both, or alpha = exp(g) resting in each format, beside the truth (MPFR, 113 bits).
 */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/commands.h"
#include "harness/profile.h"
#include "reference/gdn_mpfr.h"

/* What rests in the format. */
typedef enum stored { STORED_A_LOG, STORED_A, STORED_DT_BIAS, STORED_BOTH, STORED_ALPHA, STORED_WAYS } stored;

static const char *const stored_names[STORED_WAYS] = {"A_log", "A", "dt_bias", "A_log, dt_bias", "alpha"};

/* One gate as hi + lo. */
typedef struct gate {
    double decay, dt_bias; /* as stored */
    double g, g_lo, alpha, alpha_lo;
    double error; /* of g against the truth, relative; of log alpha when alpha is stored */
} gate;

typedef struct arguments {
    double a_log, dt_bias, a;
    bool have_a_log, have_dt_bias, json;
    gdn_error *err;
    gdn_status status;
} arguments;

static const struct argp_option options[] = {
    {"a-log", 'A', "X", 0, "A_log of the head (required)", 0},
    {"dt-bias", 'b', "X", 0, "dt_bias of the head (required)", 0},
    {"a", 'a', "X", 0, "input of the gate at this token (default: 0)", 0},
    {"json", 'J', 0, 0, "as JSON", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *x = state->input;
    switch (key) {
    case 'A':
        x->have_a_log = true;
        x->status = gdn_option_number("--a-log", text, -80, 80, &x->a_log, x->err);
        return x->status ? EINVAL : 0;
    case 'b':
        x->have_dt_bias = true;
        x->status = gdn_option_number("--dt-bias", text, -1e4, 1e4, &x->dt_bias, x->err);
        return x->status ? EINVAL : 0;
    case 'a':
        x->status = gdn_option_number("--a", text, -1e4, 1e4, &x->a, x->err);
        return x->status ? EINVAL : 0;
    case 'J':
        x->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* g and alpha of one gate by the MPFR engine. */
static gdn_status evaluate(gate *x, bool decay_is_a, gdn_format_id alpha, float a, gdn_error *err)
{
    gdn_setup setup = {
        .shape = {1, 1, 1},
        .params = {.decay_is_a = decay_is_a, .decay = &x->decay, .dt_bias = &x->dt_bias, .alpha = alpha},
        .precision = GDN_MPFR_PRECISION};
    gdn_outputs out = {.g = &x->g, .g_lo = &x->g_lo, .alpha = &x->alpha, .alpha_lo = &x->alpha_lo};
    void *engine = NULL;
    gdn_status status = gdn_mpfr_engine.open(&engine, &setup, err);
    if (!status)
        status = gdn_mpfr_engine.advance(engine, &(gdn_block){.first = 1, .tokens = 1, .a = &a}, &out, err);
    gdn_mpfr_engine.close(engine);
    return status;
}

static gdn_status evaluate_stored(const arguments *x, const gate *truth, stored way, gdn_format_id format,
                                  gate *out, gdn_error *err)
{
    const gdn_format *f = &gdn_formats[format];
    bool is_a = way == STORED_A;
    *out = (gate){.decay = truth->decay, .dt_bias = truth->dt_bias};
    if (is_a)
        out->decay = gdn_round(f, exp(truth->decay));
    if (way == STORED_A_LOG || way == STORED_BOTH)
        out->decay = gdn_round(f, truth->decay);
    if (way == STORED_DT_BIAS || way == STORED_BOTH)
        out->dt_bias = gdn_round(f, truth->dt_bias);
    gdn_status status = evaluate(out, is_a, way == STORED_ALPHA ? format : GDN_FP64, (float)x->a, err);
    out->error = way == STORED_ALPHA ? log(out->alpha) / truth->g - 1
                                     : ((out->g - truth->g) + (out->g_lo - truth->g_lo)) / truth->g;
    return status;
}

static void print_head(const gate *t, double a)
{
    printf("A_log = %.9g, dt_bias = %.9g (fp32 masters), a = %.9g\n", t->decay, t->dt_bias, a);
    printf("truth: g = %.17g, alpha = %.17g, memory 1/|g| = %.4g tokens\n\n", t->g, t->alpha, -1 / t->g);
    printf("%-6s %-15s %-22s %-22s %s\n", "format", "what rests in it", "g", "alpha", "relative error of g");
}

gdn_status gdn_command_gate(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {options,
                                     option,
                                     "",
                                     "One decay gate, g = -exp(A_log) softplus(a + dt_bias) and alpha = "
                                     "exp(g), with the parameters resting in each "
                                     "format, beside the truth."
                                     "\vThe error of g is what storage alone costs: exact arithmetic (MPFR) "
                                     "on the stored values. For alpha it is the "
                                     "error of log alpha.",
                                     NULL,
                                     NULL,
                                     NULL};
    arguments x = {.err = err};
    int done;
    gdn_status status = gdn_parse(&argp, argc, argv, &x, &done, err);
    if (status || done)
        return status;
    if (!x.have_a_log || !x.have_dt_bias)
        return gdn_fail(err, GDN_BAD_INPUT, "gate: --a-log and --dt-bias are required");
    gate truth = {.decay = (float)x.a_log, .dt_bias = (float)x.dt_bias};
    if ((status = evaluate(&truth, false, GDN_FP64, (float)x.a, err)))
        return status;
    json_t *rows = json_array();
    if (!x.json)
        print_head(&truth, (float)x.a);
    for (gdn_format_id format = GDN_FP32; format < GDN_FORMATS && !status; format++)
        for (stored way = 0; way < STORED_WAYS && !status; way++) {
            gate r;
            if ((status = evaluate_stored(&x, &truth, way, format, &r, err)))
                break;
            const char *name = gdn_formats[format].name;
            if (!x.json)
                printf("%-6s %-15s %-22.15g %-22.15g %+.3e\n", way ? "" : name, stored_names[way], r.g,
                       r.alpha, r.error);
            json_t *o = json_pack("{s:s, s:s}", "format", name, "stored", stored_names[way]);
            const struct {
                const char *key;
                double value;
            } numbers[] = {{"decay", r.decay},
                           {"dt_bias", r.dt_bias},
                           {"g", r.g},
                           {"alpha", r.alpha},
                           {"error", r.error}};
            for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) /* JSON has no NaN: null */
                json_object_set_new(o, numbers[i].key,
                                    isfinite(numbers[i].value) ? json_real(numbers[i].value) : json_null());
            json_array_append_new(rows, o);
        }
    if (x.json && !status) {
        json_t *o = json_pack("{s:f, s:f, s:f, s:f, s:f, s:O}", "a_log", truth.decay, "dt_bias",
                              truth.dt_bias, "a", x.a, "g", truth.g, "alpha", truth.alpha, "rows", rows);
        json_dumpf(o, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(o);
    }
    json_decref(rows);
    return status;
}
