/* SPDX-License-Identifier: Apache-2.0 */
/* plot -- figures by gnuplot; see plot.h. */
#include "harness/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/json_file.h"
#include "harness/outfile.h"
#include "harness/table.h"

extern char **environ;

enum {
    NOTHING_TO_DRAW = 2, /* exit status of a script that finds no data */
    SAID = 400,          /* bytes kept of what gnuplot says */
    FEWEST_HEADS = 20    /* for a scatter of heads; gate_sawtooth.gp has the same limit */
};

/* ---- Files of the results ---- */

/* A shard's directory, or one that holds some: merging makes the files that a run does not. */
static bool of_shards(const char *dir)
{
    char pattern[PATH_MAX];
    const char *name = strrchr(dir, '/');
    glob_t found;
    if (strncmp(name ? name + 1 : dir, "shard-", 6) == 0)
        return true;
    if (snprintf(pattern, sizeof pattern, "%s/shard-*-of-*", dir) >= (int)sizeof pattern ||
        glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return false;
    globfree(&found);
    return true;
}

gdn_status gdn_results_file(const char *results_dir, const char *name, gdn_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", results_dir, name) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", results_dir);
    if (access(path, R_OK) == 0)
        return GDN_OK;
    if (errno == ENOENT || errno == ENOTDIR)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: there is no such file; `gdnprec %s` makes it", path,
                        of_shards(results_dir) ? "merge" : "run");
    return gdn_fail(err, GDN_BAD_INPUT, "%.400s: cannot be read: %s", path, strerror(errno));
}

static gdn_status read_results(const char *dir, const char *name, gdn_table **t, gdn_error *err)
{
    char path[PATH_MAX];
    *t = NULL;
    gdn_status status = gdn_results_file(dir, name, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return gdn_table_read(path, t, err);
}

/* ---- What the summary holds ---- */

/* Columns of summary.csv that decide about figures, by place. */
typedef struct columns {
    size_t quantity, kind, n, median, from, to, reference, population;
} columns;

typedef struct contents {
    bool error_of[3]; /* o, y, state: a row with a number above zero */
    bool whole;       /* o, y or state over [1, T] */
    bool gate;        /* enough heads with a storage error of g */
    bool budget;      /* there is a budget.csv */
    bool layers;      /* a population is a layer of a checkpoint, called NAME.layer-N */
    bool last,
        heat; /* there is a last.csv, a heat.csv; results kept for citing may be without, for their size */
    double n_least, n_most;
    char reference[64]; /* rungs, with commas */
} contents;

static const char *const drawn_quantities[] = {"o", "y", "state"};
enum { DRAWN = sizeof drawn_quantities / sizeof drawn_quantities[0] };

static gdn_status find_columns(const gdn_table *t, columns *c, gdn_error *err)
{
    const struct {
        const char *name;
        size_t *at;
    } wanted[] = {
        {"quantity", &c->quantity},
        {"kind", &c->kind},
        {"n", &c->n},
        {"median", &c->median},
        {"from", &c->from},
        {"to", &c->to},
        {"reference", &c->reference},
        {"population", &c->population},
    };
    gdn_status status = GDN_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && !status; i++)
        status = gdn_table_find(t, wanted[i].name, wanted[i].at, err);
    return status;
}

static void note_reference(contents *s, const char *rung)
{
    size_t used = strlen(s->reference);
    if (*rung && !strstr(s->reference, rung) && used + strlen(rung) + 3 < sizeof s->reference)
        snprintf(s->reference + used, sizeof s->reference - used, "%s%s", used ? ", " : "", rung);
}

static void note_row(contents *s, const char *quantity, const char *kind, double n, double median,
                     double from)
{
    bool storage = strcmp(kind, "storage") == 0;
    for (int i = 0; i < DRAWN; i++)
        if (strcmp(quantity, drawn_quantities[i]) == 0) {
            s->whole = s->whole || from == 1 || i == 2;
            s->error_of[i] = s->error_of[i] || median > 0;
        }
    if (strcmp(quantity, "g") == 0 && storage && n >= FEWEST_HEADS && median > 0)
        s->gate = true;
    if (n > 0) {
        s->n_least = s->n_most == 0 || n < s->n_least ? n : s->n_least;
        s->n_most = n > s->n_most ? n : s->n_most;
    }
}

static gdn_status look_at(const gdn_table *t, contents *s, gdn_error *err)
{
    columns c;
    gdn_status status = find_columns(t, &c, err);
    for (size_t row = 0; !status && row < gdn_table_rows(t); row++) {
        double n, median = 0, from = 0;
        status = gdn_table_number(t, row, c.n, &n, err);
        if (!status)
            status = gdn_table_number(t, row, c.median, &median, err);
        if (!status)
            status = gdn_table_number(t, row, c.from, &from, err);
        if (!status)
            note_row(s, gdn_table_text(t, row, c.quantity), gdn_table_text(t, row, c.kind), n, median, from);
        s->layers |= strstr(gdn_table_text(t, row, c.population), ".layer") != NULL;
        if (!status && n > 0)
            note_reference(s, gdn_table_text(t, row, c.reference));
    }
    return status;
}

static bool is_there(const char *dir, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path && access(path, R_OK) == 0;
}

static gdn_status read_contents(const char *dir, contents *s, gdn_error *err)
{
    gdn_table *t;
    *s = (contents){.n_least = 0};
    gdn_status status = read_results(dir, "summary.csv", &t, err);
    if (!status)
        status = look_at(t, s, err);
    gdn_table_free(t);
    s->budget = is_there(dir, "budget.csv");
    s->last = is_there(dir, "last.csv");
    s->heat = is_there(dir, "heat.csv");
    return status;
}

static bool of_budget(const gdn_figure *figure)
{
    return strcmp(figure->csv, "budget.csv") == 0;
}

static bool of_layers(const gdn_figure *figure)
{
    return strcmp(figure->script, "layers") == 0;
}

/* Few experiments have what these figures show, and nobody is told that one has not. */
static bool out_of_place(const gdn_figure *figure, const contents *s)
{
    return (of_budget(figure) && !s->budget) || (of_layers(figure) && !s->layers);
}

static bool applies(const gdn_figure *figure, const contents *s)
{
    if (out_of_place(figure, s))
        return false;
    for (int i = 0; i < DRAWN; i++) {
        char setting[40];
        snprintf(setting, sizeof setting, "quantity = '%s'", drawn_quantities[i]);
        if (figure->settings && strcmp(figure->settings, setting) == 0)
            return s->error_of[i];
    }
    return strcmp(figure->script, "gate_sawtooth") == 0 ? s->gate : s->whole;
}

/* ---- Provenance ---- */

/* The text at root[section][key], or "unknown". */
static const char *text_of(const json_t *root, const char *section, const char *key)
{
    const char *s = json_string_value(json_object_get(json_object_get(root, section), key));
    return s && *s ? s : "unknown";
}

static bool truth_of(const json_t *root, const char *section, const char *key)
{
    const json_t *x = json_object_get(json_object_get(root, section), key);
    return json_is_true(x) || json_integer_value(x) != 0;
}

static char *compose(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *compose(const char *format, ...)
{
    char *s;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&s, format, args);
    va_end(args);
    return n < 0 ? NULL : s;
}

static char *line_of(const json_t *root, const contents *s)
{
    char n[64];
    const char *device = json_string_value(json_object_get(root, "device"));
    snprintf(n, sizeof n, s->n_least < s->n_most ? "n = %.0f to %.0f" : "n = %.0f", s->n_least, s->n_most);
    return compose("gdnprec %s %.12s%s · %s · %s · %s heads x seeds · reference %s",
                   text_of(root, "program", "version"), text_of(root, "program", "commit"),
                   truth_of(root, "program", "dirty") ? "+dirty" : "", text_of(root, "experiment", "name"),
                   device && *device ? device : text_of(root, "machine", "cpu"), n,
                   *s->reference ? s->reference : "unknown");
}

static gdn_status provenance(const char *dir, const contents *s, char **out, gdn_error *err)
{
    char path[PATH_MAX];
    json_t *root;
    gdn_status status = gdn_results_file(dir, "manifest.json", err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    if ((status = gdn_json_read(path, &root, err)))
        return status;
    *out = line_of(root, s);
    json_decref(root);
    return *out ? GDN_OK : gdn_no_memory(err, "a line of provenance");
}

gdn_status gdn_provenance_line(const char *results_dir, char **out, gdn_error *err)
{
    contents s;
    *out = NULL;
    gdn_status status = read_contents(results_dir, &s, err);
    return status ? status : provenance(results_dir, &s, out, err);
}

/* ---- Running gnuplot ---- */

/* 'text' for gnuplot: quotes inside are doubled, line ends become blanks. To be freed. */
static char *quoted(const char *text)
{
    char *out = malloc(2 * strlen(text) + 3), *p = out;
    if (!out)
        return NULL;
    *p++ = '\'';
    for (; *text; text++) {
        if (*text == '\'')
            *p++ = '\'';
        *p++ = *text == '\n' || *text == '\r' ? ' ' : *text;
    }
    *p++ = '\'';
    *p = '\0';
    return out;
}

/* All of the stream, of which the first SAID bytes are kept. */
static void listen_to(int fd, char said[SAID + 1])
{
    char chunk[4096];
    size_t kept = 0;
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)) {
        size_t more = n > 0 ? (size_t)n : 0;
        if (more > SAID - kept)
            more = SAID - kept;
        memcpy(said + kept, chunk, more);
        kept += more;
    }
    said[kept] = '\0';
}

/* Start argv with its stderr in a pipe, of which *from is the reading end. Returns an errno. */
static int start(char *const argv[], pid_t *child, int *from)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    int problem = posix_spawnp(child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (problem)
        close(ends[0]);
    *from = ends[0];
    return problem;
}

/* In what gnuplot said, the line that tells most: the first that is neither blank, an echo, nor a warning. */
static const char *telling_line(char *said)
{
    char *rest;
    for (char *line = strtok_r(said, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *p = line + strspn(line, " \t^");
        if (*p && !strstr(p, "warning:") && (strstr(p, " line ") || !strstr(p, "plot ")))
            return p;
    }
    return "it said nothing";
}

/* Run gnuplot with the commands, then the script. *drawn is false when the script finds nothing to draw. */
static gdn_status run_gnuplot(const char *commands, const char *script, bool *drawn, gdn_error *err)
{
    char *argv[] = {(char[]){"gnuplot"}, (char[]){"-d"}, (char[]){"-e"},
                    strdup(commands),    strdup(script), NULL};
    char said[SAID + 1];
    pid_t child = 0;
    int from = -1, how = 0;
    int problem = argv[3] && argv[4] ? start(argv, &child, &from) : ENOMEM;
    free(argv[3]);
    free(argv[4]);
    if (problem == ENOENT)
        return gdn_fail(err, GDN_MACHINE,
                        "gnuplot is not installed, or not in PATH; the package is gnuplot-nox");
    if (problem)
        return gdn_fail(err, GDN_MACHINE, "gnuplot cannot be started: %s", strerror(problem));
    listen_to(from, said);
    close(from);
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        continue;
    *drawn = WIFEXITED(how) && WEXITSTATUS(how) == 0;
    if (*drawn || (WIFEXITED(how) && WEXITSTATUS(how) == NOTHING_TO_DRAW))
        return GDN_OK;
    return gdn_fail(err, GDN_MACHINE, "%.200s: gnuplot failed: %s", script, telling_line(said));
}

/* ---- Files ---- */

/* cairo stamps a PDF with the time; a fixed one in its place lets equal input give equal bytes. */
static void unstamp(char *bytes, size_t n)
{
    static const char key[] = "/CreationDate (D:", when[] = "20000101000000";
    char *at = memmem(bytes, n, key, sizeof key - 1);
    if (at && (size_t)(bytes + n - at) > sizeof key + sizeof when)
        memcpy(at + sizeof key - 1, when, sizeof when - 1);
}

/* Copy what gnuplot drew to its place; an empty drawing is a failure. */
static gdn_status publish(const char *drawn, const char *path, gdn_error *err)
{
    FILE *f = fopen(drawn, "rb");
    char *bytes = NULL;
    long n = -1;
    if (f && fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)n);
    bool whole = bytes && fread(bytes, 1, (size_t)n, f) == (size_t)n;
    if (f)
        fclose(f);
    gdn_outfile o = {.f = NULL};
    gdn_status status = whole ? gdn_outfile_open(&o, path, err)
                              : gdn_fail(err, GDN_MACHINE, "%.400s: gnuplot left nothing there", drawn);
    if (!status) {
        unstamp(bytes, (size_t)n);
        fwrite(bytes, 1, (size_t)n, o.f);
        status = gdn_outfile_close(&o, GDN_OK, err);
    }
    free(bytes);
    return status;
}

typedef struct drawing {
    const char *results, *plots, *figures; /* directories */
    const char *provenance;
    bool svg_only; /* and silent */
} drawing;

/* gnuplot commands that set what a script is told. To be freed. */
static char *told(const drawing *d, const gdn_figure *figure, const char *term, const char *out)
{
    char *dir = quoted(d->results), *file = quoted(out), *line = quoted(d->provenance);
    char *commands = dir && file && line
                         ? compose("dir = %s; out = %s; term = '%s'; provenance = %s; %s", dir, file, term,
                                   line, figure->settings ? figure->settings : "")
                         : NULL;
    free(dir);
    free(file);
    free(line);
    return commands;
}

/* One figure to one kind of file. */
static gdn_status draw(const drawing *d, const gdn_figure *figure, const char *term, bool *drawn,
                       gdn_error *err)
{
    char out[PATH_MAX], temporary[PATH_MAX + 8], script[PATH_MAX];
    *drawn = false;
    if (snprintf(out, sizeof out, "%s/%s.%s", d->figures, figure->name, term) >= (int)sizeof out ||
        snprintf(script, sizeof script, "%s/%s.gp", d->plots, figure->script) >= (int)sizeof script)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", d->figures);
    if (access(script, R_OK))
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: cannot be read: %s", script, strerror(errno));
    snprintf(temporary, sizeof temporary, "%s.drawn", out);
    char *commands = told(d, figure, term, temporary);
    gdn_status status =
        commands ? run_gnuplot(commands, script, drawn, err) : gdn_no_memory(err, "a command for gnuplot");
    free(commands);
    if (!status && *drawn)
        status = publish(temporary, out, err);
    unlink(temporary);
    return status;
}

/* Files of a figure that no longer applies. */
static void forget(const drawing *d, const gdn_figure *figure)
{
    static const char *const terms[] = {"svg", "pdf"};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s.%s", d->figures, figure->name, terms[i]) < (int)sizeof path)
            unlink(path);
    }
}

/* One figure to every kind of file, or a line that says why not. */
static gdn_status draw_figure(const drawing *d, const gdn_figure *figure, const contents *s, gdn_error *err)
{
    gdn_status status = GDN_OK;
    const char *needs = !s->last && strstr(figure->csv, "last.csv")   ? "last.csv"
                        : !s->heat && strstr(figure->csv, "heat.csv") ? "heat.csv"
                                                                      : NULL;
    if (needs) {
        if (!d->svg_only && !out_of_place(figure, s))
            fprintf(stderr, "%s: needs %s, which is not here; left as it is\n", figure->name, needs);
        return GDN_OK;
    }
    bool drawn = applies(figure, s);
    if (drawn)
        status = draw(d, figure, "svg", &drawn, err);
    if (drawn && !status && !d->svg_only)
        status = draw(d, figure, "pdf", &drawn, err);
    if (!drawn && !status) {
        forget(d, figure);
        if (!d->svg_only && !out_of_place(figure, s))
            fprintf(stderr, "%s: no data for this figure; skipped\n", figure->name);
    }
    return status;
}

/* All figures, side by side on all cores; the first failure in their order is the one that is told. */
static gdn_status draw_all(const drawing *d, const contents *s, gdn_error *err)
{
    gdn_status status = GDN_OK;
#pragma omp parallel for schedule(dynamic, 1) ordered
    for (int i = 0; i < gdn_figure_count; i++) {
        gdn_error own = {""};
        gdn_status drawn = draw_figure(d, &gdn_figures[i], s, &own);
#pragma omp ordered
        if (drawn && !status) {
            status = drawn;
            *err = own;
        }
    }
    return status;
}

static gdn_status plot(drawing d, gdn_error *err)
{
    contents s;
    char *line = NULL;
    gdn_status status = read_contents(d.results, &s, err);
    if (!status)
        status = provenance(d.results, &s, &line, err);
    if (!status)
        status = gdn_make_directory(d.figures, err);
    d.provenance = line;
    if (!status)
        status = draw_all(&d, &s, err);
    free(line);
    return status;
}

gdn_status gdn_plot(const char *results_dir, const char *plots_dir, gdn_error *err)
{
    char figures[PATH_MAX];
    if (snprintf(figures, sizeof figures, "%s/figures", results_dir) >= (int)sizeof figures)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", results_dir);
    return plot((drawing){.results = results_dir, .plots = plots_dir, .figures = figures}, err);
}

gdn_status gdn_plot_into(const char *results_dir, const char *plots_dir, const char *figures, gdn_error *err)
{
    return plot((drawing){.results = results_dir, .plots = plots_dir, .figures = figures, .svg_only = true},
                err);
}
