/* SPDX-License-Identifier: Apache-2.0 */
/* experiment_schema -- keys and words of the experiment file; see experiment_parts.h. */
#include "harness/experiment_parts.h"

const char *const gdn_init_names[GDN_INITS] = {"fla", "hf",       "megatron", "ones",
                                               "tau", "fla-bf16", "hf-bf16",  "megatron-bf16"};
const char *const gdn_layout_names[GDN_LAYOUTS] = {"bthd", "bhtd"};
const char *const gdn_state_layout_names[GDN_STATE_LAYOUTS] = {"kv", "vk"};

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
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT | OPTIONAL, type, field, table,                                  \
                     sizeof(table) / sizeof((table)[0]))
#define CHOICE_PTR(key, type, field, table)                                                                  \
    CYAML_FIELD_ENUM_PTR(key, CYAML_FLAG_STRICT | CYAML_FLAG_POINTER | OPTIONAL, type, field, table,         \
                         sizeof(table) / sizeof((table)[0]))

static const cyaml_strval_t keys_table[] = {
    {"isotropic", GDN_KEYS_ISOTROPIC}, {"low-rank", GDN_KEYS_LOW_RANK}, {"low-rank-spread", GDN_KEYS_SPREAD},
    {"repeated", GDN_KEYS_REPEATED},   {"needle", GDN_KEYS_NEEDLE},     {"zipf", GDN_KEYS_ZIPF}};
static const cyaml_strval_t values_table[] = {{"random", GDN_VALUES_RANDOM},
                                              {"coherent", GDN_VALUES_COHERENT}};
static const cyaml_strval_t init_table[] = {
    {"fla", GDN_INIT_FLA},           {"hf", GDN_INIT_HF},
    {"megatron", GDN_INIT_MEGATRON}, {"ones", GDN_INIT_ONES},
    {"tau", GDN_INIT_TAU},           {"fla-bf16", GDN_INIT_FLA_BF16},
    {"hf-bf16", GDN_INIT_HF_BF16},   {"megatron-bf16", GDN_INIT_MEGATRON_BF16}};
static const cyaml_strval_t quantity_table[] = {
    {"g", GDN_Q_G}, {"decay", GDN_Q_DECAY}, {"state", GDN_Q_STATE}, {"o", GDN_Q_O}, {"y", GDN_Q_Y}};
#define CHOICE_OF(id, name, word, pointwise, functions) {word, GDN_SOFTPLUS_##id},
static const cyaml_strval_t softplus_table[] = {GDN_SOFTPLUS_TABLE(CHOICE_OF)};
#undef CHOICE_OF
static const cyaml_strval_t rounding_table[] = {{"nearest", GDN_NEAREST}, {"stochastic", GDN_STOCHASTIC}};
static const cyaml_strval_t math_table[] = {
    {"portable", GDN_MATH_PORTABLE}, {"cuda", GDN_MATH_CUDA}, {"approx", GDN_MATH_APPROX}};
static const cyaml_strval_t l2norm_table[] = {{"sum-eps", GDN_L2_SUM_EPS},
                                              {"max-eps", GDN_L2_MAX_EPS},
                                              {"mean-eps", GDN_L2_MEAN_EPS},
                                              {"none", GDN_L2_NONE}};
static const cyaml_strval_t carrier_table[] = {{"g", GDN_CARRIER_G}, {"alpha-log2", GDN_CARRIER_ALPHA}};
static const cyaml_strval_t layout_table[] = {{"bthd", GDN_LAYOUT_BTHD}, {"bhtd", GDN_LAYOUT_BHTD}};
static const cyaml_strval_t state_layout_table[] = {{"kv", GDN_STATE_KV}, {"vk", GDN_STATE_VK}};
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
    CHOICE("layout", gdn_file_spec, layout, layout_table),
    CHOICE("state_layout", gdn_file_spec, state_layout, state_layout_table),
    CHOICE_PTR("l2norm", gdn_file_spec, l2norm, bool_table),
    NUMBER_PTR("scale", gdn_file_spec, scale),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t recorded_fields[] = {
    STRING1("name", gdn_recorded_spec, name),
    STRINGS("g", gdn_recorded_spec, g),
    STRINGS("o", gdn_recorded_spec, o),
    STRINGS("state", gdn_recorded_spec, state),
    STRINGS("y", gdn_recorded_spec, y),
    CHOICE("output", gdn_recorded_spec, output, format_table),
    STRINGS("storage", gdn_recorded_spec, storage),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t checkpoint_fields[] = {
    STRING1("path", gdn_checkpoint_spec, path),
    LIST("layers", OPTIONAL, gdn_checkpoint_spec, layers, &number),
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
    MAPPING("checkpoint", gdn_population, checkpoint, checkpoint_fields),
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
const cyaml_schema_value_t gdn_experiment_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, gdn_experiment_file, top_fields)};
