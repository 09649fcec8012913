/* SPDX-License-Identifier: Apache-2.0 */
/* experiment -- the YAML schema, loading and validation; see experiment.h. */
#include "harness/experiment.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/plan.h"

const char *const gdn_init_names[GDN_INITS] = {"fla", "hf", "megatron", "ones"};

/* ---- schema ---- */

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define STRINGS(key, type, field)                                                                            \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | OPTIONAL, type, field, 1, 400)
#define STRING1(key, type, field) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, field, 1, 400)
#define NUMBER(key, type, field) CYAML_FIELD_FLOAT(key, OPTIONAL, type, field)
#define NUMBER_PTR(key, type, field) CYAML_FIELD_FLOAT_PTR(key, CYAML_FLAG_POINTER | OPTIONAL, type, field)
#define LIST(key, flags, type, field, entry)                                                                 \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | (flags), type, field, field##_count, entry, 1, 10000)
#define MAPPING(key, type, field, fields)                                                                    \
    CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | OPTIONAL, type, field, fields)
#define CHOICE(key, type, field, table)                                                                      \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT | OPTIONAL, type, field, table, sizeof table / sizeof table[0])
#define CHOICE_PTR(key, type, field, table)                                                                  \
    CYAML_FIELD_ENUM_PTR(key, CYAML_FLAG_STRICT | CYAML_FLAG_POINTER | OPTIONAL, type, field, table,         \
                         sizeof table / sizeof table[0])

static const cyaml_strval_t keys_table[] = {{"isotropic", GDN_KEYS_ISOTROPIC},
                                            {"low-rank", GDN_KEYS_LOW_RANK},
                                            {"repeated", GDN_KEYS_REPEATED},
                                            {"needle", GDN_KEYS_NEEDLE},
                                            {"zipf", GDN_KEYS_ZIPF}};
static const cyaml_strval_t values_table[] = {{"random", GDN_VALUES_RANDOM},
                                              {"coherent", GDN_VALUES_COHERENT}};
static const cyaml_strval_t init_table[] = {
    {"fla", GDN_INIT_FLA}, {"hf", GDN_INIT_HF}, {"megatron", GDN_INIT_MEGATRON}, {"ones", GDN_INIT_ONES}};
static const cyaml_strval_t quantity_table[] = {
    {"g", GDN_Q_G}, {"decay", GDN_Q_DECAY}, {"state", GDN_Q_STATE}, {"o", GDN_Q_O}, {"y", GDN_Q_Y}};
static const cyaml_strval_t softplus_table[] = {
    {"exact", GDN_SOFTPLUS_EXACT}, {"torch", GDN_SOFTPLUS_TORCH}, {"log-exp", GDN_SOFTPLUS_LOG_EXP}};
static const cyaml_strval_t rounding_table[] = {{"nearest", GDN_NEAREST}, {"stochastic", GDN_STOCHASTIC}};
static const cyaml_strval_t math_table[] = {
    {"portable", GDN_MATH_PORTABLE}, {"cuda", GDN_MATH_CUDA}, {"approx", GDN_MATH_APPROX}};
static const cyaml_strval_t l2norm_table[] = {{"sum-eps", GDN_L2_SUM_EPS},
                                              {"max-eps", GDN_L2_MAX_EPS},
                                              {"mean-eps", GDN_L2_MEAN_EPS},
                                              {"none", GDN_L2_NONE}};
static const cyaml_strval_t carrier_table[] = {{"g", GDN_CARRIER_G}, {"alpha-log2", GDN_CARRIER_ALPHA}};
static const cyaml_strval_t bool_table[] = {{"false", false}, {"true", true}};
static const cyaml_strval_t rung_table[] = {{"fp64", GDN_LADDER_FP64}, {"mpfr", GDN_LADDER_MPFR}};
static const cyaml_strval_t format_table[] = {{"fp32", GDN_FP32}, {"tf32", GDN_TF32}, {"fp16", GDN_FP16},
                                              {"bf16", GDN_BF16}, {"e4m3", GDN_E4M3}, {"e5m2", GDN_E5M2}};

static const cyaml_schema_value_t number = {CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double)};
static const cyaml_schema_value_t string = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 400)};
static const cyaml_schema_value_t quantity = {CYAML_VALUE_ENUM(
    CYAML_FLAG_STRICT, gdn_quantity, quantity_table, sizeof quantity_table / sizeof quantity_table[0])};

static const cyaml_schema_field_t draw_fields[] = {
    LIST("uniform", OPTIONAL, gdn_draw, uniform, &number),
    CHOICE_PTR("init", gdn_draw, init, init_table),
    LIST("values", OPTIONAL, gdn_draw, values, &number),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t projection_fields[] = {
    STRING1("input", gdn_projection, input),
    STRING1("weight", gdn_projection, weight),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t file_fields[] = {
    STRING1("path", gdn_file_spec, path),
    STRINGS("q", gdn_file_spec, q),
    STRINGS("k", gdn_file_spec, k),
    STRINGS("v", gdn_file_spec, v),
    STRINGS("a", gdn_file_spec, a),
    MAPPING("project_a", gdn_file_spec, project_a, projection_fields),
    STRINGS("g", gdn_file_spec, g),
    STRINGS("b", gdn_file_spec, b),
    STRINGS("beta", gdn_file_spec, beta),
    STRINGS("a_log", gdn_file_spec, a_log),
    STRINGS("dt_bias", gdn_file_spec, dt_bias),
    STRINGS("norm_weight", gdn_file_spec, norm_weight),
    STRINGS("z", gdn_file_spec, z),
    STRINGS("initial_state", gdn_file_spec, initial_state),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t recorded_fields[] = {
    STRING1("name", gdn_recorded_spec, name),
    STRINGS("g", gdn_recorded_spec, g),
    STRINGS("o", gdn_recorded_spec, o),
    STRINGS("state", gdn_recorded_spec, state),
    STRINGS("y", gdn_recorded_spec, y),
    CHOICE("output", gdn_recorded_spec, output, format_table),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t recorded_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_recorded_spec, recorded_fields)};
static const cyaml_schema_field_t population_fields[] = {
    STRING1("name", gdn_population, name),
    NUMBER("heads", gdn_population, heads),
    CHOICE("keys", gdn_population, keys, keys_table),
    NUMBER("rank", gdn_population, rank),
    NUMBER("zipf_exponent", gdn_population, zipf_exponent),
    CHOICE("values", gdn_population, values, values_table),
    NUMBER_PTR("a_mean", gdn_population, a_mean),
    NUMBER_PTR("a_scale", gdn_population, a_scale),
    NUMBER_PTR("b_mean", gdn_population, b_mean),
    NUMBER_PTR("b_scale", gdn_population, b_scale),
    NUMBER("group", gdn_population, group),
    NUMBER("beta_factor", gdn_population, beta_factor),
    NUMBER("initial_scale", gdn_population, initial_scale),
    LIST("sequences", OPTIONAL, gdn_population, sequences, &number),
    MAPPING("a_log", gdn_population, a_log, draw_fields),
    MAPPING("dt_bias", gdn_population, dt_bias, draw_fields),
    MAPPING("norm_weight", gdn_population, norm_weight, draw_fields),
    MAPPING("file", gdn_population, file, file_fields),
    LIST("recorded", OPTIONAL, gdn_population, recorded, &recorded_entry),
    LIST("profiles", OPTIONAL, gdn_population, profiles, &string),
    LIST("quantities", OPTIONAL, gdn_population, quantities, &quantity),
    LIST("lengths", OPTIONAL, gdn_population, lengths, &number),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t define_fields[] = {
    STRING1("name", gdn_define, name),
    STRINGS("summary", gdn_define, summary),
    STRINGS("base", gdn_define, base),
    CHOICE_PTR("store_a", gdn_define, store_a, bool_table),
    CHOICE_PTR("zero_centred", gdn_define, zero_centred, bool_table),
    LIST("a_log", OPTIONAL, gdn_define, a_log, &string),
    LIST("dt_bias", OPTIONAL, gdn_define, dt_bias, &string),
    LIST("norm_weight", OPTIONAL, gdn_define, norm_weight, &string),
    STRINGS("alpha", gdn_define, alpha),
    STRINGS("recipe", gdn_define, recipe),
    STRINGS("exp_a", gdn_define, exp_a),
    STRINGS("beta", gdn_define, beta),
    STRINGS("qk", gdn_define, qk),
    STRINGS("state", gdn_define, state),
    STRINGS("output", gdn_define, output),
    STRINGS("input", gdn_define, input),
    STRINGS("product", gdn_define, product),
    STRINGS("norm_in", gdn_define, norm_in),
    STRINGS("norm_hat", gdn_define, norm_hat),
    STRINGS("norm_out", gdn_define, norm_out),
    STRINGS("inverse", gdn_define, inverse),
    NUMBER_PTR("prefill", gdn_define, prefill),
    CHOICE_PTR("l2norm", gdn_define, l2norm, l2norm_table),
    CHOICE_PTR("carrier", gdn_define, carrier, carrier_table),
    CHOICE_PTR("softplus", gdn_define, softplus, softplus_table),
    CHOICE_PTR("state_rounding", gdn_define, state_rounding, rounding_table),
    CHOICE_PTR("math", gdn_define, math, math_table),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t reference_fields[] = {
    CHOICE("rung", gdn_reference_spec, rung, rung_table),
    NUMBER("precision", gdn_reference_spec, precision),
    NUMBER("check_precision", gdn_reference_spec, check_precision),
    NUMBER("check_columns", gdn_reference_spec, check_columns),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t budget_fields[] = {
    STRINGS("base", gdn_budget_spec, base),
    STRINGS("format", gdn_budget_spec, format),
    LIST("members", REQUIRED, gdn_budget_spec, members, &string),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t probe_fields[] = {
    STRING1("name", gdn_probe_spec, name),
    STRINGS("file", gdn_probe_spec, file),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t probe_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_probe_spec, probe_fields)};
static const cyaml_schema_value_t define_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_define, define_fields)};
static const cyaml_schema_value_t population_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_population, population_fields)};
static const cyaml_schema_field_t top_fields[] = {
    STRING1("experiment", gdn_experiment_file, experiment),
    STRING1("question", gdn_experiment_file, question),
    NUMBER("seeds", gdn_experiment_file, seeds),
    NUMBER("dk", gdn_experiment_file, dk),
    NUMBER("dv", gdn_experiment_file, dv),
    LIST("lengths", OPTIONAL, gdn_experiment_file, lengths, &number),
    LIST("quantities", OPTIONAL, gdn_experiment_file, quantities, &quantity),
    LIST("profiles", OPTIONAL, gdn_experiment_file, profiles, &string),
    LIST("define", OPTIONAL, gdn_experiment_file, define, &define_entry),
    LIST("populations", OPTIONAL, gdn_experiment_file, populations, &population_entry),
    MAPPING("budget", gdn_experiment_file, budget, budget_fields),
    LIST("probes", OPTIONAL, gdn_experiment_file, probes, &probe_entry),
    MAPPING("reference", gdn_experiment_file, reference, reference_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, gdn_experiment_file, top_fields)};

/* ---- complaints ---- */

typedef struct checker {
    const gdn_experiment *e;
    gdn_error *err;
    char path[160]; /* of the field under inspection */
} checker;

/* Fail at the field `path` (printf-style, as gdn_yaml_line wants it) with a sentence. */
__attribute__((format(printf, 3, 4))) static gdn_status bad(checker *c, const char *path, const char *format,
                                                            ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return gdn_fail(c->err, GDN_BAD_INPUT, "%s:%d: %s%s%s", c->e->path, gdn_yaml_line(c->e->text, path), path,
                    *path ? ": " : "", sentence);
}

static const char *at(checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *at(checker *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->path, sizeof c->path, format, args);
    va_end(args);
    return c->path;
}

/* ---- what libcyaml says, as one sentence ---- */

enum { DEPTH = 12, WORDS = 64 };

/* Its last message, and the path that its backtrace spells, innermost part first. */
typedef struct complaint {
    char text[256];
    char part[DEPTH][80];
    int parts;
} complaint;

static void listen(cyaml_log_t level, void *context, const char *format, va_list args)
{
    complaint *c = context;
    char line[256];
    unsigned entry;
    (void)level;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "Load: ", 6) == 0 && strcmp(line, "Load: Backtrace:") != 0) {
        snprintf(c->text, sizeof c->text, "%s", line + 6);
        c->parts = 0;
    } else if (c->parts < DEPTH) {
        if (sscanf(line, " in mapping field '%79[^']'", c->part[c->parts]) == 1)
            c->parts++;
        else if (sscanf(line, " in sequence entry '%u'", &entry) == 1 && entry > 0)
            snprintf(c->part[c->parts++], sizeof c->part[0], "%u", entry - 1);
    }
}

static const cyaml_config_t *config(complaint *c)
{
    static _Thread_local cyaml_config_t cfg;
    cfg =
        (cyaml_config_t){.log_fn = listen, .log_ctx = c, .log_level = CYAML_LOG_WARNING, .mem_fn = cyaml_mem};
    return &cfg;
}

/* The rest of `text` after a beginning, or NULL. */
static const char *after(const char *text, const char *beginning)
{
    size_t n = strlen(beginning);
    return strncmp(text, beginning, n) == 0 ? text + n : NULL;
}

/* What the schema has at a part of `v`: a field, or an entry of a list. */
static const cyaml_schema_value_t *step(const cyaml_schema_value_t *v, const char *part)
{
    if (v && v->type == CYAML_SEQUENCE)
        return v->sequence.entry;
    for (const cyaml_schema_field_t *f = v && v->type == CYAML_MAPPING ? v->mapping.fields : NULL;
         f && f->key; f++)
        if (strcmp(f->key, part) == 0)
            return &f->value;
    return NULL;
}

/* "(did you mean 'near'?); allowed: a b c" for the keys of a mapping or the words of an enumeration. */
static void allowed_words(const cyaml_schema_value_t *v, const char *word, char *out, size_t size)
{
    const char *names[WORDS] = {NULL}, *near;
    int words = 0;
    if (v && v->type == CYAML_MAPPING)
        for (const cyaml_schema_field_t *f = v->mapping.fields; f->key && words < WORDS; f++)
            names[words++] = f->key;
    if (v && v->type == CYAML_ENUM)
        for (uint32_t i = 0; i < v->enumeration.count && words < WORDS; i++)
            names[words++] = v->enumeration.strings[i].str;
    near = gdn_nearest(word, names, words);
    size_t n = near ? (size_t)snprintf(out, size, " (did you mean '%s'?)", near) : 0;
    n += (size_t)snprintf(out + n, size - n, "; allowed:");
    for (int i = 0; i < words && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, " %s", names[i]);
}

/* A type or an event of libcyaml in words. */
static const char *thing(const char *word)
{
    static const char *const words[][2] = {{"FLOAT", "a number"},    {"STRING", "a text"},
                                           {"ENUM", "a word"},       {"SEQUENCE_START", "a list"},
                                           {"SEQUENCE", "a list"},   {"MAPPING_START", "a mapping"},
                                           {"MAPPING", "a mapping"}, {"SCALAR", "a single value"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (after(word, words[i][0]))
            return words[i][1];
    return "something else";
}

static gdn_status complain(checker *c, const complaint *said)
{
    const char *text = said->text, *word, *key = after(text, "Unexpected key: "),
               *seen = after(text, "Mapping field already seen: "),
               *lacks = after(text, "Missing required mapping field: "), *got = strstr(text, ", got event: ");
    const cyaml_schema_value_t *v = &top;
    char path[sizeof c->path] = "", extra[400];
    size_t n = 0;
    /* of a mapping that lacks a key, or has it twice, the backtrace names the last field read */
    for (int i = said->parts - 1; i >= (seen || lacks ? 1 : 0) && n < sizeof path; i--) {
        n += (size_t)snprintf(path + n, sizeof path - n, "%s%s", n ? "/" : "", said->part[i]);
        v = step(v, said->part[i]);
    }
    if ((key || seen) && n < sizeof path)
        snprintf(path + n, sizeof path - n, "%s%.80s", n ? "/" : "", key ? key : seen);
    if (key) {
        allowed_words(v, key, extra, sizeof extra);
        return bad(c, path, "unknown key%s", extra);
    }
    if (seen)
        return bad(c, path, "the key is there twice");
    if (lacks)
        return bad(c, path, "the key '%s' is missing", lacks);
    if ((word = after(text, "Invalid ENUM value: "))) {
        allowed_words(v, word, extra, sizeof extra);
        return bad(c, path, "'%s' is not allowed%s", word, extra);
    }
    if ((word = after(text, "Invalid FLOAT value: ")))
        return bad(c, path, "'%s' is not a number; a finite number is allowed", word);
    if ((word = after(text, "Expecting ")) && got)
        return bad(c, path, "%s is not allowed; %s is", thing(got + strlen(", got event: ")), thing(word));
    if (after(text, "Insufficient entries"))
        return bad(c, path, "the list is empty; at least one entry is wanted");
    if (after(text, "STRING length <"))
        return bad(c, path, "the text is empty; at least one character is wanted");
    return bad(c, path, "%s", text);
}

/* libcyaml takes "16 bits" for 16: a number must be one to its end. */
static int number_to_its_end(void *context, const char *path, const char *scalar)
{
    checker *c = context;
    const cyaml_schema_value_t *v = &top;
    char rest[256], *save = NULL, *end;
    snprintf(rest, sizeof rest, "%s", path);
    for (char *part = strtok_r(rest, "/", &save); part; part = strtok_r(NULL, "/", &save))
        v = step(v, part);
    if (!v || v->type != CYAML_FLOAT)
        return 0;
    strtod(scalar, &end);
    if (end != scalar && *end == 0)
        return 0;
    bad(c, path, "'%s' is not a number; a finite number is allowed", scalar);
    return 1;
}

static gdn_status numbers_ok(const gdn_experiment *e, gdn_error *err)
{
    checker c = {.e = e, .err = err};
    err->text[0] = 0;
    gdn_yaml_scalars(e->text, number_to_its_end, &c);
    return err->text[0] ? GDN_BAD_INPUT : GDN_OK;
}

/* ---- validation ---- */

static gdn_status whole(checker *c, const char *path, double x, double lo, double hi)
{
    if (!(x >= lo && x <= hi && x == floor(x)))
        return bad(c, path, "%.15g is not allowed; a whole number from %.0f to %.0f is", x, lo, hi);
    return GDN_OK;
}

static gdn_status bounded(checker *c, const char *path, const double *x, unsigned n, double limit)
{
    for (unsigned i = 0; i < n; i++)
        if (!(fabs(x[i]) <= limit))
            return bad(c, path, "%g is not allowed; a finite number of size at most %g is", x[i], limit);
    return GDN_OK;
}

static gdn_status name_ok(checker *c, const char *path, const char *name)
{
    if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-") != strlen(name) ||
        strlen(name) > 80 || name[0] == '.' || name[0] == '-')
        return bad(c, path, "'%.100s' is no name; up to 80 letters, digits, '_', '.', '+' and '-' are", name);
    return GDN_OK;
}

/* One of the links first .. end - 1. */
static gdn_status format_id(checker *c, const char *path, const char *word, int first, int end, int *out)
{
    char all[160] = "";
    for (int i = first; i < end; i++) {
        if (strcmp(word, gdn_link_names[i]) == 0) {
            *out = i;
            return GDN_OK;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, " %s", gdn_link_names[i]);
    }
    return bad(c, path, "'%s' is not a format; allowed:%s", word, all);
}

static gdn_status chain(checker *c, const char *path, char **words, unsigned n, gdn_chain *out)
{
    if (n > GDN_CHAIN_MAX)
        return bad(c, path, "a chain of %u formats; at most %d are allowed", n, GDN_CHAIN_MAX);
    gdn_status status = GDN_OK;
    for (unsigned i = 0; i < n && !status; i++)
        status = format_id(c, path, words[i], GDN_FP64, GDN_LINKS, &out->link[i]);
    if (n)
        out->n = (int)n;
    return status;
}

/* What the chunked form cannot do. */
static gdn_status chunked_ok(checker *c, unsigned i, const gdn_recipe *r)
{
    if (r->state_rounding != GDN_NEAREST && r->algorithm == GDN_CHUNKED)
        return bad(c, at(c, "define/%u/state_rounding", i), "the chunked form rounds its state to nearest");
    if (r->product != GDN_FP32 && r->product != GDN_TF32 && r->product != GDN_BF16)
        return bad(c, at(c, "define/%u/product", i), "fp32, tf32 and bf16 products exist, not %s",
                   gdn_formats[r->product].name);
    if (r->inverse == GDN_E4M3 || r->inverse == GDN_E5M2)
        return bad(c, at(c, "define/%u/inverse", i), "fp32, tf32, fp16 and bf16 inverses exist, not %s",
                   gdn_formats[r->inverse].name);
    return GDN_OK;
}

static gdn_status define(checker *c, unsigned i, gdn_profile *p)
{
    const gdn_define *d = &c->e->file->define[i];
    gdn_status status = name_ok(c, at(c, "define/%u/name", i), d->name);
    if (status)
        return status;
    if (gdn_experiment_profile(c->e, d->name) >= 0)
        return bad(c, at(c, "define/%u/name", i), "the profile '%s' exists already", d->name);
    int base = gdn_experiment_profile(c->e, d->base ? d->base : "fp32");
    if (base < 0)
        return bad(c, at(c, "define/%u/base", i), "'%s' is not a profile; `gdnprec list profiles` shows them",
                   d->base);
    *p = c->e->profiles[base];
    p->name = d->name;
    p->summary = d->summary ? d->summary : "defined in the experiment file";
    p->store_a = d->store_a ? *d->store_a : p->store_a;
    p->zero_centred = d->zero_centred ? *d->zero_centred : p->zero_centred;
    if (d->recipe) {
        const gdn_recipe *r = gdn_recipe_by_name(d->recipe);
        if (!r)
            return bad(c, at(c, "define/%u/recipe", i),
                       "'%s' is not a recipe; `gdnprec list recipes` shows them", d->recipe);
        p->recipe = *r;
    }
    if ((status = chain(c, at(c, "define/%u/a_log", i), d->a_log, d->a_log_count, &p->a_log)) ||
        (status = chain(c, at(c, "define/%u/dt_bias", i), d->dt_bias, d->dt_bias_count, &p->dt_bias)) ||
        (status = chain(c, at(c, "define/%u/norm_weight", i), d->norm_weight, d->norm_weight_count,
                        &p->norm_weight)))
        return status;
    const struct {
        const char *key, *word;
        gdn_format_id *out;
    } formats[] = {{"alpha", d->alpha, &p->alpha},
                   {"exp_a", d->exp_a, &p->recipe.exp_a},
                   {"beta", d->beta, &p->recipe.beta},
                   {"qk", d->qk, &p->recipe.qk},
                   {"state", d->state, &p->recipe.state},
                   {"output", d->output, &p->recipe.output},
                   {"input", d->input, &p->recipe.input},
                   {"product", d->product, &p->recipe.product},
                   {"norm_in", d->norm_in, &p->recipe.norm_in},
                   {"norm_hat", d->norm_hat, &p->recipe.norm_hat},
                   {"norm_out", d->norm_out, &p->recipe.norm_out},
                   {"inverse", d->inverse, &p->recipe.inverse}};
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        bool alpha = formats[f].out == &p->alpha;
        int id = 0;
        if (!formats[f].word)
            continue;
        at(c, "define/%u/%s", i, formats[f].key);
        if (!alpha && strcmp(formats[f].word, "fp64") == 0)
            return bad(c, c->path,
                       "fp64 is wider than the fp32 arithmetic under test; a narrower format is allowed");
        status = format_id(c, c->path, formats[f].word, alpha ? GDN_FP64 : GDN_FP32, GDN_FORMATS, &id);
        if (status)
            return status;
        *formats[f].out = (gdn_format_id)id;
    }
    if (d->softplus)
        p->recipe.softplus = *d->softplus;
    if (d->state_rounding)
        p->recipe.state_rounding = *d->state_rounding;
    if (d->math)
        p->recipe.math = *d->math;
    if (d->l2norm)
        p->recipe.l2norm = *d->l2norm;
    if (d->carrier)
        p->recipe.carrier = *d->carrier;
    if (d->prefill) {
        if ((status = whole(c, at(c, "define/%u/prefill", i), *d->prefill, 1, GDN_MAX_LENGTH)))
            return status;
        if (p->recipe.algorithm == GDN_RECURRENT)
            return bad(c, at(c, "define/%u/prefill", i),
                       "%s is recurrent from the first token; a chunked recipe "
                       "can be followed by decoding",
                       p->recipe.name);
        p->recipe.algorithm = GDN_PREFILL_DECODE;
        p->recipe.prefill = (int64_t)*d->prefill;
    }
    if (p->recipe.algorithm != GDN_RECURRENT)
        return chunked_ok(c, i, &p->recipe);
    return d->product || d->inverse
               ? bad(c, at(c, "define/%u/%s", i, d->product ? "product" : "inverse"),
                     "only chunked recipes have matrix products and an inverse; %s is recurrent",
                     p->recipe.name)
               : GDN_OK;
}

static gdn_status known_profiles(checker *c, const char *where, char **names, unsigned n)
{
    const char *all[512];
    for (int i = 0; i < c->e->profile_count && i < 512; i++)
        all[i] = c->e->profiles[i].name;
    for (unsigned i = 0; i < n; i++) {
        char path[160];
        snprintf(path, sizeof path, "%sprofiles/%u", where, i);
        if (gdn_experiment_profile(c->e, names[i]) < 0) {
            const char *near =
                gdn_nearest(names[i], all, c->e->profile_count < 512 ? c->e->profile_count : 512);
            return bad(c, path, "'%s' is not a profile%s%s%s; `gdnprec list profiles` shows them", names[i],
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        }
        for (unsigned j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return bad(c, path, "the profile '%s' is named twice", names[i]);
    }
    return GDN_OK;
}

static gdn_status lengths_ok(checker *c, const char *where, const double *x, unsigned n)
{
    char path[160];
    gdn_status status = GDN_OK;
    snprintf(path, sizeof path, "%slengths", where);
    if (n > GDN_PLAN_LENGTHS)
        return bad(c, path, "%u lengths; at most %d are allowed", n, GDN_PLAN_LENGTHS);
    for (unsigned i = 0; i < n && !status; i++) {
        snprintf(path, sizeof path, "%slengths/%u", where, i);
        status = whole(c, path, x[i], 1, GDN_MAX_LENGTH);
        if (!status && i && x[i] <= x[i - 1])
            status = bad(c, path, "%g after %g; lengths must increase", x[i], x[i - 1]);
    }
    return status;
}

static gdn_status draw_ok(checker *c, unsigned i, const char *key, const gdn_draw *d)
{
    const char *path = at(c, "populations/%u/%s", i, key);
    bool log = strcmp(key, "a_log") == 0, bias = strcmp(key, "dt_bias") == 0;
    if (!d)
        return GDN_OK;
    if ((d->uniform != NULL) + (d->init != NULL) + (d->values != NULL) != 1)
        return bad(c, path, "exactly one of uniform, init, values is wanted");
    gdn_status status = bounded(c, path, d->values, d->values_count, log ? 80 : 3e38);
    if (!status)
        status = bounded(c, path, d->uniform, d->uniform_count, log ? 80 : 3e38);
    if (!status && d->uniform && (d->uniform_count != 2 || !(d->uniform[0] < d->uniform[1])))
        status = bad(c, path, "uniform wants [lo, hi] with lo < hi");
    if (!status && d->init) {
        bool fits = log    ? *d->init != GDN_INIT_ONES
                    : bias ? *d->init == GDN_INIT_FLA || *d->init == GDN_INIT_ONES
                           : *d->init == GDN_INIT_ONES;
        if (!fits)
            status = bad(c, path, "init %s is not defined for it; allowed: %s", gdn_init_names[*d->init],
                         log    ? "fla hf megatron"
                         : bias ? "fla ones"
                                : "ones");
    }
    return status;
}

static gdn_status recorded_ok(checker *c, unsigned i, const gdn_population *p)
{
    gdn_status status = GDN_OK;
    for (unsigned j = 0; j < p->recorded_count && !status; j++) {
        const gdn_recorded_spec *r = &p->recorded[j];
        const char *path = at(c, "populations/%u/recorded/%u/name", i, j);
        status = name_ok(c, path, r->name);
        for (unsigned k = 0; k < j && !status; k++)
            if (strcmp(r->name, p->recorded[k].name) == 0)
                status = bad(c, path, "'%s' is recorded already", r->name);
        if (!status && !r->g && !r->o && !r->state && !r->y)
            status = bad(c, path, "'%s' names no tensor; at least one of g, o, state, y is wanted", r->name);
    }
    return status;
}

static gdn_status file_ok(checker *c, unsigned i, const gdn_population *p)
{
    const gdn_file_spec *f = p->file;
    const char *path = at(c, "populations/%u/file", i);
    if (!f->q || !f->k || !f->v)
        return bad(c, path, "q, k and v must name tensors");
    if ((f->a != NULL) + (f->g != NULL) + (f->project_a != NULL) != 1)
        return bad(c, path, "exactly one of a, project_a, g is wanted");
    if ((f->b != NULL) + (f->beta != NULL) != 1)
        return bad(c, path, "exactly one of b, beta is wanted");
    if (!f->g && (!f->a_log || !f->dt_bias))
        return bad(c, path, "a_log and dt_bias must name tensors unless g is given");
    if (f->g && (f->a_log || f->dt_bias))
        return bad(c, path, "a_log and dt_bias make g; where g is given they are not allowed");
    if (p->a_log || p->dt_bias || p->norm_weight || p->heads != 0 || p->lengths)
        return bad(c, path, "a population read from a file takes heads, lengths and parameters from it");
    if (p->rank != 0 || p->zipf_exponent != 0 || p->a_mean || p->a_scale || p->b_mean || p->b_scale)
        return bad(c, path,
                   "a population read from a file draws no inputs; rank, exponent, means and scales "
                   "are not allowed");
    return recorded_ok(c, i, p);
}

static gdn_status population_ok(checker *c, unsigned i)
{
    gdn_population *p = &c->e->file->populations[i];
    char where[64];
    snprintf(where, sizeof where, "populations/%u/", i);
    gdn_status status = name_ok(c, at(c, "populations/%u/name", i), p->name);
    for (unsigned j = 0; j < i && !status; j++)
        if (strcmp(p->name, c->e->file->populations[j].name) == 0)
            status = bad(c, at(c, "populations/%u/name", i), "the population '%s' exists already", p->name);
    if (status || (status = known_profiles(c, where, p->profiles, p->profiles_count)) ||
        (status = lengths_ok(c, where, p->lengths, p->lengths_count)) ||
        (status = draw_ok(c, i, "a_log", p->a_log)) || (status = draw_ok(c, i, "dt_bias", p->dt_bias)) ||
        (status = draw_ok(c, i, "norm_weight", p->norm_weight)))
        return status;
    if (p->file)
        return file_ok(c, i, p);
    if (p->recorded)
        return bad(c, at(c, "populations/%u/recorded", i), "recorded outputs need a file");
    if (!p->a_log || !p->dt_bias)
        return bad(c, at(c, "populations/%u", i),
                   "a_log and dt_bias are wanted, each as uniform, init or values");
    if (!p->lengths && !c->e->file->lengths)
        return bad(c, at(c, "populations/%u", i), "no lengths, neither here nor for the experiment");
    if ((status = whole(c, at(c, "populations/%u/heads", i), p->heads, 1, GDN_MAX_HEADS)))
        return status;
    if (p->keys == GDN_KEYS_LOW_RANK)
        status = whole(c, at(c, "populations/%u/rank", i), p->rank, 1, c->e->file->dk);
    else if (p->rank != 0)
        status = bad(c, at(c, "populations/%u/rank", i), "only low-rank keys have a rank");
    if (!status && p->keys == GDN_KEYS_ZIPF &&
        !(p->zipf_exponent > 0 && p->zipf_exponent <= 8 &&
          2 * p->zipf_exponent == floor(2 * p->zipf_exponent)))
        status = bad(c, at(c, "populations/%u/zipf_exponent", i), "%g is not allowed; 0.5, 1, 1.5 .. 8 are",
                     p->zipf_exponent);
    else if (!status && p->keys != GDN_KEYS_ZIPF && p->zipf_exponent != 0)
        status = bad(c, at(c, "populations/%u/zipf_exponent", i), "only zipf keys have an exponent");
    const double *scales[] = {p->a_mean, p->a_scale, p->b_mean, p->b_scale};
    static const char *const names[] = {"a_mean", "a_scale", "b_mean", "b_scale"};
    for (int s = 0; s < 4 && !status; s++)
        if (scales[s])
            status = bounded(c, at(c, "populations/%u/%s", i, names[s]), scales[s], 1, 1e4);
    return status;
}

/* A number that the file does not give. */
static void otherwise(const gdn_experiment *e, const char *path, double *x, double value)
{
    if (*x == 0 && !gdn_yaml_has(e->text, path))
        *x = value;
}

static gdn_status validate(gdn_experiment *e, gdn_error *err)
{
    gdn_experiment_file *f = e->file;
    checker c = {.e = e, .err = err};
    gdn_reference_spec none = {0}, *r = f->reference ? f->reference : &none;
    otherwise(e, "seeds", &f->seeds, 1);
    otherwise(e, "dk", &f->dk, 128);
    otherwise(e, "dv", &f->dv, 128);
    otherwise(e, "reference/precision", &r->precision, 113);
    otherwise(e, "reference/check_precision", &r->check_precision, r->precision + 47);
    otherwise(e, "reference/check_columns", &r->check_columns, GDN_CHECK_COLUMNS);
    gdn_status status;
    if ((status = name_ok(&c, "experiment", f->experiment)) ||
        (status = whole(&c, "seeds", f->seeds, 1, 100000)) ||
        (status = whole(&c, "dk", f->dk, 1, GDN_MAX_DIM)) ||
        (status = whole(&c, "dv", f->dv, 1, GDN_MAX_DIM)) ||
        (status = whole(&c, "reference/precision", r->precision, 80, 2000)) ||
        (status = whole(&c, "reference/check_precision", r->check_precision, r->precision + 47, 4000)) ||
        (status = whole(&c, "reference/check_columns", r->check_columns, 1, GDN_MAX_DIM)) ||
        (status = lengths_ok(&c, "", f->lengths, f->lengths_count)))
        return status;
    e->ladder = r->rung;
    e->precision = (int)r->precision;
    e->check_precision = (int)r->check_precision;
    e->check_columns = (int)r->check_columns;
    for (unsigned i = 0; i < f->define_count; i++) {
        if ((status = define(&c, i, &e->profiles[e->profile_count])))
            return status;
        e->profile_count++;
    }
    if ((status = known_profiles(&c, "", f->profiles, f->profiles_count)))
        return status;
    for (unsigned i = 0; i < f->populations_count; i++)
        if ((status = population_ok(&c, i)))
            return status;
    return GDN_OK;
}

/* ---- loading ---- */

static gdn_status read_text(const char *path, char **text, gdn_error *err)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: cannot open the experiment file: %s", path, strerror(errno));
    gdn_status status = GDN_OK;
    if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode) || st.st_size > 1 << 20)
        status = gdn_fail(err, GDN_BAD_INPUT,
                          "%s: not an experiment file (a regular file of at most 1 MiB is)", path);
    size_t size = status ? 0 : (size_t)st.st_size;
    *text = status ? NULL : calloc(size + 1, 1);
    if (!status && !*text)
        status = gdn_no_memory(err, path);
    if (!status && fread(*text, 1, size, f) != size)
        status = gdn_fail(err, GDN_MACHINE, "%s: cannot read: %s", path, strerror(errno));
    if (!status && strlen(*text) != size)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: a NUL byte at offset %zu; YAML text is expected", path,
                          strlen(*text));
    fclose(f);
    return status;
}

/* Is the text one YAML document? */
static gdn_status syntax(const char *path, const char *text, gdn_error *err)
{
    char problem[256];
    int line = gdn_yaml_problem(text, problem, sizeof problem);
    return line ? gdn_fail(err, GDN_BAD_INPUT, "%s:%d: not YAML: %s", path, line, problem) : GDN_OK;
}

gdn_status gdn_experiment_load(const char *path, gdn_experiment **out, gdn_error *err)
{
    *out = NULL;
    complaint c = {.text = ""};
    gdn_experiment *e = gdn_calloc(1, sizeof *e);
    gdn_status status = e ? GDN_OK : gdn_no_memory(err, "an experiment");
    if (!status)
        status = read_text(path, &e->text, err);
    if (!status && !(e->path = strdup(path)))
        status = gdn_no_memory(err, "an experiment");
    if (!status)
        status = syntax(path, e->text, err);
    if (!status && cyaml_load_data((const uint8_t *)e->text, strlen(e->text), config(&c), &top,
                                   (cyaml_data_t **)&e->file, NULL) != CYAML_OK)
        status = c.text[0] ? complain(&(checker){.e = e, .err = err}, &c)
                           : gdn_fail(err, GDN_BAD_INPUT, "%s: no experiment in it; it is empty", path);
    if (!status && !e->file)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: no experiment in it; it is empty", path);
    if (!status)
        status = numbers_ok(e, err);
    if (!status &&
        !(e->profiles = gdn_calloc((size_t)gdn_profile_count + e->file->define_count, sizeof *e->profiles)))
        status = gdn_no_memory(err, "profiles");
    if (!status) {
        for (; e->profile_count < gdn_profile_count; e->profile_count++)
            e->profiles[e->profile_count] = gdn_profile_builtin(e->profile_count);
        status = validate(e, err);
    }
    if (status)
        gdn_experiment_free(e);
    else
        *out = e;
    return status;
}

void gdn_experiment_free(gdn_experiment *e)
{
    complaint c;
    if (!e)
        return;
    if (e->file)
        cyaml_free(config(&c), &top, e->file, 0);
    free(e->profiles);
    free(e->path);
    free(e->text);
    free(e);
}

int gdn_experiment_profile(const gdn_experiment *e, const char *name)
{
    for (int i = 0; i < e->profile_count; i++)
        if (strcmp(e->profiles[i].name, name) == 0)
            return i;
    return -1;
}
