/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_experiment -- any bytes as an experiment file: refused in a sentence, or an experiment within the
 * limits that its tasks rely on. Nothing is run, and no file that it names is there.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/experiment.h"
#include "harness/plan.h"
#include "harness/probe.h"
#include "tests/fuzz/fuzz.h"

size_t fuzz_accepted;

static int is_whole(double x, double lo, double hi)
{
    return x >= lo && x <= hi && x == floor(x);
}

static void check_lengths(const double *x, unsigned n)
{
    FUZZ_CHECK(n <= GDN_PLAN_LENGTHS);
    for (unsigned i = 0; i < n; i++)
        FUZZ_CHECK(is_whole(x[i], 1, GDN_MAX_LENGTH) && (i == 0 || x[i] > x[i - 1]));
}

static void check_profiles(const gdn_experiment *e, char *const *name, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        FUZZ_CHECK(gdn_experiment_profile(e, name[i]) >= 0);
}

static void check_population(const gdn_experiment *e, const gdn_population *p)
{
    check_lengths(p->lengths, p->lengths_count);
    check_profiles(e, p->profiles, p->profiles_count);
    FUZZ_CHECK(strlen(p->name) <= 80 && !p->checkpoint);
    if (p->file)
        return;
    FUZZ_CHECK(is_whole(p->heads, 1, GDN_MAX_HEADS) && is_whole(p->group, 1, p->heads));
    FUZZ_CHECK(p->lengths || e->file->lengths);
    FUZZ_CHECK(p->a_log && p->dt_bias);
    FUZZ_CHECK(p->rank == 0 || is_whole(p->rank, 1, e->file->dk));
}

static void check(const gdn_experiment *e)
{
    const gdn_experiment_file *f = e->file;
    FUZZ_CHECK(is_whole(f->seeds, 1, 100000) && is_whole(f->dk, 1, GDN_MAX_DIM) &&
               is_whole(f->dv, 1, GDN_MAX_DIM));
    FUZZ_CHECK(e->precision >= 80 && e->check_precision > e->precision && e->check_columns >= 1);
    check_lengths(f->lengths, f->lengths_count);
    check_profiles(e, f->profiles, f->profiles_count);
    for (int i = 0; i < e->profile_count; i++)
        FUZZ_CHECK(gdn_experiment_profile(e, e->profiles[i].name) == i);
    for (unsigned i = 0; i < f->populations_count; i++)
        check_population(e, &f->populations[i]);
    for (unsigned i = 0; i < f->probes_count; i++)
        FUZZ_CHECK(gdn_probe_by_name(f->probes[i].name));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    gdn_error err = {""};
    gdn_experiment *e;
    char *text = malloc(n + 1); /* at its own address, where overruns are seen */
    FUZZ_CHECK(text);
    memcpy(text, input, n);
    text[n] = 0;
    gdn_status status = gdn_experiment_load_text("/nowhere/fuzz.yaml", text, &e, &err);
    FUZZ_CHECK((status == GDN_OK) == (e != NULL));
    if (status != GDN_OK) {
        fuzz_check_sentence(status, &err);
    } else {
        check(e);
        fuzz_accepted++;
        status = gdn_experiment_limit(e, 2, 1, 64, &err);
        if (status != GDN_OK)
            fuzz_check_sentence(status, &err);
    }
    gdn_experiment_free(e);
    free(text);
    return 0;
}
