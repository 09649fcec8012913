/* SPDX-License-Identifier: Apache-2.0 */
/* command_audit -- gdnprec audit: what a checkpoint really stores for its GDN layers, and what bf16 would
 * cost them. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/inputs.h"
#include "base/shape.h"
#include "harness/audit.h"
#include "harness/commands.h"

enum { SHOWN_HEADS = 10, ALL = -1 };

typedef struct arguments {
    const char *path;
    double a_mean, a_scale;
    long length, heads;
    bool tensors, strict, quiet, json;
    gdn_error *err;
} arguments;

static const struct argp_option options[] = {
    {"heads", 'n', "N", 0, "show the N worst heads, or `all` (default: 10)", 0},
    {"tensors", 't', 0, 0, "a line for every tensor, however many there are", 0},
    {"length", 'T', "N", 0, "T of the predicted errors (default: 262144)", 0},
    {"a-mean", 'm', "X", 0, "mean of a, the gate's input (default: 0)", 0},
    {"a-scale", 's', "X", 0, "standard deviation of a (default: 1)", 0},
    {"strict", 'S', 0, 0, "exit with status 1 when there are findings", 0},
    {"quiet", 'q', 0, 0, "print nothing but complaints", 0},
    {"json", 'J', 0, 0, "as JSON, all heads and all tensors", 0},
    {0},
};

static error_t option(int key, char *text, struct argp_state *state)
{
    arguments *x = state->input;
    switch (key) {
    case 'n':
        x->heads = ALL;
        if (strcmp(text, "all") == 0)
            return 0;
        return gdn_option_whole("--heads", text, 0, 1 << 30, &x->heads, x->err) ? EINVAL : 0;
    case 't':
        x->tensors = true;
        return 0;
    case 'T':
        return gdn_option_whole("--length", text, 1, GDN_MAX_LENGTH, &x->length, x->err) ? EINVAL : 0;
    case 'm':
        return gdn_option_number("--a-mean", text, -100, 100, &x->a_mean, x->err) ? EINVAL : 0;
    case 's':
        return gdn_option_number("--a-scale", text, 0, 30, &x->a_scale, x->err) ? EINVAL : 0;
    case 'S':
        x->strict = true;
        return 0;
    case 'q':
        x->quiet = true;
        return 0;
    case 'J':
        x->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (x->path)
            return E2BIG;
        x->path = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static gdn_status print_json(const gdn_audit *audit, gdn_error *err)
{
    json_t *o = gdn_audit_json(audit);
    bool whole = o && (json_dumpf(o, stdout, JSON_INDENT(2)) == 0 || ferror(stdout)); /* main looks at that */
    printf("\n");
    json_decref(o);
    return whole ? GDN_OK : gdn_no_memory(err, "the audit as JSON");
}

gdn_status gdn_command_audit(int argc, char **argv, gdn_error *err)
{
    static const struct argp argp = {
        options,
        option,
        "CHECKPOINT",
        "What a checkpoint really stores for A_log, dt_bias, norm.weight and conv1d of its GDN layers, "
        "whether an fp32 "
        "tensor is genuine or an upcast of bf16, and what bf16 would cost each head."
        "\vCHECKPOINT is a .safetensors file, an index of shards, or a folder of either with its "
        "config.json. Layers "
        "are found by the names of Hugging Face (linear_attn., with or without _fp32_params.), of Megatron "
        "(self_attention., where w - 1 rests) and of FLA (attn.). Only headers and these tensors are read. "
        "Findings do "
        "not change the exit status without --strict.",
        NULL,
        NULL,
        NULL};
    arguments x = {.a_scale = 1, .length = 262144, .heads = SHOWN_HEADS, .err = err};
    int done;
    gdn_audit *audit = NULL;
    gdn_status status = gdn_parse(&argp, argc, argv, &x, &done, err);
    if (status || done)
        return status;
    if (!x.path)
        return gdn_fail(err, GDN_BAD_INPUT,
                        "audit: a checkpoint is wanted: a .safetensors file, an index or a folder");
    if ((status = gdn_inputs_init(err)))
        return status;
    gdn_audit_settings settings = {x.a_mean, x.a_scale, x.length};
    if ((status = gdn_audit_open(x.path, &settings, &audit, err)))
        return status;
    size_t findings = json_array_size(audit->findings);
    if (x.json && !x.quiet)
        status = print_json(audit, err);
    else if (!x.quiet)
        gdn_audit_print(audit, x.heads, x.tensors, stdout);
    gdn_audit_close(audit);
    if (!status && x.strict && findings)
        return gdn_fail(err, GDN_DIFFERS, "audit: %zu finding%s", findings, findings > 1 ? "s" : "");
    return status;
}
