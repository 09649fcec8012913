/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_experiment -- every bad experiment file is answered with one sentence: file, line, field, what was
 * found, what is allowed; every good one loads with its defaults and the profiles it defines.
 */
#include "tests/gdn_test.h"

#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/experiment.h"
#include "harness/plan.h"

static char scratch[64]; /* a directory of this run's own */

/* A good file; cases below change it in one place. The numbers are those of its lines. */
static const char good[] = "experiment: t\n"                      /* 1 */
                           "question: q?\n"                       /* 2 */
                           "seeds: 2\n"                           /* 3 */
                           "dk: 16\n"                             /* 4 */
                           "dv: 32\n"                             /* 5 */
                           "lengths: [4, 8]\n"                    /* 6 */
                           "quantities: [g, o]\n"                 /* 7 */
                           "profiles: [fp32, a_log-bf16, mine]\n" /* 8 */
                           "reference: {precision: 120}\n"        /* 9 */
                           "define:\n"                            /* 10 */
                           "  - name: mine\n"                     /* 11 */
                           "    base: bf16\n"                     /* 12 */
                           "populations:\n"                       /* 13 */
                           "  - name: p\n"                        /* 14 */
                           "    heads: 3\n"                       /* 15 */
                           "    keys: low-rank\n"                 /* 16 */
                           "    rank: 4\n"                        /* 17 */
                           "    a_log: {uniform: [-8, 2]}\n"      /* 18 */
                           "    dt_bias: {init: fla}\n"           /* 19 */
                           "  - name: f\n"                        /* 20 */
                           "    file:\n"                          /* 21 */
                           "      path: x.safetensors\n"          /* 22 */
                           "      q: q\n"                         /* 23 */
                           "      k: k\n"                         /* 24 */
                           "      v: v\n"                         /* 25 */
                           "      a: a\n"                         /* 26 */
                           "      beta: beta\n"                   /* 27 */
                           "      a_log: A_log\n"                 /* 28 */
                           "      dt_bias: dt_bias\n"             /* 29 */
                           "    recorded:\n"                      /* 30 */
                           "      - {name: them, o: out}\n";      /* 31 */

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static const char *write_bytes(const char *name, const char *bytes, size_t n)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    GDN_CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
    return path;
}

static const char *write_text(const char *text)
{
    return write_bytes("x.yaml", text, strlen(text));
}

/* `text` with its one occurrence of `old` replaced. */
static char *edited(const char *text, const char *old, const char *new)
{
    static char out[1 << 14];
    const char *at = strstr(text, old);
    GDN_CHECK(at && !strstr(at + 1, old), "'%s' is not there once", old);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    return out;
}

/* Loading fails as bad input with a sentence of one line. */
static const char *complaint(const char *path, const char *what)
{
    static gdn_error err;
    gdn_experiment *e = (gdn_experiment *)1;
    err.text[0] = 0;
    gdn_status status = gdn_experiment_load(path, &e, &err);
    GDN_CHECK(status == GDN_BAD_INPUT && !e, "%s: status %d: %s", what, status, err.text);
    GDN_CHECK(err.text[0] && !strchr(err.text, '\n'), "%s: not one line: %s", what, err.text);
    return err.text;
}

/* ... that begins with file:line: field: and goes on with exactly `rest`. */
static void refused(const char *text, int line, const char *rest)
{
    char want[900];
    const char *path = write_text(text), *got = complaint(path, rest);
    snprintf(want, sizeof want, "%s:%d: %s", path, line, rest);
    GDN_CHECK(strcmp(got, want) == 0, "answered\n  %s\nnot\n  %s\nto\n%s", got, want, text);
}

/* ---- bad files: what to change, the line, the sentence ---- */

typedef struct bad_case {
    const char *old, *new;
    int line;
    const char *sentence; /* from the field on */
} bad_case;

#define TOP_KEYS                                                                                             \
    "; allowed: experiment question seeds dk dv lengths quantities profiles define populations budget "      \
    "probes reference"
#define POPULATION_KEYS                                                                                      \
    "; allowed: name heads keys rank zipf_exponent values a_mean a_scale b_mean b_scale group beta_factor "  \
    "initial_scale sequences a_log dt_bias norm_weight file checkpoint recorded profiles quantities lengths"
#define SCALES " is not allowed; a finite number other than 0, of size 1e-30 to 1e+30, is"
#define FORMATS "fp32 tf32 fp16 bf16 e4m3 e5m2"

static const bad_case keys_and_words[] = {
    {"lengths", "lenghts", 6, "lenghts: unknown key (did you mean 'lengths'?)" TOP_KEYS},
    {"seeds: 2", "xyzzyplugh: 2", 3, "xyzzyplugh: unknown key" TOP_KEYS},
    {"seeds: 2", "heads: 2", 3,
     "heads: unknown key (did you mean 'seeds'?)" TOP_KEYS}, /* known further below */
    {"heads", "haeds", 15, "populations/0/haeds: unknown key (did you mean 'heads'?)" POPULATION_KEYS},
    {"heads: 3", "heads: 3\n    seeds: 2", 16,
     "populations/0/seeds: unknown key (did you mean 'heads'?)" POPULATION_KEYS},
    {"uniform", "unifrom", 18,
     "populations/0/a_log/unifrom: unknown key (did you mean 'uniform'?); allowed: uniform init values"},
    {"      q: q", "      qry: q", 23,
     "populations/1/file/qry: unknown key; allowed: path q k v a project_a g b beta a_log dt_bias "
     "norm_weight z initial_state layout state_layout l2norm scale"},
    {"name: them,", "name: them, out: b,", 31,
     "populations/1/recorded/0/out: unknown key; allowed: name g o state y output storage"},
    {"base: bf16", "bases: bf16", 12,
     "define/0/bases: unknown key (did you mean 'base'?); allowed: name summary base store_a zero_centred "
     "a_log "
     "dt_bias norm_weight alpha recipe exp_a beta qk state output input product norm_in norm_hat norm_out "
     "inverse prefill l2norm carrier softplus state_rounding math"},
    {"base: bf16", "base: bf16\n    product: tf32", 13,
     "define/0/product: only chunked recipes have matrix products and an inverse; bf16 is recurrent"},
    {"base: bf16", "base: bf16\n    recipe: chunk-bf16\n    product: e4m3", 14,
     "define/0/product: fp32, tf32 and bf16 products exist, not e4m3"},
    {"base: bf16", "base: bf16\n    recipe: chunk-bf16\n    state_rounding: stochastic", 14,
     "define/0/state_rounding: the chunked form rounds its state to nearest"},
    {"seeds: 2", "seeds: 2\nseeds: 3", 4, "seeds: the key is there twice"},
    {"heads: 3", "heads: 3\n    rank: 4\n    heads: 3", 17, "populations/0/heads: the key is there twice"},
    {"      v: v", "      v: v\n      q: w", 26, "populations/1/file/q: the key is there twice"},
    {"experiment: t\n", "", 1, "the key 'experiment' is missing"},
    {"question: q?\n", "", 1, "the key 'question' is missing"},
    {"profiles: [fp32, a_log-bf16, mine]\n", "", 13,
     "populations/0: no profiles, neither here nor for the experiment"},
    {"name: p\n    ", "", 14, "populations/0: the key 'name' is missing"},
    {"path: x.safetensors\n      ", "", 21, "populations/1/file: the key 'path' is missing"},
    {"name: mine\n    ", "", 11, "define/0: the key 'name' is missing"},
    {"name: them, ", "", 31, "populations/1/recorded/0: the key 'name' is missing"},
    {"low-rank", "low-rnak", 16,
     "populations/0/keys: 'low-rnak' is not allowed (did you mean 'low-rank'?); allowed: isotropic low-rank "
     "low-rank-spread repeated needle zipf"},
    {"init: fla", "init: xavier", 19,
     "populations/0/dt_bias/init: 'xavier' is not allowed; allowed: fla hf megatron ones tau fla-bf16 "
     "hf-bf16 megatron-bf16"},
    {"[g, o]", "[g, p]", 7, "quantities/1: 'p' is not allowed; allowed: g decay state o y"},
    {"[g, o]", "\n  - g\n  - stat", 9,
     "quantities/1: 'stat' is not allowed (did you mean 'state'?); allowed: g decay state o y"},
    {"rank: 4", "rank: 4\n    values: randon", 18,
     "populations/0/values: 'randon' is not allowed (did you mean 'random'?); allowed: random coherent"},
    {"o: out}", "o: out, output: fp8}", 31,
     "populations/1/recorded/0/output: 'fp8' is not allowed; allowed: " FORMATS},
    {"a_log-bf16, mine", "a_log-bf61, mine", 8,
     "profiles/1: 'a_log-bf61' is not a profile (did you mean 'a_log-bf16'?); `gdnprec list profiles` shows "
     "them"},
    {"a_log-bf16, mine", "mien, mine", 8,
     "profiles/1: 'mien' is not a profile (did you mean 'mine'?); `gdnprec list profiles` shows them"},
    {"rank: 4", "rank: 4\n    profiles: [fp32, wombats-everywhere]", 18,
     "populations/0/profiles/1: 'wombats-everywhere' is not a profile; `gdnprec list profiles` shows them"},
    {"precision: 120", "rung: quad", 9, "reference/rung: 'quad' is not allowed; allowed: fp64 mpfr"},
};

static const bad_case types[] = {
    {"dk: 16", "dk: sixteen", 4, "dk: 'sixteen' is not a number; a finite number is allowed"},
    {"dk: 16", "dk: 16 bits", 4, "dk: '16 bits' is not a number; a finite number is allowed"},
    {"dk: 16", "dk: [16]", 4, "dk: a list is not allowed; a number is"},
    {"dk: 16", "dk: {a: 1}", 4, "dk: a mapping is not allowed; a number is"},
    {"dk: 16", "dk:", 4, "dk: '' is not a number; a finite number is allowed"},
    {"[4, 8]", "8", 6, "lengths: a single value is not allowed; a list is"},
    {"[4, 8]", "{from: 4}", 6, "lengths: a mapping is not allowed; a list is"},
    {"[4, 8]", "[4, many]", 6, "lengths/1: 'many' is not a number; a finite number is allowed"},
    {"[4, 8]", "[4, [8]]", 6, "lengths/1: a list is not allowed; a number is"},
    {"[fp32, a_log-bf16, mine]", "fp32", 8, "profiles: a single value is not allowed; a list is"},
    {"experiment: t", "experiment: [t]", 1, "experiment: a list is not allowed; a text is"},
    {"keys: low-rank", "keys: [low-rank]", 16, "populations/0/keys: a list is not allowed; a word is"},
    {"{uniform: [-8, 2]}", "-8", 18, "populations/0/a_log: a single value is not allowed; a mapping is"},
    {"base: bf16", "store_a: maybe", 12, "define/0/store_a: 'maybe' is not allowed; allowed: false true"},
    {"base: bf16", "zero_centred: flase", 12,
     "define/0/zero_centred: 'flase' is not allowed (did you mean 'false'?); allowed: false true"},
    {"experiment: t", "experiment: ''", 1, "experiment: the text is empty; at least one character is wanted"},
};

#define SPAN(lo, hi) " is not allowed; a whole number from " lo " to " hi " is"

static const bad_case numbers[] = {
    {"[4, 8]", "[0, 8]", 6, "lengths/0: 0" SPAN("1", "67108864")},
    {"[4, 8]", "[-4, 8]", 6, "lengths/0: -4" SPAN("1", "67108864")},
    {"[4, 8]", "[4, 8.5]", 6, "lengths/1: 8.5" SPAN("1", "67108864")},
    {"[4, 8]", "[4, 67108865]", 6, "lengths/1: 67108865" SPAN("1", "67108864")},
    {"[4, 8]", "[4, 1e400]", 6, "lengths/1: inf" SPAN("1", "67108864")},
    {"[4, 8]", "[nan, 8]", 6, "lengths/0: nan" SPAN("1", "67108864")},
    {"[4, 8]", "\n  - 4\n  - 0.5", 8, "lengths/1: 0.5" SPAN("1", "67108864")},
    {"[4, 8]", "[8, 4]", 6, "lengths/1: 4 after 8; lengths must increase"},
    {"[4, 8]", "[4, 4]", 6, "lengths/1: 4 after 4; lengths must increase"},
    {"rank: 4", "rank: 4\n    lengths: [0]", 18, "populations/0/lengths/0: 0" SPAN("1", "67108864")},
    {"seeds: 2", "seeds: 0", 3, "seeds: 0" SPAN("1", "100000")},
    {"seeds: 2", "seeds: 1.5", 3, "seeds: 1.5" SPAN("1", "100000")},
    {"seeds: 2", "seeds: -1", 3, "seeds: -1" SPAN("1", "100000")},
    {"dk: 16", "dk: 0", 4, "dk: 0" SPAN("1", "1024")},
    {"dv: 32", "dv: 1025", 5, "dv: 1025" SPAN("1", "1024")},
    {"heads: 3", "heads: 0", 15, "populations/0/heads: 0" SPAN("1", "1048576")},
    {"heads: 3", "heads: 1048577", 15, "populations/0/heads: 1048577" SPAN("1", "1048576")},
    {"    heads: 3\n", "", 14, "populations/0/heads: 0" SPAN("1", "1048576")},
    {"rank: 4", "rank: 17", 17, "populations/0/rank: 17" SPAN("1", "16")},
    {"    rank: 4\n", "", 14, "populations/0/rank: 0" SPAN("1", "16")},
    {"precision: 120", "precision: 0", 9, "reference/precision: 0" SPAN("80", "2000")},
    {"precision: 120", "precision: 64", 9, "reference/precision: 64" SPAN("80", "2000")},
    {"precision: 120", "precision: 120, check_precision: 121", 9,
     "reference/check_precision: 121" SPAN("167", "4000")},
    {"[-8, 2]", "[nan, 2]", 18,
     "populations/0/a_log: nan is not allowed; a finite number of size at most 80 is"},
    {"[-8, 2]", "[-8, inf]", 18,
     "populations/0/a_log: inf is not allowed; a finite number of size at most 80 is"},
    {"[-8, 2]", "[-81, 2]", 18,
     "populations/0/a_log: -81 is not allowed; a finite number of size at most 80 is"},
    {"[-8, 2]", "[-8, .inf]", 18,
     "populations/0/a_log/uniform/1: '.inf' is not a number; a finite number is allowed"},
    {"[-8, 2]", "[.NaN, 2]", 18,
     "populations/0/a_log/uniform/0: '.NaN' is not a number; a finite number is allowed"},
    {"uniform: [-8, 2]", "values: [-3, -inf]", 18,
     "populations/0/a_log: -inf is not allowed; a finite number of size at most 80 is"},
    {"init: fla", "values: [nan]", 19,
     "populations/0/dt_bias: nan is not allowed; a finite number of size at most 3e+38 is"},
    {"rank: 4", "rank: 4\n    b_scale: 1e5", 18,
     "populations/0/b_scale: 100000 is not allowed; a finite number of size at most 10000 is"},
    {"[-8, 2]", "[2, -8]", 18, "populations/0/a_log: uniform wants [lo, hi] with lo < hi"},
    {"[-8, 2]", "[-8]", 18, "populations/0/a_log: uniform wants [lo, hi] with lo < hi"},
    {"[-8, 2]", "[-8, 0, 2]", 18, "populations/0/a_log: uniform wants [lo, hi] with lo < hi"},
    {"low-rank\n    rank: 4", "zipf\n    zipf_exponent: 0.3", 17,
     "populations/0/zipf_exponent: 0.3 is not allowed; 0.5, 1, 1.5 .. 8 are"},
    {"low-rank\n    rank: 4", "zipf", 14,
     "populations/0/zipf_exponent: 0 is not allowed; 0.5, 1, 1.5 .. 8 are"},
    {"low-rank\n    rank: 4", "zipf\n    zipf_exponent: 8.5", 17,
     "populations/0/zipf_exponent: 8.5 is not allowed; 0.5, 1, 1.5 .. 8 are"},
};

static const bad_case empties[] = {
    {"[fp32, a_log-bf16, mine]", "[]", 8, "profiles: the list is empty; at least one entry is wanted"},
    {"[4, 8]", "[]", 6, "lengths: the list is empty; at least one entry is wanted"},
    {"[g, o]", "[]", 7, "quantities: the list is empty; at least one entry is wanted"},
    {"uniform: [-8, 2]", "values: []", 18,
     "populations/0/a_log/values: the list is empty; at least one entry is wanted"},
    {"rank: 4", "rank: 4\n    profiles: []", 18,
     "populations/0/profiles: the list is empty; at least one entry is wanted"},
    {"base: bf16", "a_log: []", 12, "define/0/a_log: the list is empty; at least one entry is wanted"},
    {"lengths: [4, 8]\n", "", 13, "populations/0: no lengths, neither here nor for the experiment"},
    {"{uniform: [-8, 2]}", "{}", 18, "populations/0/a_log: exactly one of uniform, init, values is wanted"},
};

static const bad_case names[] = {
    {"experiment: t", "experiment: ../t", 1,
     "experiment: '../t' is no name; up to 80 letters, digits, '_', '.', '+' and '-' are"},
    {"name: p", "name: \"a,b\"", 14,
     "populations/0/name: 'a,b' is no name; up to 80 letters, digits, '_', '.', '+' and '-' are"},
    {"name: f", "name: p", 20, "populations/1/name: the population 'p' exists already"},
    {"[fp32, a_log-bf16, mine]", "[fp32, mine, fp32]", 8, "profiles/2: the profile 'fp32' is named twice"},
    {"base: bf16", "base: bf16\n  - name: mine", 13, "define/1/name: the profile 'mine' exists already"},
    {"name: mine", "name: bf16", 11, "define/0/name: the profile 'bf16' exists already"},
    {"o: out}", "o: out}\n      - {name: them, y: out}", 32,
     "populations/1/recorded/1/name: 'them' is recorded already"},
    {"name: them", "name: \"th,em\"", 31,
     "populations/1/recorded/0/name: 'th,em' is no name; up to 80 letters, digits, '_', '.', '+' and '-' "
     "are"},
};

static const bad_case profiles[] = {
    {"base: bf16", "base: bf17", 12,
     "define/0/base: 'bf17' is not a profile; `gdnprec list profiles` shows them"},
    {"base: bf16", "base: mine", 12,
     "define/0/base: 'mine' is not a profile; `gdnprec list profiles` shows them"},
    {"base: bf16", "recipe: bf15", 12,
     "define/0/recipe: 'bf15' is not a recipe; `gdnprec list recipes` shows them"},
    {"base: bf16", "beta: bf61", 12, "define/0/beta: 'bf61' is not a format; allowed: " FORMATS},
    {"base: bf16", "alpha: bf61", 12, "define/0/alpha: 'bf61' is not a format; allowed: fp64 " FORMATS},
    {"base: bf16", "a_log: [bf16, bf61]", 12,
     "define/0/a_log: 'bf61' is not a format; allowed: fp64 " FORMATS " bf16-pair"},
    {"base: bf16", "dt_bias: [bf16, fp32, bf16, fp32, bf16, fp32, bf16]", 12,
     "define/0/dt_bias: a chain of 7 formats; at most 6 are allowed"},
    {"base: bf16", "beta: bf16-pair", 12, "define/0/beta: 'bf16-pair' is not a format; allowed: " FORMATS},
    {"base: bf16", "state: fp64", 12,
     "define/0/state: fp64 is wider than the fp32 arithmetic under test; a narrower format is allowed"},
    {"base: bf16", "output: fp64", 12,
     "define/0/output: fp64 is wider than the fp32 arithmetic under test; a narrower format is allowed"},
    {"base: bf16", "softplus: relu", 12,
     "define/0/softplus: 'relu' is not allowed; allowed: exact torch log-exp"},
    {"base: bf16", "state_rounding: down", 12,
     "define/0/state_rounding: 'down' is not allowed; allowed: nearest stochastic"},
};

static const bad_case populations[] = {
    {"keys: low-rank", "keys: isotropic", 17, "populations/0/rank: only low-rank keys have a rank"},
    {"keys: low-rank\n    rank: 4", "keys: needle\n    zipf_exponent: 1", 17,
     "populations/0/zipf_exponent: only zipf keys have an exponent"},
    {"    a_log: {uniform: [-8, 2]}\n", "", 14,
     "populations/0: a_log and dt_bias are wanted, each as uniform, init or values"},
    {"    dt_bias: {init: fla}\n", "", 14,
     "populations/0: a_log and dt_bias are wanted, each as uniform, init or values"},
    {"init: fla", "init: fla, values: [1]", 19,
     "populations/0/dt_bias: exactly one of uniform, init, values is wanted"},
    {"uniform: [-8, 2]", "init: ones", 18,
     "populations/0/a_log: init ones is not defined for it; allowed: fla hf megatron tau fla-bf16 hf-bf16 "
     "megatron-bf16"},
    {"init: fla", "init: hf", 19, "populations/0/dt_bias: init hf is not defined for it; allowed: fla ones"},
    {"rank: 4", "rank: 4\n    norm_weight: {init: fla}", 18,
     "populations/0/norm_weight: init fla is not defined for it; allowed: ones"},
    {"rank: 4", "rank: 4\n    recorded: [{name: x, o: y}]", 18,
     "populations/0/recorded: recorded outputs need a file"},
    {"      q: q\n", "", 21, "populations/1/file: q, k and v must name tensors"},
    {"      k: k\n", "", 21, "populations/1/file: q, k and v must name tensors"},
    {"      v: v\n", "", 21, "populations/1/file: q, k and v must name tensors"},
    {"      a: a\n", "", 21, "populations/1/file: exactly one of a, project_a, g is wanted"},
    {"      a: a\n", "      a: a\n      g: g\n", 21,
     "populations/1/file: exactly one of a, project_a, g is wanted"},
    {"      a: a\n", "      a: a\n      project_a: {input: x, weight: w}\n", 21,
     "populations/1/file: exactly one of a, project_a, g is wanted"},
    {"      beta: beta\n", "", 21, "populations/1/file: exactly one of b, beta is wanted"},
    {"      beta: beta\n", "      beta: beta\n      b: b\n", 21,
     "populations/1/file: exactly one of b, beta is wanted"},
    {"      a_log: A_log\n", "", 21,
     "populations/1/file: a_log and dt_bias must name tensors unless g is given"},
    {"      dt_bias: dt_bias\n", "", 21,
     "populations/1/file: a_log and dt_bias must name tensors unless g is given"},
    {"      a: a\n", "      g: g\n", 21,
     "populations/1/file: a_log and dt_bias make g; where g is given they are not allowed"},
    {"    recorded:\n", "    heads: 3\n    recorded:\n", 21,
     "populations/1/file: a population read from a file takes heads, lengths and parameters from it"},
    {"    recorded:\n", "    lengths: [4]\n    recorded:\n", 21,
     "populations/1/file: a population read from a file takes heads, lengths and parameters from it"},
    {"    recorded:\n", "    norm_weight: {init: ones}\n    recorded:\n", 21,
     "populations/1/file: a population read from a file takes heads, lengths and parameters from it"},
    {"    recorded:\n", "    a_mean: 3\n    recorded:\n", 21,
     "populations/1/file: a population read from a file draws no inputs; rank, exponent, means and scales "
     "are not "
     "allowed"},
    {"    recorded:\n", "    rank: 1e300\n    recorded:\n", 21,
     "populations/1/file: a population read from a file draws no inputs; rank, exponent, means and scales "
     "are not "
     "allowed"},
    {"rank: 4", "rank: 4\n    group: 2", 18, "populations/0/group: a group of 2 does not divide 3 heads"},
    {"rank: 4", "rank: 4\n    group: 0", 18, "populations/0/group: 0" SPAN("1", "1048576")},
    {"rank: 4", "rank: 4\n    group: 1.5", 18, "populations/0/group: 1.5" SPAN("1", "1048576")},
    {"rank: 4", "rank: 4\n    beta_factor: 3", 18, "populations/0/beta_factor: 3" SPAN("1", "2")},
    {"rank: 4", "rank: 4\n    beta_factor: 0", 18, "populations/0/beta_factor: 0" SPAN("1", "2")},
    {"rank: 4", "rank: 4\n    initial_scale: -1", 18,
     "populations/0/initial_scale: -1 is not allowed; a number above 0 and at most 10000 is"},
    {"rank: 4", "rank: 4\n    initial_scale: 0", 18,
     "populations/0/initial_scale: 0 is not allowed; a number above 0 and at most 10000 is"},
    {"rank: 4", "rank: 4\n    initial_scale: inf", 18,
     "populations/0/initial_scale: inf is not allowed; a number above 0 and at most 10000 is"},
    {"rank: 4", "rank: 4\n    sequences: [5, 3]", 18,
     "populations/0/sequences/1: 3 after 5; sequences must increase"},
    {"rank: 4", "rank: 4\n    sequences: [5, 5]", 18,
     "populations/0/sequences/1: 5 after 5; sequences must increase"},
    {"rank: 4", "rank: 4\n    sequences: [0, 5]", 18, "populations/0/sequences/0: 0" SPAN("1", "67108864")},
    {"rank: 4", "rank: 4\n    sequences: [3, 8]", 18,
     "populations/0/sequences/1: 8 is not inside the 8 tokens; sequences end before the last token"},
    {"rank: 4", "rank: 4\n    sequences: [2]\n    lengths: [2]", 18,
     "populations/0/sequences/0: 2 is not inside the 2 tokens; sequences end before the last token"},
    {"    recorded:\n", "    group: 2\n    recorded:\n", 30,
     "populations/1/group: the shapes in a file say which heads share a key head; group is not allowed"},
    {"    recorded:\n", "    initial_scale: 2\n    recorded:\n", 30,
     "populations/1/initial_scale: a file gives the initial state as initial_state; initial_scale is not "
     "allowed"},
    {"init: fla", "init: tau", 19,
     "populations/0/dt_bias: init tau is not defined for it; allowed: fla ones"},
    {"init: fla", "init: hf-bf16", 19,
     "populations/0/dt_bias: init hf-bf16 is not defined for it; allowed: fla ones"},
    {"seeds: 2", "seeds: 2\nprobes: [{name: rate-eror}]", 4,
     "probes/0/name: 'rate-eror' is not a probe (did you mean 'rate-error'?); `gdnprec list probes` shows "
     "them"},
    {"name: them, o: out", "name: them", 31,
     "populations/1/recorded/0/name: 'them' names no tensor; at least one of g, o, state, y is wanted"},
    {"name: them, o: out", "name: them, o: out, storage: al-bf16", 31,
     "populations/1/recorded/0/storage: 'al-bf16' is not a profile (did you mean 'all-bf16'?); `gdnprec list "
     "profiles` shows them"},
    {"a: a\n      beta: beta\n      a_log: A_log\n      dt_bias: dt_bias\n    recorded:\n      - {name: "
     "them, o: out",
     "g: g\n      beta: beta\n    recorded:\n      - {name: them, o: out, storage: fp32", 29,
     "populations/1/recorded/0/storage: where g is given nothing is stored; storage wants a_log and dt_bias"},
    {"q: q\n", "q: q\n      scale: 0\n", 24, "populations/1/file/scale: 0" SCALES},
    {"q: q\n", "q: q\n      scale: 1e31\n", 24, "populations/1/file/scale: 1e+31" SCALES},
    {"q: q\n", "q: q\n      scale: nan\n", 24, "populations/1/file/scale: nan" SCALES},
    {"q: q\n", "q: q\n      layout: bhdt\n", 24,
     "populations/1/file/layout: 'bhdt' is not allowed (did you mean 'bthd'?); allowed: bthd bhtd"},
    {"q: q\n", "q: q\n      state_layout: dk\n", 24,
     "populations/1/file/state_layout: 'dk' is not allowed (did you mean 'vk'?); allowed: kv vk"},
    {"q: q\n", "q: q\n      l2norm: off\n", 24,
     "populations/1/file/l2norm: 'off' is not allowed; allowed: false true"},
};

static const bad_case syntax[] = {
    {"mine]\n", "mine\n", 9,
     "not YAML: did not find expected ',' or ']', while parsing a flow sequence on line 8"},
    {"    heads: 3\n", "\theads: 3\n", 15,
     "not YAML: found a tab character that violates indentation, while scanning a plain scalar on line 14"},
    {"  - name: f\n", "---\n  - name: f\n", 21, "not YAML: a second document begins; one is allowed"},
    {"question: q?", "question: a: b", 2, "not YAML: mapping values are not allowed in this context"},
    {"question: q?", "question: \001", 2, "not YAML: control characters are not allowed"},
    {"question: q?", "question: \xff\xfe", 2, "not YAML: invalid leading UTF-8 octet"},
    {"question: q?", "question: *nobody", 2, "not YAML: found undefined alias"},
};

static void all_refused(const bad_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        refused(edited(good, cases[i].old, cases[i].new), cases[i].line, cases[i].sentence);
}

#define ALL_REFUSED(cases) all_refused(cases, sizeof(cases) / sizeof((cases)[0]))

START_TEST(bad_keys_and_words)
{
    ALL_REFUSED(keys_and_words);
}
END_TEST

START_TEST(bad_types)
{
    ALL_REFUSED(types);
}
END_TEST

START_TEST(bad_numbers)
{
    ALL_REFUSED(numbers);
}
END_TEST

START_TEST(bad_empties)
{
    ALL_REFUSED(empties);
}
END_TEST

START_TEST(bad_names)
{
    ALL_REFUSED(names);
}
END_TEST

START_TEST(bad_profiles)
{
    ALL_REFUSED(profiles);
}
END_TEST

START_TEST(bad_populations)
{
    ALL_REFUSED(populations);
}
END_TEST

START_TEST(bad_syntax)
{
    ALL_REFUSED(syntax);
}
END_TEST

/* The last part of the file at once. */
START_TEST(no_populations)
{
    char text[sizeof good];
    snprintf(text, sizeof text, "%.*s", (int)(strstr(good, "populations:") - good), good);
    refused(text, 1, "there is nothing to measure; populations or probes are wanted");
    strcat(text, "populations: []\n");
    refused(text, 13, "populations: the list is empty; at least one entry is wanted");
}
END_TEST

/* Probes alone are an experiment, and so are populations that all bring profiles of their own. */
START_TEST(enough_to_measure)
{
    static const char *const texts[] = {
        "experiment: t\nquestion: q\nprobes: [{name: gate-functions}]\n",
        "experiment: t\nquestion: q\npopulations:\n  - {name: p, heads: 6, group: 3, beta_factor: 2, "
        "initial_scale: 0.5, sequences: [1, 7], lengths: [8], profiles: [fp32], a_log: {init: tau}, dt_bias: "
        "{init: fla}}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gdn_experiment *e = NULL;
        gdn_error err = {""};
        GDN_CHECK(gdn_experiment_load(write_text(texts[i]), &e, &err) == GDN_OK, "%s", err.text);
        gdn_experiment_free(e);
    }
    refused("experiment: t\nquestion: q\npopulations:\n  - {name: p, heads: 1, lengths: [8], a_log: {init: "
            "fla}, dt_bias: {init: fla}}\n",
            4, "populations/0: no profiles, neither here nor for the experiment");
}
END_TEST

START_TEST(too_many_lengths)
{
    static char list[8000], text[12000];
    size_t n = 0;
    for (int i = 1; i <= GDN_PLAN_LENGTHS + 1; i++)
        n += (size_t)sprintf(list + n, "%s%d", i > 1 ? ", " : "[", i);
    sprintf(list + n, "]");
    snprintf(text, sizeof text, "%.11999s", edited(good, "[4, 8]", list));
    refused(text, 6, "lengths: 1001 lengths; at most 1000 are allowed");
    snprintf(text, sizeof text, "%.11999s", edited(good, "rank: 4\n", "rank: 4\n    sequences: @\n"));
    refused(edited(text, "@", list), 18, "populations/0/sequences: 1001 sequences; at most 1000 are allowed");
}
END_TEST

/* A number that overflows is no reason to blame it for what comes later. */
START_TEST(last_message_counts)
{
    char text[2 * sizeof good];
    snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, edited(good, "dk: 16", "dk: 1e-999"));
    refused(edited(text, "heads: 3", "haeds: 3"), 15,
            "populations/0/haeds: unknown key (did you mean 'heads'?)" POPULATION_KEYS);
}
END_TEST

/* ---- no experiment at all ---- */

START_TEST(no_text)
{
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "{}"};
    static const char *const words[] = {
        "no experiment in it; it is empty", "no experiment in it; it is empty",
        "no experiment in it; it is empty", ":2: a single value is not allowed; a mapping is",
        ":1: the key 'experiment' is missing"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *path = write_text(texts[i]), *got = complaint(path, texts[i]);
        GDN_CHECK(strncmp(got, path, strlen(path)) == 0, "%s", got);
        GDN_CHECK(strstr(got, words[i]), "text %zu: %s", i, got);
    }
    refused("- a\n- b\n", 1, "a list is not allowed; a mapping is");
    refused("hello\n", 1, "a single value is not allowed; a mapping is");
}
END_TEST

START_TEST(binary_file)
{
    char bytes[4096];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)gdn_test_random(&seed);
    const char *path = write_bytes("binary.yaml", bytes, sizeof bytes),
               *got = complaint(path, "random bytes");
    GDN_CHECK(strstr(got, "a NUL byte at offset ") && strstr(got, "YAML text is expected"), "%s", got);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = bytes[i] ? bytes[i] : 'x';
    path = write_bytes("binary.yaml", bytes, sizeof bytes);
    got = complaint(path, "random bytes without NUL");
    GDN_CHECK(strstr(got, ":1: not YAML: "), "%s", got);
    path = write_bytes("binary.yaml", "experiment: t\0\nseeds: 1", 23);
    got = complaint(path, "a NUL byte");
    GDN_CHECK(strstr(got, "a NUL byte at offset 13"), "%s", got);
}
END_TEST

START_TEST(no_file)
{
    char want[512];
    const char *path = path_of("nowhere.yaml");
    snprintf(want, sizeof want, "%s: cannot open the experiment file: No such file or directory", path);
    ck_assert_str_eq(complaint(path, "a missing file"), want);
    static char big[2 << 20];
    memset(big, '#', sizeof big);
    const char *const others[] = {scratch, write_bytes("big.yaml", big, sizeof big), "/dev/null"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(want, sizeof want, "%s: not an experiment file (a regular file of at most 1 MiB is)",
                 others[i]);
        ck_assert_str_eq(complaint(others[i], "a directory, a large file, a device"), want);
    }
}
END_TEST

/* Nesting as deep as the file allows, and aliases of aliases, end in a sentence. */
START_TEST(hostile_yaml)
{
    static char text[1 << 19];
    memset(text, '[', sizeof text - 1);
    refused(text, 1, "not YAML: lists and mappings are nested too deeply");
    size_t n = (size_t)sprintf(text, "experiment: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        n += (size_t)sprintf(text + n, "k%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            n += (size_t)sprintf(text + n, "%s*a%d", j ? ", " : "", i - 1);
        n += (size_t)sprintf(text + n, "]\n");
    }
    refused(text, 1, "not YAML: with aliases written out there are more than 200000 values");
    n = (size_t)sprintf(text, "a: [");
    for (int i = 0; i < 1001; i++)
        n += (size_t)sprintf(text + n, "&a%d 0,\n", i);
    sprintf(text + n, "]\n");
    refused(text, 1001, "not YAML: there are more than 1000 anchors");
    n = 0;
    for (int i = 0; i < 9; i++)
        n += (size_t)sprintf(text + n, "%%TAG !%d! x\n", i);
    sprintf(text + n, "--- {a: 1}\n");
    refused(text, 9, "not YAML: there are more than 8 directives (lines that begin with '%')");
    refused("experiment: t\nlengths: &a [*a]\n", 2, "lengths: No anchor found for alias: 'a'");
    refused("experiment: t\npopulations: &a [*a]\n", 2, "populations: No anchor found for alias: 'a'");
}
END_TEST

/* A file of random changes is read or refused, never more. */
START_TEST(random_edits)
{
    uint64_t seed = 5;
    for (int round = 0; round < 1000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int i = 0; i <= round % 4; i++) {
            size_t at = gdn_test_random(&seed) % (sizeof good - 1);
            text[at] = good[gdn_test_random(&seed) % (sizeof good - 1)];
        }
        gdn_experiment *e = NULL;
        gdn_error err = {""};
        gdn_status status = gdn_experiment_load(write_text(text), &e, &err);
        GDN_CHECK(status == GDN_OK ? e != NULL
                                   : status == GDN_BAD_INPUT && err.text[0] && !strchr(err.text, '\n'),
                  "status %d: %s\nto\n%s", status, err.text, text);
        GDN_CHECK(status == GDN_OK || strncmp(err.text, scratch, strlen(scratch)) == 0, "no file: %s",
                  err.text);
        GDN_CHECK(!strstr(err.text, ".yaml:0:"), "no line: %s\nto\n%s", err.text, text);
        gdn_experiment_free(e);
    }
}
END_TEST

/* ---- good files ---- */

static gdn_experiment *load(const char *path)
{
    gdn_experiment *e = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_experiment_load(path, &e, &err) == GDN_OK && e, "%s", err.text);
    return e;
}

static const gdn_profile *profile(const gdn_experiment *e, const char *name)
{
    int i = gdn_experiment_profile(e, name);
    GDN_CHECK(i >= 0 && strcmp(e->profiles[i].name, name) == 0, "the profile %s is number %d", name, i);
    return &e->profiles[i];
}

START_TEST(good_file)
{
    gdn_experiment *e = load(write_text(good));
    const gdn_experiment_file *f = e->file;
    ck_assert_str_eq(f->experiment, "t");
    ck_assert_str_eq(f->question, "q?");
    ck_assert_str_eq(e->text, good);
    GDN_CHECK(f->seeds == 2 && f->dk == 16 && f->dv == 32 && f->lengths_count == 2 && f->lengths[1] == 8,
              "numbers");
    GDN_CHECK(f->quantities_count == 2 && f->quantities[0] == GDN_Q_G && f->quantities[1] == GDN_Q_O,
              "quantities");
    GDN_CHECK(f->profiles_count == 3 && strcmp(f->profiles[2], "mine") == 0, "profiles");
    GDN_CHECK(e->precision == 120 && e->check_precision == 167, "precision %d, %d", e->precision,
              e->check_precision);
    ck_assert_int_eq(e->profile_count, gdn_profile_count + 1);
    const gdn_population *p = &f->populations[0], *q = &f->populations[1];
    GDN_CHECK(f->populations_count == 2 && p->heads == 3 && p->keys == GDN_KEYS_LOW_RANK && p->rank == 4,
              "population 0");
    GDN_CHECK(p->a_log->uniform_count == 2 && p->a_log->uniform[0] == -8 && p->a_log->uniform[1] == 2 &&
                  !p->a_log->init,
              "a_log");
    GDN_CHECK(*p->dt_bias->init == GDN_INIT_FLA && !p->norm_weight && !p->file, "dt_bias");
    ck_assert_str_eq(q->file->path, "x.safetensors");
    ck_assert_str_eq(q->file->a_log, "A_log");
    GDN_CHECK(!q->file->g && !q->file->b && q->recorded_count == 1, "roles");
    ck_assert_str_eq(q->recorded[0].o, "out");
    gdn_experiment_free(e);
}
END_TEST

START_TEST(defaults)
{
    gdn_experiment *e =
        load(write_text("experiment: t\nquestion: q\nlengths: [3]\nprofiles: [fp32]\n"
                        "populations: [{name: p, heads: 1, a_log: {init: hf}, dt_bias: {init: ones}}]\n"));
    const gdn_experiment_file *f = e->file;
    GDN_CHECK(f->seeds == 1 && f->dk == 128 && f->dv == 128, "seeds %g, dk %g, dv %g", f->seeds, f->dk,
              f->dv);
    GDN_CHECK(f->quantities_count == 0 && f->define_count == 0, "%u quantities, %u definitions",
              f->quantities_count, f->define_count);
    GDN_CHECK(e->precision == 113 && e->check_precision == 160, "precision %d, %d", e->precision,
              e->check_precision);
    GDN_CHECK(e->check_columns == GDN_CHECK_COLUMNS && e->ladder == GDN_LADDER_FP64, "%d columns, ladder %d",
              e->check_columns, e->ladder);
    const gdn_population *p = &f->populations[0];
    GDN_CHECK(p->keys == GDN_KEYS_ISOTROPIC && p->values == GDN_VALUES_RANDOM && !p->a_mean && !p->lengths,
              "population");
    gdn_experiment_free(e);
}
END_TEST

/* A whole list of definitions, each from another one. */
START_TEST(definitions)
{
    static const char define[] = "define:\n"
                                 "  - name: mine\n"
                                 "  - name: wrapped\n"
                                 "    summary: some words\n"
                                 "    a_log: [fp32, bf16, fp32]\n"
                                 "    dt_bias: [bf16-pair]\n"
                                 "  - name: twin\n"
                                 "    base: wrapped\n"
                                 "    norm_weight: [e4m3]\n"
                                 "    store_a: true\n"
                                 "    zero_centred: true\n"
                                 "    alpha: fp16\n"
                                 "  - name: odd\n"
                                 "    base: twin\n"
                                 "    store_a: false\n"
                                 "    alpha: fp64\n"
                                 "    recipe: bf16-state\n"
                                 "    exp_a: bf16\n"
                                 "    softplus: torch\n"
                                 "    beta: fp16\n"
                                 "    qk: tf32\n"
                                 "    state: e5m2\n"
                                 "    state_rounding: stochastic\n"
                                 "    output: e4m3\n";
    gdn_experiment *e = load(write_text(edited(good, "define:\n  - name: mine\n    base: bf16\n", define)));
    const gdn_profile fp32 = *profile(e, "fp32"), mine = *profile(e, "mine"),
                      wrapped = *profile(e, "wrapped"), twin = *profile(e, "twin"), odd = *profile(e, "odd");
    char x[512], y[512];
    gdn_profile_text(&fp32, x, sizeof x);
    gdn_profile_text(&mine, y, sizeof y);
    ck_assert_str_eq(x, y); /* nothing said: fp32 under another name */
    ck_assert_str_eq(wrapped.summary, "some words");
    ck_assert_str_eq(mine.summary, "defined in the experiment file");
    gdn_profile_text(&wrapped, x, sizeof x);
    ck_assert_str_eq(
        x, "A_log=fp32>bf16>fp32;dt_bias=bf16-pair;w=fp32;alpha=fp64;op=fp32;exp_a=fp32;softplus=exact;"
           "beta=fp32;qk=fp32;state=fp32;rounding=nearest;out=fp32;in=fp32");
    gdn_profile_text(&twin, x, sizeof x);
    ck_assert_str_eq(
        x, "A=fp32>bf16>fp32;dt_bias=bf16-pair;w-1=e4m3;alpha=fp16;op=fp32;exp_a=fp32;softplus=exact;"
           "beta=fp32;qk=fp32;state=fp32;rounding=nearest;out=fp32;in=fp32");
    gdn_profile_text(&odd, x, sizeof x);
    ck_assert_str_eq(
        x, "A_log=fp32>bf16>fp32;dt_bias=bf16-pair;w-1=e4m3;alpha=fp64;op=fp32;exp_a=bf16;softplus=torch;"
           "beta=fp16;qk=tf32;state=e5m2;rounding=stochastic;out=e4m3;in=bf16");
    GDN_CHECK(gdn_profile_decay(&wrapped, -3.3) == -3.296875, "A_log -3.3 rests as %a",
              gdn_profile_decay(&wrapped, -3.3));
    ck_assert_int_eq(gdn_experiment_profile(e, "bf17"), -1);
    gdn_experiment_free(e);
}
END_TEST

/* Every recipe overrides what the base brought; what is said beside it overrides the recipe. */
START_TEST(recipes_in_definitions)
{
    for (int i = 0; i < gdn_recipe_count; i++) {
        char define[128];
        snprintf(define, sizeof define, "recipe: %s\n    base: bf16\n    beta: tf32", gdn_recipes[i].name);
        gdn_experiment *e = load(write_text(edited(good, "base: bf16", define)));
        gdn_recipe want = gdn_recipes[i], got = profile(e, "mine")->recipe;
        want.beta = GDN_TF32;
        GDN_CHECK(got.op == want.op && got.exp_a == want.exp_a && got.softplus == want.softplus &&
                      got.beta == want.beta && got.qk == want.qk && got.state == want.state &&
                      got.state_rounding == want.state_rounding && got.output == want.output,
                  "recipe %s", want.name);
        gdn_experiment_free(e);
    }
}
END_TEST

/* The experiments of the house load, each under its own name, and ask for profiles that exist. */
START_TEST(house_experiments)
{
    glob_t g;
    ck_assert_int_eq(glob("experiments/*.yaml", 0, NULL, &g), 0);
    int known = 0;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        gdn_experiment *e = load(g.gl_pathv[i]);
        char path[256];
        snprintf(path, sizeof path, "experiments/%s.yaml", e->file->experiment);
        ck_assert_str_eq(path, g.gl_pathv[i]);
        known += strcmp(e->file->experiment, "quick") == 0 || strcmp(e->file->experiment, "golden") == 0;
        gdn_experiment_free(e);
    }
    globfree(&g);
    ck_assert_int_eq(known, 2);
}
END_TEST

/* ---- lines and near words ---- */

START_TEST(lines)
{
    static const struct {
        const char *path;
        int line;
        bool there;
    } cases[] = {
        {"experiment", 1, true},
        {"populations/0", 14, true},
        {"populations/0/rank", 17, true},
        {"populations/1", 20, true},
        {"populations/1/file/k", 24, true},
        {"lengths/1", 6, true},
        {"lengths/2", 6, false},
        {"populations/7/rank", 13, false},
        {"populations/0/file/k", 14, false},
        {"nothing", 1, false},
        {"experiment/deeper", 1, false},
        {"populations/1/recorded/0/o", 31, true},
        {"", 1, true},
    };
    gdn_yaml_tree *tree = gdn_yaml_tree_open(good);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GDN_CHECK(gdn_yaml_line(good, cases[i].path) == cases[i].line, "'%s' on line %d, not %d",
                  cases[i].path, gdn_yaml_line(good, cases[i].path), cases[i].line);
        GDN_CHECK(gdn_yaml_has(tree, cases[i].path) == cases[i].there, "'%s' there: %d", cases[i].path,
                  gdn_yaml_has(tree, cases[i].path));
    }
    gdn_yaml_tree_close(tree);
    ck_assert_ptr_null(gdn_yaml_tree_open("a: ["));
    ck_assert(!gdn_yaml_has(NULL, "a"));
    ck_assert_int_eq(gdn_yaml_line("", "experiment"), 0);
    ck_assert_int_eq(gdn_yaml_line("a: [", "a"), 0);
}
END_TEST

START_TEST(nearest)
{
    static const char *const words[] = {"isotropic", "low-rank", "repeated", "needle", "zipf"};
    static const struct {
        const char *word, *near;
    } cases[] = {{"needle", "needle"}, {"neddle", "needle"},  {"needl", "needle"}, {"lowrank", "low-rank"},
                 {"zpif", "zipf"},     {"wombat", NULL},      {"", NULL},          {"isotropc", "isotropic"},
                 {"NEEDLE", NULL},     {"xxxxxxxxxxxx", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = gdn_nearest(cases[i].word, words, 5);
        GDN_CHECK(got == cases[i].near || (got && cases[i].near && strcmp(got, cases[i].near) == 0),
                  "'%s' is near '%s'", cases[i].word, got ? got : "nothing");
    }
    char lengthy[200];
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = 0;
    GDN_CHECK(!gdn_nearest(lengthy, words, 5), "a long word is near something");
    GDN_CHECK(!gdn_nearest("needle", words, 0), "near one of no words");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bad_keys_and_words,
                                  bad_types,
                                  bad_numbers,
                                  bad_empties,
                                  bad_names,
                                  bad_profiles,
                                  bad_populations,
                                  enough_to_measure,
                                  bad_syntax,
                                  no_populations,
                                  too_many_lengths,
                                  last_message_counts,
                                  no_text,
                                  binary_file,
                                  no_file,
                                  hostile_yaml,
                                  random_edits,
                                  good_file,
                                  defaults,
                                  definitions,
                                  recipes_in_definitions,
                                  house_experiments,
                                  lines,
                                  nearest};
    if (!gdn_test_scratch(scratch, sizeof scratch, "experiment"))
        return EXIT_FAILURE;
    int status = gdn_test_run("experiment", tests, sizeof tests / sizeof tests[0]);
    gdn_test_remove(scratch);
    return status;
}
