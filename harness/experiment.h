/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment -- the declarative file: populations x profiles x lengths x seeds. docs/experiments.md describes
 * it.
 *
 * Loaded by libcyaml against one schema, then validated as a whole before any work; every answer names file,
 * line and field, what was found and what is allowed. Whole numbers are held as doubles until they are
 * validated.
 */
#ifndef GDN_HARNESS_EXPERIMENT_H
#define GDN_HARNESS_EXPERIMENT_H

#include <stdbool.h>

#include "base/inputs.h"
#include "base/status.h"
#include "harness/profile.h"
#include "harness/row.h"
#include "reference/certify.h"

/* How a parameter of a population is drawn: exactly one of the three. */
typedef enum gdn_init {
    GDN_INIT_FLA,
    GDN_INIT_HF,
    GDN_INIT_MEGATRON,
    GDN_INIT_ONES,
    GDN_INIT_TAU,      /* a_log: from the time constants of a released model */
    GDN_INIT_FLA_BF16, /* a_log: drawn and logged in bf16 */
    GDN_INIT_HF_BF16,
    GDN_INIT_MEGATRON_BF16,
    GDN_INITS
} gdn_init;
typedef struct gdn_draw {
    double *uniform; /* [2] lo, hi */
    unsigned uniform_count;
    gdn_init *init;
    double *values; /* [values_count], head h takes value h mod count */
    unsigned values_count;
} gdn_draw;

/* a = input weight^T, when a file holds the hidden states and the projection but not a itself. */
typedef struct gdn_projection {
    char *input;  /* [.., T, D] */
    char *weight; /* [H, D] */
} gdn_projection;

/* How tensors of a file lie: of tokens, [B, T, H, d] or [B, H, T, d]; of states, [B, H, dk, dv] or [B, H, dv,
 * dk]. */
typedef enum gdn_layout { GDN_LAYOUT_BTHD, GDN_LAYOUT_BHTD, GDN_LAYOUTS } gdn_layout;
typedef enum gdn_state_layout { GDN_STATE_KV, GDN_STATE_VK, GDN_STATE_LAYOUTS } gdn_state_layout;
extern const char *const gdn_layout_names[GDN_LAYOUTS];             /* "bthd", "bhtd" */
extern const char *const gdn_state_layout_names[GDN_STATE_LAYOUTS]; /* "kv", "vk" */

/*
 * Tensors of a safetensors file by role; [B, T, H, d], [B, T, H], [H] or [dv], a leading B = 1 may be absent.
 * Sequences of a batch are heads: B H of them, b slowest.
 */
typedef struct gdn_file_spec {
    char *path; /* relative to the experiment file */
    gdn_layout layout;
    gdn_state_layout state_layout;
    bool *l2norm;  /* NULL: true; false: q and k come normalised, or are meant as they are */
    double *scale; /* of q; NULL: d_k^(-1/2) */
    char *q, *k, *v;
    char *a, *g, *b, *beta;
    gdn_projection *project_a;
    char *a_log, *dt_bias, *norm_weight, *z;
    char *initial_state; /* [H, dk, dv] */
} gdn_file_spec;

/* Somebody else's outputs in the same file, compared as one more profile. */
typedef struct gdn_recorded_spec {
    char *name;
    char *g, *o, *state, *y; /* tensors; state is the one after the last token */
    int output;              /* gdn_format_id of the ulps: format in which the outputs are stored */
    char *storage; /* the profile whose stored parameters the kernel ran on; NULL: the file's own, so that all
                      is arith */
} gdn_recorded_spec;

/*
 * A checkpoint as a population: the true A_log, dt_bias and norm weight of each of its GDN layers. On loading
 * it becomes one population a layer, called NAME.layer-N, with the layer's value heads; inputs are drawn as
 * for any other.
 */
typedef struct gdn_checkpoint_spec {
    char *path;     /* a file, an index or a folder, relative to the experiment file */
    double *layers; /* [layers_count] which; NULL: all */
    unsigned layers_count;
    struct gdn_checkpoint_layer *of; /* of a population that came of one (harness/source_checkpoint.h) */
} gdn_checkpoint_spec;

typedef struct gdn_population {
    char *name;
    double heads;
    gdn_keys keys;
    double rank;
    double zipf_exponent;
    gdn_values values;
    double *a_scale, *a_mean, *b_scale, *b_mean;
    double group;         /* value heads that share a key head: r = H_v / H_k */
    double beta_factor;   /* beta = factor sigmoid(b): 1, or 2 where negative eigenvalues are allowed */
    double initial_scale; /* initial state: normal numbers times this; 0: none */
    double *sequences;    /* [sequences_count] packed: cumulative lengths 0 < .. < T; the state starts anew
                             after each */
    unsigned sequences_count;
    gdn_draw *a_log, *dt_bias, *norm_weight;
    gdn_file_spec *file;
    gdn_checkpoint_spec *checkpoint;
    gdn_recorded_spec *recorded;
    unsigned recorded_count;
    char **profiles; /* instead of the experiment's */
    unsigned profiles_count;
    gdn_quantity *quantities; /* instead of the experiment's */
    unsigned quantities_count;
    double *lengths; /* instead of the experiment's */
    unsigned lengths_count;
    unsigned entry; /* of the YAML's list: a checkpoint is one entry and several populations */
} gdn_population;

/* A profile of the user's: a built-in one to start from, and what differs. */
typedef struct gdn_define {
    char *name;
    char *summary;
    char *base;
    bool *store_a, *zero_centred;
    char **a_log, **dt_bias, **norm_weight; /* chains */
    unsigned a_log_count, dt_bias_count, norm_weight_count;
    char *alpha, *recipe, *exp_a, *beta, *qk, *state, *output, *input, *product, *norm_in, *norm_hat,
        *norm_out, *inverse;
    double *prefill;
    gdn_l2norm *l2norm;
    gdn_carrier *carrier;
    gdn_softplus_variant *softplus;
    gdn_rounding *state_rounding;
    gdn_math *math;
} gdn_define;

typedef struct gdn_reference_spec {
    gdn_ladder_id rung;
    double precision, check_precision, check_columns;
} gdn_reference_spec;

/* One stored tensor at a time, all subsets of them: error budget and Shapley split (harness/budget.h). */
typedef struct gdn_budget_spec {
    char *base, *format;
    char **members;
    unsigned members_count;
} gdn_budget_spec;

/* A measurement that is no run of a population (harness/probe.h). */
typedef struct gdn_probe_spec {
    char *name;
    char *file; /* relative to the experiment file, where the probe reads one */
} gdn_probe_spec;

typedef struct gdn_experiment_file {
    char *experiment;
    char *question;
    double seeds;
    double dk, dv;
    double *lengths;
    unsigned lengths_count;
    gdn_quantity *quantities;
    unsigned quantities_count;
    char **profiles;
    unsigned profiles_count;
    gdn_define *define;
    unsigned define_count;
    gdn_population *populations;
    unsigned populations_count;
    gdn_reference_spec *reference;
    gdn_budget_spec *budget;
    gdn_probe_spec *probes;
    unsigned probes_count;
} gdn_experiment_file;

typedef struct gdn_experiment {
    gdn_experiment_file *file; /* what the YAML says */
    char *path;                /* of the YAML */
    char *text;                /* its text */
    gdn_population *given; /* [given_count] the YAML's own, where a checkpoint among them became several */
    unsigned given_count;
    gdn_profile *profiles; /* [profile_count]: built-in ones, then those defined here */
    int profile_count;
    gdn_ladder_id ladder;
    int precision, check_precision;
    int seeds_before;  /* seeds are seeds_before + 1 .. seeds_before + file->seeds; of files: 1 */
    int check_columns; /* value columns the check runs, if d_v has as many */
} gdn_experiment;

/* Factors of q that neither fp32 nor its products with q^ and the state lose altogether; of either sign. */
#define GDN_LEAST_SCALE 1e-30
#define GDN_MOST_SCALE 1e30
bool gdn_scale_ok(double scale);

/* Read and validate. On failure *out is NULL. */
gdn_status gdn_experiment_load(const char *path, gdn_experiment **out, gdn_error *err);

/* The same of a text, as if the file held it. */
gdn_status gdn_experiment_load_text(const char *path, const char *text, gdn_experiment **out, gdn_error *err);
void gdn_experiment_free(gdn_experiment *e);

/*
 * What a command line overrides, 0 being as the file says: seeds first, first + 1, .. and how many; drop
 * lengths above max_length.
 */
gdn_status gdn_experiment_limit(gdn_experiment *e, int first_seed, int seeds, long max_length,
                                gdn_error *err);

/* Index into profiles of the one called `name`, or -1. */
int gdn_experiment_profile(const gdn_experiment *e, const char *name);

/* Line (1-based) in the YAML text of a path such as "populations/2/a_log", or of the deepest part that is
 * there. */
int gdn_yaml_line(const char *text, const char *path);

/* The text once read, for who asks often whether a whole path is there. NULL, of which nothing is there, when
 * it cannot be read. */
typedef struct gdn_yaml_tree gdn_yaml_tree;
gdn_yaml_tree *gdn_yaml_tree_open(const char *text);
bool gdn_yaml_has(gdn_yaml_tree *t, const char *path);
void gdn_yaml_tree_close(gdn_yaml_tree *t);

/* Visit every scalar of the text with its path until visit returns nonzero. */
typedef int (*gdn_yaml_visit)(void *context, const char *path, const char *scalar);
void gdn_yaml_scalars(const char *text, gdn_yaml_visit visit, void *context);

/* The line where the text stops being one YAML document, with the reason in out; 0 when it is one, or empty.
 */
int gdn_yaml_problem(const char *text, char *out, size_t size);

/* The member of names[0..n) nearest to `word` by edit distance, or NULL when none is near. */
const char *gdn_nearest(const char *word, const char *const *names, int n);

extern const char *const gdn_init_names[GDN_INITS];

#endif
