/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe -- measurements that are no run of a population: what a format does to a parameter, what a function's
 * variants lose, what a design stores, what a checkpoint holds.
 *
 * An experiment names probes; gdnprec run writes probes.csv beside its other files. A probe is deterministic,
 * portable and quick: all of them together take seconds.
 */
#ifndef GDN_HARNESS_PROBE_H
#define GDN_HARNESS_PROBE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "harness/experiment.h"

/* Where a probe's numbers go: lines `probe,case_name,measure,value,unit` of probes.csv. */
typedef struct gdn_probe_sink {
    FILE *f;
    const char *probe;
} gdn_probe_sink;

/* One number; NaN leaves the field empty. The case is formatted as printf does; it may hold any text. */
void gdn_probe_put(const gdn_probe_sink *to, const char *measure, double value, const char *unit,
                   const char *case_format, ...) __attribute__((format(printf, 5, 6)));

typedef struct gdn_probe {
    const char *name;
    const char *summary;
    bool needs_file;
    gdn_status (*measure)(const gdn_probe_sink *to, const char *file, gdn_error *err);
} gdn_probe;

extern const gdn_probe gdn_probes[];
extern const int gdn_probe_count;

/* The probe called `name`, or NULL. */
const gdn_probe *gdn_probe_by_name(const char *name);

/*
 * Write directory/probes.csv for the experiment's probes, in its order; remove it where there are none. A
 * file that is not what the probe reads is GDN_BAD_INPUT. gdn_experiment_load() has checked the names.
 */
gdn_status gdn_probes_run(const gdn_experiment *e, const char *directory, gdn_error *err);

/* ---- what probes share ---- */

/* Root mean square and maximum of errors. */
typedef struct gdn_spread {
    int64_t n;
    double squares, max;
} gdn_spread;

static inline void gdn_spread_add(gdn_spread *s, double error)
{
    double size = fabs(error);
    s->n++;
    s->squares += error * error;
    s->max = size > s->max ? size : s->max;
}

static inline double gdn_spread_rms(const gdn_spread *s)
{
    return s->n ? sqrt(s->squares / (double)s->n) : NAN;
}

/* ---- the probes, one file a concept ---- */

gdn_status gdn_probe_gate_functions(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_rate_error(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_norm_weight(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_init(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_chains(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_l2norm_fold(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_memory(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_operations(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_routing(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_contracts(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_layer(const gdn_probe_sink *to, const char *file, gdn_error *err);
gdn_status gdn_probe_tensor_parallel(const gdn_probe_sink *to, const char *file, gdn_error *err);

#endif
