/* SPDX-License-Identifier: Apache-2.0 */
/* grouping -- rows group by group; see grouping.h. */
#include "harness/grouping.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { KEY = 1024, TEXTS = 1 << 16, FLAG_UNKNOWN = GDN_FLAGS };

struct gdn_grouping {
    char **text; /* [texts] */
    unsigned texts, text_room;
    gdn_group *group; /* [groups] in the order in which they came */
    size_t groups, group_room;
    uint32_t *slot; /* [slots] a power of two; index of a group + 1, or 0 */
    size_t slots;
    gdn_member *member; /* [n] of `most` */
    size_t n, most;
    int64_t total;
    int came, divided;       /* files; -1 where there are none */
    const gdn_group **order; /* [groups] as they are visited */
};

/* ---- files ---- */

static gdn_status no_room(gdn_error *err)
{
    return gdn_fail(err, GDN_MACHINE,
                    "cannot sort the rows: temporary files: %s (SQLITE_TMPDIR names another directory for "
                    "them); committed "
                    "tasks are safe, run again to resume",
                    errno ? strerror(errno) : "cut short");
}

/* A file without a name, where SQLite has its own. */
static gdn_status temporary(int *fd, gdn_error *err)
{
    const char *places[] = {getenv("SQLITE_TMPDIR"), getenv("TMPDIR"), "/var/tmp", "/tmp"};
    char path[4096];
    *fd = -1;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && *fd < 0; i++) {
        if (!places[i] || snprintf(path, sizeof path, "%s/gdnprec_XXXXXX", places[i]) >= (int)sizeof path)
            continue;
        *fd = mkstemp(path);
        if (*fd >= 0)
            unlink(path);
    }
    return *fd >= 0 ? GDN_OK : no_room(err);
}

static gdn_status put(int fd, const gdn_member *m, size_t n, int64_t at, gdn_error *err)
{
    const char *from = (const char *)m;
    off_t where = (off_t)at * (off_t)sizeof *m;
    for (size_t left = n * sizeof *m; left > 0;) {
        errno = 0;
        ssize_t wrote = pwrite(fd, from, left, where);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return no_room(err);
        from += wrote;
        where += wrote;
        left -= (size_t)wrote;
    }
    return GDN_OK;
}

static gdn_status get(int fd, gdn_member *m, size_t n, int64_t at, gdn_error *err)
{
    char *to = (char *)m;
    off_t where = (off_t)at * (off_t)sizeof *m;
    for (size_t left = n * sizeof *m; left > 0;) {
        errno = 0;
        ssize_t had = pread(fd, to, left, where);
        if (had < 0 && errno == EINTR)
            continue;
        if (had <= 0)
            return no_room(err);
        to += had;
        where += had;
        left -= (size_t)had;
    }
    return GDN_OK;
}

/* ---- groups ---- */

gdn_status gdn_grouping_open(gdn_grouping **out, size_t most, gdn_error *err)
{
    gdn_grouping *g = *out = calloc(1, sizeof *g);
    if (g) {
        g->came = g->divided = -1;
        g->most = most ? most : GDN_GROUPING_ROWS;
        g->slots = 1024;
        g->slot = calloc(g->slots, sizeof *g->slot);
        g->member = malloc(g->most * sizeof *g->member);
    }
    if (g && g->slot && g->member)
        return GDN_OK;
    gdn_grouping_close(g);
    *out = NULL;
    return gdn_no_memory(err, "groups of rows");
}

void gdn_grouping_close(gdn_grouping *g)
{
    if (!g)
        return;
    if (g->came >= 0)
        close(g->came);
    if (g->divided >= 0)
        close(g->divided);
    for (unsigned i = 0; i < g->texts; i++)
        free(g->text[i]);
    free(g->text);
    free(g->group);
    free(g->slot);
    free(g->member);
    free(g->order);
    free(g);
}

const char *gdn_grouping_text(const gdn_grouping *g, unsigned index)
{
    return g->text[index];
}

/* Index of a text, kept; -1 when memory is out. Few texts: profiles, populations and a few words. */
static int keep(gdn_grouping *g, const char *text)
{
    for (unsigned i = 0; i < g->texts; i++)
        if (strcmp(g->text[i], text) == 0)
            return (int)i;
    if (g->texts == g->text_room) {
        unsigned room = g->text_room ? 2 * g->text_room : 64;
        char **grown = room <= TEXTS ? realloc(g->text, room * sizeof *grown) : NULL;
        if (!grown)
            return -1;
        g->text = grown;
        g->text_room = room;
    }
    char *copy = strdup(text);
    if (!copy)
        return -1;
    g->text[g->texts] = copy;
    return (int)g->texts++;
}

static uint64_t hash_of(const gdn_group *k)
{
    const char *const words[] = {k->profile, k->recipe,   k->mode, k->population,
                                 k->keys,    k->quantity, k->kind};
    const int64_t numbers[] = {k->dk, k->dv, k->length, k->from, k->to};
    char all[KEY];
    size_t n = sizeof numbers;
    memcpy(all, numbers, n);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (const char *c = words[i]; n < KEY - 1;) {
            all[n++] = *c;
            if (!*c++)
                break;
        }
    return XXH3_64bits(all, n);
}

static bool same(const gdn_group *a, const gdn_group *b)
{
    return a->from == b->from && a->to == b->to && a->length == b->length && a->dk == b->dk &&
           a->dv == b->dv && strcmp(a->profile, b->profile) == 0 && strcmp(a->quantity, b->quantity) == 0 &&
           strcmp(a->kind, b->kind) == 0 && strcmp(a->population, b->population) == 0 &&
           strcmp(a->recipe, b->recipe) == 0 && strcmp(a->mode, b->mode) == 0 &&
           strcmp(a->keys, b->keys) == 0;
}

/* Where the group is among the slots, or is to be. */
static size_t slot_of(const gdn_grouping *g, const gdn_group *k)
{
    size_t at = (size_t)hash_of(k) & (g->slots - 1);
    while (g->slot[at] && !same(&g->group[g->slot[at] - 1], k))
        at = (at + 1) & (g->slots - 1);
    return at;
}

/* Twice as many slots, and the groups in them. */
static gdn_status more_slots(gdn_grouping *g, gdn_error *err)
{
    uint32_t *slot = calloc(2 * g->slots, sizeof *slot);
    if (!slot || g->groups >= UINT32_MAX / 4) {
        free(slot);
        return gdn_no_memory(err, "groups of rows");
    }
    free(g->slot);
    g->slot = slot;
    g->slots *= 2;
    for (size_t i = 0; i < g->groups; i++)
        g->slot[slot_of(g, &g->group[i])] = (uint32_t)i + 1;
    return GDN_OK;
}

/* A new group; its texts are kept. */
static gdn_status new_group(gdn_grouping *g, const gdn_group *k, gdn_error *err)
{
    if (g->groups == g->group_room) {
        size_t room = g->group_room ? 2 * g->group_room : 256;
        gdn_group *grown = realloc(g->group, room * sizeof *grown);
        if (!grown)
            return gdn_no_memory(err, "groups of rows");
        g->group = grown;
        g->group_room = room;
    }
    gdn_group kept = *k;
    const char **words[] = {&kept.profile, &kept.recipe,   &kept.mode, &kept.population,
                            &kept.keys,    &kept.quantity, &kept.kind};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int index = keep(g, *words[i]);
        if (index < 0)
            return gdn_no_memory(err, "groups of rows");
        *words[i] = g->text[index];
    }
    g->group[g->groups++] = kept;
    return GDN_OK;
}

static gdn_status find(gdn_grouping *g, const gdn_row *r, uint32_t *index, gdn_error *err)
{
    gdn_group k = {r->profile, r->recipe, r->mode, r->population, r->keys, r->quantity, r->kind, r->dk,
                   r->dv,      r->length, r->from, r->to,         0};
    gdn_status status = 2 * g->groups < g->slots ? GDN_OK : more_slots(g, err);
    if (status)
        return status;
    size_t at = slot_of(g, &k);
    if (!g->slot[at]) {
        status = new_group(g, &k, err);
        if (status)
            return status;
        g->slot[at] = (uint32_t)g->groups;
    }
    *index = g->slot[at] - 1;
    g->group[*index].count++;
    return GDN_OK;
}

gdn_status gdn_grouping_add(gdn_grouping *g, const gdn_row *r, gdn_error *err)
{
    gdn_status status = GDN_OK;
    if (g->n == g->most) {
        status = g->came < 0 ? temporary(&g->came, err) : GDN_OK;
        if (!status)
            status = put(g->came, g->member, g->n, g->total - (int64_t)g->n, err);
        g->n = 0;
    }
    gdn_member m = {.flag = 0,
                    .seed = r->seed,
                    .head = r->head,
                    .rel_l2 = r->rel_l2,
                    .bias = r->bias,
                    .max_ulp = r->max_ulp,
                    .predicted = r->predicted,
                    .gamma = r->gamma,
                    .gamma_eff = r->gamma_eff,
                    .uncertainty = r->uncertainty};
    int reference = status ? -1 : keep(g, r->reference);
    if (!status && reference < 0)
        status = gdn_no_memory(err, "groups of rows");
    while (m.flag < FLAG_UNKNOWN && strcmp(gdn_flag_names[m.flag], r->flag) != 0)
        m.flag++;
    if (!status)
        status = find(g, r, &m.group, err);
    if (status)
        return status;
    m.reference = (uint16_t)reference;
    g->member[g->n++] = m;
    g->total++;
    return GDN_OK;
}

/* ---- in order ---- */

static int by_key(const void *a, const void *b)
{
    const gdn_group *x = *(const gdn_group *const *)a, *y = *(const gdn_group *const *)b;
    const char *const words[][2] = {{x->population, y->population}, {x->profile, y->profile},
                                    {x->recipe, y->recipe},         {x->mode, y->mode},
                                    {x->quantity, y->quantity},     {x->kind, y->kind}};
    const int64_t numbers[][2] = {{x->to, y->to}, {x->from, y->from}, {x->dk, y->dk}, {x->dv, y->dv}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int c = strcmp(words[i][0], words[i][1]);
        if (c)
            return c;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i][0] != numbers[i][1])
            return numbers[i][0] < numbers[i][1] ? -1 : 1;
    int c = strcmp(x->keys, y->keys);
    return c ? c : (x->length > y->length) - (x->length < y->length);
}

static int by_place(const void *a, const void *b)
{
    const gdn_member *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->seed != y->seed)
        return x->seed < y->seed ? -1 : 1;
    return (x->head > y->head) - (x->head < y->head);
}

/* The lines of groups begin[0..groups) of m, made side by side; lines: [groups] to be freed. */
static gdn_status make_lines(const gdn_grouping *g, const gdn_member *m, const size_t *begin, size_t groups,
                             gdn_grouping_line line, char **lines, gdn_error *err)
{
    gdn_status result = GDN_OK;
#pragma omp parallel for schedule(dynamic, 16) if (groups > 16)
    for (size_t i = 0; i < groups; i++) {
        char text[GDN_GROUPING_LINE] = "";
        gdn_error own = {""};
        const gdn_member *first = m + begin[i];
        gdn_status status =
            line(g, g->order[first->group], first, begin[i + 1] - begin[i], text, sizeof text, &own);
        if (!status && !(lines[i] = strdup(text)))
            status = gdn_no_memory(&own, "a line");
        if (status)
#pragma omp critical(gdn_grouping)
        {
            result = status;
            *err = own;
        }
    }
    return result;
}

/* Sort members m[0..n) of whole groups and write their lines. */
static gdn_status write_all(const gdn_grouping *g, gdn_member *m, size_t n, gdn_grouping_line line, FILE *f,
                            gdn_error *err)
{
    size_t groups = 0, *begin = gdn_calloc(n + 1, sizeof *begin);
    char **lines = gdn_calloc(n, sizeof *lines);
    gdn_status status = begin && lines ? GDN_OK : gdn_no_memory(err, "groups of rows");
    if (!status) {
        qsort(m, n, sizeof *m, by_place);
        for (size_t i = 0; i < n; i++)
            if (i == 0 || m[i].group != m[i - 1].group)
                begin[groups++] = i;
        begin[groups] = n;
        status = make_lines(g, m, begin, groups, line, lines, err);
    }
    for (size_t i = 0; i < groups; i++) {
        if (!status)
            fprintf(f, "%s\n", lines[i]); /* the file's errors are seen when it is closed */
        free(lines[i]);
    }
    free(begin);
    free(lines);
    return status;
}

/* Consecutive groups, members first .. first + n - 1 of the file. */
typedef struct part {
    int64_t first, n, written;
    size_t waiting; /* in its window of the buffer */
} part;

/*
 * Parts of at most `most` members, or of one group. part_of: [groups] by place. Returns how many; 0 when
 * memory is out.
 */
static size_t cut(const gdn_grouping *g, part **out, uint32_t *part_of)
{
    size_t parts = 0, room = 2 + (size_t)(2 * g->total / (int64_t)g->most) + 1;
    part *p = *out = calloc(room, sizeof *p);
    for (size_t i = 0; i < g->groups && p; i++) {
        int64_t n = g->order[i]->count;
        if (parts == 0 || p[parts - 1].n + n > (int64_t)g->most) {
            p[parts].first = parts ? p[parts - 1].first + p[parts - 1].n : 0;
            parts++;
        }
        p[parts - 1].n += n;
        part_of[i] = (uint32_t)parts - 1;
    }
    return p ? parts : 0;
}

/* Bring the members that came into their parts; `room` is a buffer of `most`. */
static gdn_status divide(gdn_grouping *g, part *p, size_t parts, const uint32_t *part_of,
                         const uint32_t *place, gdn_member *room, gdn_error *err)
{
    size_t window = g->most / parts;
    gdn_status status = GDN_OK;
    for (int64_t at = 0; at < g->total && !status; at += (int64_t)g->most) {
        size_t n = g->total - at < (int64_t)g->most ? (size_t)(g->total - at) : g->most;
        status = get(g->came, g->member, n, at, err);
        for (size_t i = 0; i < n && !status; i++) {
            gdn_member *m = &g->member[i];
            m->group = place[m->group];
            part *to = &p[part_of[m->group]];
            gdn_member *waiting = room + window * part_of[m->group];
            waiting[to->waiting++] = *m;
            if (to->waiting == window) {
                status = put(g->divided, waiting, window, to->first + to->written, err);
                to->written += (int64_t)window;
                to->waiting = 0;
            }
        }
    }
    for (size_t i = 0; i < parts && !status; i++)
        status = put(g->divided, room + window * i, p[i].waiting, p[i].first + p[i].written, err);
    return status;
}

/* Through files: divide, then part by part. */
static gdn_status write_parts(gdn_grouping *g, const uint32_t *place, gdn_grouping_line line, FILE *f,
                              gdn_error *err)
{
    part *p = NULL;
    uint32_t *part_of = gdn_calloc(g->groups, sizeof *part_of);
    gdn_member *room = malloc(g->most * sizeof *room);
    size_t parts = part_of && room ? cut(g, &p, part_of) : 0;
    gdn_status status = parts ? temporary(&g->divided, err) : gdn_no_memory(err, "groups of rows");
    if (!status && parts > g->most)
        status = gdn_fail(err, GDN_MACHINE, "%zu parts of groups are too many", parts);
    if (!status)
        status = divide(g, p, parts, part_of, place, room, err);
    free(room);
    for (size_t i = 0; i < parts && !status; i++) {
        if (p[i].n > (int64_t)g->most) { /* a group by itself */
            gdn_member *grown = realloc(g->member, (size_t)p[i].n * sizeof *grown);
            if (!grown) {
                status = gdn_no_memory(err, "a group of rows");
                break;
            }
            g->member = grown;
        }
        status = get(g->divided, g->member, (size_t)p[i].n, p[i].first, err);
        if (!status)
            status = write_all(g, g->member, (size_t)p[i].n, line, f, err);
    }
    free(p);
    free(part_of);
    return status;
}

gdn_status gdn_grouping_write(gdn_grouping *g, gdn_grouping_line line, FILE *f, gdn_error *err)
{
    gdn_status status = GDN_OK;
    uint32_t *place = gdn_calloc(g->groups, sizeof *place);
    g->order = gdn_calloc(g->groups, sizeof *g->order);
    if (!place || !g->order)
        status = gdn_no_memory(err, "groups of rows");
    if (!status) {
        for (size_t i = 0; i < g->groups; i++)
            g->order[i] = &g->group[i];
        qsort(g->order, g->groups, sizeof *g->order, by_key);
        for (size_t i = 0; i < g->groups; i++)
            place[g->order[i] - g->group] = (uint32_t)i;
    }
    if (!status && g->came < 0) {
        for (size_t i = 0; i < g->n; i++)
            g->member[i].group = place[g->member[i].group];
        status = write_all(g, g->member, g->n, line, f, err);
    } else if (!status) {
        status = put(g->came, g->member, g->n, g->total - (int64_t)g->n, err);
        if (!status)
            status = write_parts(g, place, line, f, err);
    }
    free(place);
    return status;
}
