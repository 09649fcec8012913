/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked_tile -- the rows of a chunk of one head; compiled per instruction set. chunked.h has the formulas.
 *
 * Order of operations (part of the definition): an element of a product is one chain of fused multiply-adds
 * from 0, over the rows of the right factor in order. Only rows that a result depends on enter its chain: for
 * row i of U, W and P V' those of tokens j <= i. Lanes are columns of the result.
 */
#include "kernels/chunked.h"

#include "base/simd.h"
#include "kernels/norm.h"

/* Rows and columns of a product that are held in registers together. */
enum { ROWS = 4, WIDE = GDN_VF == 16 ? 4 : 2 };

GDN_INLINE gdn_vf load(const float *p)
{
    gdn_vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

GDN_INLINE void store_to(float *p, gdn_vf x)
{
    memcpy(p, &x, sizeof x);
}

/*
 * Floats as operands of a product: bf16 to nearest-even, tf32 cut off. The carry of a NaN's low bits could
 * run into its sign; a NaN that arithmetic made has none, and those that come in are replaced by such a one
 * (gdn_plain_nan).
 */
GDN_INLINE gdn_vf operand(gdn_format_id product, gdn_vf x)
{
    gdn_vu u = (gdn_vu)x;
    if (product == GDN_BF16)
        return (gdn_vf)((u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u);
    if (product == GDN_TF32)
        return (gdn_vf)(u & 0xffffe000u);
    return x;
}

/* A row as operand; n is a multiple of 16. */
static void operand_row(gdn_format_id product, const float *x, int n, float *out)
{
    for (int j = 0; j < n; j += GDN_VF)
        store_to(out + j, operand(product, load(x + j)));
}

/* A row times a number, as operand; n is a multiple of 16. */
static void scaled_row(gdn_format_id product, const float *x, float by, int n, float *out)
{
    gdn_vf factor = gdn_vf_set(by);
    for (int j = 0; j < n; j += GDN_VF)
        store_to(out + j, operand(product, load(x + j) * factor));
}

/*
 * out[r][c] = (onto ? out[r][c] : 0) + sum over l < n of a[r][l] b[l][c] in `rows` rows, `vectors` vectors of
 * columns.
 */
GDN_INLINE void block(int rows, int vectors, bool onto, float *out, int ldo, const float *a, int lda,
                      const float *b, int ldb, int n)
{
    gdn_vf sum[ROWS][WIDE];
    for (int r = 0; r < rows; r++)
        for (int y = 0; y < vectors; y++)
            sum[r][y] = onto ? load(out + r * ldo + y * GDN_VF) : (gdn_vf){0};
    for (int l = 0; l < n; l++) {
        gdn_vf right[WIDE];
        for (int y = 0; y < vectors; y++)
            right[y] = load(b + l * ldb + y * GDN_VF);
        for (int r = 0; r < rows; r++) {
            gdn_vf left = gdn_vf_set(a[r * lda + l]);
            for (int y = 0; y < vectors; y++)
                sum[r][y] = gdn_vf_fma(left, right[y], sum[r][y]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int y = 0; y < vectors; y++)
            store_to(out + r * ldo + y * GDN_VF, sum[r][y]);
}

/* All rows of a strip of columns. Row r's chain is n long, or, with step 1, n + r long. */
GDN_INLINE void strip(int vectors, int rows, float *out, int ldo, const float *a, int lda, const float *b,
                      int ldb, int n, int step)
{
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS) {
        float *to = out + r * ldo;
        const float *left = a + r * lda;
        int common = n + step * r;
        block(ROWS, vectors, false, to, ldo, left, lda, b, ldb, common);
        for (int x = 1; step && x < ROWS; x++)
            block(1, vectors, true, to + x * ldo, ldo, left + x * lda + common, lda, b + common * ldb, ldb,
                  x);
    }
    for (; r < rows; r++)
        block(1, vectors, false, out + r * ldo, ldo, a + r * lda, lda, b, ldb, n + step * r);
}

/* out = a b: [rows][cols], cols a multiple of 16; a: [rows][.], b: [.][cols]; n and step as in strip. */
static void product(int rows, int cols, float *out, int ldo, const float *a, int lda, const float *b, int ldb,
                    int n, int step)
{
    int c = 0;
    for (; c + WIDE * GDN_VF <= cols; c += WIDE * GDN_VF)
        strip(WIDE, rows, out + c, ldo, a, lda, b + c, ldb, n, step);
    for (; c < cols; c += GDN_VF)
        strip(1, rows, out + c, ldo, a, lda, b + c, ldb, n, step);
}

/* A matrix of rows x columns, each element a chain of `terms` fused multiply-adds. */
static void count_product(const gdn_chunked_head *c, int rows, int columns, int terms)
{
    if (c->counts)
        c->counts->products += 2.0 * rows * columns * terms;
}

static void count_rest(const gdn_chunked_head *c, int pointwise, int functions)
{
    if (!c->counts)
        return;
    c->counts->pointwise += pointwise;
    c->counts->functions += functions;
}

/* exp(G_i - G_j) for j <= i, 0 across a token that clears. out: [i + 1] */
static void decays(const gdn_chunk *k, int i, float *out)
{
    float x[GDN_CHUNK];
    for (int j = 0; j <= i; j++)
        x[j] = k->cleared[j] == k->cleared[i] ? k->sum[i] - k->sum[j] : -__builtin_inff();
    for (int j = 0; j <= i; j++)
        out[j] = (float)gdn_exp(x[j]);
}

/* exp(G_i) */
static float decay_from_start(const gdn_chunk *k, int i)
{
    return k->cleared[i] > 0 ? 0.0f : (float)gdn_exp(k->sum[i]);
}

/* k^ and q^, G, and the rows beta v and beta exp(G) k^ of the new tokens. */
static void take_rows(const gdn_chunked_head *c, int rows, int cols, int kstride, int vstride)
{
    const gdn_chunk *k = &c->chunk;
    gdn_format_id format = c->recipe->product;
    int mstride = gdn_chunked_stride(GDN_CHUNK);
    for (int x = 0; x < c->n; x++) {
        int i = c->from + x;
        float before = i > 0 ? k->sum[i - 1] : 0, count = i > 0 ? k->cleared[i - 1] : 0;
        bool clears = c->g[x] < GDN_CHUNK_CLEARS;
        k->sum[i] = clears ? 0 : before + c->g[x];
        k->cleared[i] = count + (clears ? 1 : 0);

        float *kn = c->scratch.k + x * kstride, *qn = c->scratch.q + x * kstride, *v = k->vb + i * vstride;
        gdn_l2_norm(c->recipe, c->k + (size_t)x * (size_t)c->dk, c->dk, 1, kn);
        gdn_l2_norm(c->recipe, c->q + (size_t)x * (size_t)c->dk, c->dk, 1, qn);
        float *wb = k->wb + i * kstride;
        scaled_row(GDN_FP32, kn, c->beta[x], rows, wb);
        scaled_row(format, wb, decay_from_start(k, i), rows, wb);
        operand_row(format, kn, rows, kn);
        operand_row(format, qn, rows, qn);
        for (int d = 0; d < rows; d++)
            k->kt[d * mstride + i] = kn[d];
        for (int j = 0; j < cols; j++)
            v[j] = j < c->dv ? gdn_plain_nan(c->v[(size_t)x * (size_t)c->dv + (size_t)j]) : 0;
        gdn_row_round(c->recipe->input, v, c->dv);
        scaled_row(format == GDN_BF16 ? GDN_BF16 : GDN_FP32, v, c->beta[x], cols, v);
        count_rest(c, 1 + 2 * c->dk + c->dv, 1); /* G; beta exp(G) k^, beta v; exp(G) */
    }
}

/* A row of the inverse, as it rests. */
static void inverse_rests(const gdn_recipe *recipe, float *x, int n)
{
    if (recipe->inverse != GDN_FP64)
        gdn_row_round(recipe->inverse, x, n);
}

/*
 * Rows from .. to - 1 of M, all in the block of 16 that begins at `first`; l: [64][mstride] rows of L, of
 * which row `from` stands at l.
 */
static void inverse_rows(const gdn_chunked_head *c, int first, int from, int to, float *l)
{
    const gdn_chunk *k = &c->chunk;
    const gdn_recipe *recipe = c->recipe;
    bool whole = recipe->product == GDN_FP32 || recipe->inverse != GDN_FP64;
    gdn_format_id format = whole ? GDN_FP32 : GDN_TF32;
    int stride = gdn_chunked_stride(GDN_CHUNK), rows = to - from;
    float *x = k->x + from * stride, *m = k->m + from * stride, *mt = k->mt + from * stride;

    /* on the diagonal, in fp32: M_i = e_i - sum of L_ij M_j over the rows j of the block */
    for (int r = 0; r < rows; r++) {
        float *row = m + r * stride;
        memset(row, 0, GDN_CHUNK * sizeof *row);
        product(1, GDN_CHUNK_BLOCK, row + first, stride, l + r * stride + first, stride,
                k->m + first * stride + first, stride, from + r - first, 0);
        for (int j = first; j < first + GDN_CHUNK_BLOCK; j++)
            row[j] = (j == from + r ? 1.0f : 0.0f) - row[j];
        inverse_rests(recipe, row + first, GDN_CHUNK_BLOCK);
        operand_row(format, row, GDN_CHUNK, mt + r * stride);
        count_product(c, 1, GDN_CHUNK_BLOCK, from + r - first);
        count_rest(c, GDN_CHUNK_BLOCK, 0);
    }
    /* left of it: X_rc = sum_m L_rm M_mc, M_rc = -M_rr X_rc */
    if (first == 0)
        return;
    for (int r = 0; r < rows; r++)
        operand_row(format, l + r * stride, GDN_CHUNK, l + r * stride);
    product(rows, first, x, stride, l, stride, k->mt, stride, first, 0);
    count_product(c, rows, first, first);
    for (int r = 0; r < rows; r++) {
        inverse_rests(recipe, x + r * stride, first);
        operand_row(format, x + r * stride, first, x + r * stride);
    }
    product(rows, first, m, stride, mt + first, stride, k->x + first * stride, stride, from - first + 1, 1);
    count_product(c, rows, first, GDN_CHUNK_BLOCK);
    for (int r = 0; r < rows; r++) {
        scaled_row(GDN_FP32, m + r * stride, -1, first, m + r * stride);
        inverse_rests(recipe, m + r * stride, first);
        count_rest(c, first, 0);
        operand_row(format, m + r * stride, first, mt + r * stride);
    }
}

/* L, M and P of the new rows. */
static void chunk_matrices(const gdn_chunked_head *c, int rows, int kstride)
{
    const gdn_chunk *k = &c->chunk;
    const gdn_chunk_scratch *s = &c->scratch;
    int stride = gdn_chunked_stride(GDN_CHUNK), to = c->from + c->n, cols = (to + 15) / 16 * 16;
    product(c->n, cols, s->l, stride, s->k, kstride, k->kt, stride, rows, 0);
    product(c->n, cols, s->p, stride, s->q, kstride, k->kt, stride, rows, 0);
    count_product(c, 2 * c->n, GDN_CHUNK, c->dk);
    for (int x = 0; x < c->n; x++) {
        float *l = s->l + x * stride, *p = s->p + x * stride, decay[GDN_CHUNK];
        int i = c->from + x;
        decays(k, i, decay);
        for (int j = 0; j < i; j++)
            l[j] = l[j] * decay[j] * c->beta[x];
        inverse_rests(c->recipe, l, i);
        for (int j = 0; j <= i; j++)
            p[j] *= decay[j];
        operand_row(c->recipe->product, p, GDN_CHUNK, p);
        count_rest(c, 4 * GDN_CHUNK, GDN_CHUNK); /* exp(G_i - G_j), L, P */
    }
    for (int from = c->from; from < to;) {
        int first = from / GDN_CHUNK_BLOCK * GDN_CHUNK_BLOCK, end = first + GDN_CHUNK_BLOCK;
        end = end < to ? end : to;
        inverse_rows(c, first, from, end, s->l + (from - c->from) * stride);
        from = end;
    }
    for (int x = 0; x < c->n; x++)
        operand_row(c->recipe->product, k->m + (c->from + x) * stride, GDN_CHUNK, s->mo + x * stride);
}

/* V' of the new rows: U - W S. s: the state as operand, [rows][vstride] */
static void new_values(const gdn_chunked_head *c, const float *s, int rows, int cols, int kstride,
                       int vstride)
{
    const gdn_chunk *k = &c->chunk;
    const gdn_chunk_scratch *t = &c->scratch;
    gdn_format_id format = c->recipe->product, rest = format == GDN_BF16 ? GDN_BF16 : GDN_FP32;
    int mstride = gdn_chunked_stride(GDN_CHUNK);
    const float *m = format == GDN_BF16 ? t->mo : k->m + c->from * mstride;
    product(c->n, cols, t->u, vstride, m, mstride, k->vb, vstride, c->from + 1, 1);
    product(c->n, rows, t->w, kstride, t->mo, mstride, k->wb, kstride, c->from + 1, 1);
    count_product(c, c->n, c->dv + c->dk, GDN_CHUNK);
    for (int x = 0; x < c->n; x++)
        operand_row(format, t->w + x * kstride, rows, t->w + x * kstride);
    float *vnew = k->vnew + c->from * vstride, *voperand = k->voperand + c->from * vstride;
    product(c->n, cols, vnew, vstride, t->w, kstride, s, vstride, rows, 0);
    count_product(c, c->n, c->dv, c->dk);
    count_rest(c, c->n * c->dv, 0);
    for (int x = 0; x < c->n; x++, vnew += vstride, voperand += vstride) {
        for (int j = 0; j < cols; j += GDN_VF)
            store_to(vnew + j, operand(rest, load(t->u + x * vstride + j)) - load(vnew + j));
        operand_row(format, vnew, cols, voperand);
    }
}

/* o and y of the new rows; o lies in scratch.o and P V' in scratch.u. */
static void outputs(const gdn_chunked_head *c, const float *s, int rows, int cols, int kstride, int vstride)
{
    const gdn_chunk_scratch *t = &c->scratch;
    gdn_vf scale = gdn_vf_set((float)c->scale);
    product(c->n, cols, t->o, vstride, t->q, kstride, s, vstride, rows, 0);
    product(c->n, cols, t->u, vstride, t->p, gdn_chunked_stride(GDN_CHUNK), c->chunk.voperand, vstride,
            c->from + 1, 1);
    count_product(c, c->n, c->dv, c->dk + GDN_CHUNK);
    count_rest(c, 4 * c->n * c->dv, c->n); /* exp(G); o of the two products */
    for (int x = 0; x < c->n; x++) {
        float *o = t->o + x * vstride;
        gdn_vf decay = gdn_vf_set(decay_from_start(&c->chunk, c->from + x));
        for (int j = 0; j < cols; j += GDN_VF)
            store_to(o + j, load(o + j) * decay * scale + load(t->u + x * vstride + j) * scale);
        size_t at = (size_t)x * (size_t)c->dv;
        gdn_row_round(c->recipe->output, o, c->dv);
        for (int j = 0; c->o && j < c->dv; j++)
            c->o[at + (size_t)j] = o[j];
        if (c->y)
            gdn_out_norm(c->recipe, o, c->z + at, c->w, c->dv, c->y + at);
    }
}

void GDN_ISA_NAME(gdn_chunked_rows)(const gdn_chunked_head *c)
{
    int rows = (c->dk + 15) / 16 * 16, cols = (c->dv + 15) / 16 * 16;
    int kstride = gdn_chunked_stride(c->dk), vstride = gdn_chunked_stride(c->dv);
    const float *s = c->state;
    if (c->recipe->product != GDN_FP32) {
        for (int d = 0; d < rows; d++)
            operand_row(c->recipe->product, c->state + d * vstride, cols, c->scratch.s + d * vstride);
        s = c->scratch.s;
    }
    take_rows(c, rows, cols, kstride, vstride);
    chunk_matrices(c, rows, kstride);
    new_values(c, s, rows, cols, kstride, vstride);
    if (c->o || c->y)
        outputs(c, s, rows, cols, kstride, vstride);
}

void GDN_ISA_NAME(gdn_chunked_state)(const gdn_chunked_head *c, float *out)
{
    const gdn_chunk *k = &c->chunk;
    int rows = (c->dk + 15) / 16 * 16, cols = (c->dv + 15) / 16 * 16, last = c->from - 1;
    int vstride = gdn_chunked_stride(c->dv);
    float decay[GDN_CHUNK];
    decays(k, last, decay);
    for (int i = 0; i <= last; i++)
        scaled_row(c->recipe->product, k->vnew + i * vstride, decay[i], cols, c->scratch.u + i * vstride);
    product(rows, cols, c->scratch.s, vstride, k->kt, gdn_chunked_stride(GDN_CHUNK), c->scratch.u, vstride,
            c->from, 0);
    count_product(c, c->dk, c->dv, c->from + 1); /* exp(G_C) S is one term more */
    count_rest(c, c->from * (1 + c->dv), c->from + 1);
    gdn_vf whole = gdn_vf_set(decay_from_start(k, last));
    for (int d = 0; d < rows; d++) {
        float *to = out + d * vstride;
        for (int j = 0; j < cols; j += GDN_VF)
            store_to(to + j, gdn_vf_fma(load(c->state + d * vstride + j), whole,
                                        load(c->scratch.s + d * vstride + j)));
        gdn_row_round(c->recipe->state, to, cols);
    }
}
