/* SPDX-License-Identifier: Apache-2.0 */
/* dtype -- element types of safetensors files, and their values as floats; see safetensors.h. */
#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "harness/safetensors.h"
#include "harness/shown.h"

enum { BLOCK = 256 }; /* floats at a time on their way to doubles */

static uint16_t load16(const unsigned char *p)
{
    uint16_t u;
    memcpy(&u, p, sizeof u);
    return le16toh(u);
}

/* In these, in: [n] elements, out: [n]. */
static void floats_of_f32(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + 4 * i, sizeof u);
        u = le32toh(u);
        memcpy(&out[i], &u, sizeof u); /* not through a float, which may quieten a signalling NaN */
    }
}

static void floats_of_bf16(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_bf16_to_float(load16(in + 2 * i));
}

static void floats_of_f16(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_fp16_to_float(load16(in + 2 * i));
}

/* e5m2 is the upper half of an fp16. */
static void floats_of_e5m2(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gdn_fp16_to_float((uint16_t)(in[i] << 8));
}

/*
 * e4m3 with its exponent field put into fp16's is 2^(7 - 15) of its value, subnormals included. The all-ones
 * pattern, where OCP has its NaN, would become a number there.
 */
static void floats_of_e4m3(const unsigned char *in, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        unsigned sign = in[i] & 0x80u, size = in[i] & 0x7fu;
        float x = 256.0f * gdn_fp16_to_float((uint16_t)(sign << 8 | size << 7));
        out[i] = size == 0x7f ? copysignf(NAN, x) : x;
    }
}

static const struct {
    const char *name;
    unsigned bits;
    void (*floats)(const unsigned char *in, int64_t n, float *out); /* NULL: no exact float, or never met */
} dtypes[GDN_DTYPES] = {
    [GDN_DTYPE_BOOL] = {"BOOL", 8, NULL},
    [GDN_DTYPE_F4] = {"F4", 4, NULL},
    [GDN_DTYPE_F6_E2M3] = {"F6_E2M3", 6, NULL},
    [GDN_DTYPE_F6_E3M2] = {"F6_E3M2", 6, NULL},
    [GDN_DTYPE_U8] = {"U8", 8, NULL},
    [GDN_DTYPE_I8] = {"I8", 8, NULL},
    [GDN_DTYPE_F8_E5M2] = {"F8_E5M2", 8, floats_of_e5m2},
    [GDN_DTYPE_F8_E4M3] = {"F8_E4M3", 8, floats_of_e4m3},
    [GDN_DTYPE_F8_E8M0] = {"F8_E8M0", 8, NULL},
    [GDN_DTYPE_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8, NULL},
    [GDN_DTYPE_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8, NULL},
    [GDN_DTYPE_I16] = {"I16", 16, NULL},
    [GDN_DTYPE_U16] = {"U16", 16, NULL},
    [GDN_DTYPE_F16] = {"F16", 16, floats_of_f16},
    [GDN_DTYPE_BF16] = {"BF16", 16, floats_of_bf16},
    [GDN_DTYPE_I32] = {"I32", 32, NULL},
    [GDN_DTYPE_U32] = {"U32", 32, NULL},
    [GDN_DTYPE_F32] = {"F32", 32, floats_of_f32},
    [GDN_DTYPE_C64] = {"C64", 64, NULL},
    [GDN_DTYPE_F64] = {"F64", 64, NULL},
    [GDN_DTYPE_I64] = {"I64", 64, NULL},
    [GDN_DTYPE_U64] = {"U64", 64, NULL},
};

const char *gdn_dtype_name(gdn_dtype dtype)
{
    return dtypes[dtype].name;
}

unsigned gdn_dtype_bits(gdn_dtype dtype)
{
    return dtypes[dtype].bits;
}

bool gdn_dtype_named(const char *name, gdn_dtype *out)
{
    for (gdn_dtype d = 0; d < GDN_DTYPES; d++)
        if (strcmp(name, dtypes[d].name) == 0) {
            *out = d;
            return true;
        }
    return false;
}

int64_t gdn_tensor_elements(const gdn_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

/* No exact value: what the dtype is, and what would have one. */
static gdn_status refuse_dtype(const gdn_tensor *t, gdn_error *err)
{
    char name[GDN_SHOWN];
    return gdn_fail(
        err, GDN_BAD_INPUT,
        "tensor %s, dtype: found %s, which is not read as floating-point numbers; allowed are F64, F32, "
        "F16, BF16, F8_E4M3 and F8_E5M2",
        gdn_quoted(t->name, name, sizeof name), dtypes[t->dtype].name);
}

static double load_f64(const unsigned char *p)
{
    uint64_t u;
    double x;
    memcpy(&u, p, sizeof u);
    u = le64toh(u);
    memcpy(&x, &u, sizeof x);
    return x;
}

/* fp64 values that are fp32 values all the same. */
static gdn_status floats_of_f64(const gdn_tensor *t, float *out, gdn_error *err)
{
    char name[GDN_SHOWN];
    int64_t n = gdn_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) {
        double x = load_f64((const unsigned char *)t->data + 8 * i);
        out[i] = (float)x;
        if ((double)out[i] != x && !isnan(x))
            return gdn_fail(err, GDN_BAD_INPUT,
                            "tensor %s, element %" PRId64 ": found %.17g, which is no fp32 number",
                            gdn_quoted(t->name, name, sizeof name), i, x);
    }
    return GDN_OK;
}

gdn_status gdn_tensor_floats(const gdn_tensor *t, float *out, gdn_error *err)
{
    if (t->dtype == GDN_DTYPE_F64)
        return floats_of_f64(t, out, err);
    if (!dtypes[t->dtype].floats)
        return refuse_dtype(t, err);
    dtypes[t->dtype].floats(t->data, gdn_tensor_elements(t), out);
    return GDN_OK;
}

gdn_status gdn_tensor_doubles(const gdn_tensor *t, double *out, gdn_error *err)
{
    const unsigned char *in = t->data;
    int64_t n = gdn_tensor_elements(t), bytes = dtypes[t->dtype].bits / 8;
    bool is_f64 = t->dtype == GDN_DTYPE_F64;
    if (!is_f64 && !dtypes[t->dtype].floats)
        return refuse_dtype(t, err);
    for (int64_t i = 0; i < n && is_f64; i++)
        out[i] = load_f64(in + 8 * i);
    for (int64_t from = 0; from < n && !is_f64; from += BLOCK) {
        float block[BLOCK];
        int64_t m = n - from < BLOCK ? n - from : BLOCK;
        dtypes[t->dtype].floats(in + from * bytes, m, block);
        for (int64_t i = 0; i < m; i++)
            out[from + i] = block[i];
    }
    return GDN_OK;
}
