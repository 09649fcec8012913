/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of harness/safetensors: the files of tests/golden (or $GDN_GOLDEN), every value of the small formats,
 * a sentence for each way in which a file can be bad, and mutations of a good file.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/safetensors.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZE_FEATURE
#endif
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ENTRY(dtype, shape, offsets) "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* ---- Files to test with ---- */

static char room[] = "/tmp/gdn_safetensors_XXXXXX"; /* the directory all files of these tests lie in */
static char made[64];                               /* the file being tested */
static gdn_error err;

static void enter(void)
{
    ck_assert_ptr_nonnull(mkdtemp(room));
    snprintf(made, sizeof made, "%s/made.safetensors", room);
}

static void leave(void)
{
    unlink(made);
    ck_assert_int_eq(rmdir(room), 0);
    strcpy(room + strlen(room) - 6, "XXXXXX");
}

static void write_bytes(const void *bytes, size_t n)
{
    unlink(made); /* it may be a pipe, or unreadable */
    FILE *out = fopen(made, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
    ck_assert_int_eq(fclose(out), 0);
}

/* A file of this length, header and data into bytes; its size. data: [n], NULL for counting bytes. */
static size_t compose(unsigned char *bytes, uint64_t length, const char *header, const void *data, size_t n)
{
    size_t used = 0, h = strlen(header);
    for (int i = 0; i < 8; i++)
        bytes[used++] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + used, header, h);
    used += h;
    for (size_t i = 0; i < n; i++)
        bytes[used++] = data ? ((const unsigned char *)data)[i] : (unsigned char)i;
    return used;
}

static void write_file(const char *header, const void *data, size_t n)
{
    size_t h = strlen(header);
    unsigned char *bytes = malloc(8 + h + n);
    ck_assert_ptr_nonnull(bytes);
    write_bytes(bytes, compose(bytes, h, header, data, n));
    free(bytes);
}

static gdn_safetensors *opened(const char *path)
{
    gdn_safetensors *f = NULL;
    err.text[0] = '\0';
    gdn_status status = gdn_safetensors_open(path, &f, &err);
    ck_assert_msg(status == GDN_OK, "%s: status %d: %s", path, (int)status, err.text);
    ck_assert_ptr_nonnull(f);
    return f;
}

/* A sentence is one line, and begins with the file that it is about. */
static void check_sentence(const char *path)
{
    ck_assert_msg(strncmp(err.text, path, strlen(path)) == 0, "no path: %s", err.text);
    ck_assert_msg(strlen(err.text) < sizeof err.text - 1, "cut: %s", err.text);
    for (const char *s = err.text; *s; s++)
        ck_assert_msg(*s >= 0x20 && *s < 0x7f, "byte %02x at %td of: %s", (unsigned)*s & 0xff, s - err.text,
                      err.text);
}

/* The file must be refused in a sentence that holds each of the texts. says: [n], NULL ones are skipped. */
static void check_refused(const char *path, const char *const *says, size_t n)
{
    gdn_safetensors *f = (gdn_safetensors *)&err; /* anything but NULL */
    gdn_status status = gdn_safetensors_open(path, &f, &err);
    ck_assert_msg(status == GDN_BAD_INPUT, "status %d for %s: %s", (int)status, says[0], err.text);
    ck_assert_ptr_null(f);
    check_sentence(path);
    for (size_t i = 0; i < n && says[i]; i++)
        ck_assert_msg(strstr(err.text, says[i]) != NULL, "'%s' not in: %s", says[i], err.text);
}

#define REFUSED(path, ...)                                                                                   \
    check_refused(path, (const char *const[]){__VA_ARGS__}, COUNT(((const char *[]){__VA_ARGS__})))

/* ---- Golden files ---- */

static const char *golden(const char *name)
{
    static char path[512];
    const char *place = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", place ? place : "tests/golden", name);
    return path;
}

/* As Python's json and struct read the header of hf_layer_bf16.safetensors. */
static const struct {
    const char *name;
    gdn_dtype dtype;
    int rank;
    int64_t dim[4];
    uint64_t begin;
} layer[] = {
    {"chunk.g", GDN_DTYPE_F32, 3, {1, 80, 4}, 2048},
    {"chunk.state", GDN_DTYPE_F32, 4, {1, 4, 16, 16}, 3328},
    {"recurrent.state", GDN_DTYPE_F32, 4, {1, 4, 16, 16}, 7424},
    {"chunk.beta", GDN_DTYPE_BF16, 3, {1, 80, 4}, 11520},
    {"chunk.key", GDN_DTYPE_BF16, 4, {1, 80, 4, 16}, 12160},
    {"chunk.out", GDN_DTYPE_BF16, 4, {1, 80, 4, 16}, 22400},
    {"chunk.query", GDN_DTYPE_BF16, 4, {1, 80, 4, 16}, 32640},
    {"chunk.value", GDN_DTYPE_BF16, 4, {1, 80, 4, 16}, 42880},
    {"hidden_states", GDN_DTYPE_BF16, 3, {1, 80, 64}, 53120},
    {"linear_attn.A_log", GDN_DTYPE_BF16, 1, {4}, 63360},
    {"linear_attn.conv1d.weight", GDN_DTYPE_BF16, 3, {128, 1, 4}, 63368},
    {"linear_attn.dt_bias", GDN_DTYPE_BF16, 1, {4}, 64392},
    {"linear_attn.in_proj_a.weight", GDN_DTYPE_BF16, 2, {4, 64}, 64400},
    {"linear_attn.in_proj_b.weight", GDN_DTYPE_BF16, 2, {4, 64}, 64912},
    {"linear_attn.in_proj_qkv.weight", GDN_DTYPE_BF16, 2, {128, 64}, 65424},
    {"linear_attn.in_proj_z.weight", GDN_DTYPE_BF16, 2, {64, 64}, 81808},
    {"linear_attn.norm.weight", GDN_DTYPE_BF16, 1, {16}, 90000},
    {"linear_attn.out_proj.weight", GDN_DTYPE_BF16, 2, {64, 64}, 90032},
    {"norm.gate", GDN_DTYPE_BF16, 2, {320, 16}, 98224},
    {"norm.in", GDN_DTYPE_BF16, 2, {320, 16}, 108464},
    {"norm.out", GDN_DTYPE_BF16, 2, {320, 16}, 118704},
    {"output", GDN_DTYPE_BF16, 3, {1, 80, 64}, 128944},
    {"recurrent.out", GDN_DTYPE_BF16, 4, {1, 80, 4, 16}, 139184},
};

START_TEST(golden_layer_holds_its_tensors)
{
    gdn_safetensors *f = opened(golden("hf_layer_bf16.safetensors"));
    ck_assert_uint_eq(gdn_safetensors_count(f), COUNT(layer));
    uint64_t end = 2048;
    for (size_t i = 0; i < COUNT(layer); i++) {
        const gdn_tensor *t = gdn_safetensors_at(f, i);
        ck_assert_str_eq(t->name, layer[i].name);
        ck_assert_int_eq(t->dtype, layer[i].dtype);
        ck_assert_int_eq(t->rank, layer[i].rank);
        int64_t n = 1;
        for (int d = 0; d < t->rank; d++) {
            ck_assert_int_eq(t->dim[d], layer[i].dim[d]);
            n *= layer[i].dim[d];
        }
        ck_assert_int_eq(gdn_tensor_elements(t), n);
        ck_assert_uint_eq(t->begin, layer[i].begin);
        ck_assert_uint_eq(t->begin, end);
        end += t->bytes;
        ck_assert_ptr_eq(gdn_safetensors_find(f, layer[i].name), t);
    }
    ck_assert_uint_eq(end, 149424);
    ck_assert_ptr_null(gdn_safetensors_find(f, "chunk"));
    ck_assert_ptr_null(gdn_safetensors_find(f, "__metadata__"));
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(golden_metadata_is_read)
{
    gdn_safetensors *f = opened(golden("hf_layer_bf16.safetensors"));
    ck_assert_str_eq(gdn_safetensors_metadata(f, "transformers"), "5.17.0");
    ck_assert_str_eq(gdn_safetensors_metadata(f, "source"),
                     "transformers Qwen3_5GatedDeltaNet, torch path, CPU");
    ck_assert_str_eq(gdn_safetensors_metadata(f, "seed"), "12");
    ck_assert_ptr_null(gdn_safetensors_metadata(f, "triton"));
    gdn_safetensors_close(f);
}
END_TEST

/* As Python's struct decodes them: a bf16 as the upper half of an fp32. */
static const struct {
    const char *file, *name;
    int64_t index;
    float value;
} values[] = {
    {"hf_layer_bf16", "chunk.g", 0, -0x1.4e918cp+1f},
    {"hf_layer_bf16", "chunk.g", 319, -0x1.070d7ap-5f},
    {"hf_layer_bf16", "recurrent.state", 512, -0x1.107a9cp-3f},
    {"hf_layer_bf16", "linear_attn.A_log", 0, 0x1.5ep+1f},
    {"hf_layer_bf16", "linear_attn.A_log", 1, 0x1.46p+1f},
    {"hf_layer_bf16", "linear_attn.A_log", 3, 0x1.5cp+1f},
    {"hf_layer_bf16", "linear_attn.dt_bias", 0, -0x1.0p+2f},
    {"hf_layer_bf16", "linear_attn.dt_bias", 3, -0x1.b4p+2f},
    {"hf_layer_bf16", "output", 5119, 0x1.9ep-1f},
    {"hf_layer_bf16", "recurrent.out", 2560, 0x1.1p-11f},
    {"hf_layer_fp32", "linear_attn.A_log", 3, 0x1.efafd6p+0f},
    {"hf_layer_fp32", "recurrent.state", 1023, -0x1.052d06p-4f},
    {"fla_bf16", "A_log", 0, -0x1.7f7428p+1f},
    {"fla_bf16", "dt_bias", 1, -0x1.77031ap+1f},
    {"fla_bf16", "v", 131071, 0x1.fp-1f},
};

START_TEST(golden_values_are_exact)
{
    char name[64];
    snprintf(name, sizeof name, "%s.safetensors", values[_i].file);
    gdn_safetensors *f = opened(golden(name));
    const gdn_tensor *t = gdn_safetensors_find(f, values[_i].name);
    ck_assert_ptr_nonnull(t);
    float *x = malloc((size_t)gdn_tensor_elements(t) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(gdn_tensor_floats(t, x, &err), GDN_OK);
    ck_assert_msg(x[values[_i].index] == values[_i].value, "%s[%" PRId64 "]: %a", values[_i].name,
                  values[_i].index, (double)x[values[_i].index]);
    free(x);
    gdn_safetensors_close(f);
}
END_TEST

static const struct {
    const char *name;
    size_t tensors;
} files[] = {
    {"fla_bf16.safetensors", 12},
    {"fla_fp32.safetensors", 12},
    {"hf_layer_fp32.safetensors", 23},
    {"hf_layer_fp32_d128.safetensors", 23},
    {"hf_checkpoint_bf16/model.safetensors", 56},
    {"hf_checkpoint_mixed/model-00001-of-00006.safetensors", 11},
    {"hf_checkpoint_mixed/model-00002-of-00006.safetensors", 13},
    {"hf_checkpoint_mixed/model-00003-of-00006.safetensors", 10},
    {"hf_checkpoint_mixed/model-00004-of-00006.safetensors", 6},
    {"hf_checkpoint_mixed/model-00005-of-00006.safetensors", 10},
    {"hf_checkpoint_mixed/model-00006-of-00006.safetensors", 6},
    {"hf_checkpoint_qwen3_next/model.safetensors", 82},
    {"hf_checkpoint_upcast/model.safetensors", 56},
};

START_TEST(golden_files_open)
{
    gdn_safetensors *f = opened(golden(files[_i].name));
    ck_assert_uint_eq(gdn_safetensors_count(f), files[_i].tensors);
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(golden_index_is_refused)
{
    const char *path = golden("hf_checkpoint_mixed/model.safetensors.index.json");
    REFUSED(path, "not a safetensors file", "JSON", "an index names safetensors files");
}
END_TEST

/* ---- Values ---- */

static const struct small_format {
    const char *dtype;
    int exponent, mantissa; /* bits */
    bool ieee;              /* else only the all-ones pattern is special: NaN */
} small_formats[] = {
    {"F16", 5, 10, true}, {"BF16", 8, 7, true}, {"F8_E5M2", 5, 2, true}, {"F8_E4M3", 4, 3, false}};

/* The definition: (-1)^s 2^(e - bias) 1.m, or 2^(1 - bias) 0.m for e = 0. */
static double defined_value(const struct small_format *s, unsigned bits)
{
    unsigned ones = (1u << s->exponent) - 1, e = bits >> s->mantissa & ones,
             m = bits & ((1u << s->mantissa) - 1);
    int bias = (1 << (s->exponent - 1)) - 1;
    double sign = bits >> (s->exponent + s->mantissa) ? -1.0 : 1.0;
    if (s->ieee && e == ones)
        return m ? copysign(NAN, sign) : sign * INFINITY;
    if (!s->ieee && e == ones && m == (1u << s->mantissa) - 1)
        return copysign(NAN, sign);
    double size = e ? ldexp(1.0 + ldexp(m, -s->mantissa), (int)e - bias) : ldexp(m, 1 - bias - s->mantissa);
    return sign * size;
}

/* The header's length is odd, so two-byte elements lie at odd addresses. */
START_TEST(small_formats_are_exact)
{
    static unsigned char data[2 << 16];
    static float x[1 << 16];
    const struct small_format *s = &small_formats[_i];
    unsigned bytes = (unsigned)(1 + s->exponent + s->mantissa) / 8, n = 1u << 8 * bytes;
    for (unsigned bits = 0; bits < n; bits++)
        for (unsigned b = 0; b < bytes; b++)
            data[bits * bytes + b] = (unsigned char)(bits >> 8 * b);
    char header[128];
    int h =
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[%u],\"data_offsets\":[0,%u]}}",
                 s->dtype, n, n * bytes);
    if (h % 2 == 0)
        strcat(header, " ");
    write_file(header, data, n * bytes);
    gdn_safetensors *f = opened(made);
    const gdn_tensor *t = gdn_safetensors_find(f, "x");
    ck_assert_uint_eq((uintptr_t)t->data % 2, 1);
    ck_assert_int_eq(gdn_tensor_floats(t, x, &err), GDN_OK);
    for (unsigned bits = 0; bits < n; bits++) {
        double want = defined_value(s, bits);
        ck_assert_msg(isnan(want) == isnan(x[bits]) && !signbit(want) == !signbit(x[bits]) &&
                          (isnan(want) || want == (double)x[bits]),
                      "%s 0x%x: found %a, want %a", s->dtype, bits, (double)x[bits], want);
    }
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(fp32_keeps_every_bit)
{
    static const uint32_t patterns[] = {0,          0x80000000, 1,          0x807fffff,
                                        0x00800000, 0x3f800001, 0x7f7fffff, 0x7f800000,
                                        0xff800000, 0x7fc00000, 0x7f800001, 0xffa55aa5};
    unsigned char data[sizeof patterns];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(patterns[i / 4] >> 8 * (i % 4));
    write_file("{\"x\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}} ", data, sizeof data);
    gdn_safetensors *f = opened(made);
    const gdn_tensor *t = gdn_safetensors_find(f, "x");
    ck_assert_uint_ne((uintptr_t)t->data % 4, 0);
    float x[COUNT(patterns)];
    ck_assert_int_eq(gdn_tensor_floats(t, x, &err), GDN_OK);
    for (size_t i = 0; i < COUNT(patterns); i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        ck_assert_uint_eq(bits, patterns[i]);
    }
    gdn_safetensors_close(f);
}
END_TEST

/* Names and sizes from the reference implementation's table. */
static const struct {
    const char *name;
    unsigned bits;
    bool floats; /* can be read as floats */
} all_dtypes[] = {
    {"BOOL", 8, false},    {"F4", 4, false},          {"F6_E2M3", 6, false},     {"F6_E3M2", 6, false},
    {"U8", 8, false},      {"I8", 8, false},          {"F8_E5M2", 8, true},      {"F8_E4M3", 8, true},
    {"F8_E8M0", 8, false}, {"F8_E4M3FNUZ", 8, false}, {"F8_E5M2FNUZ", 8, false}, {"I16", 16, false},
    {"U16", 16, false},    {"F16", 16, true},         {"BF16", 16, true},        {"I32", 32, false},
    {"U32", 32, false},    {"F32", 32, true},         {"C64", 64, false},        {"F64", 64, true},
    {"I64", 64, false},    {"U64", 64, false},
};

START_TEST(every_dtype_is_known)
{
    char header[128];
    unsigned bits = all_dtypes[_i].bits;
    snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[2,4],\"data_offsets\":[0,%u]}}",
             all_dtypes[_i].name, bits);
    static const unsigned char zeros[64];
    write_file(header, zeros, bits);
    gdn_safetensors *f = opened(made);
    const gdn_tensor *t = gdn_safetensors_at(f, 0);
    gdn_dtype named = GDN_DTYPES;
    ck_assert(gdn_dtype_named(all_dtypes[_i].name, &named) && named == t->dtype);
    ck_assert_str_eq(gdn_dtype_name(t->dtype), all_dtypes[_i].name);
    ck_assert_uint_eq(gdn_dtype_bits(t->dtype), bits);
    ck_assert_int_eq(gdn_tensor_elements(t), 8);
    ck_assert_uint_eq(t->bytes, bits);
    float x[8];
    double y[8];
    gdn_status status = gdn_tensor_floats(t, x, &err);
    ck_assert_int_eq(gdn_tensor_doubles(t, y, &err), status);
    ck_assert_int_eq(status, all_dtypes[_i].floats ? GDN_OK : GDN_BAD_INPUT);
    if (status != GDN_OK) {
        check_sentence("tensor \"x\", dtype: found ");
        ck_assert_ptr_nonnull(strstr(err.text, all_dtypes[_i].name));
        ck_assert_ptr_nonnull(strstr(err.text, "allowed are F64, F32, F16, BF16, F8_E4M3 and F8_E5M2"));
    }
    gdn_safetensors_close(f);
}
END_TEST

/* Doubles of every dtype are its floats, over more than one block; fp64 keeps every bit. */
START_TEST(doubles_are_exact)
{
    static unsigned char data[1000 * 2];
    static float x[1000];
    static double y[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i % 2 ? 0x3c + i % 7 : i * 31 / 2); /* no NaN */
    write_file("{\"x\":{\"dtype\":\"BF16\",\"shape\":[1000],\"data_offsets\":[0,2000]}}", data, sizeof data);
    gdn_safetensors *f = opened(made);
    ck_assert_int_eq(gdn_tensor_floats(gdn_safetensors_at(f, 0), x, &err), GDN_OK);
    ck_assert_int_eq(gdn_tensor_doubles(gdn_safetensors_at(f, 0), y, &err), GDN_OK);
    for (int i = 0; i < 1000; i++)
        ck_assert_msg((double)x[i] == y[i], "element %d: %a, not %a", i, y[i], (double)x[i]);
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(fp64_is_taken_where_it_fits)
{
    static const double numbers[] = {0.5, -0.0, 0x1.fffffep+127, 0x1p-149, INFINITY, 1.0 / 3};
    unsigned char data[sizeof numbers];
    double y[COUNT(numbers)];
    float x[COUNT(numbers)];
    for (size_t i = 0; i < sizeof data; i++) {
        uint64_t bits;
        memcpy(&bits, &numbers[i / 8], sizeof bits);
        data[i] = (unsigned char)(bits >> 8 * (i % 8));
    }
    for (int64_t n = 5; n <= 6; n++) {
        char header[128];
        snprintf(header, sizeof header,
                 "{\"a\\n\":{\"dtype\":\"F64\",\"shape\":[%" PRId64 "],\"data_offsets\":[0,%" PRId64 "]}}", n,
                 8 * n);
        write_file(header, data, (size_t)(8 * n));
        gdn_safetensors *f = opened(made);
        const gdn_tensor *t = gdn_safetensors_at(f, 0);
        ck_assert_int_eq(gdn_tensor_doubles(t, y, &err), GDN_OK);
        ck_assert(memcmp(y, numbers, (size_t)(8 * n)) == 0);
        ck_assert_int_eq(gdn_tensor_floats(t, x, &err), n == 5 ? GDN_OK : GDN_BAD_INPUT);
        for (int i = 0; i < 5; i++)
            ck_assert((double)x[i] == numbers[i] && !signbit(x[i]) == !signbit(numbers[i]));
        if (n == 6)
            ck_assert_str_eq(
                err.text, "tensor \"a\\x0a\", element 5: found 0.33333333333333331, which is no fp32 number");
        gdn_safetensors_close(f);
    }
}
END_TEST

/* ---- Good files ---- */

/* The header names tensors in any order; empty ones may lie anywhere between others. */
START_TEST(tensors_come_in_file_order)
{
    static const struct {
        const char *name;
        uint64_t begin, bytes;
    } order[] = {{"d", 0, 4}, {"b", 4, 0}, {"c", 4, 0}, {"z", 4, 2}, {"a", 6, 2}};
    write_file("{\"a\":{\"shape\":[1],\"dtype\":\"BF16\",\"data_offsets\":[6,8]},"
               "\"c\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]},"
               "\"b\":{\"dtype\":\"F32\",\"shape\":[3,0,2],\"data_offsets\":[4,4]},"
               "\"z\":{\"data_offsets\":[4,6],\"dtype\":\"F16\",\"shape\":[]},"
               "\"d\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}",
               NULL, 8);
    gdn_safetensors *f = opened(made);
    ck_assert_uint_eq(gdn_safetensors_count(f), COUNT(order));
    uint64_t data = gdn_safetensors_at(f, 0)->begin;
    for (size_t i = 0; i < COUNT(order); i++) {
        const gdn_tensor *t = gdn_safetensors_at(f, i);
        ck_assert_str_eq(t->name, order[i].name);
        ck_assert_uint_eq(t->begin - data, order[i].begin);
        ck_assert_uint_eq(t->bytes, order[i].bytes);
        for (size_t b = 0; b < t->bytes; b++)
            ck_assert_uint_eq(((const unsigned char *)t->data)[b], order[i].begin + b);
    }
    ck_assert_int_eq(gdn_tensor_elements(gdn_safetensors_find(f, "b")), 0);
    ck_assert_int_eq(gdn_tensor_floats(gdn_safetensors_find(f, "b"), NULL, &err), GDN_OK);
    ck_assert_int_eq(gdn_safetensors_find(f, "z")->rank, 0);
    ck_assert_int_eq(gdn_tensor_elements(gdn_safetensors_find(f, "z")), 1);
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(a_file_may_hold_nothing)
{
    write_file("{}", NULL, 0);
    gdn_safetensors *f = opened(made);
    ck_assert_uint_eq(gdn_safetensors_count(f), 0);
    ck_assert_ptr_null(gdn_safetensors_find(f, ""));
    ck_assert_ptr_null(gdn_safetensors_metadata(f, "format"));
    gdn_safetensors_close(f);
    write_file("{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}}      ", NULL, 0);
    f = opened(made);
    ck_assert_uint_eq(gdn_safetensors_count(f), 0);
    ck_assert_str_eq(gdn_safetensors_metadata(f, "format"), "pt");
    ck_assert_str_eq(gdn_safetensors_metadata(f, ""), "");
    gdn_safetensors_close(f);
    gdn_safetensors_close(NULL);
}
END_TEST

START_TEST(escapes_are_decoded)
{
    write_file(
        "{\"__metadata__\":{\"k\\\"\\\\\":\"\\ud83d\\ude00\\n\xc3\xa9\"},\"}\\\"{\\u0061\\/\\\\\":" ENTRY(
            "\"\\u00558\"", "[1]", "[0,1]") "}",
        NULL, 1);
    gdn_safetensors *f = opened(made);
    ck_assert_str_eq(gdn_safetensors_metadata(f, "k\"\\"), "\xf0\x9f\x98\x80\n\xc3\xa9");
    ck_assert_str_eq(gdn_safetensors_at(f, 0)->name, "}\"{a/\\");
    ck_assert_int_eq(gdn_safetensors_at(f, 0)->dtype, GDN_DTYPE_U8);
    gdn_safetensors_close(f);
}
END_TEST

START_TEST(eight_dimensions_fit)
{
    write_file("{\"x\":{\"dtype\":\"U8\",\"shape\":[1,2,1,2,1,2,1,3],\"data_offsets\":[0,24]}}", NULL, 24);
    gdn_safetensors *f = opened(made);
    ck_assert_int_eq(gdn_safetensors_at(f, 0)->rank, 8);
    ck_assert_int_eq(gdn_safetensors_at(f, 0)->dim[7], 3);
    ck_assert_int_eq(gdn_tensor_elements(gdn_safetensors_at(f, 0)), 24);
    gdn_safetensors_close(f);
}
END_TEST

/* Does the process hold the file, by a descriptor or a mapping? */
static bool is_held(void)
{
    int fd = open("/dev/null", O_RDONLY); /* the lowest that is free */
    ck_assert_int_ge(fd, 0);
    close(fd);
    static int first = -1;
    if (first < 0)
        first = fd;
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    char line[1024];
    bool mapped = false;
    while (fgets(line, sizeof line, maps))
        mapped |= strstr(line, made) != NULL;
    fclose(maps);
    return mapped || fd != first;
}

START_TEST(closing_gives_everything_back)
{
    ck_assert(!is_held());
    write_file("{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", NULL, 4);
    gdn_safetensors *f = opened(made);
    ck_assert(is_held());
    gdn_safetensors_close(f);
    ck_assert(!is_held());
    write_file("{\"x\":1}", NULL, 4);
    ck_assert_int_eq(gdn_safetensors_open(made, &f, &err), GDN_BAD_INPUT);
    ck_assert(!is_held());
}
END_TEST

/* ---- Bad files: the frame ---- */

START_TEST(missing_file_is_bad_input)
{
    char path[512];
    snprintf(path, sizeof path, "%s/none", room);
    REFUSED(path, "No such file or directory");
    write_file("{}", NULL, 0);
    snprintf(path, sizeof path, "%s/below", made);
    REFUSED(path, "Not a directory");
    snprintf(path, sizeof path, "%s/%0300d", room, 0);
    ck_assert_int_eq(gdn_safetensors_open(path, &(gdn_safetensors *){NULL}, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "File name too long"));
}
END_TEST

START_TEST(unreadable_file_is_bad_input)
{
    write_file("{}", NULL, 0);
    ck_assert_int_eq(chmod(made, 0), 0);
    uid_t user = geteuid(); /* root reads everything */
    ck_assert(user != 0 || seteuid(65534) == 0);
    gdn_safetensors *f;
    gdn_status status = gdn_safetensors_open(made, &f, &err);
    ck_assert(user != 0 || seteuid(user) == 0);
    ck_assert_int_eq(status, GDN_BAD_INPUT);
    check_sentence(made);
    ck_assert_ptr_nonnull(strstr(err.text, "Permission denied"));
}
END_TEST

START_TEST(directory_is_bad_input)
{
    REFUSED(room, "not a safetensors file", "a directory", "a regular file");
}
END_TEST

START_TEST(device_or_pipe_is_bad_input)
{
    REFUSED("/dev/null", "not a safetensors file", "a device, pipe or socket", "a regular file");
    unlink(made);
    ck_assert_int_eq(mkfifo(made, 0600), 0);
    REFUSED(made, "not a safetensors file", "a device, pipe or socket");
}
END_TEST

/* A long path is shown by its end, so that the rest of the sentence has room. */
START_TEST(long_path_leaves_room_for_the_sentence)
{
    char path[1024];
    size_t used = (size_t)snprintf(path, sizeof path, "%s", room);
    while (used < 900)
        used += (size_t)snprintf(path + used, sizeof path - used, "/.");
    strcat(path, "/made.safetensors");
    write_file("{\"x\":{\"dtype\":\"Q8\",\"shape\":[],\"data_offsets\":[0,1]}}", NULL, 1);
    ck_assert_int_eq(gdn_safetensors_open(path, &(gdn_safetensors *){NULL}, &err), GDN_BAD_INPUT);
    check_sentence("...");
    ck_assert_ptr_nonnull(strstr(
        err.text, "/made.safetensors: byte offset 22: tensor \"x\", dtype: found \"Q8\", allowed are BOOL"));
    ck_assert_ptr_nonnull(strstr(err.text, "U64"));
}
END_TEST

#define RAW(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t n;
    const char *says[4];
} frames[] = {
    {RAW(""), {"not a safetensors file", "byte offset 0", "it is empty"}},
    {RAW("{}"), {"not a safetensors file", "byte offset 0", "fewer than the 10 bytes"}},
    {RAW("\2\0\0\0\0\0\0\0{"), {"not a safetensors file", "byte offset 0", "fewer than the 10 bytes"}},
    {RAW("Dear reader,\nthis is a letter."),
     {"not a safetensors file", "byte offset 0", "\"Dear reader,\\x0a", "text"}},
    {RAW("\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\76\0"),
     {"not a safetensors file", "header length", "an ELF program"}},
    {RAW("PK\3\4\24\0\0\0\0\0\0\0\0\0"), {"not a safetensors file", "a zip archive"}},
    {RAW("\200\2\x8a\x0al\xfc\x9c"
         "F\xf9 j\xa8P\31."),
     {"not a safetensors file", "a Python pickle"}},
    {RAW("version https://git-lfs.github.com/spec/v1\n"), {"not a safetensors file", "Git LFS pointer"}},
    {RAW("GGUF\3\0\0\0\0\0\0\0\0\0"), {"not a safetensors file", "a GGUF file"}},
    {RAW("\211HDF\r\n\32\n\0\0\0\0"), {"not a safetensors file", "an HDF5 file"}},
    {RAW("\223NUMPY\1\0v\0{'descr'"), {"not a safetensors file", "a NumPy array"}},
    {RAW("\37\213\10\0\0\0\0\0\0\3\0\0"), {"not a safetensors file", "a gzip file"}},
    {RAW("\1\2\3\4\5\6\7\10\11\12\13"), {"not a safetensors file", "byte offset 0", "\"\\x01\\x02\\x03"}},
    {RAW("\4\0\0\0\0\0\0\0[1 ]"), {"not a safetensors file", "byte offset 8", "must start with '{'", "0x5b"}},
    {RAW("\4\0\0\0\0\0\0\0 {} "), {"not a safetensors file", "byte offset 8", "must start with '{'", "0x20"}},
    {RAW("\0\0\0\0\0\0\0\0{}"), {"byte offset 0", "header length", "found 0", "2 to 100000000"}},
    {RAW("\1\0\0\0\0\0\0\0{}"), {"byte offset 0", "header length", "found 1", "2 to 100000000"}},
    {RAW("\3\0\0\0\0\0\0\0{}"), {"byte offset 0", "header length", "found 3", "only 2 bytes follow"}},
    {RAW("\3\0\0\0\0\0\0\0{}"), {"the file may be cut short"}},
    {RAW("\1\xe1\xf5\5\0\0\0\0{}"), {"byte offset 0", "header length", "found 100000001", "2 to 100000000"}},
    {RAW("\xff\xff\xff\xff\xff\xff\xff\xff{}"), {"byte offset 0", "found 18446744073709551615", "100000000"}},
};

START_TEST(bad_frame_is_refused)
{
    write_bytes(frames[_i].bytes, frames[_i].n);
    check_refused(made, frames[_i].says, COUNT(frames[_i].says));
    ck_assert_ptr_nonnull(strstr(err.text, "byte offset "));
}
END_TEST

/* A header too long is refused even where the file has room for it. */
START_TEST(header_of_100_mb_is_the_limit)
{
    write_bytes("\1\xe1\xf5\5\0\0\0\0{}", 10);
    ck_assert_int_eq(truncate(made, 100000016), 0);
    REFUSED(made, "byte offset 0", "found 100000001", "allowed are 2 to 100000000");
    write_bytes("\0\xe1\xf5\5\0\0\0\0{}", 10);
    ck_assert_int_eq(truncate(made, 100000016), 0);
    REFUSED(made, "byte offset 10", "JSON");
}
END_TEST

/* ---- Bad files: the header ---- */

#define A(dtype, shape, offsets) "{\"a\":" ENTRY(dtype, shape, offsets) "}"
#define AB(a_offsets, b_offsets)                                                                             \
    "{\"a\":" ENTRY("\"U8\"", "[4]", a_offsets) ",\"b\":" ENTRY("\"U8\"", "[4]", b_offsets) "}"

/* A ~ stands before the byte whose offset in the file the sentence must name. */
static const struct {
    const char *header;
    size_t data; /* bytes */
    const char *says[4];
} headers[] = {
    /* JSON */
    {"{ ~", 0, {"JSON", "found the end, allowed is a name in quotes or }"}},
    {"{~1:2}", 0, {"JSON", "found 1, allowed is a string in quotes"}},
    {"{~'a':2}", 0, {"JSON", "found ', allowed is a string in quotes"}},
    {"{\"a~", 0, {"JSON", "found the end, allowed is \" behind a string"}},
    {"{\"a\\~", 0, {"JSON", "found the end, allowed is \" behind a string"}},
    {"{\"a\" ~}", 0, {"JSON", "found }, allowed is :"}},
    {"{\"a\":~", 0, {"tensor \"a\": found the end", "allowed is an object"}},
    {"{\"a\": ~!}", 0, {"tensor \"a\": found !, allowed is an object"}},
    {"{\"a~\xff\":1}", 0, {"JSON", "unable to decode byte 0xff"}},
    {"{\"a\\u0000~\":1}", 0, {"JSON", "NUL"}},
    {"{\"a~\n\":1}", 0, {"JSON", "unexpected newline"}},
    {"{\"\\~q\":1}", 0, {"JSON", "invalid escape"}},
    {"{} \t\r\n~x", 0, {"JSON", "found x, allowed is the end"}},
    {"{}~{}", 0, {"JSON", "found an object, allowed is the end"}},
    {"{}~\xc2\xa0", 0, {"JSON", "found \\xc2, allowed is the end"}},
    {"{\"__metadata__\":{}~", 0, {"JSON", "found the end, allowed is , or }"}},
    {"{\"__metadata__\":{} ~\"a\":1}", 0, {"JSON", "found \"a\", allowed is , or }"}},
    {"{\"__metadata__\":{},~}", 0, {"JSON", "found }, allowed is a name in quotes"}},
    {"{\"__metadata__\":{},~", 0, {"JSON", "found the end, allowed is a name in quotes"}},
    /* unique keys */
    {"{\"a\":" ENTRY("\"U8\"", "[0]", "[0,0]") ",~\"a\":" ENTRY("\"U8\"", "[0]", "[0,0]") "}",
     0,
     {"tensor \"a\": found this key twice, first at byte offset 9", "unique keys"}},
    {"{\"\\u0061\":" ENTRY("\"U8\"", "[0]", "[0,0]") ",~\"a\":" ENTRY("\"U8\"", "[0]", "[0,0]") "}",
     0,
     {"tensor \"a\": found this key twice, first at byte offset 9", "unique keys"}},
    {A("\"U8\",~\"dtype\":\"U8\"", "[4]", "[0,4]"),
     4,
     {"tensor \"a\", dtype: found this field twice", "unique keys"}},
    {"{\"__metadata__\":{\"k\":\"1\", ~\"k\":\"2\"}}",
     0,
     {"__metadata__, \"k\": found this key twice", "unique keys"}},
    {"{\"__metadata__\":{},~\"__metadata__\":{}}", 0, {"__metadata__: found this key twice", "unique keys"}},
    /* __metadata__ */
    {"{\"__metadata__\":~[]}", 0, {"__metadata__: found an array", "allowed is an object of strings"}},
    {"{\"__metadata__\":~null}", 0, {"__metadata__: found null", "allowed is an object of strings"}},
    {"{\"__metadata__\":{\"format\":\"pt\",\"n\":~7}}",
     0,
     {"__metadata__, \"n\": found 7", "allowed is a string"}},
    {"{\"__metadata__\":{\"n\":~{}}}", 0, {"__metadata__, \"n\": found an object", "allowed is a string"}},
    {"{\"__metadata__\":{\"n\":\"~\x1f\"}}", 0, {"JSON", "control character"}},
    /* entries */
    {"{\"a\":~[1,2]}",
     0,
     {"tensor \"a\": found an array", "allowed is an object of dtype, shape and data_offsets"}},
    {"{\"a\":~true}", 0, {"tensor \"a\": found true", "allowed is an object"}},
    {"{\"a\":~{}}", 0, {"tensor \"a\", dtype: found no such field", "dtype, shape and data_offsets"}},
    {"{\"a\":~{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, {"tensor \"a\", dtype: found no such field"}},
    {"{\"a\":~{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, {"tensor \"a\", shape: found no such field"}},
    {"{\"a\":~{\"dtype\":\"U8\",\"shape\":[4]}}", 4, {"tensor \"a\", data_offsets: found no such field"}},
    {A("\"U8\"", "[4]", "[0,4],~\"strides\":[1]"),
     4,
     {"tensor \"a\", \"strides\": found an unknown field", "allowed is"}},
    {"{\"a\\u001b[2J\\n\":~1}", 0, {"tensor \"a\\x1b[2J\\x0a\": found 1"}},
    /* dtype */
    {A("~3", "[4]", "[0,4]"), 4, {"tensor \"a\", dtype: found 3, allowed are BOOL F4", "BF16", "U64"}},
    {A("~\"F31\"", "[1]", "[0,4]"),
     4,
     {"tensor \"a\", dtype: found \"F31\", allowed are BOOL F4", "BF16", "U64"}},
    {A("~\"f32\"", "[1]", "[0,4]"), 4, {"tensor \"a\", dtype: found \"f32\", allowed are"}},
    {A("~\"\"", "[1]", "[0,4]"), 4, {"tensor \"a\", dtype: found \"\", allowed are"}},
    /* shape */
    {A("\"U8\"", "~4", "[0,4]"),
     4,
     {"tensor \"a\", shape: found 4, allowed is an array of at most 8 integers"}},
    {A("\"U8\"", "[1,1,1,1,1,1,1,1,~4]", "[0,4]"), 4, {"tensor \"a\", shape: found a number 9", "at most 8"}},
    {A("\"U8\"", "[2,~-2]", "[0,4]"), 4, {"tensor \"a\", shape: found -2 as number 2", "integers from 0 to"}},
    {A("\"U8\"", "[~4.0]", "[0,4]"), 4, {"tensor \"a\", shape: found 4.0 as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[~4e0]", "[0,4]"), 4, {"tensor \"a\", shape: found 4e0 as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[~04]", "[0,4]"), 4, {"tensor \"a\", shape: found 04 as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[~-0]", "[0,0]"), 0, {"tensor \"a\", shape: found -0 as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[~\"4\"]", "[0,4]"),
     4,
     {"tensor \"a\", shape: found \"4\" as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[~null]", "[0,4]"),
     4,
     {"tensor \"a\", shape: found null as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[4,~]", "[0,4]"), 4, {"JSON", "found ], allowed is a value"}},
    {A("\"U8\"", "[4 ~4]", "[0,4]"), 4, {"JSON", "found 4, allowed is , or ]"}},
    {A("\"U8\"", "[~9223372036854775808]", "[0,4]"),
     4,
     {"shape: found 9223372036854775808 as number 1", "integers from 0 to 9223372036854775807"}},
    {A("\"U8\"", "[~92233720368547758070]", "[0,0]"), 0, {"shape: found 92233720368547758070 as number 1"}},
    {A("\"U8\"", "~[4294967296,4294967296]", "[0,0]"),
     0,
     {"tensor \"a\", shape: found more elements than can be counted"}},
    {A("\"U8\"", "~[4294967296,4294967300]", "[0,4]"),
     4,
     {"tensor \"a\", shape: found more elements", "4 bytes"}},
    {A("\"F64\"", "~[2305843009213693952]", "[0,0]"),
     0,
     {"tensor \"a\", shape: found more elements than can be counted"}},
    {A("\"F4\"", "~[3]", "[0,1]"),
     1,
     {"tensor \"a\", shape: found 3 elements of 4 bits", "allowed are whole bytes"}},
    {A("\"F6_E2M3\"", "~[5]", "[0,3]"),
     3,
     {"tensor \"a\", shape: found 5 elements of 6 bits", "whole bytes"}},
    /* data_offsets */
    {A("\"U8\"", "[4]", "~4"), 4, {"tensor \"a\", data_offsets: found 4, allowed is an array of 2 integers"}},
    {A("\"U8\"", "[4]", "~[]"), 4, {"tensor \"a\", data_offsets: found an array of 0", "2 integers"}},
    {A("\"U8\"", "[4]", "~[4]"), 4, {"tensor \"a\", data_offsets: found an array of 1", "2 integers"}},
    {A("\"U8\"", "[4]", "[0,4,~4]"), 4, {"tensor \"a\", data_offsets: found a number 3", "2 integers"}},
    {A("\"U8\"", "[4]", "[0,~\"4\"]"),
     4,
     {"tensor \"a\", data_offsets: found \"4\" as number 2", "integers from 0 to"}},
    {A("\"U8\"", "[4]", "[~-4,0]"),
     4,
     {"tensor \"a\", data_offsets: found -4 as number 1", "integers from 0 to"}},
    {A("\"U8\"", "[4]", "~[4,0]"),
     4,
     {"tensor \"a\", data_offsets: found begin 4 > end 0", "allowed is begin <= end"}},
    {A("\"U8\"", "[5]", "~[0,5]"),
     4,
     {"tensor \"a\", data_offsets: found end 5", "4 bytes of data", "from byte offset 61"}},
    {A("\"U8\"", "[4]", "~[9223372036854775803,9223372036854775807]"),
     4,
     {"found end 9223372036854775807", "4 bytes"}},
    {A("\"BF16\"", "[1,4]", "~[0,4]"),
     4,
     {"tensor \"a\", data_offsets: found 4 bytes", "4 elements of BF16", "take 8"}},
    {A("\"U8\"", "[]", "~[0,4]"),
     4,
     {"tensor \"a\", data_offsets: found 4 bytes", "1 elements of U8", "take 1"}},
    {A("\"U8\"", "[0,9223372036854775807]", "~[0,4]"),
     4,
     {"tensor \"a\", data_offsets: found 4 bytes", "0 elements"}},
    /* layout: data begin at byte offset 113 */
    {AB("[0,4]", "~[0,4]"),
     4,
     {"tensor \"b\", data_offsets: found an overlap: it begins at byte offset 113", "is 117"}},
    {AB("~[2,6]", "[0,4]"),
     6,
     {"tensor \"a\", data_offsets: found an overlap: it begins at byte offset 115", "is 117"}},
    {AB("[0,4]", "~[5,9]"),
     9,
     {"tensor \"b\", data_offsets: found a hole: it begins at byte offset 118", "is 117"}},
    {AB("~[1,5]", "[5,9]"),
     9,
     {"tensor \"a\", data_offsets: found a hole: it begins at byte offset 114", "is 113"}},
    {AB("[0,4]", "[4,8]"), 9, {"byte offset 121: found 1 bytes that no tensor covers", "allowed are none"}},
    {"{}      ~", 3, {"byte offset 16: found 3 bytes that no tensor covers"}},
};

START_TEST(bad_header_is_refused)
{
    char header[256], place[128];
    const char *mark = strchr(headers[_i].header, '~');
    size_t at = mark ? (size_t)(mark - headers[_i].header) : strlen(headers[_i].header);
    memcpy(header, headers[_i].header, at);
    strcpy(header + at, mark ? mark + 1 : "");
    write_file(header, NULL, headers[_i].data);
    check_refused(made, headers[_i].says, COUNT(headers[_i].says));
    snprintf(place, sizeof place, "%s: byte offset %zu: ", made, at + 8);
    ck_assert_msg(!mark || strncmp(err.text, place, strlen(place)) == 0, "no '%s' in: %s", place, err.text);
}
END_TEST

/* Each string of metadata takes many times its text in memory: their number has an end. */
START_TEST(metadata_has_an_end)
{
    enum { MOST = 100000, ROOM = 16 * MOST };
    char *header = malloc(ROOM);
    ck_assert_ptr_nonnull(header);
    for (int n = MOST; n <= MOST + 1; n++) {
        char *s = stpcpy(header, "{\"__metadata__\":{");
        for (int i = 0; i < n; i++)
            s += sprintf(s, "%s\"%d\":\"\"", i ? "," : "", i);
        strcpy(s, "}}");
        write_file(header, NULL, 0);
        if (n > MOST) {
            REFUSED(made, "byte offset 1088915: __metadata__: found string number 100001",
                    "no more than 100000");
        } else {
            gdn_safetensors *f = opened(made);
            ck_assert_str_eq(gdn_safetensors_metadata(f, "99999"), "");
            ck_assert_uint_eq(json_object_size(gdn_safetensors_metadata_object(f)), MOST);
            gdn_safetensors_close(f);
        }
    }
    free(header);
}
END_TEST

/* The rows above are bad for the one reason that they name: put right, the same frames are good. */
START_TEST(good_twin_is_accepted)
{
    write_file(AB("[4,8]", "[0,4]"), NULL, 8);
    gdn_safetensors_close(opened(made));
    write_file(A("\"F6_E2M3\"", "[4]", "[0,3]"), NULL, 3);
    gdn_safetensors_close(opened(made));
    write_file(A("\"U8\"", "[0,9223372036854775807]", "[0,0]"), NULL, 0);
    gdn_safetensors_close(opened(made));
}
END_TEST

START_TEST(long_name_is_cut)
{
    char header[4096] = "{\"", *s = header + 2;
    for (int i = 0; i < 3000; i++)
        *s++ = 'n';
    strcpy(s, "\":{\"dtype\":\"");
    s += strlen(s);
    for (int i = 0; i < 900; i++)
        *s++ = 'd';
    strcpy(s, "\"}}");
    write_file(header, NULL, 0);
    REFUSED(made, "tensor \"nnnnnnnn", "n...\", dtype: found \"dddd", "d...\", allowed are BOOL", "I64 U64");
}
END_TEST

/* ---- The machine ---- */

static int allocations_left;

static void *failing_malloc(size_t n)
{
    if (allocations_left-- > 0)
        return malloc(n);
    errno = ENOMEM; /* as malloc does */
    return NULL;
}

/* jansson, which holds the metadata and decodes escapes, without memory: at every allocation in turn. */
START_TEST(no_memory_is_the_machines_failure)
{
    write_file("{\"__metadata__\":{\"k\\n\":\"v\\n\"},\"a\\n\":" ENTRY("\"U8\"", "[2,2]", "[0,4]") "}", NULL,
               4);
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(failing_malloc, free);
    gdn_safetensors *f = NULL;
    int failures = 0;
    for (gdn_status status = GDN_MACHINE; status != GDN_OK; failures++) {
        allocations_left = failures;
        status = gdn_safetensors_open(made, &f, &err);
        ck_assert_msg(status == GDN_OK || status == GDN_MACHINE, "after %d allocations: %s", failures,
                      err.text);
        ck_assert(status == GDN_OK || strstr(err.text, "out of memory") != NULL);
        ck_assert((f != NULL) == (status == GDN_OK));
    }
    ck_assert_int_gt(failures, 10);
    gdn_safetensors_close(f);
    json_set_alloc_funcs(allocate, release);
}
END_TEST

/* A (sparse) file larger than the address space that this process may have. */
START_TEST(no_room_to_map_is_the_machines_failure)
{
#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZE_FEATURE)
    return; /* the sanitizer itself needs more */
#endif
    char header[128];
    unsigned char bytes[256];
    snprintf(header, sizeof header, A("\"U8\"", "[%lld]", "[0,%lld]"), 1LL << 36, 1LL << 36);
    size_t n = compose(bytes, strlen(header), header, NULL, 0);
    write_bytes(bytes, n);
    if (truncate(made, (off_t)((1LL << 36) + (long long)n)) != 0)
        return; /* a file system without sparse files of 64 GiB */
    struct rlimit before, small;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    small = before;
    small.rlim_cur = 1ULL << 36;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &small), 0);
    gdn_safetensors *f;
    gdn_status status = gdn_safetensors_open(made, &f, &err);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    ck_assert_int_eq(status, GDN_MACHINE);
    ck_assert_ptr_null(f);
    check_sentence(made);
    ck_assert_ptr_nonnull(strstr(err.text, "Cannot allocate memory"));
    f = opened(made);
    ck_assert_int_eq(gdn_tensor_elements(gdn_safetensors_at(f, 0)), 1LL << 36);
    gdn_safetensors_close(f);
}
END_TEST

/* ---- Mutations ---- */

static const char whole[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"w.a\":" ENTRY("\"F32\"", "[2,2]", "[0,16]")          //
    ",\"b\":" ENTRY("\"BF16\"", "[3]", "[16,22]") ",\"s\":" ENTRY("\"F8_E4M3\"", "[]", "[22,23]") //
    ",\"e\":" ENTRY("\"F16\"", "[0]", "[16,16]") ",\"i\":" ENTRY("\"I8\"", "[1]", "[23,24]") "}  ";

enum { WHOLE_HEADER = sizeof whole - 1, WHOLE = 8 + WHOLE_HEADER + 24 };

/* Open these bytes; what opens must be readable to its last byte, what does not must say why. bytes: [n]. */
static gdn_status survive(const unsigned char *bytes, size_t n)
{
    gdn_safetensors *f;
    gdn_error in_memory = {""};
    gdn_status other = gdn_safetensors_open_memory(bytes, n, made, &f, &in_memory);
    gdn_safetensors_close(f);
    write_bytes(bytes, n);
    err.text[0] = '\0';
    gdn_status status = gdn_safetensors_open(made, &f, &err);
    ck_assert_int_eq(status == GDN_OK, f != NULL);
    ck_assert_int_eq(status, other);
    ck_assert_str_eq(err.text, in_memory.text);
    if (status != GDN_OK) {
        ck_assert_int_eq(status, GDN_BAD_INPUT);
        check_sentence(made);
        return status;
    }
    uint64_t end = 0;
    for (size_t i = 0; i < gdn_safetensors_count(f); i++) {
        const gdn_tensor *t = gdn_safetensors_at(f, i);
        ck_assert(i == 0 || t->begin == end);
        end = t->begin + t->bytes;
        ck_assert_uint_le(end, n);
        ck_assert_ptr_eq(gdn_safetensors_find(f, t->name), t);
        ck_assert(memcmp(t->data, bytes + t->begin, t->bytes) == 0);
        float x[64];
        ck_assert_int_le(gdn_tensor_elements(t), (int64_t)COUNT(x));
        (void)gdn_tensor_floats(t, x, &err);
    }
    ck_assert(gdn_safetensors_count(f) == 0 || end == n);
    (void)gdn_safetensors_metadata(f, "format");
    gdn_safetensors_close(f);
    return status;
}

START_TEST(every_truncation_is_refused)
{
    unsigned char bytes[WHOLE + 1] = {0};
    ck_assert_uint_eq(compose(bytes, WHOLE_HEADER, whole, NULL, 24), WHOLE);
    ck_assert_int_eq(survive(bytes, WHOLE), GDN_OK);
    for (size_t n = 0; n < WHOLE; n++)
        ck_assert_msg(survive(bytes, n) == GDN_BAD_INPUT, "cut to %zu bytes", n);
    ck_assert_int_eq(survive(bytes, WHOLE + 1), GDN_BAD_INPUT);
}
END_TEST

/* One bit, or a byte set to one that JSON or a length could mind. In the data anything goes, in the length
 * nothing. */
START_TEST(every_changed_byte_is_survived)
{
    static const unsigned char odd[] = {0,   0xff, '"', '\\', '{', '}', '[',
                                        ']', ',',  ':', '-',  '9', ' ', 0x80};
    unsigned char good[WHOLE], bytes[WHOLE];
    compose(good, WHOLE_HEADER, whole, NULL, 24);
    for (size_t at = 0; at < WHOLE; at++)
        for (size_t k = 0; k < 8 + sizeof odd; k++) {
            memcpy(bytes, good, WHOLE);
            unsigned changed = k < 8 ? good[at] ^ 1u << k : odd[k - 8];
            bytes[at] = (unsigned char)changed;
            gdn_status status = survive(bytes, WHOLE);
            if (at >= 8 + WHOLE_HEADER)
                ck_assert_int_eq(status, GDN_OK);
            if (at < 8 && bytes[at] != good[at])
                ck_assert_int_eq(status, GDN_BAD_INPUT);
        }
}
END_TEST

START_TEST(bytes_lost_or_doubled_are_survived)
{
    unsigned char good[WHOLE], bytes[WHOLE + 1];
    compose(good, WHOLE_HEADER, whole, NULL, 24);
    for (size_t at = 0; at < WHOLE; at++) {
        memcpy(bytes, good, at);
        memcpy(bytes + at, good + at + 1, WHOLE - at - 1);
        survive(bytes, WHOLE - 1);
        memcpy(bytes, good, at + 1);
        memcpy(bytes + at + 1, good + at, WHOLE - at);
        survive(bytes, WHOLE + 1);
    }
}
END_TEST

/* Several bytes at once, the header's length kept: most of these are JSON no more, some are JSON of another
 * shape. */
START_TEST(random_changes_are_survived)
{
    unsigned char good[WHOLE], bytes[WHOLE];
    uint32_t x = 2463534242u; /* Marsaglia's xorshift */
    compose(good, WHOLE_HEADER, whole, NULL, 24);
    for (int round = 0; round < 4000; round++) {
        memcpy(bytes, good, WHOLE);
        for (int k = 0; k <= round % 4; k++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            size_t at = 8 + x % WHOLE_HEADER, from = 8 + (x >> 16) % WHOLE_HEADER;
            bytes[at] = good[from]; /* the header's own alphabet gives JSON most often */
        }
        survive(bytes, WHOLE);
    }
}
END_TEST

/* ---- Suite ---- */

static Suite *safetensors_suite(void)
{
    Suite *s = suite_create("safetensors");
    TCase *c = tcase_create("golden");
    tcase_add_test(c, golden_layer_holds_its_tensors);
    tcase_add_test(c, golden_metadata_is_read);
    tcase_add_loop_test(c, golden_values_are_exact, 0, (int)COUNT(values));
    tcase_add_loop_test(c, golden_files_open, 0, (int)COUNT(files));
    tcase_add_test(c, golden_index_is_refused);
    suite_add_tcase(s, c);

    c = tcase_create("good");
    tcase_add_unchecked_fixture(c, enter, leave);
    tcase_add_loop_test(c, small_formats_are_exact, 0, (int)COUNT(small_formats));
    tcase_add_test(c, fp32_keeps_every_bit);
    tcase_add_loop_test(c, every_dtype_is_known, 0, (int)COUNT(all_dtypes));
    tcase_add_test(c, doubles_are_exact);
    tcase_add_test(c, fp64_is_taken_where_it_fits);
    tcase_add_test(c, tensors_come_in_file_order);
    tcase_add_test(c, a_file_may_hold_nothing);
    tcase_add_test(c, escapes_are_decoded);
    tcase_add_test(c, eight_dimensions_fit);
    tcase_add_test(c, good_twin_is_accepted);
    tcase_add_test(c, closing_gives_everything_back);
    suite_add_tcase(s, c);

    c = tcase_create("bad");
    tcase_add_unchecked_fixture(c, enter, leave);
    tcase_add_test(c, missing_file_is_bad_input);
    tcase_add_test(c, unreadable_file_is_bad_input);
    tcase_add_test(c, directory_is_bad_input);
    tcase_add_test(c, device_or_pipe_is_bad_input);
    tcase_add_test(c, long_path_leaves_room_for_the_sentence);
    tcase_add_loop_test(c, bad_frame_is_refused, 0, (int)COUNT(frames));
    tcase_add_test(c, header_of_100_mb_is_the_limit);
    tcase_add_loop_test(c, bad_header_is_refused, 0, (int)COUNT(headers));
    tcase_add_test(c, metadata_has_an_end);
    tcase_add_test(c, long_name_is_cut);
    tcase_add_test(c, no_memory_is_the_machines_failure);
    tcase_add_test(c, no_room_to_map_is_the_machines_failure);
    suite_add_tcase(s, c);

    c = tcase_create("mutations");
    tcase_add_unchecked_fixture(c, enter, leave);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, every_truncation_is_refused);
    tcase_add_test(c, every_changed_byte_is_survived);
    tcase_add_test(c, bytes_lost_or_doubled_are_survived);
    tcase_add_test(c, random_changes_are_survived);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(safetensors_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
