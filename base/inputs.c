/* SPDX-License-Identifier: Apache-2.0 */
/* inputs -- synthetic tensors as pure functions of (seed, stream, index); see inputs.h. */
#include "base/inputs.h"

#include <gsl/gsl_cdf.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/inputs_step.h"

const char *const gdn_keys_names[GDN_KEYS_KINDS] = {"isotropic", "low-rank", "repeated",
                                                    "needle",    "zipf",     "low-rank-spread"};
const char *const gdn_values_names[GDN_VALUES_KINDS] = {"random", "coherent"};

enum { TABLE = 1 << 16 };

static uint16_t quantiles[TABLE];

gdn_status gdn_inputs_init(gdn_error *err)
{
    for (int i = 0; i < TABLE / 2; i++) {
        uint16_t h = gdn_float_to_bf16((float)gsl_cdf_ugaussian_Qinv((i + 0.5) / TABLE));
        quantiles[i] = h | 0x8000u;
        quantiles[TABLE - 1 - i] = h;
    }
    uint64_t sum = XXH3_64bits(quantiles, sizeof quantiles);
    if (sum != GDN_QUANTILE_CHECKSUM)
        return gdn_fail(
            err, GDN_MACHINE,
            "the normal quantile table has checksum %016llx instead of %016llx: this machine's GSL or "
            "libm rounds differently, and inputs would not be those of other machines",
            (unsigned long long)sum, (unsigned long long)GDN_QUANTILE_CHECKSUM);
    return GDN_OK;
}

const uint16_t *gdn_quantile_table(void)
{
    return quantiles;
}

void gdn_random(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index, uint32_t out[4])
{
    gdn_random_words(seed, stream, head, index, out);
}

double gdn_uniform(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index)
{
    return gdn_uniform_at(seed, stream, head, index);
}

void gdn_normals(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index, int n, float *x)
{
    uint32_t r[4];
    uint64_t have = UINT64_MAX;
    for (int i = 0; i < n; i++) {
        uint64_t e = index + (uint64_t)i;
        if (e / 8 != have)
            gdn_random(seed, stream, head, have = e / 8, r);
        x[i] = gdn_normal_of(r, e, quantiles);
    }
}

static void unit_axis(int dk, int axis, float *x)
{
    for (int i = 0; i < dk; i++)
        x[i] = i == axis ? 1.0f : 0.0f;
}

/* One key (or query) of a head at token t: row is [dk]. `cdf` serves zipf keys. */
static void key_row(const gdn_input_spec *spec, const double *cdf, int dk, uint64_t seed, uint32_t head,
                    int64_t t, bool query, float *row)
{
    gdn_stream stream = query ? GDN_STREAM_Q : GDN_STREAM_K;
    bool once = spec->keys == GDN_KEYS_REPEATED && !query;
    gdn_stream choice = query ? GDN_STREAM_QUERY_CHOICE : GDN_STREAM_KEY_CHOICE;
    uint64_t at = once ? 0 : (uint64_t)t * (uint64_t)dk;
    switch (spec->keys) {
    case GDN_KEYS_ZIPF: {
        double u = gdn_uniform(seed, choice, head, (uint64_t)t);
        unit_axis(dk, query ? (int)(u * dk) : gdn_zipf_axis(cdf, dk, u), row);
        return;
    }
    case GDN_KEYS_NEEDLE:
        if (query || t == 1) {
            unit_axis(dk, 0, row);
            return;
        }
        gdn_normals(seed, stream, head, at, dk, row);
        row[0] = 0;
        return;
    case GDN_KEYS_LOW_RANK:
        gdn_normals(seed, stream, head, at, dk, row);
        for (int i = spec->rank; i < dk; i++)
            row[i] = 0;
        return;
    case GDN_KEYS_SPREAD: {
        float z[GDN_MAX_DIM];
        gdn_normals(seed, stream, head, at, dk, z);
        for (int i = 0; i < dk; i++)
            row[i] = gdn_walsh_sum(z, spec->rank, dk, i);
        return;
    }
    default:
        gdn_normals(seed, stream, head, at, dk, row);
    }
}

/* n values RN_bf16(mean + scale N) of one head. */
static void affine(double mean, double scale, uint64_t seed, gdn_stream stream, uint32_t head, int64_t t,
                   int n, float *x)
{
    gdn_normals(seed, stream, head, (uint64_t)t, n, x);
    for (int i = 0; i < n; i++)
        x[i] = gdn_affine(mean, scale, x[i]);
}

void gdn_inputs_fill(const gdn_input_spec *spec, const gdn_shape *shape, uint64_t seed, uint32_t head0,
                     int64_t first, int tokens, float *q, float *k, float *v, float *z, float *a, float *b)
{
    int dk = shape->dk, dv = shape->dv;
    double cdf[GDN_MAX_DIM];
    if (spec->keys == GDN_KEYS_ZIPF)
        gdn_zipf_weights(spec->zipf_half_steps, dk, cdf);
    for (int h = 0; h < shape->heads; h++) {
        uint32_t head = head0 + (uint32_t)h, key_head = gdn_key_head(spec, head);
        size_t row = (size_t)h * (size_t)tokens;
        for (int n = 0; n < tokens; n++, row++) {
            int64_t t = first + n;
            uint64_t vt = spec->values == GDN_VALUES_COHERENT ? 0 : (uint64_t)t * (uint64_t)dv;
            if (q)
                key_row(spec, cdf, dk, seed, key_head, t, true, q + row * (size_t)dk);
            if (k)
                key_row(spec, cdf, dk, seed, key_head, t, false, k + row * (size_t)dk);
            if (v)
                gdn_normals(seed, GDN_STREAM_V, head, vt, dv, v + row * (size_t)dv);
            if (z)
                gdn_normals(seed, GDN_STREAM_Z, head, (uint64_t)t * (uint64_t)dv, dv, z + row * (size_t)dv);
        }
        row = (size_t)h * (size_t)tokens;
        if (a)
            affine(spec->a_mean, spec->a_scale, seed, GDN_STREAM_A, head, first, tokens, a + row);
        if (b)
            affine(spec->b_mean, spec->b_scale, seed, GDN_STREAM_B, head, first, tokens, b + row);
    }
}

void gdn_initial_state(double scale, const gdn_shape *shape, uint64_t seed, uint32_t head0, double *state)
{
    float row[GDN_MAX_DIM];
    int dv = shape->dv;
    for (int h = 0; h < shape->heads; h++)
        for (int i = 0; i < shape->dk; i++, state += dv) {
            gdn_normals(seed, GDN_STREAM_INITIAL_STATE, head0 + (uint32_t)h, (uint64_t)i * (uint64_t)dv, dv,
                        row);
            for (int j = 0; j < dv; j++)
                state[j] = gdn_affine(0, scale, row[j]);
        }
}
