/* SPDX-License-Identifier: Apache-2.0 */
/* report_svg -- a figure's file put into a page of HTML; see report_parts.h. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#include "harness/report_parts.h"

void gdn_put_escaped(FILE *f, const char *s)
{
    static const char marks[] = "&<>\"", *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (; *s; s++) {
        const char *mark = strchr(marks, *s);
        if (mark)
            fputs(entities[mark - marks], f);
        else
            fputc(*s, f);
    }
}

/* The whole file as a string; NULL when it cannot be had. */
static char *file_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *s = NULL, chunk[65536];
    size_t room = 0;
    FILE *to = f ? open_memstream(&s, &room) : NULL;
    size_t n;
    while (to && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        fwrite(chunk, 1, n, to);
    if (to)
        fclose(to);
    if (f)
        fclose(f);
    return s;
}

/*
 * Copy an SVG for use inside HTML: from <svg on, without namespace declarations (HTML knows them), and with
 * `prefix` before every id, since several figures share one page.
 */
static void put_svg(FILE *f, const char *svg, const char *prefix)
{
    static const char *const before_id[] = {" id='", " id=\"", "href='#", "href=\"#",
                                            "url(#", "url('#", "url(\"#"};
    const char *p = strstr(svg, "<svg");
    while (p && *p) {
        size_t skipped = 0;
        if (strncmp(p, "xmlns", 5) == 0) {
            const char *open = strpbrk(p, "'\""), *close = open ? strchr(open + 1, *open) : NULL;
            skipped = close ? (size_t)(close + 1 - p) : 0;
        }
        p += skipped;
        for (size_t i = 0; i < sizeof before_id / sizeof before_id[0] && !skipped; i++) {
            size_t n = strlen(before_id[i]);
            if (strncmp(p, before_id[i], n) == 0) {
                fprintf(f, "%s%s-", before_id[i], prefix);
                p += n;
                skipped = n;
            }
        }
        if (!skipped)
            fputc(*p++, f);
    }
}

gdn_status gdn_put_figure(const char *dir, const char *url, const char *label, unsigned serial, FILE *f,
                          gdn_error *err)
{
    char path[PATH_MAX], prefix[24], id[GDN_SLUG];
    if (snprintf(path, sizeof path, "%s/%s", dir, url) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    char *svg = file_text(path);
    if (!svg)
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: cannot be read; `gdnprec plot` draws it", path);
    gdn_figure_slug(url, id);
    snprintf(prefix, sizeof prefix, "f%u", serial);
    fprintf(f, "<figure id=\"%s\" role=\"img\" aria-label=\"", id);
    gdn_put_escaped(f, label);
    fprintf(f, "\">\n");
    put_svg(f, svg, prefix);
    fprintf(f, "</figure>\n");
    free(svg);
    return GDN_OK;
}

void gdn_slug(const char *text, char out[GDN_SLUG])
{
    size_t n = 0;
    for (; *text && n + 1 < GDN_SLUG; text++)
        if (isalnum((unsigned char)*text) || *text == '_' || *text == '-')
            out[n++] = (char)tolower((unsigned char)*text);
        else if (*text == ' ')
            out[n++] = '-';
    out[n] = 0;
}

void gdn_figure_slug(const char *url, char out[GDN_SLUG])
{
    char flat[GDN_SLUG];
    snprintf(flat, sizeof flat, "fig-%s", url);
    for (char *p = flat; *p; p++)
        if (*p == '/' || *p == '.')
            *p = '-';
    gdn_slug(flat, out);
}
