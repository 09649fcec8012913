/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_page -- the Markdown of a report as one self-contained page of HTML: cmark-gfm renders it; figures
 * are put in as SVG, headings get ids and a table of contents, wide tables scroll by themselves.
 */
#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>
#include <stdlib.h>

#include "harness/report_parts.h"

enum { MOST_BELOW = 24 }; /* headings of a section that the table of contents lists */

typedef struct heading {
    int level;
    char id[GDN_SLUG + 8];
    char *html; /* what stands in it */
} heading;

typedef struct document {
    const char *dir;
    cmark_parser *parser;
    cmark_node *root;
    heading *heading; /* [n] */
    size_t n;
    char **figure; /* [figures] addresses of those that stand in the page */
    size_t figures;
} document;

/* ---- nodes ---- */

/* All nodes of a type, in order: [*n], to be freed. They may then be replaced. */
static gdn_status all_of(const document *d, cmark_node_type type, cmark_node ***out, size_t *n,
                         gdn_error *err)
{
    cmark_iter *at = cmark_iter_new(d->root);
    cmark_node **all = NULL;
    gdn_status status = GDN_OK;
    *n = 0;
    for (cmark_event_type e; !status && (e = cmark_iter_next(at)) != CMARK_EVENT_DONE;) {
        if (e != CMARK_EVENT_ENTER || cmark_node_get_type(cmark_iter_get_node(at)) != type)
            continue;
        cmark_node **more = realloc(all, (*n + 1) * sizeof *more);
        if (more) {
            all = more;
            all[(*n)++] = cmark_iter_get_node(at);
        } else {
            status = gdn_no_memory(err, "report.html");
        }
    }
    cmark_iter_free(at);
    *out = all;
    return status;
}

/* Put a block of HTML in the place of a node. */
static void replace(cmark_node *node, const char *html)
{
    cmark_node *block = cmark_node_new(CMARK_NODE_CUSTOM_BLOCK);
    cmark_node_set_on_enter(block, html);
    cmark_node_replace(node, block);
    cmark_node_free(node);
}

/* ---- what becomes of nodes: each of a type, once ---- */

/* The paragraph around an image becomes the figure itself. */
static gdn_status turn_image(document *d, cmark_node *image, gdn_error *err)
{
    char *html = NULL;
    size_t size = 0;
    const char *url = cmark_node_get_url(image);
    cmark_node *label = cmark_node_first_child(image);
    const char *says = label ? cmark_node_get_literal(label) : NULL;
    char **more = realloc(d->figure, (d->figures + 1) * sizeof *more);
    FILE *f = more ? open_memstream(&html, &size) : NULL;
    d->figure = more ? more : d->figure;
    if (!f || !(d->figure[d->figures] = strdup(url))) {
        if (f)
            fclose(f);
        free(html);
        return gdn_no_memory(err, "report.html");
    }
    d->figures++;
    gdn_status status = gdn_put_figure(d->dir, url, says ? says : "figure", (unsigned)d->figures, f, err);
    if (fclose(f) && !status)
        status = gdn_no_memory(err, "report.html");
    if (!status)
        replace(cmark_node_parent(image), html);
    free(html);
    return status;
}

/* A link to a figure of this page leads to it here. */
static gdn_status turn_link(document *d, cmark_node *link, gdn_error *err)
{
    (void)err;
    for (size_t k = 0; k < d->figures; k++)
        if (gdn_same(cmark_node_get_url(link), d->figure[k])) {
            char id[GDN_SLUG], anchor[GDN_SLUG + 1];
            gdn_figure_slug(d->figure[k], id);
            snprintf(anchor, sizeof anchor, "#%s", id);
            cmark_node_set_url(link, anchor);
            break;
        }
    return GDN_OK;
}

/* The text of a node and all below it. */
static void put_literals(cmark_node *node, FILE *f)
{
    const char *s = cmark_node_get_literal(node);
    fputs(s ? s : "", f);
    for (cmark_node *x = cmark_node_first_child(node); x; x = cmark_node_next(x))
        put_literals(x, f);
}

/* An id that no heading before has. */
static void name_heading(const document *d, cmark_node *node, char *id, size_t size)
{
    char *text = NULL, base[GDN_SLUG] = "";
    size_t length = 0;
    FILE *f = open_memstream(&text, &length);
    if (f) {
        put_literals(node, f);
        fclose(f);
        gdn_slug(text, base);
        free(text);
    }
    snprintf(id, size, "%s", base);
    for (size_t i = 0, again = 0; i < d->n; i++)
        if (gdn_same(d->heading[i].id, id)) {
            snprintf(id, size, "%s-%zu", base, ++again);
            i = (size_t)-1; /* all of them again */
        }
}

static gdn_status turn_heading(document *d, cmark_node *node, gdn_error *err)
{
    heading *more = realloc(d->heading, (d->n + 1) * sizeof *more);
    char *html = cmark_render_html(node, CMARK_OPT_DEFAULT, NULL), *whole = NULL;
    if (more)
        d->heading = more;
    /* "<h2>...</h2>\n", of which the middle is wanted */
    char *open = html ? strchr(html, '>') : NULL, *close = html ? strrchr(html, '<') : NULL;
    char *inside = NULL;
    heading h = {.level = cmark_node_get_heading_level(node)};
    if (more && open && close > open) {
        *close = 0;
        name_heading(d, node, h.id, sizeof h.id);
        inside = strdup(open + 1);
    }
    bool done = inside && asprintf(&whole, "<h%d id=\"%s\">%s</h%d>\n", h.level, h.id, inside, h.level) > 0;
    if (done) {
        h.html = inside;
        d->heading[d->n++] = h;
        replace(node, whole);
        free(whole);
    } else {
        free(inside);
    }
    free(html);
    return done ? GDN_OK : gdn_no_memory(err, "a heading");
}

/* Queries are folded away. */
static gdn_status turn_code(document *d, cmark_node *code, gdn_error *err)
{
    char *html = NULL;
    size_t size = 0;
    (void)d;
    if (!gdn_same(cmark_node_get_fence_info(code), "sql"))
        return GDN_OK;
    FILE *f = open_memstream(&html, &size);
    if (!f)
        return gdn_no_memory(err, "report.html");
    fprintf(f, "<details><summary>queries and what they gave</summary>\n<pre><code>");
    gdn_put_escaped(f, cmark_node_get_literal(code));
    fprintf(f, "</code></pre></details>\n");
    if (fclose(f)) {
        free(html);
        return gdn_no_memory(err, "report.html");
    }
    replace(code, html);
    free(html);
    return GDN_OK;
}

/* Of HTML only a fold of the report's own passes: "<details><summary>words</summary>", "</details>". */
static gdn_status turn_html(document *d, cmark_node *node, gdn_error *err)
{
    static const char open[] = "<details><summary>", close[] = "</summary>\n", end[] = "</details>\n";
    const char *s = cmark_node_get_literal(node);
    (void)d, (void)err;
    size_t n = strncmp(s, open, strlen(open)) == 0 ? strcspn(s + strlen(open), "<>&") : 0;
    if (gdn_same(s, end) || (n > 0 && gdn_same(s + strlen(open) + n, close)))
        replace(node, s);
    return GDN_OK;
}

static gdn_status turn(document *d, gdn_error *err)
{
    static const struct {
        unsigned type;
        gdn_status (*one)(document *, cmark_node *, gdn_error *);
    } steps[] = {
        {CMARK_NODE_HTML_BLOCK, turn_html}, {CMARK_NODE_CODE_BLOCK, turn_code},
        {CMARK_NODE_HEADING, turn_heading}, {CMARK_NODE_IMAGE, turn_image},
        {CMARK_NODE_LINK, turn_link}, /* after the images */
    };
    gdn_status status = GDN_OK;
    for (size_t k = 0; k < sizeof steps / sizeof steps[0] && !status; k++) {
        cmark_node **node;
        size_t n;
        status = all_of(d, (cmark_node_type)steps[k].type, &node, &n, err);
        for (size_t i = 0; i < n && !status; i++)
            status = steps[k].one(d, node[i], err);
        free(node);
    }
    return status;
}

/* ---- the page ---- */

/* Headings below heading i. */
static size_t below(const document *d, size_t i)
{
    size_t n = 0;
    while (i + 1 + n < d->n && d->heading[i + 1 + n].level > d->heading[i].level)
        n++;
    return n;
}

static void put_contents(const document *d, FILE *f)
{
    fprintf(f, "<nav aria-label=\"Contents\">\n<ul>\n");
    for (size_t i = 0; i < d->n; i++) {
        if (d->heading[i].level != 2)
            continue;
        fprintf(f, "<li><a href=\"#%s\">%s</a>", d->heading[i].id, d->heading[i].html);
        size_t n = below(d, i);
        if (n > 0 && n <= MOST_BELOW) {
            fprintf(f, "\n<ul>\n");
            for (size_t k = i + 1; k <= i + n; k++)
                fprintf(f, "<li><a href=\"#%s\">%s</a></li>\n", d->heading[k].id, d->heading[k].html);
            fprintf(f, "</ul>\n");
        }
        fprintf(f, "</li>\n");
    }
    fprintf(f, "</ul>\n</nav>\n");
}

/*
 * The body as cmark renders it, with what HTML has no attributes for as classes: alignment of cells; links to
 * what stands behind a number; and every table in a box that scrolls. Text cannot look like these tags, since
 * its '<' is escaped.
 */
static void put_body(const char *s, FILE *f)
{
    static const struct {
        const char *from, *to;
    } tags[] = {
        {" align=\"right\">", " class=\"r\">"},
        {" align=\"center\">", " class=\"c\">"},
        {" align=\"left\">", ">"},
        {"<table>", "<div class=\"wide\" tabindex=\"0\">\n<table>"},
        {"</table>", "</table>\n</div>"},
        {"\" title=\"rows: ", "\" class=\"n\" title=\"rows: "},
    };
    enum { TAGS = sizeof tags / sizeof tags[0] };
    while (*s) {
        size_t k = strchr("< \"", *s) ? 0 : TAGS;
        while (k < TAGS && strncmp(s, tags[k].from, strlen(tags[k].from)) != 0)
            k++;
        if (k < TAGS) {
            fputs(tags[k].to, f);
            s += strlen(tags[k].from);
        } else {
            fputc(*s++, f);
        }
    }
}

static gdn_status put_page(const document *d, const char *title, const char *kind, char **page,
                           gdn_error *err)
{
    size_t size = 0;
    char *body = cmark_render_html(d->root, CMARK_OPT_DEFAULT, cmark_parser_get_syntax_extensions(d->parser));
    FILE *f = body ? open_memstream(page, &size) : NULL;
    if (f) {
        fprintf(f,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>gdnprec: ");
        gdn_put_escaped(f, title);
        fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body class=\"%s\">\n", gdn_page_style, kind);
        put_contents(d, f);
        fprintf(f, "<main>\n");
        put_body(body, f);
        fprintf(f, "</main>\n</body>\n</html>\n");
    }
    free(body);
    return f && !fclose(f) ? GDN_OK : gdn_no_memory(err, "report.html");
}

gdn_status gdn_report_page(const char *dir, const char *title, const char *kind, const char *md, char **page,
                           gdn_error *err)
{
    document d = {.dir = dir};
    cmark_gfm_core_extensions_ensure_registered();
    d.parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    cmark_parser_attach_syntax_extension(d.parser, cmark_find_syntax_extension("table"));
    cmark_parser_feed(d.parser, md, strlen(md));
    d.root = cmark_parser_finish(d.parser);
    gdn_status status = turn(&d, err);
    if (!status)
        status = put_page(&d, title, kind, page, err);
    for (size_t i = 0; i < d.n; i++)
        free(d.heading[i].html);
    for (size_t i = 0; i < d.figures; i++)
        free(d.figure[i]);
    free(d.heading);
    free(d.figure);
    cmark_node_free(d.root);
    cmark_parser_free(d.parser);
    return status;
}
