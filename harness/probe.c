/* SPDX-License-Identifier: Apache-2.0 */
/* probe -- the table of probes, and probes.csv; see probe.h. */
#include "harness/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "harness/outfile.h"

const gdn_probe gdn_probes[] = {
    {"gate-functions",
     "what variants of softplus, of exp(A_log) and of handing on alpha cost the log decay g", false,
     gdn_probe_gate_functions},
    {"rate-error", "error of A by binade of A_log as A_log, A or -A is stored; of softplus as dt_bias is",
     false, gdn_probe_rate_error},
    {"norm-weight", "error of the weight of out_norm stored as w and as w - 1", false, gdn_probe_norm_weight},
    {"init", "heads that never decay, distinct values and mean of A after init schemes in bf16 and fp32",
     false, gdn_probe_init},
    {"chains", "what a later upcast gives back after bf16, and which forward passes it changes", false,
     gdn_probe_chains},
    {"l2norm-fold", "L2 norm before the kernel and in it, orders of sums, conventions of eps", false,
     gdn_probe_l2norm_fold},
    {"memory", "bytes of parameters and of what the forward keeps, by design", false, gdn_probe_memory},
    {"operations", "operations that the engines count, beside the published formula", false,
     gdn_probe_operations},
    {"routing", "keys that the fp32 holder takes, and whether stripping it gives the key back", false,
     gdn_probe_routing},
    {"contracts", "a checkpoint folder: dtypes of A_log, dt_bias and norm.weight, and what survives bf16",
     true, gdn_probe_contracts},
    {"layer", "a recorded layer in a safetensors file: each stage beside ours, and both beside MPFR", true,
     gdn_probe_layer},
    {"tensor-parallel", "that layer with its heads over 2 and 4 ranks: what differs from one rank", true,
     gdn_probe_tensor_parallel},
};

const int gdn_probe_count = sizeof gdn_probes / sizeof gdn_probes[0];

const gdn_probe *gdn_probe_by_name(const char *name)
{
    for (int i = 0; i < gdn_probe_count; i++)
        if (strcmp(gdn_probes[i].name, name) == 0)
            return &gdn_probes[i];
    return NULL;
}

/* A text field, quoted where RFC 4180 asks for it. */
static void put_text(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

void gdn_probe_put(const gdn_probe_sink *to, const char *measure, double value, const char *unit,
                   const char *case_format, ...)
{
    char text[512];
    va_list args;
    va_start(args, case_format);
    vsnprintf(text, sizeof text, case_format, args);
    va_end(args);
    fprintf(to->f, "%s,", to->probe);
    put_text(to->f, text);
    fputc(',', to->f);
    put_text(to->f, measure);
    if (isnan(value))
        fprintf(to->f, ",,%s\n", unit);
    else
        fprintf(to->f, ",%.17g,%s\n", value + 0.0, unit); /* -0 is 0 */
}

/* `file` of the experiment, relative to its YAML. */
static void beside(const gdn_experiment *e, const char *file, char *out, size_t size)
{
    const char *slash = strrchr(e->path, '/');
    if (file[0] == '/' || !slash)
        snprintf(out, size, "%s", file);
    else
        snprintf(out, size, "%.*s%s", (int)(slash - e->path + 1), e->path, file);
}

static gdn_status run_all(const gdn_experiment *e, FILE *f, gdn_error *err)
{
    gdn_status status = GDN_OK;
    fprintf(f, "probe,case_name,measure,value,unit\n");
    for (unsigned i = 0; i < e->file->probes_count && !status; i++) {
        const gdn_probe_spec *spec = &e->file->probes[i];
        const gdn_probe *probe = gdn_probe_by_name(spec->name);
        char path[4096] = "";
        if (spec->file)
            beside(e, spec->file, path, sizeof path);
        status = probe->measure(&(gdn_probe_sink){f, probe->name}, path, err);
    }
    return status;
}

gdn_status gdn_probes_run(const gdn_experiment *e, const char *directory, gdn_error *err)
{
    gdn_outfile o;
    char path[4200];
    snprintf(path, sizeof path, "%s/probes.csv", directory);
    if (!e->file->probes_count) {
        if (unlink(path) && errno != ENOENT)
            return gdn_fail(err, GDN_MACHINE, "%s: cannot remove what an earlier experiment left: %s", path,
                            strerror(errno));
        return GDN_OK;
    }
    gdn_status status = gdn_outfile_open(&o, path, err);
    return status ? status : gdn_outfile_close(&o, run_all(e, o.f, err), err);
}
