/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_source_checkpoint -- a checkpoint as a population: which populations it becomes, that their parameters
 * are those of the file to the bit, what storing them costs, and what is said of one that does not fit.
 */
#include "tests/task_test.h"

#include <glob.h>
#include <jansson.h>
#include <omp.h>
#include <sys/stat.h>

#include "harness/safetensors.h"
#include "harness/source.h"
#include "harness/source_checkpoint.h"

/* ---- checkpoints ---- */

static const char *golden(const char *name)
{
    static char path[4096];
    const char *folder = getenv("GDN_GOLDEN");
    char relative[2048];
    snprintf(relative, sizeof relative, "%s/hf_checkpoint_%s", folder ? folder : "tests/golden", name);
    GDN_CHECK(realpath(relative, path), "%s is not there", relative);
    return path;
}

/* Parameters of a layer of two heads and four channels; those of nobody's checkpoint. */
static const float a_log[] = {-1.3f, 0.7f}, dt_bias[] = {-3.5f, 0.25f},
                   norm_weight[] = {1, -0.0f, 0.1f, 0x1.8p-20f};

/* The three tensors of a layer under a prefix; names: [3][120], which must outlive t. */
static void layer(tensor t[3], char names[3][120], const char *prefix, const char *norm)
{
    snprintf(names[0], sizeof names[0], "%sA_log", prefix);
    snprintf(names[1], sizeof names[1], "%sdt_bias", prefix);
    snprintf(names[2], sizeof names[2], "%s%s", prefix, norm);
    t[0] = (tensor){names[0], 1, {2}, a_log};
    t[1] = (tensor){names[1], 1, {2}, dt_bias};
    t[2] = (tensor){names[2], 1, {4}, norm_weight};
}

/* A checkpoint of one layer as scratch/name. */
static void write_layer(const char *name, const char *prefix, const char *norm)
{
    tensor t[3];
    char names[3][120];
    layer(t, names, prefix, norm);
    write_tensors(name, t, 3);
}

/* An experiment of d_v = 4 on `population`, the rest of a line of the list. */
static gdn_experiment *on(const char *profiles, const char *population)
{
    return experiment("experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [24]\nprofiles: [%s]\n"
                      "populations:\n  - {name: m, %s}\n",
                      profiles, population);
}

static gdn_source *source_of(const gdn_experiment *e, int population)
{
    gdn_source *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_source_open(e, population, 1, 1, &s, &err) == GDN_OK, "%s", err.text);
    return s;
}

/* ---- which populations it becomes ---- */

static void names_are(const gdn_experiment *e, const char *const *names, unsigned n)
{
    GDN_CHECK(e->file->populations_count == n, "%u populations", e->file->populations_count);
    for (unsigned i = 0; i < n; i++)
        ck_assert_str_eq(e->file->populations[i].name, names[i]);
}

START_TEST(a_layer_is_a_population)
{
    static const char *const names[] = {"before", "m.layer-0", "m.layer-1", "m.layer-2", "after"};
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\nseeds: 3\ndk: 8\ndv: 16\nlengths: [4]\nprofiles: [fp32]\npopulations:\n"
        "  - {name: before, heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}\n"
        "  - {name: m, keys: repeated, a_mean: 0.5, group: 2, profiles: [bf16, fp32], quantities: [o],\n"
        "     lengths: [5, 6], checkpoint: {path: %s}}\n"
        "  - {name: after, heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}\n",
        golden("mixed"));
    names_are(e, names, 5);
    for (int i = 1; i <= 3; i++) {
        const gdn_population *p = &e->file->populations[i];
        GDN_CHECK(p->heads == 4 && p->keys == GDN_KEYS_REPEATED && *p->a_mean == 0.5 && p->group == 2,
                  "fields of %s", p->name);
        GDN_CHECK(p->profiles_count == 2 && p->quantities_count == 1 && p->lengths_count == 2, "lists of %s",
                  p->name);
        GDN_CHECK(p->entry == 1 && p->checkpoint->of->layer == i - 1, "%s is layer %d of entry %u", p->name,
                  p->checkpoint->of->layer, p->entry);
    }
    GDN_CHECK(e->file->populations[4].entry == 2, "entry %u", e->file->populations[4].entry);
    int count;
    free(tasks_of(e, &count));
    ck_assert_int_eq(count, 15); /* every seed draws its own inputs */
    gdn_experiment_free(e);
}
END_TEST

/* By number, whatever the order in the file and in the YAML; ordinary attention is no layer. */
START_TEST(layers_by_number)
{
    static const char *const all[] = {"m.layer-0", "m.layer-2", "m.layer-10"};
    static const int numbers[] = {10, 2, 0};
    tensor t[10];
    char names[3][3][120];
    for (int i = 0; i < 3; i++) {
        char prefix[80];
        snprintf(prefix, sizeof prefix, "%s.layers.%d.linear_attn.", i < 2 ? "model" : "second", numbers[i]);
        layer(t + 3 * i, names[i], prefix, "norm.weight");
    }
    t[9] = (tensor){"model.layers.1.self_attention.out_norm.weight", 1, {4}, norm_weight};
    write_tensors("three.safetensors", t, 10);
    gdn_experiment *e = on("fp32", "checkpoint: {path: three.safetensors}"),
                   *f = on("fp32", "checkpoint: {path: three.safetensors, layers: [10, 0]}");
    names_are(e, all, 3);
    GDN_CHECK(f->file->populations_count == 2, "%u populations", f->file->populations_count);
    ck_assert_str_eq(f->file->populations[0].name, "m.layer-0");
    ck_assert_str_eq(f->file->populations[1].name, "m.layer-10");
    gdn_experiment_free(e);
    gdn_experiment_free(f);
}
END_TEST

/* ---- what they hold ---- */

static bool same_bits(double x, double y)
{
    return memcmp(&x, &y, sizeof x) == 0;
}

/* The tensor `name` in any file of the folder, as floats of which there are n. */
static float *stored(const char *folder, const char *name, int n)
{
    char pattern[4200];
    glob_t g;
    float *x = gdn_test_alloc((size_t)n, sizeof *x);
    bool found = false;
    snprintf(pattern, sizeof pattern, "%s/*.safetensors", folder);
    ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        gdn_safetensors *f = NULL;
        gdn_error err = {""};
        GDN_CHECK(gdn_safetensors_open(g.gl_pathv[i], &f, &err) == GDN_OK, "%s", err.text);
        const gdn_tensor *t = gdn_safetensors_find(f, name);
        if (t) {
            GDN_CHECK(gdn_tensor_elements(t) == n && gdn_tensor_floats(t, x, &err) == GDN_OK, "%s: %s", name,
                      err.text);
            found = true;
        }
        gdn_safetensors_close(f);
    }
    globfree(&g);
    GDN_CHECK(found, "%s is not in %s", name, folder);
    return x;
}

START_TEST(values_of_the_file)
{
    static const char *const checkpoints[] = {"mixed", "bf16", "upcast", "qwen3_next"}, *const names[] = {
                                                                                            "A_log",
                                                                                            "dt_bias",
                                                                                            "norm.weight"};
    for (int c = 0; c < 4; c++) {
        gdn_experiment *e =
            experiment("experiment: t\nquestion: q\ndk: 8\ndv: 16\nlengths: [4]\nprofiles: [fp32]\n"
                       "populations:\n  - {name: m, checkpoint: {path: %s}}\n",
                       golden(checkpoints[c]));
        ck_assert_uint_eq(e->file->populations_count, 3);
        for (int i = 0; i < 3; i++) {
            gdn_source *s = source_of(e, i);
            const double *have[] = {s->a_log, s->dt_bias, s->norm_weight};
            const int count[] = {4, 4, 16};
            ck_assert_int_eq(s->shape.heads, 4);
            for (int p = 0; p < 3; p++) {
                char key[80];
                snprintf(key, sizeof key, "model.layers.%d.linear_attn.%s", i, names[p]);
                float *want = stored(golden(checkpoints[c]), key, count[p]);
                for (int j = 0; j < count[p]; j++)
                    GDN_CHECK(same_bits(have[p][j], want[j]), "%s, %s[%d] is %a, not %a", checkpoints[c], key,
                              j, have[p][j], (double)want[j]);
                free(want);
            }
            gdn_source_close(s);
        }
        gdn_experiment_free(e);
    }
}
END_TEST

/* Every naming gives the same parameters, but Megatron's norm weight rests as w - 1. */
START_TEST(whose_names)
{
    static const struct {
        const char *prefix, *norm, *name;
        bool less_one;
    } cases[] = {
        {"model.layers.3.linear_attn.", "norm.weight", "m.layer-3", false},
        {"model.language_model.layers.3.linear_attn.", "norm.weight", "m.layer-3", false},
        {"decoder.layers.7.self_attention.", "out_norm.weight", "m.layer-7", true},
        {"model.layers.5.attn.", "o_norm.weight", "m.layer-5", false},
        {"linear_attn.", "norm.weight", "m.layer", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_layer("named.safetensors", cases[i].prefix, cases[i].norm);
        gdn_experiment *e = on("fp32", "checkpoint: {path: named.safetensors}");
        names_are(e, &cases[i].name, 1);
        GDN_CHECK(e->file->populations[0].checkpoint->of->zero_centred == cases[i].less_one, "%s",
                  cases[i].prefix);
        gdn_source *s = source_of(e, 0);
        for (int h = 0; h < 2; h++)
            GDN_CHECK(same_bits(s->a_log[h], a_log[h]) && same_bits(s->dt_bias[h], dt_bias[h]), "%s, head %d",
                      cases[i].prefix, h);
        for (int j = 0; j < 4; j++) {
            double want = cases[i].less_one ? 1 + (double)norm_weight[j] : (double)norm_weight[j];
            GDN_CHECK(same_bits(s->norm_weight[j], want), "%s: w[%d] is %a, not %a", cases[i].prefix, j,
                      s->norm_weight[j], want);
        }
        gdn_source_close(s);
        gdn_experiment_free(e);
    }
}
END_TEST

/* A_log and dt_bias under the holder, the norm weight beside it: one layer. */
START_TEST(under_the_holder)
{
    tensor t[3];
    char names[3][120];
    layer(t, names, "model.layers.0.linear_attn.", "norm.weight");
    t[0].name = "model.layers.0.linear_attn._fp32_params.A_log";
    t[1].name = "model.layers.0.linear_attn._fp32_params.dt_bias";
    write_tensors("held.safetensors", t, 3);
    gdn_experiment *e = on("fp32", "checkpoint: {path: held.safetensors}");
    gdn_source *s = source_of(e, 0);
    GDN_CHECK(e->file->populations_count == 1 && s->a_log[1] == (double)a_log[1] && s->dt_bias[0] == -3.5,
              "values");
    ck_assert_str_eq(e->file->populations[0].checkpoint->of->module, "model.layers.0.linear_attn.");
    gdn_source_close(s);
    gdn_experiment_free(e);
}
END_TEST

/* ---- what storing them costs ---- */

/* g = -exp(A_log) softplus: stored in bf16 it is off by exp(RN(A_log) - A_log) - 1 at every token. */
START_TEST(closed_form_of_the_gate)
{
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\ndk: 8\ndv: 16\nlengths: [40]\nquantities: [g]\n"
                   "profiles: [a_log-bf16]\npopulations:\n  - {name: m, checkpoint: {path: %s}}\n",
                   golden("mixed"));
    int lossy = 0;
    for (int i = 0; i < 3; i++) {
        gdn_rows rows = rows_of(e, i);
        gdn_source *s = source_of(e, i);
        for (int h = 0; h < 4; h++) {
            const gdn_row *r = row_of(&rows, "a_log-bf16", "g", "storage", 1, 40, h);
            double x = s->a_log[h], want = expm1(gdn_round(&gdn_formats[GDN_BF16], x) - x);
            lossy += want != 0;
            GDN_CHECK(r->a_log == x && r->dt_bias == s->dt_bias[h], "parameters in %s", name_of(r));
            GDN_CHECK(fabs(r->rel_l2 - fabs(want)) <= gdn_tolerance.gate_storage * fabs(want), "%s, not %a",
                      name_of(r), want);
            GDN_CHECK((r->bias > 0) == (want > 0), "sign of %s", name_of(r));
        }
        gdn_source_close(s);
        gdn_rows_free(&rows);
    }
    GDN_CHECK(lossy == 12, "%d of 12 heads lose anything", lossy);
    gdn_experiment_free(e);
}
END_TEST

/* How many storage errors of the rows are zero, and above. */
typedef struct storage_errors {
    int zero, above, other;
} storage_errors;

static storage_errors storage_of(const gdn_experiment *e, int task)
{
    storage_errors n = {0};
    gdn_rows rows = rows_of(e, task);
    for (int64_t i = 0; i < rows.count; i++)
        if (is(rows.row[i].kind, "storage")) {
            n.zero += is(rows.row[i].flag, "ok") && rows.row[i].rel_l2 == 0;
            n.above += rows.row[i].rel_l2 > 0;
            n.other += !is(rows.row[i].flag, "ok");
        }
    gdn_rows_free(&rows);
    return n;
}

/* Of bf16 values, whatever dtype they rest in, bf16 storage loses nothing at all. */
START_TEST(upcast_loses_nothing)
{
    static const struct {
        const char *checkpoint;
        bool lossy;
    } cases[] = {{"upcast", false}, {"bf16", false}, {"mixed", true}};
    for (int c = 0; c < 3; c++) {
        gdn_experiment *e = experiment(
            "experiment: t\nquestion: q\ndk: 8\ndv: 16\nlengths: [20]\nquantities: [g, state, o, y]\n"
            "profiles: [a_log-bf16, dt_bias-bf16, norm-bf16, all-bf16, bf16]\n"
            "populations:\n  - {name: m, checkpoint: {path: %s}}\n",
            golden(cases[c].checkpoint));
        for (int i = 0; i < 3; i++) {
            storage_errors n = storage_of(e, i);
            GDN_CHECK(n.zero > 0 && (n.above > 0) == cases[c].lossy && (n.other == 0 || cases[c].lossy),
                      "%s, layer %d: %d zero, %d above, %d without a number", cases[c].checkpoint, i, n.zero,
                      n.above, n.other);
        }
        gdn_experiment_free(e);
    }
}
END_TEST

/* w - 1 as Megatron stores it comes back exactly; w in fp32 does not hold 1 + 0.1f. */
START_TEST(weight_less_one)
{
    write_layer("megatron.safetensors", "decoder.layers.0.self_attention.", "out_norm.weight");
    gdn_experiment *e = experiment(
        "experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [24]\nquantities: [y]\nprofiles: [centred]\n"
        "define: [{name: centred, base: fp32, zero_centred: true}]\n"
        "populations:\n  - {name: m, checkpoint: {path: megatron.safetensors}}\n"
        "  - {name: w, profiles: [fp32], checkpoint: {path: megatron.safetensors}}\n");
    storage_errors centred = storage_of(e, 0), plain = storage_of(e, 1);
    GDN_CHECK(centred.zero > 0 && centred.above + centred.other == 0, "w - 1: %d above zero", centred.above);
    GDN_CHECK(plain.above > 0 && plain.zero == 0, "w: %d are zero", plain.zero);
    gdn_experiment_free(e);
}
END_TEST

/* A_log = -inf is a head that never decays. */
START_TEST(dead_head)
{
    const float dead[] = {-INFINITY, 0.7f};
    tensor t[3];
    char names[3][120];
    layer(t, names, "model.layers.0.linear_attn.", "norm.weight");
    t[0].x = dead;
    write_tensors("dead.safetensors", t, 3);
    gdn_experiment *e = on("all-bf16, bf16", "checkpoint: {path: dead.safetensors}");
    gdn_rows rows = rows_of(e, 0);
    for (int64_t i = 0; i < rows.count; i++) {
        const gdn_row *r = &rows.row[i];
        GDN_CHECK(!is(r->flag, "nonfinite") && (r->gamma == 0) == (r->head == 0), "%s", name_of(r));
    }
    gdn_rows_free(&rows);
    gdn_experiment_free(e);
}
END_TEST

/* ---- identity ---- */

static void task_id(const char *population, char id[17])
{
    gdn_experiment *e = on("fp32, all-bf16", population);
    int count;
    gdn_task *tasks = tasks_of(e, &count);
    ck_assert_int_eq(count, 1);
    memcpy(id, tasks[0].id, 17);
    free(tasks);
    gdn_experiment_free(e);
}

/* Cells depend on the values and not on where they lie, under which prefix or in which dtype; drawn ones are
 * as ever. */
START_TEST(identity_is_the_values)
{
    char first[17], again[17], folder[128];
    snprintf(folder, sizeof folder, "%s/elsewhere", scratch);
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    write_layer("one.safetensors", "model.layers.0.linear_attn.", "norm.weight");
    write_layer("elsewhere/two.safetensors", "model.language_model.layers.0.linear_attn.", "norm.weight");
    task_id("checkpoint: {path: one.safetensors}", first);
    task_id("checkpoint: {path: elsewhere/two.safetensors}", again);
    ck_assert_str_eq(first, again);
    gdn_experiment *e = on("fp32, all-bf16", "checkpoint: {path: one.safetensors}");
    gdn_experiment *f = on("fp32, all-bf16", "checkpoint: {path: elsewhere/two.safetensors}");
    gdn_rows x = rows_of(e, 0), y = rows_of(f, 0);
    ck_assert_int_eq(x.count, y.count);
    for (int64_t i = 0; i < x.count; i++)
        same_row(&x.row[i], &y.row[i], true);
    gdn_rows_free(&x);
    gdn_rows_free(&y);
    gdn_experiment_free(e);
    gdn_experiment_free(f);
    for (int p = 0; p < 3; p++) { /* one value of one parameter, by one bit */
        tensor t[3];
        char names[3][120];
        float other[4];
        layer(t, names, "model.layers.0.linear_attn.", "norm.weight");
        memcpy(other, t[p].x, (size_t)t[p].dim[0] * sizeof *other);
        other[1] = nextafterf(other[1], 9);
        t[p].x = other;
        write_tensors("other.safetensors", t, 3);
        task_id("checkpoint: {path: other.safetensors}", again);
        GDN_CHECK(strcmp(first, again) != 0, "%s does not count", t[p].name);
    }
}
END_TEST

/* ---- what does not fit ---- */

/* Loading answers scratch/x.yaml:LINE: and then exactly this. */
static void refused(const char *rest, int line, const char *population)
{
    char path[128], want[900];
    gdn_experiment *e = NULL;
    gdn_error err = {""};
    snprintf(path, sizeof path, "%s/x.yaml", scratch);
    FILE *f = fopen(path, "w");
    GDN_CHECK(f, "cannot write %s", path);
    fprintf(f,
            "experiment: t\nquestion: q\ndk: 4\ndv: 4\nlengths: [24]\nprofiles: [fp32]\npopulations:\n  - "
            "name: m\n%s",
            population);
    fclose(f);
    snprintf(want, sizeof want, "%s:%d: %s", path, line, rest);
    for (char *at; (at = strstr(want, "SCRATCH")) != NULL;) {
        memmove(at + strlen(scratch), at + strlen("SCRATCH"), strlen(at + strlen("SCRATCH")) + 1);
        memcpy(at, scratch, strlen(scratch));
    }
    GDN_CHECK(gdn_experiment_load(path, &e, &err) == GDN_BAD_INPUT && !e, "it loads\n%s", population);
    GDN_CHECK(strcmp(err.text, want) == 0, "answered\n  %s\nnot\n  %s", err.text, want);
}

START_TEST(does_not_fit)
{
    write_layer("good.safetensors", "model.layers.6.linear_attn.", "norm.weight");
    write_layer("plain.safetensors", "model.layers.6.mixer.", "norm.weight");
    const char *good = "    checkpoint: {path: good.safetensors}\n";
    char text[5000];
    snprintf(text, sizeof text, "    checkpoint:\n      path: %s\n", golden("mixed"));
    refused("populations/0/checkpoint: the norm weight of \"model.layers.0.linear_attn.\" has 16 channels "
            "and the "
            "experiment's dv is 4; dv: 16 is wanted",
            9, text);
    refused("populations/0/checkpoint/layers/1: layer 7 is no GDN layer of good.safetensors; these are: 6",
            11, "    checkpoint:\n      path: good.safetensors\n      layers: [6, 7]\n");
    refused("populations/0/checkpoint/layers/1: layer 6 is named twice", 9,
            "    checkpoint: {path: good.safetensors, layers: [6, 6]}\n");
    refused("populations/0/checkpoint/layers/0: 0.5 is not allowed; a whole number from 0 to 1000000 is", 9,
            "    checkpoint: {path: good.safetensors, layers: [0.5]}\n");
    snprintf(text, sizeof text, "%s    heads: 2\n", good);
    refused("populations/0/heads: a checkpoint says how many value heads a layer has; heads is not allowed",
            10, text);
    snprintf(text, sizeof text, "%s    a_log: {init: fla}\n", good);
    refused("populations/0/checkpoint: a checkpoint gives the parameters; a_log, dt_bias and norm_weight are "
            "not allowed",
            9, text);
    snprintf(text, sizeof text, "%s    group: 3\n", good);
    refused(
        "populations/0/group: a group of 3 does not divide the 2 heads of \"model.layers.6.linear_attn.\"",
        10, text);
    snprintf(text, sizeof text, "%s    file: {path: x.safetensors, q: q, k: k, v: v, g: g, beta: beta}\n",
             good);
    refused(
        "populations/0/checkpoint: a file gives all of its population; a checkpoint beside it is not allowed",
        9, text);
    snprintf(text, sizeof text, "%s    recorded: [{name: x, o: o}]\n", good);
    refused("populations/0/recorded: recorded outputs need a file", 10, text);
    snprintf(text, sizeof text,
             "%s  - {name: m.layer-6, heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}\n", good);
    refused("populations/1/name: the population 'm.layer-6' exists already; layers of a checkpoint are "
            "called NAME.layer-N",
            10, text);
    refused("populations/0/checkpoint/path: SCRATCH/plain.safetensors: none of its 3 tensors is A_log or "
            "dt_bias of a GDN "
            "layer (under linear_attn., self_attention. or attn.)",
            9, "    checkpoint: {path: plain.safetensors}\n");
}
END_TEST

/* Lines are those of the YAML, however many populations a checkpoint before them became. */
START_TEST(lines_after_a_checkpoint)
{
    const float one[] = {1, 1}, g[] = {-0.1f};
    const tensor all[] = {{"x", 3, {1, 1, 2}, one}, {"g", 2, {1, 1}, g}};
    write_tensors("tokens.safetensors", all, 2);
    gdn_experiment *e =
        experiment("experiment: t\nquestion: q\ndk: 4\ndv: 16\nlengths: [24]\nprofiles: [fp32]\n"
                   "populations:\n  - {name: m, checkpoint: {path: %s}}\n"
                   "  - name: f\n    sequences: [1]\n"
                   "    file: {path: tokens.safetensors, q: x, k: x, v: x, g: g, beta: g}\n",
                   golden("mixed"));
    gdn_source *s = NULL;
    gdn_error err = {""};
    ck_assert_int_eq(gdn_source_open(e, 3, 1, 1, &s, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "x.yaml:10: populations/1/sequences/0: 1 is not inside"), "%s", err.text);
    gdn_experiment_free(e);
}
END_TEST

/* What is wrong with a layer: its tensors instead of the good ones, and the sentence. */
START_TEST(bad_layers)
{
    static const float bad[] = {-1.3f, NAN}, high[] = {INFINITY, 0}, low[] = {0, -INFINITY};
    static const struct {
        int tensor; /* which is replaced */
        const char *name;
        int rank, dim[4];
        const float *x;
        const char *sentence;
    } cases[] = {
        {0,
         "A_log",
         1,
         {2},
         bad,
         "\"model.layers.0.linear_attn.A_log\", element 1 is nan; finite values and -inf are allowed"},
        {0,
         "A_log",
         1,
         {2},
         high,
         "\"model.layers.0.linear_attn.A_log\", element 0 is inf; finite values and -inf are allowed"},
        {1,
         "dt_bias",
         1,
         {2},
         low,
         "\"model.layers.0.linear_attn.dt_bias\", element 1 is -inf; finite values are allowed"},
        {2,
         "norm.weight",
         1,
         {2},
         high,
         "\"model.layers.0.linear_attn.norm.weight\", element 0 is inf; finite values are allowed"},
        {2,
         "other.weight",
         1,
         {4},
         norm_weight,
         "the GDN layer \"model.layers.0.linear_attn.\" has no norm.weight"},
        {1, "bias", 1, {2}, dt_bias, "the GDN layer \"model.layers.0.linear_attn.\" has no dt_bias"},
        {0, "foo_A_log", 1, {2}, a_log, "the GDN layer \"model.layers.0.linear_attn.\" has no A_log"},
        {1,
         "dt_bias",
         2,
         {2, 2},
         norm_weight,
         "\"model.layers.0.linear_attn.dt_bias\" is not a vector of 1 to 1048576 elements"},
        {1,
         "dt_bias",
         1,
         {4},
         norm_weight,
         "\"model.layers.0.linear_attn.A_log\" has 2 elements, but "
         "\"model.layers.0.linear_attn.dt_bias\" has 4; both have one a value head"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tensor t[3];
        char names[3][120], name[80], sentence[400];
        layer(t, names, "model.layers.0.linear_attn.", "norm.weight");
        snprintf(name, sizeof name, "model.layers.0.linear_attn.%s", cases[i].name);
        t[cases[i].tensor] = (tensor){name, cases[i].rank, {cases[i].dim[0], cases[i].dim[1]}, cases[i].x};
        write_tensors("bad.safetensors", t, 3);
        snprintf(sentence, sizeof sentence, "populations/0/checkpoint/path: %s", cases[i].sentence);
        refused(sentence, 9, "    checkpoint: {path: bad.safetensors}\n");
    }
    tensor t[6];
    char names[2][3][120];
    layer(t, names[0], "model.layers.0.linear_attn.", "norm.weight");
    layer(t + 3, names[1], "talker.layers.0.linear_attn.", "norm.weight");
    write_tensors("bad.safetensors", t, 6);
    refused(
        "populations/0/checkpoint/path: SCRATCH/bad.safetensors: both \"model.layers.0.linear_attn.\" and "
        "\"talker.layers.0.linear_attn.\" are GDN layer 0; a checkpoint of one model is wanted",
        9, "    checkpoint: {path: bad.safetensors}\n");
    t[3].name = "model.layers.0.linear_attn._fp32_params.A_log";
    write_tensors("bad.safetensors", t, 4);
    refused("populations/0/checkpoint/path: both \"model.layers.0.linear_attn.A_log\" and "
            "\"model.layers.0.linear_attn._fp32_params.A_log\" give A_log of one layer",
            9, "    checkpoint: {path: bad.safetensors}\n");
}
END_TEST

/* What the manifest says of layers. */
START_TEST(manifest)
{
    write_layer("one.safetensors", "decoder.layers.4.self_attention.", "out_norm.weight");
    gdn_experiment *e = on("fp32", "checkpoint: {path: one.safetensors}"),
                   *drawn = on("fp32", "heads: 1, a_log: {init: fla}, dt_bias: {init: fla}");
    json_t *all = gdn_checkpoints_json(e), *one = json_object_get(all, "m.layer-4");
    GDN_CHECK(json_object_size(all) == 1 && json_object_size(one) == 4, "not one layer");
    ck_assert_str_eq(json_string_value(json_object_get(one, "path")), "one.safetensors");
    ck_assert_str_eq(json_string_value(json_object_get(one, "module")), "decoder.layers.4.self_attention.");
    ck_assert_str_eq(json_string_value(json_object_get(one, "weight")), "w - 1");
    GDN_CHECK(json_string_length(json_object_get(one, "values")) == 16, "no digest");
    GDN_CHECK(!gdn_checkpoints_json(drawn), "layers of no checkpoint");
    json_decref(all);
    gdn_experiment_free(e);
    gdn_experiment_free(drawn);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_layer_is_a_population,
                                  layers_by_number,
                                  values_of_the_file,
                                  whose_names,
                                  under_the_holder,
                                  closed_form_of_the_gate,
                                  upcast_loses_nothing,
                                  weight_less_one,
                                  dead_head,
                                  identity_is_the_values,
                                  does_not_fit,
                                  lines_after_a_checkpoint,
                                  bad_layers,
                                  manifest};
    omp_set_num_threads(1); /* blocks are tiny: on a busy machine threads would only wait for each other */
    return gdn_task_test_run("source_checkpoint", tests, sizeof tests / sizeof tests[0]);
}
