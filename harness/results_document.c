/* SPDX-License-Identifier: Apache-2.0 */
/* results_document -- the marked parts of a document; see results_index.h. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/outfile.h"
#include "harness/results_index.h"
#include "harness/shown.h"

enum { LARGEST = 1 << 24 };

static const char begin[] = "<!-- gdnprec results: ", end[] = "<!-- gdnprec results end -->",
                  close_mark[] = " -->";

static gdn_status read_document(const char *path, char **text, gdn_error *err)
{
    char shown[256];
    struct stat st;
    FILE *f = fopen(path, "rb");
    *text = NULL;
    if (!f)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: %s", gdn_shown_path(path, shown, sizeof shown),
                        strerror(errno));
    gdn_status status = GDN_OK;
    if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode) || st.st_size > LARGEST)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: is no document; a regular file of at most 16 MiB can be",
                          gdn_shown_path(path, shown, sizeof shown));
    else if (!(*text = calloc((size_t)st.st_size + 1, 1)))
        status = gdn_no_memory(err, "a document");
    else if (fread(*text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        status = gdn_fail(err, GDN_MACHINE, "%s: cannot be read", gdn_shown_path(path, shown, sizeof shown));
    fclose(f);
    return status;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

/* What leads from the document's folder to the results: a document lies among them, or above. */
static const char *beside(const gdn_index *x, const char *path)
{
    char copy[PATH_MAX], document[PATH_MAX], results[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    bool among =
        realpath(dirname(copy), document) && realpath(x->root, results) && strcmp(document, results) == 0;
    return among ? "" : "results/";
}

/* The part after the mark at `at` (behind `begin`), whose line ends at *rest. */
static gdn_status part_at(const char *path, const char *text, const char *at, const gdn_index_part **part,
                          const char **rest, gdn_error *err)
{
    char name[64], shown[256];
    size_t n = strcspn(at, " \n");
    snprintf(name, sizeof name, "%.*s", (int)(n < 60 ? n : 60), at);
    *part = gdn_index_part_find(name);
    *rest = at + n;
    if (*part && strncmp(*rest, close_mark, strlen(close_mark)) == 0 && (*rest)[strlen(close_mark)] == '\n') {
        *rest += strlen(close_mark) + 1;
        return GDN_OK;
    }
    char all[256] = "";
    for (int i = 0; i < gdn_index_part_count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), " %s", gdn_index_parts[i].name);
    return gdn_fail(err, GDN_BAD_INPUT, "%s:%d: the mark names no part of the results; allowed:%s",
                    gdn_shown_path(path, shown, sizeof shown), line_of(text, at), all);
}

/* The document with its parts as the results have them, to be freed. */
static gdn_status renewed(const gdn_index *x, const char *path, const char *text, char **out, gdn_error *err)
{
    char shown[256];
    size_t size = 0, parts = 0;
    const char *at = text, *mark, *rest, *last;
    const gdn_index_part *part;
    gdn_status status = GDN_OK;
    FILE *f = open_memstream(out, &size);
    if (!f)
        return gdn_no_memory(err, "a document");
    for (; !status && (mark = strstr(at, begin)); parts++) {
        if ((status = part_at(path, text, mark + strlen(begin), &part, &rest, err)))
            break;
        last = strstr(rest, end);
        const char *next = strstr(rest, begin);
        if (!last || (next && next < last)) {
            status = gdn_fail(err, GDN_BAD_INPUT, "%s:%d: no line '%s' follows",
                              gdn_shown_path(path, shown, sizeof shown), line_of(text, mark), end);
            break;
        }
        fwrite(at, 1, (size_t)(rest - at), f);
        status = part->put(x, beside(x, path), f, err);
        at = last;
    }
    fputs(at, f);
    if (fclose(f) && !status)
        status = gdn_no_memory(err, "a document");
    if (!status && parts == 0)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: has no line such as '%sindex -->'",
                          gdn_shown_path(path, shown, sizeof shown), begin);
    if (status) {
        free(*out);
        *out = NULL;
    }
    return status;
}

gdn_status gdn_index_write(const gdn_index *x, const char *path, gdn_error *err)
{
    char *text = NULL, *now = NULL;
    gdn_outfile out;
    gdn_status status = read_document(path, &text, err);
    if (!status)
        status = renewed(x, path, text, &now, err);
    if (!status && strcmp(text, now) != 0 && !(status = gdn_outfile_open(&out, path, err))) {
        fputs(now, out.f);
        status = gdn_outfile_close(&out, GDN_OK, err);
    }
    free(text);
    free(now);
    return status;
}

/* The first line in which the texts differ. */
static gdn_status first_difference(const char *path, const char *text, const char *now, gdn_error *err)
{
    char shown[256], said[GDN_SHOWN], is[GDN_SHOWN];
    size_t line = 1;
    for (;; line++) {
        size_t n = strcspn(text, "\n"), m = strcspn(now, "\n");
        if (n != m || memcmp(text, now, n) != 0 || !text[n] || !now[m]) {
            gdn_quoted_bytes(text, n, said, sizeof said);
            gdn_quoted_bytes(now, m, is, sizeof is);
            return gdn_fail(
                err, GDN_DIFFERS,
                "%s:%zu: says %s, the results say %s (gdnprec results --write FILE puts it right)",
                gdn_shown_path(path, shown, sizeof shown), line, said, is);
        }
        text += n + 1;
        now += m + 1;
    }
}

gdn_status gdn_index_check(const gdn_index *x, const char *path, gdn_error *err)
{
    char *text = NULL, *now = NULL;
    gdn_status status = read_document(path, &text, err);
    if (!status)
        status = renewed(x, path, text, &now, err);
    if (!status && strcmp(text, now) != 0)
        status = first_difference(path, text, now, err);
    free(text);
    free(now);
    return status;
}
