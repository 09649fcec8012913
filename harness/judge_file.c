/* SPDX-License-Identifier: Apache-2.0 */
/* judge_file -- roles of the tensors of a dump; see judge_file.h. */
#include "harness/judge_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/experiment.h"
#include "harness/shown.h"

const char *const gdn_role_names[GDN_ROLES] = {"q", "k",     "v",       "beta",          "b", "g",
                                               "a", "A_log", "dt_bias", "initial_state", "z", "norm_weight"};

/* Usual names of each role, the likeliest first; they may stand behind a prefix and a dot. */
enum { ALIASES = 6 };
static const char *const aliases[GDN_ROLES][ALIASES] = {
    [GDN_ROLE_Q] = {"q", "query", "queries", "chunk.query"},
    [GDN_ROLE_K] = {"k", "key", "keys", "chunk.key"},
    [GDN_ROLE_V] = {"v", "value", "values", "chunk.value"},
    [GDN_ROLE_BETA] = {"beta", "chunk.beta"},
    [GDN_ROLE_B] = {"b"},
    [GDN_ROLE_G] = {"g", "log_decay", "chunk.g"},
    [GDN_ROLE_A] = {"a"},
    [GDN_ROLE_A_LOG] = {"A_log", "a_log"},
    [GDN_ROLE_DT_BIAS] = {"dt_bias"},
    [GDN_ROLE_INITIAL_STATE] = {"initial_state", "h0", "state0"},
    [GDN_ROLE_Z] = {"z", "gate", "norm.gate"},
    [GDN_ROLE_NORM_WEIGHT] = {"norm_weight", "norm.weight", "o_norm.weight", "out_norm.weight", "w"},
};

/* Last words of outputs' names. */
static const struct {
    const char *word;
    gdn_quantity quantity;
} endings[] = {{"o", GDN_Q_O},      {"out", GDN_Q_O}, {"state", GDN_Q_STATE}, {"final_state", GDN_Q_STATE},
               {"ht", GDN_Q_STATE}, {"y", GDN_Q_Y}};

/* What a pair may name as an output; g alone is the input. */
static const struct {
    const char *word;
    gdn_quantity quantity;
} quantities[] = {{"o", GDN_Q_O}, {"out", GDN_Q_O}, {"state", GDN_Q_STATE}, {"y", GDN_Q_Y}, {"g", GDN_Q_G}};

enum { ENDINGS = sizeof endings / sizeof endings[0], QUANTITIES = sizeof quantities / sizeof quantities[0] };

/* ---- one pair ---- */

/* What stands before the '='. */
typedef struct word {
    char text[64]; /* up to ':' */
    char kernel[128];
    bool named;
} word;

static bool word_of(const char *pair, word *w)
{
    const char *end = strchr(pair, '='), *colon = memchr(pair, ':', (size_t)(end - pair));
    size_t n = (size_t)((colon ? colon : end) - pair);
    w->named = colon != NULL;
    if (n >= sizeof w->text || (colon && (size_t)(end - colon) > sizeof w->kernel))
        return false;
    snprintf(w->text, sizeof w->text, "%.*s", (int)n, pair);
    snprintf(w->kernel, sizeof w->kernel, "%.*s", colon ? (int)(end - colon - 1) : 0, colon ? colon + 1 : "");
    return true;
}

static gdn_role role_of(const word *w)
{
    for (gdn_role r = 0; r < GDN_ROLES && !w->named; r++)
        if (strcmp(w->text, gdn_role_names[r]) == 0 || (r == GDN_ROLE_A_LOG && strcmp(w->text, "a_log") == 0))
            return r;
    return GDN_ROLES;
}

static gdn_quantity quantity_of(const word *w)
{
    for (int i = 0; i < QUANTITIES; i++)
        if (strcmp(w->text, quantities[i].word) == 0)
            return quantities[i].quantity;
    return GDN_QUANTITIES;
}

bool gdn_judge_is_pair(const char *text)
{
    word w;
    return strchr(text, '=') && word_of(text, &w) &&
           (role_of(&w) != GDN_ROLES || quantity_of(&w) != GDN_QUANTITIES);
}

/* ---- tensors ---- */

static const gdn_tensor *tensor_at(const gdn_judge_file *f, size_t i)
{
    return gdn_safetensors_at(f->st, i);
}

static bool in_use(const gdn_judge_file *f, const char *name)
{
    for (gdn_role r = 0; r < GDN_ROLES; r++)
        if (f->role[r] && strcmp(f->role[r], name) == 0)
            return true;
    for (int i = 0; i < f->outputs; i++)
        if (strcmp(f->output[i].tensor, name) == 0)
            return true;
    return false;
}

static gdn_status no_tensor(const gdn_judge_file *f, const char *pair, const char *name, gdn_error *err)
{
    size_t n = gdn_safetensors_count(f->st);
    const char **all = gdn_calloc(n, sizeof *all);
    char shown[GDN_SHOWN], near[GDN_SHOWN];
    if (!all)
        return gdn_no_memory(err, "names");
    for (size_t i = 0; i < n; i++)
        all[i] = tensor_at(f, i)->name;
    const char *nearest = gdn_nearest(name, all, (int)n);
    if (nearest)
        gdn_shown(nearest, near, sizeof near);
    free(all);
    return gdn_fail(err, GDN_BAD_INPUT, "%s: --map %s: there is no tensor of that name%s%s%s", f->path,
                    gdn_shown(pair, shown, sizeof shown), nearest ? " (did you mean '" : "",
                    nearest ? near : "", nearest ? "'?)" : "");
}

static gdn_status no_role(const gdn_judge_file *f, const char *pair, const char *text, gdn_error *err)
{
    const char *all[GDN_ROLES + QUANTITIES];
    char shown[GDN_SHOWN];
    int n = 0;
    for (gdn_role r = 0; r < GDN_ROLES; r++)
        all[n++] = gdn_role_names[r];
    for (int i = 0; i < QUANTITIES; i++)
        all[n++] = quantities[i].word;
    const char *near = gdn_nearest(text, all, n);
    return gdn_fail(err, GDN_BAD_INPUT,
                    "%s: --map %s: not a role%s%s%s; inputs: q k v beta b g a A_log dt_bias initial_state z "
                    "norm_weight, outputs: o state y, as o:KERNEL where there are several",
                    f->path, gdn_shown(pair, shown, sizeof shown), near ? " (did you mean '" : "",
                    near ? near : "", near ? "'?)" : "");
}

/* ---- outputs ---- */

/* Format in whose ulps an output is measured. */
static gdn_format_id format_of(gdn_dtype dtype)
{
    static const struct {
        gdn_dtype dtype;
        gdn_format_id format;
    } table[] = {{GDN_DTYPE_F64, GDN_FP64},
                 {GDN_DTYPE_BF16, GDN_BF16},
                 {GDN_DTYPE_F16, GDN_FP16},
                 {GDN_DTYPE_F8_E4M3, GDN_E4M3},
                 {GDN_DTYPE_F8_E5M2, GDN_E5M2}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].dtype == dtype)
            return table[i].format;
    return GDN_FP32;
}

/* The file's name without folder and ending. */
static void stem(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, size, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(out, '.');
    if (dot && dot != out)
        *dot = 0;
}

/* kernel: NULL: from the name. */
static gdn_status add_output(gdn_judge_file *f, const gdn_tensor *t, gdn_quantity q, const char *kernel,
                             gdn_error *err)
{
    gdn_judge_output *grown = realloc(f->output, (size_t)(f->outputs + 1) * sizeof *grown), *o;
    char name[4096];
    if (!grown)
        return gdn_no_memory(err, "outputs");
    f->output = grown;
    o = &f->output[f->outputs++];
    const char *dot = strrchr(t->name, '.');
    if (kernel)
        snprintf(name, sizeof name, "%s", kernel);
    else if (dot && dot != t->name)
        snprintf(name, sizeof name, "%.*s", (int)(dot - t->name), t->name);
    else
        stem(f->path, name, sizeof name);
    *o = (gdn_judge_output){strdup(t->name), strdup(name), q, t->dtype, format_of(t->dtype)};
    return o->tensor && o->kernel ? GDN_OK : gdn_no_memory(err, "outputs");
}

/* The quantity that a name's last word says it is. The gated norm of transformers records its output as
 * norm.out. */
static gdn_quantity quantity_named(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (strcmp(name, "norm.out") == 0 ||
        (strlen(name) > 9 && strcmp(name + strlen(name) - 9, ".norm.out") == 0))
        return GDN_Q_Y;
    for (int i = 0; i < ENDINGS; i++)
        if (strcmp(last, endings[i].word) == 0)
            return endings[i].quantity;
    return GDN_QUANTITIES;
}

static int by_kernel(const void *a, const void *b)
{
    static const int rank[GDN_QUANTITIES] = {[GDN_Q_O] = 0, [GDN_Q_STATE] = 1, [GDN_Q_Y] = 2, [GDN_Q_G] = 3};
    const gdn_judge_output *x = a, *y = b;
    int order = strcmp(x->kernel, y->kernel);
    if (!order)
        order = rank[x->quantity] - rank[y->quantity];
    return order ? order : strcmp(x->tensor, y->tensor);
}

/* ---- who is who ---- */

static gdn_status take_pair(gdn_judge_file *f, const char *pair, gdn_error *err)
{
    const char *equals = strchr(pair, '='), *name = equals ? equals + 1 : "";
    char shown[GDN_SHOWN];
    word w = {.named = false};
    if (!equals || !*name)
        return gdn_fail(err, GDN_BAD_INPUT, "--map %s: role=tensor is wanted, such as q=chunk.query",
                        gdn_shown(pair, shown, sizeof shown));
    bool read = word_of(pair, &w);
    gdn_role role = read ? role_of(&w) : GDN_ROLES;
    gdn_quantity q = read ? quantity_of(&w) : GDN_QUANTITIES;
    if (role == GDN_ROLES && q == GDN_QUANTITIES)
        return no_role(f, pair, w.text, err);
    const gdn_tensor *t = gdn_safetensors_find(f->st, name);
    if (!t)
        return no_tensor(f, pair, name, err);
    if (role == GDN_ROLES) {
        for (int i = 0; i < f->outputs; i++)
            if (strcmp(f->output[i].tensor, name) == 0)
                return gdn_fail(err, GDN_BAD_INPUT, "--map %s: the tensor is an output already",
                                gdn_shown(pair, shown, sizeof shown));
        return add_output(f, t, q, w.named ? w.kernel : NULL, err);
    }
    if (f->role[role])
        return gdn_fail(err, GDN_BAD_INPUT, "--map %s: %s is told already",
                        gdn_shown(pair, shown, sizeof shown), gdn_role_names[role]);
    f->role[role] = strdup(name);
    return f->role[role] ? GDN_OK : gdn_no_memory(err, "names");
}

/* Does `name` end in a dot and the alias? One letter says too little there, but for q, k, v and g. */
static bool ends_in(const char *name, const char *alias, gdn_role role)
{
    size_t n = strlen(name), m = strlen(alias);
    bool telling = m > 1 || role <= GDN_ROLE_V || role == GDN_ROLE_G;
    return telling && n > m && name[n - m - 1] == '.' && strcmp(name + n - m, alias) == 0;
}

static gdn_status find_role(gdn_judge_file *f, gdn_role role, gdn_error *err)
{
    const gdn_tensor *found = NULL;
    for (int i = 0; i < ALIASES && aliases[role][i] && !found; i++) {
        found = gdn_safetensors_find(f->st, aliases[role][i]);
        if (found && in_use(f, found->name))
            found = NULL;
    }
    for (int i = 0; i < ALIASES && aliases[role][i] && !found; i++)
        for (size_t t = 0; t < gdn_safetensors_count(f->st); t++) {
            const char *name = tensor_at(f, t)->name;
            char one[GDN_SHOWN], two[GDN_SHOWN];
            if (!ends_in(name, aliases[role][i], role) || in_use(f, name))
                continue;
            if (found)
                return gdn_fail(err, GDN_BAD_INPUT,
                                "%s: '%s' and '%s' could both be %s; --map %s=NAME says which", f->path,
                                gdn_shown(found->name, one, sizeof one), gdn_shown(name, two, sizeof two),
                                gdn_role_names[role], gdn_role_names[role]);
            found = tensor_at(f, t);
        }
    if (found && !(f->role[role] = strdup(found->name)))
        return gdn_no_memory(err, "names");
    return GDN_OK;
}

const char *gdn_judge_file_taken(const gdn_judge_file *f, gdn_role role, char *out, size_t size)
{
    out[0] = 0;
    for (int i = 0; i < ALIASES && aliases[role][i]; i++) {
        const char *name = aliases[role][i];
        for (gdn_role r = 0; r < GDN_ROLES; r++)
            if (f->role[r] && strcmp(f->role[r], name) == 0)
                snprintf(out, size, " ('%s' is %s by --map)", name, gdn_role_names[r]);
        for (int k = 0; k < f->outputs; k++)
            if (strcmp(f->output[k].tensor, name) == 0)
                snprintf(out, size, " ('%s' is an output by --map)", name);
        if (out[0])
            break;
    }
    return out;
}

static gdn_status list_unused(gdn_judge_file *f, gdn_error *err)
{
    size_t n = gdn_safetensors_count(f->st);
    f->unuseds = 0;
    if (!f->unused && !(f->unused = gdn_calloc(n + 1, sizeof *f->unused)))
        return gdn_no_memory(err, "names");
    for (size_t i = 0; i < n; i++)
        if (!in_use(f, tensor_at(f, i)->name))
            f->unused[f->unuseds++] = tensor_at(f, i)->name;
    return GDN_OK;
}

gdn_status gdn_judge_file_open(gdn_judge_file *f, const char *path, const char *const *pairs, int n,
                               gdn_error *err)
{
    *f = (gdn_judge_file){.outputs = 0};
    if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    gdn_status status = gdn_safetensors_open(path, &f->st, err);
    for (int i = 0; i < n && !status; i++)
        status = take_pair(f, pairs[i], err);
    for (gdn_role r = 0; r < GDN_ROLES && !status; r++)
        if (!f->role[r])
            status = find_role(f, r, err);
    for (size_t i = 0; !status && i < gdn_safetensors_count(f->st); i++) {
        const gdn_tensor *t = tensor_at(f, i);
        gdn_quantity q = quantity_named(t->name);
        if (q != GDN_QUANTITIES && !in_use(f, t->name))
            status = add_output(f, t, q, NULL, err);
    }
    if (!status && f->outputs)
        qsort(f->output, (size_t)f->outputs, sizeof *f->output, by_kernel);
    return status ? status : list_unused(f, err);
}

gdn_status gdn_judge_file_judge_g(gdn_judge_file *f, gdn_error *err)
{
    return add_output(f, gdn_safetensors_find(f->st, f->role[GDN_ROLE_G]), GDN_Q_G, NULL, err);
}

gdn_status gdn_judge_file_drop(gdn_judge_file *f, gdn_role role, gdn_error *err)
{
    free(f->role[role]);
    f->role[role] = NULL;
    return list_unused(f, err);
}

void gdn_judge_file_close(gdn_judge_file *f)
{
    for (gdn_role r = 0; r < GDN_ROLES; r++)
        free(f->role[r]);
    for (int i = 0; i < f->outputs; i++) {
        free(f->output[i].tensor);
        free(f->output[i].kernel);
    }
    free(f->output);
    free(f->unused);
    gdn_safetensors_close(f->st);
    *f = (gdn_judge_file){.outputs = 0};
}
