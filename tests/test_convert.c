/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of harness/convert and harness/safetensors_write: every pattern of the small dtypes through the
 * casts, round trips of the golden checkpoints file by file, keys of the whole grammar, headers byte by byte,
 * storage chains against gdn_chain_apply, and every answer to wrong input. What fails leaves nothing behind.
 */
#include "tests/gdn_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/commands.h"
#include "harness/convert.h"
#include "harness/outfile.h"
#include "harness/safetensors_write.h"

enum { PATH = 512 };

static char scratch[64]; /* empty when a test begins */
static gdn_error err;

static const char *const checkpoints[] = {"hf_checkpoint_bf16", "hf_checkpoint_mixed", "hf_checkpoint_upcast",
                                          "hf_checkpoint_qwen3_next"};
enum { CHECKPOINTS = sizeof checkpoints / sizeof checkpoints[0] };

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char paths[16][PATH];
    static int next;
    char *p = paths[next++ % 16];
    snprintf(p, PATH, "%s/%s", scratch, name);
    return p;
}

static const char *golden(const char *name)
{
    static char paths[16][PATH];
    static int next;
    char *p = paths[next++ % 16];
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(p, PATH, "%s/%s", folder ? folder : "tests/golden", name);
    return p;
}

static void empty_scratch(void)
{
    gdn_test_remove(scratch);
    GDN_CHECK(mkdir(scratch, 0777) == 0, "cannot make %s", scratch);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Entries of a folder, . and .. left out; -1 when there is none. */
static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    if (!d)
        return -1;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* [*n] and a NUL, to be freed. */
static char *bytes_of(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    GDN_CHECK(f && fstat(fileno(f), &st) == 0, "%s is not there", path);
    char *bytes = gdn_test_alloc((size_t)st.st_size + 1, 1);
    *n = fread(bytes, 1, (size_t)st.st_size, f);
    GDN_CHECK(*n == (size_t)st.st_size, "cannot read %s", path);
    fclose(f);
    return bytes;
}

static void same_file(const char *x, const char *y)
{
    size_t n, m;
    char *p = bytes_of(x, &n), *q = bytes_of(y, &m);
    GDN_CHECK(n == m && memcmp(p, q, n) == 0, "%s (%zu bytes) and %s (%zu bytes) differ", x, n, y, m);
    free(p);
    free(q);
}

/* Every file of folder x lies in y with the same bytes, and y has no others. */
static void same_folder(const char *x, const char *y)
{
    DIR *d = opendir(x);
    GDN_CHECK(d && entries(x) == entries(y), "%s has %d entries, %s has %d", x, entries(x), y, entries(y));
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        char a[PATH], b[PATH];
        snprintf(a, sizeof a, "%s/%.200s", x, e->d_name);
        snprintf(b, sizeof b, "%s/%.200s", y, e->d_name);
        if (*e->d_name != '.')
            same_file(a, b);
    }
    closedir(d);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", path);
}

/* ---- checkpoints of these tests ---- */

/* A tensor of one dimension. */
static gdn_tensor made(const char *name, gdn_dtype dtype, int64_t n, const void *data)
{
    return (gdn_tensor){.name = name, .dtype = dtype, .rank = 1, .dim = {n}, .data = data};
}

static void write_tensors(const char *path, const gdn_tensor *t, size_t n, const json_t *metadata)
{
    GDN_CHECK(gdn_safetensors_write(path, t, n, metadata, &err) == GDN_OK, "%s", err.text);
}

/* Bytes that differ from tensor to tensor. */
static const unsigned char filler[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* ---- the command ---- */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Run it; what it printed is to be freed. */
static gdn_status command(const char *const *words, char **said)
{
    char name[] = "gdnprec convert", copies[12][PATH], *argv[14] = {name};
    int argc = 1;
    size_t size;
    for (; words[argc - 1]; argc++) {
        GDN_CHECK(argc < 13, "too many words");
        snprintf(copies[argc - 1], PATH, "%s", words[argc - 1]);
        argv[argc] = copies[argc - 1];
    }
    FILE *real = stdout;
    *said = NULL;
    stdout = open_memstream(said, &size);
    GDN_CHECK(stdout, "no memory");
    err.text[0] = 0;
    gdn_status status = gdn_command_convert(argc, argv, &err);
    fclose(stdout);
    stdout = real;
    return status;
}

static void run_ok(const char *const *words)
{
    char *said;
    gdn_status status = command(words, &said);
    GDN_CHECK(status == GDN_OK, "%s %s: status %d: %s", words[0], words[1], status, err.text);
    free(said);
}

static json_t *run_json(const char *const *words)
{
    char *said;
    json_error_t error;
    gdn_status status = command(words, &said);
    GDN_CHECK(status == GDN_OK, "%s %s: status %d: %s", words[0], words[1], status, err.text);
    json_t *o = json_loads(said, JSON_REJECT_DUPLICATES, &error);
    GDN_CHECK(o, "no JSON: %s: %s", error.text, said);
    free(said);
    return o;
}

static void answers(const char *const *words, gdn_status status, const char *sentence)
{
    char *said;
    gdn_status got = command(words, &said);
    GDN_CHECK(got == status && strstr(err.text, sentence), "%s %s: status %d, no '%s' in: %s", words[0],
              words[1], got, sentence, err.text);
    free(said);
}

static gdn_safetensors *opened(const char *path)
{
    gdn_safetensors *f;
    GDN_CHECK(gdn_safetensors_open(path, &f, &err) == GDN_OK, "%s", err.text);
    return f;
}

/* ---- casts ---- */

/* Every pattern of a dtype of 8 or 16 bits widens to the float that reading gives, and comes back bit by bit.
 */
START_TEST(every_pattern_there_and_back)
{
    static const gdn_dtype small[] = {GDN_DTYPE_F8_E4M3, GDN_DTYPE_F8_E5M2, GDN_DTYPE_F16, GDN_DTYPE_BF16};
    static const gdn_dtype wide[] = {GDN_DTYPE_F32, GDN_DTYPE_F64};
    for (int i = 0; i < 4; i++)
        for (int w = 0; w < 2; w++) {
            unsigned bits = gdn_dtype_bits(small[i]);
            int64_t n = INT64_C(1) << bits;
            size_t bytes = bits / 8, nans = 0;
            unsigned char *in = gdn_test_alloc((size_t)n, bytes), *back = gdn_test_alloc((size_t)n, bytes);
            float *read = gdn_test_alloc((size_t)n, sizeof *read);
            void *out = gdn_test_alloc((size_t)n, 8);
            gdn_cast_counts there = {0}, again = {0};
            for (int64_t x = 0; x < n; x++)
                memcpy(in + (size_t)x * bytes, &x, bytes);
            gdn_tensor t = made("x", small[i], n, in);
            GDN_CHECK(gdn_tensor_floats(&t, read, &err) == GDN_OK, "%s", err.text);
            gdn_cast(small[i], wide[w], NULL, in, n, out, &there);
            gdn_cast(wide[w], small[i], NULL, out, n, back, &again);
            for (int64_t x = 0; x < n; x++) {
                double y = w ? ((double *)out)[x] : (double)((float *)out)[x];
                GDN_CHECK(gdn_same(y, read[x]), "%s %#llx: %a, not %a", gdn_dtype_name(small[i]),
                          (long long)x, y, read[x]);
                nans += isnan(read[x]) != 0;
            }
            GDN_CHECK(memcmp(in, back, (size_t)n * bytes) == 0, "%s does not come back",
                      gdn_dtype_name(small[i]));
            GDN_CHECK(there.elements == n && there.changed == 0 && there.nan == (int64_t)nans && nans > 0 &&
                          again.changed == 0 && again.nan == there.nan && again.infinite == there.infinite &&
                          there.infinite == (small[i] == GDN_DTYPE_F8_E4M3 ? 0 : 2),
                      "%s: counts", gdn_dtype_name(small[i]));
            free(in);
            free(back);
            free(read);
            free(out);
        }
}
END_TEST

/* Random floats of all sizes rest as gdn_round has them. */
START_TEST(narrowing_is_rounding)
{
    static const struct {
        gdn_dtype dtype;
        gdn_format_id format;
    } to[] = {{GDN_DTYPE_F8_E4M3, GDN_E4M3}, {GDN_DTYPE_F8_E5M2, GDN_E5M2}, {GDN_DTYPE_F16, GDN_FP16},
              {GDN_DTYPE_BF16, GDN_BF16},    {GDN_DTYPE_F32, GDN_FP32},     {GDN_DTYPE_F64, GDN_FP64}};
    enum { N = 20000 };
    double *in = gdn_test_alloc(N, sizeof *in), *read = gdn_test_alloc(N, sizeof *read);
    void *out = gdn_test_alloc(N, 8);
    uint64_t seed = 7;
    for (int i = 0; i < 6; i++) {
        const gdn_format *f = &gdn_formats[to[i].format];
        gdn_cast_counts counts = {0};
        int64_t changed = 0, overflow = 0;
        int lo = f->emin - f->p - 2 > -1060 ? f->emin - f->p - 2 : -1060;
        for (int x = 0; x < N; x++)
            in[x] = gdn_test_any(&seed, lo, f->emax + 1 < 1023 ? f->emax + 1 : 1023);
        in[0] = INFINITY;
        in[1] = -0.0;
        gdn_cast(GDN_DTYPE_F64, to[i].dtype, NULL, in, N, out, &counts);
        gdn_tensor t = made("x", to[i].dtype, N, out);
        GDN_CHECK(gdn_tensor_doubles(&t, read, &err) == GDN_OK, "%s", err.text);
        for (int x = 0; x < N; x++) {
            double y = gdn_round(f, in[x]);
            GDN_CHECK(gdn_same(y, read[x]), "%s of %a: %a, not %a", f->name, in[x], read[x], y);
            changed += !gdn_same(y, in[x]);
            overflow += isfinite(in[x]) && !isfinite(y);
        }
        GDN_CHECK(counts.elements == N && counts.changed == changed && counts.overflow == overflow &&
                      counts.nan == 0 && counts.infinite == 1 && (overflow > 0 || f->p == 53),
                  "%s: %lld changed and %lld over, not %lld and %lld", f->name, (long long)counts.changed,
                  (long long)counts.overflow, (long long)changed, (long long)overflow);
    }
    free(in);
    free(read);
    free(out);
}
END_TEST

/* ---- writing the format ---- */

/* The rules of the format, read from the bytes by themselves; returns the number of tensors. */
static size_t check_header(const char *path)
{
    size_t size, length = 0, n = 0;
    unsigned char *b = (unsigned char *)bytes_of(path, &size);
    json_error_t error;
    json_t *entry;
    const char *name;
    GDN_CHECK(size >= 8, "%s: %zu bytes", path, size);
    for (int i = 0; i < 8; i++)
        length |= (size_t)b[i] << 8 * i;
    GDN_CHECK(length % 8 == 0 && length <= size - 8, "%s: header of %zu in %zu bytes", path, length, size);
    GDN_CHECK(b[8] == '{', "%s: begins with %c", path, b[8]);
    size_t text = length;
    while (b[8 + text - 1] == ' ')
        text--;
    GDN_CHECK(b[8 + text - 1] == '}' && length - text < 8, "%s: %zu bytes after the header's text", path,
              length - text);
    json_t *root = json_loadb((char *)b + 8, text, JSON_REJECT_DUPLICATES, &error);
    GDN_CHECK(root, "%s: %s", path, error.text);
    size_t end = 0; /* entries come in the order of their data */
    json_object_foreach(root, name, entry)
    {
        json_int_t from, to, elements = 1;
        const char *dtype;
        json_t *shape, *dim;
        size_t i;
        if (strcmp(name, "__metadata__") == 0) {
            GDN_CHECK(end == 0 && n == 0, "%s: __metadata__ is not first", path);
            continue;
        }
        GDN_CHECK(json_unpack(entry, "{s:s, s:o, s:[I, I!]!}", "dtype", &dtype, "shape", &shape,
                              "data_offsets", &from, &to) == 0,
                  "%s: %s", path, name);
        json_array_foreach(shape, i, dim) elements *= json_integer_value(dim);
        gdn_dtype d;
        GDN_CHECK(gdn_dtype_named(dtype, &d), "%s: %s", path, dtype);
        GDN_CHECK((size_t)from == end && (size_t)(to - from) * 8 == (size_t)elements * gdn_dtype_bits(d),
                  "%s: %s lies at %lld..%lld, after %zu", path, name, (long long)from, (long long)to, end);
        GDN_CHECK(gdn_dtype_bits(d) < 16 || (size_t)from % (gdn_dtype_bits(d) / 8) == 0,
                  "%s: %s is misaligned at %lld", path, name, (long long)from);
        end = (size_t)to;
        n++;
    }
    GDN_CHECK(8 + length + end == size, "%s: %zu bytes of data, not %zu", path, size - 8 - length, end);
    json_decref(root);
    free(b);
    return n;
}

START_TEST(written_files)
{
    const char *path = path_of("made.safetensors");
    json_t *metadata = json_pack("{s:s}", "format", "p\"t\n");
    gdn_tensor t[] = {made("wide", GDN_DTYPE_F32, 3, filler),
                      made("\xc3\xa9\"\\\t/", GDN_DTYPE_U8, 5, filler + 5),
                      made("none", GDN_DTYPE_BF16, 0, filler),
                      {.name = "scalar", .dtype = GDN_DTYPE_I8, .rank = 0, .data = filler},
                      {.name = "packed", .dtype = GDN_DTYPE_F4, .rank = 2, .dim = {3, 2}, .data = filler}};
    write_tensors(path, t, 5, metadata);
    gdn_safetensors *f = opened(path);
    ck_assert_uint_eq(gdn_safetensors_count(f), 5);
    ck_assert_str_eq(gdn_safetensors_metadata(f, "format"), "p\"t\n");
    for (int i = 0; i < 5; i++) {
        const gdn_tensor *u = gdn_safetensors_find(f, t[i].name);
        GDN_CHECK(u && u->dtype == t[i].dtype && u->rank == t[i].rank &&
                      u->bytes == gdn_tensor_bytes(&t[i]) && memcmp(u->data, t[i].data, u->bytes) == 0,
                  "tensor %d", i);
    }
    gdn_safetensors_close(f);
    write_tensors(path, NULL, 0, NULL);
    size_t n;
    char *bytes = bytes_of(path, &n);
    ck_assert_uint_eq(n, 16);
    ck_assert(memcmp(bytes, "\10\0\0\0\0\0\0\0{}      ", 16) == 0);
    free(bytes);
    ck_assert_uint_eq(check_header(path), 0);

    gdn_tensor twice[] = {t[0], t[0]}, odd = t[4], latin = made("\xe9", GDN_DTYPE_U8, 1, filler);
    odd.dim[1] = 1;
    path = path_of("bad.safetensors");
    ck_assert_int_eq(gdn_safetensors_write(path, twice, 2, NULL, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "the name wide is used twice"), "%s", err.text);
    ck_assert_int_eq(gdn_safetensors_write(path, &odd, 1, NULL, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "end within a byte"), "%s", err.text);
    ck_assert_int_eq(gdn_safetensors_write(path, &latin, 1, NULL, &err), GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "is not UTF-8"), "%s", err.text);
    ck_assert(!exists(path));
    json_decref(metadata);
}
END_TEST

/* What transformers wrote is what this writes: the same tensors give the same bytes. */
START_TEST(writes_what_the_reference_writes)
{
    for (int i = 0; i < CHECKPOINTS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", checkpoints[i],
                 i == 1 ? "model-00001-of-00006.safetensors" : "model.safetensors");
        gdn_safetensors *f = opened(golden(name));
        size_t n = gdn_safetensors_count(f);
        gdn_tensor *t = gdn_test_alloc(n, sizeof *t);
        for (size_t j = 0; j < n; j++) {
            t[j] = *gdn_safetensors_at(f, j);
            GDN_CHECK(j == 0 || gdn_safetensors_compare(&t[j - 1], &t[j]) < 0, "%s: %s is out of order", name,
                      t[j].name);
        }
        write_tensors(path_of("again"), t, n, gdn_safetensors_metadata_object(f));
        same_file(golden(name), path_of("again"));
        free(t);
        gdn_safetensors_close(f);
    }
}
END_TEST

/* ---- keys ---- */

static void there_and_back(const char *key)
{
    const gdn_contract *route, *strip;
    char out[PATH], back[PATH];
    GDN_CHECK(!gdn_contract_by_name("automodel", &route, &err) && !gdn_contract_by_name("hf", &strip, &err),
              "%s", err.text);
    GDN_CHECK(gdn_convert_key(route, key, out, sizeof out) && gdn_convert_key(strip, out, back, sizeof back),
              "%s is too long", key);
    GDN_CHECK(strcmp(key, back) == 0, "%s -> %s -> %s", key, out, back);
}

/* Keys put together from the words of real ones and of their like. */
START_TEST(strip_undoes_route)
{
    static const char *const words[] = {
        "model.", "language_model.", "layers.", "0.",     "linear_attn.",  "foo_",
        "A_log",  "dt_bias",         "norm.",   "weight", "xlinear_attn.", ".",
        "attn.",  "self_attention.", "conv1d.", "A_log.", "_bias",         "mtp."};
    uint64_t seed = 3;
    for (int i = 0; i < CHECKPOINTS; i++) {
        gdn_checkpoint *c;
        GDN_CHECK(gdn_checkpoint_open(golden(checkpoints[i]), &c, &err) == GDN_OK, "%s", err.text);
        for (size_t j = 0; j < c->tensors; j++)
            there_and_back(c->tensor[j].tensor->name);
        gdn_checkpoint_close(c);
    }
    for (int i = 0; i < 200000; i++) {
        char key[PATH] = "";
        for (int n = 1 + (int)(gdn_test_random(&seed) % 7); n > 0; n--)
            strcat(key, words[gdn_test_random(&seed) % (sizeof words / sizeof words[0])]);
        there_and_back(key);
    }
}
END_TEST

/* Only A_log and dt_bias themselves are routed and widened. */
START_TEST(other_keys_stay)
{
    static const char *const stay[] = {"model.layers.0.linear_attn.foo_A_log",
                                       "model.layers.0.linear_attn.A_log.foo",
                                       "model.layers.0.linear_attn.norm.weight",
                                       "model.layers.0.linear_attn.conv1d.weight",
                                       "model.layers.0.xlinear_attn.A_log",
                                       "model.layers.0.mlp.A_log",
                                       "foo._fp32_params.weight",
                                       "A_log",
                                       "model.layers.0.linear_attn.in_proj_a.weight"};
    enum { N = sizeof stay / sizeof stay[0] };
    gdn_tensor t[N + 1];
    for (int i = 0; i < N; i++)
        t[i] = made(stay[i], GDN_DTYPE_BF16, 4, filler + 2 * i);
    t[N] = made("model.layers.0.linear_attn.A_log", GDN_DTYPE_BF16, 4, filler);
    write_tensors(path_of("x.safetensors"), t, N + 1, NULL);
    run_ok(WORDS(path_of("x.safetensors"), "-c", "automodel", "-o", path_of("out")));
    gdn_safetensors *f = opened(path_of("out/x.safetensors"));
    for (int i = 0; i < N; i++) {
        const gdn_tensor *u = gdn_safetensors_find(f, stay[i]);
        GDN_CHECK(u && u->dtype == GDN_DTYPE_BF16 && memcmp(u->data, filler + 2 * i, 8) == 0, "%s", stay[i]);
    }
    const gdn_tensor *held = gdn_safetensors_find(f, "model.layers.0.linear_attn._fp32_params.A_log");
    ck_assert(held && held->dtype == GDN_DTYPE_F32);
    gdn_safetensors_close(f);
    run_ok(WORDS(path_of("out"), "-c", "hf", "-o", path_of("back")));
    same_file(path_of("x.safetensors"), path_of("back/x.safetensors"));
}
END_TEST

/* An attention's own norm and conv are no GDN parameters; those of a module with an A_log are. */
START_TEST(namings)
{
    static const uint16_t third[] = {0x3eab}; /* bf16 of 1/3: no e4m3 value */
    static const struct {
        const char *name;
        bool cast;
    } rows[] = {{"decoder.layers.0.self_attention.A_log", false},
                {"decoder.layers.0.self_attention.out_norm.weight", true},
                {"decoder.layers.1.self_attention.out_norm.weight", false},
                {"model.layers.0.attn.A_log", false},
                {"model.layers.0.attn.o_norm.weight", true},
                {"model.layers.0.attn.q_conv1d.weight", true},
                {"model.layers.1.attn.q_conv1d.weight", false},
                {"model.layers.1.linear_attn.norm.weight", true}};
    enum { N = sizeof rows / sizeof rows[0] };
    gdn_tensor t[N];
    for (int i = 0; i < N; i++)
        t[i] = made(rows[i].name, GDN_DTYPE_BF16, 1, third);
    write_tensors(path_of("x.safetensors"), t, N, NULL);
    run_ok(WORDS(path_of("x.safetensors"), "-s", "norm.weight=e4m3", "-s", "CONV1D.weight=e4m3", "-o",
                 path_of("out")));
    gdn_safetensors *f = opened(path_of("out/x.safetensors"));
    for (int i = 0; i < N; i++)
        GDN_CHECK(gdn_safetensors_find(f, rows[i].name)->dtype ==
                      (rows[i].cast ? GDN_DTYPE_F8_E4M3 : GDN_DTYPE_BF16),
                  "%s", rows[i].name);
    gdn_safetensors_close(f);
}
END_TEST

/* ---- round trips ---- */

/* What a contract makes of the checkpoint's tensors, beside the source's: keys, dtypes, values and bytes. */
static void check_tensors(const char *source, const char *result, const gdn_contract *contract)
{
    gdn_checkpoint *x, *y;
    GDN_CHECK(!gdn_checkpoint_open(source, &x, &err) && !gdn_checkpoint_open(result, &y, &err), "%s",
              err.text);
    ck_assert_uint_eq(x->tensors, y->tensors);
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_tensor *s = x->tensor[i].tensor;
        char key[PATH];
        ck_assert(gdn_convert_key(contract, s->name, key, sizeof key));
        const gdn_checkpoint_tensor *found = gdn_checkpoint_find(y, key);
        GDN_CHECK(found, "%s: no %s", result, key);
        const gdn_tensor *t = found->tensor;
        gdn_param param = gdn_key_param(s->name);
        bool widened = param != GDN_PARAMS && contract->widened[param];
        GDN_CHECK(strcmp(x->shard[x->tensor[i].shard].name, y->shard[found->shard].name) == 0,
                  "%s is in another shard", key);
        GDN_CHECK(t->dtype == (widened ? GDN_DTYPE_F32 : s->dtype) && t->rank == s->rank &&
                      memcmp(t->dim, s->dim, sizeof t->dim) == 0,
                  "%s: dtype or shape", key);
        if (t->dtype == s->dtype) {
            GDN_CHECK(memcmp(t->data, s->data, s->bytes) == 0, "%s: bytes", key);
            continue;
        }
        size_t n = (size_t)gdn_tensor_elements(s);
        float *a = gdn_test_alloc(n, sizeof *a), *b = gdn_test_alloc(n, sizeof *b);
        GDN_CHECK(!gdn_tensor_floats(s, a, &err) && !gdn_tensor_floats(t, b, &err), "%s", err.text);
        for (size_t j = 0; j < n; j++)
            GDN_CHECK(gdn_same(a[j], b[j]), "%s[%zu]: %a, not %a", key, j, b[j], a[j]);
        free(a);
        free(b);
    }
    for (int i = 0; i < y->shards; i++)
        GDN_CHECK(check_header(y->shard[i].path) == gdn_safetensors_count(x->shard[i].file), "%s: tensors",
                  y->shard[i].path);
    gdn_checkpoint_close(x);
    gdn_checkpoint_close(y);
}

START_TEST(golden_round_trips)
{
    for (int i = 0; i < CHECKPOINTS; i++)
        for (int c = 0; c < gdn_contract_count; c++) {
            char out[PATH], back[PATH];
            snprintf(out, sizeof out, "%s/%d-%d", scratch, i, c);
            snprintf(back, sizeof back, "%s/%d-%d-back", scratch, i, c);
            run_ok(WORDS(golden(checkpoints[i]), "--contract", gdn_contracts[c].name, "-o", out));
            check_tensors(golden(checkpoints[i]), out, &gdn_contracts[c]);
            if (strcmp(gdn_contracts[c].name, "none") == 0)
                same_folder(golden(checkpoints[i]), out);
            run_ok(WORDS(out, "--contract", "hf", "-o", back));
            same_folder(golden(checkpoints[i]), back);
        }
}
END_TEST

/* A contract on top of another, and the same twice: still the way back. */
START_TEST(contracts_in_turn)
{
    static const char *const turns[] = {"automodel", "automodel", "automodel-saved",
                                        "fp32",      "automodel", "hf"};
    char from[PATH], to[PATH];
    snprintf(from, sizeof from, "%s", golden(checkpoints[1]));
    for (int i = 0; i < 6; i++) {
        snprintf(to, sizeof to, "%s/%d", scratch, i);
        run_ok(WORDS(from, "-c", turns[i], "-o", to));
        strcpy(from, to);
    }
    same_folder(golden(checkpoints[1]), to);
}
END_TEST

/* A value that no longer fits its old dtype keeps F32; a file without a note keeps its dtypes. */
START_TEST(nothing_is_rounded_unasked)
{
    static const uint16_t one[2] = {0x3f80, 0x3f80};
    static const float both[2] = {1, 1.0000001f}, fits[2] = {1, 1};
    gdn_tensor t = made("m.linear_attn.A_log", GDN_DTYPE_BF16, 2, one);
    write_tensors(path_of("x.safetensors"), &t, 1, NULL);
    run_ok(WORDS(path_of("x.safetensors"), "-c", "automodel", "-o", path_of("held")));
    gdn_safetensors *f = opened(path_of("held/x.safetensors"));
    ck_assert_str_eq(gdn_safetensors_metadata(f, gdn_convert_note), "{\"m.linear_attn.A_log\":\"BF16\"}");
    const float *const values[] = {both, fits, both};
    for (int i = 0; i < 3; i++) {
        char name[32], back[40];
        snprintf(name, sizeof name, "%d.safetensors", i);
        snprintf(back, sizeof back, "back%d", i);
        t = made("m.linear_attn._fp32_params.A_log", GDN_DTYPE_F32, 2, values[i]);
        write_tensors(path_of(name), &t, 1, i < 2 ? gdn_safetensors_metadata_object(f) : NULL);
        json_t *o = run_json(WORDS(path_of(name), "-c", "hf", "-o", path_of(back), "--json"));
        ck_assert_uint_eq(json_array_size(json_object_get(o, "notes")), i == 0);
        json_decref(o);
        snprintf(back, sizeof back, "back%d/%d.safetensors", i, i);
        gdn_safetensors *g = opened(path_of(back));
        const gdn_tensor *u = gdn_safetensors_find(g, "m.linear_attn.A_log");
        GDN_CHECK(u && u->dtype == (i == 1 ? GDN_DTYPE_BF16 : GDN_DTYPE_F32), "file %d", i);
        ck_assert(memcmp(u->data, i == 1 ? (const void *)one : values[i], u->bytes) == 0);
        ck_assert(gdn_safetensors_metadata_object(g) == NULL);
        gdn_safetensors_close(g);
    }
    gdn_safetensors_close(f);
}
END_TEST

/* Files of other writers keep their order of tensors, unless elements would come to lie askew. */
START_TEST(order_of_tensors)
{
    const char *first = "m.linear_attn.A_log";
    gdn_tensor t[] = {made("z", GDN_DTYPE_BF16, 2, filler), made(first, GDN_DTYPE_BF16, 2, filler),
                      made("b", GDN_DTYPE_BF16, 3, filler), made("a", GDN_DTYPE_BF16, 1, filler)};
    for (int odd = 0; odd < 2; odd++) {
        char name[32], out[48], back[48];
        snprintf(name, sizeof name, "%d.safetensors", odd);
        t[0].dim[0] = 2 - odd; /* one bf16 before A_log: in F32 it would lie at byte 2 */
        write_tensors(path_of(name), t, 4, NULL);
        snprintf(out, sizeof out, "out%d", odd);
        snprintf(back, sizeof back, "back%d", odd);
        run_ok(WORDS(path_of(name), "-c", "fp32", "-o", path_of(out)));
        run_ok(WORDS(path_of(out), "-c", "hf", "-o", path_of(back)));
        snprintf(out, sizeof out, "out%d/%d.safetensors", odd, odd);
        check_header(path_of(out));
        gdn_safetensors *f = opened(path_of(out));
        for (size_t i = 0; i < 4 && !odd; i++)
            ck_assert_str_eq(gdn_safetensors_at(f, i)->name, t[i].name);
        GDN_CHECK(!odd || strcmp(gdn_safetensors_at(f, 0)->name, first) == 0, "A_log is not first");
        gdn_safetensors_close(f);
        snprintf(back, sizeof back, "back%d/%d.safetensors", odd, odd);
        if (!odd)
            same_file(path_of(name), path_of(back));
        f = opened(path_of(back));
        for (int i = 0; i < 4; i++) {
            const gdn_tensor *u = gdn_safetensors_find(f, t[i].name);
            GDN_CHECK(u && u->dtype == GDN_DTYPE_BF16 && memcmp(u->data, filler, u->bytes) == 0, "%s",
                      t[i].name);
        }
        gdn_safetensors_close(f);
    }
}
END_TEST

/* ---- chains ---- */

START_TEST(chains)
{
    static const struct {
        const char *text;
        gdn_dtype dtype;
        gdn_chain chain;
    } rows[] = {
        {"a_log=bf16", GDN_DTYPE_BF16, {1, {GDN_BF16}}},
        {"A_log=fp32,bf16,fp32", GDN_DTYPE_F32, {3, {GDN_FP32, GDN_BF16, GDN_FP32}}},
        {"a_log=bf16-pair,fp32", GDN_DTYPE_F32, {2, {GDN_LINK_BF16_PAIR, GDN_FP32}}},
        {"a_log=tf32,fp16", GDN_DTYPE_F16, {2, {GDN_TF32, GDN_FP16}}},
        {"a_log=e4m3", GDN_DTYPE_F8_E4M3, {1, {GDN_E4M3}}},
        {"a_log=bf16,e5m2", GDN_DTYPE_F8_E5M2, {2, {GDN_BF16, GDN_E5M2}}},
        {"a_log=fp64", GDN_DTYPE_F64, {1, {GDN_FP64}}},
    };
    enum { N = 1000 };
    float in[N];
    double out[N];
    uint64_t seed = 11;
    for (int i = 0; i < N; i++)
        in[i] = (float)gdn_test_any(&seed, -20, 17);
    in[0] = INFINITY;
    in[1] = NAN;
    in[2] = -0.0f;
    gdn_tensor t[] = {made("m.linear_attn.A_log", GDN_DTYPE_F32, N, in),
                      made("m.linear_attn.dt_bias", GDN_DTYPE_F32, N, in)};
    write_tensors(path_of("x.safetensors"), t, 2, NULL);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        char name[PATH], file[PATH];
        int64_t changed = 0, overflow = 0;
        snprintf(name, sizeof name, "%s/%zu", scratch, r);
        snprintf(file, sizeof file, "%s/%zu/x.safetensors", scratch, r);
        json_t *o = run_json(WORDS(path_of("x.safetensors"), "--store", rows[r].text, "-o", name, "--json"));
        gdn_safetensors *f = opened(file);
        const gdn_tensor *u = gdn_safetensors_find(f, t[0].name), *v = gdn_safetensors_find(f, t[1].name);
        GDN_CHECK(u->dtype == rows[r].dtype && !gdn_tensor_doubles(u, out, &err), "%s: %s", rows[r].text,
                  gdn_dtype_name(u->dtype));
        ck_assert(v->dtype == GDN_DTYPE_F32 && memcmp(v->data, in, sizeof in) == 0);
        for (int i = 0; i < N; i++) {
            double y = gdn_chain_apply(&rows[r].chain, in[i]);
            GDN_CHECK(gdn_same(y, out[i]), "%s of %a: %a, not %a", rows[r].text, in[i], out[i], y);
            changed += !gdn_same(y, in[i]);
            overflow += isfinite(in[i]) && !isfinite(y);
        }
        json_int_t j[5];
        const char *words[5];
        json_t *only = json_array_get(json_object_get(o, "tensors"), 0);
        GDN_CHECK(json_array_size(json_object_get(o, "tensors")) == 1 &&
                      json_unpack(only, "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I !}", "name",
                                  &words[0], "from", &words[1], "to", &words[2], "dtype_from", &words[3],
                                  "dtype_to", &words[4], "count", &j[0], "changed", &j[1], "overflow", &j[2],
                                  "nan", &j[3], "infinite", &j[4]) == 0,
                  "%s: JSON", rows[r].text);
        ck_assert_str_eq(words[0], "A_log");
        ck_assert_str_eq(words[4], gdn_dtype_name(rows[r].dtype));
        GDN_CHECK(j[0] == N && j[1] == changed && j[2] == overflow && j[3] == 1 && j[4] == 1,
                  "%s: %lld changed, %lld over, %lld NaN, %lld infinite", rows[r].text, (long long)j[1],
                  (long long)j[2], (long long)j[3], (long long)j[4]);
        ck_assert_int_eq(json_integer_value(json_object_get(o, "copied")), 1);
        json_decref(o);
        gdn_safetensors_close(f);
    }
    /* First the chain, then the contract: an upcast bf16, whose way back is bf16. */
    run_ok(WORDS(path_of("x.safetensors"), "-s", "a_log=bf16", "-c", "automodel", "-o", path_of("up")));
    run_ok(WORDS(path_of("up"), "-c", "hf", "-o", path_of("down")));
    same_file(path_of("down/x.safetensors"), path_of("0/x.safetensors"));
}
END_TEST

/* ---- the folder ---- */

static const char index_text[] = "{\"weight_map\": {\"z\": \"two.safetensors\", \"m.linear_attn.A_log\": "
                                 "\"one.safetensors\", \"a\": \"one.safetensors\"}, \"note\": \"\\u00e9\", "
                                 "\"metadata\": {\"total_size\": 20, \"x\": 1.5}}";

/* Two shards of 12 and 8 bytes, an index in one line, and things beside them. */
static const char *sharded(void)
{
    const char *folder = path_of("source");
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    ck_assert_int_eq(mkdir(path_of("source/sub"), 0777), 0);
    gdn_tensor t[] = {made("m.linear_attn.A_log", GDN_DTYPE_BF16, 2, filler),
                      made("a", GDN_DTYPE_U8, 8, filler), made("z", GDN_DTYPE_U8, 8, filler)};
    write_tensors(path_of("source/one.safetensors"), t, 2, NULL);
    write_tensors(path_of("source/two.safetensors"), t + 2, 1, NULL);
    write_text(path_of("source/model.safetensors.index.json"), index_text);
    write_text(path_of("elsewhere"), "a tokenizer\n");
    ck_assert_int_eq(symlink("../elsewhere", path_of("source/tokenizer.json")), 0);
    write_text(path_of("source/.hidden"), "");
    write_text(path_of("source/one.safetensors.new"), "mine");
    return folder;
}

START_TEST(whole_folder)
{
    const char *source = sharded();
    json_t *o = run_json(WORDS(source, "-c", "automodel", "-o", path_of("deep/er/out/"), "--json"));
    ck_assert_int_eq(json_integer_value(json_object_get(o, "files_copied")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "files_skipped")), 1);
    json_decref(o);
    ck_assert_int_eq(entries(path_of("deep/er/out")), 6);
    same_file(path_of("source/two.safetensors"), path_of("deep/er/out/two.safetensors"));
    same_file(path_of("elsewhere"), path_of("deep/er/out/tokenizer.json"));
    same_file(path_of("source/.hidden"), path_of("deep/er/out/.hidden"));
    same_file(path_of("source/one.safetensors.new"), path_of("deep/er/out/one.safetensors.new"));
    struct stat st;
    ck_assert(!lstat(path_of("deep/er/out/tokenizer.json"), &st) && S_ISREG(st.st_mode));
    size_t n;
    char *text = bytes_of(path_of("deep/er/out/model.safetensors.index.json"), &n);
    ck_assert_str_eq(text,
                     "{\"weight_map\": {\"z\": \"two.safetensors\", \"m.linear_attn._fp32_params.A_log\": "
                     "\"one.safetensors\", \"a\": \"one.safetensors\"}, \"note\": \"\\u00E9\", "
                     "\"metadata\": {\"total_size\": 24, \"x\": 1.5}}");
    free(text);
}
END_TEST

/* total_size may count more than the tensors: it grows by what they grow. */
START_TEST(size_in_the_index)
{
    static const char text[] =
        "{\"weight_map\": {\"z\": \"two.safetensors\", \"a\": \"one.safetensors\", "
        "\"m.linear_attn.A_log\": \"one.safetensors\"}, \"metadata\": {\"total_size\": 1020}}";
    sharded();
    write_text(path_of("source/model.safetensors.index.json"), text);
    run_ok(WORDS(path_of("source"), "-c", "fp32", "-o", path_of("out")));
    run_ok(WORDS(path_of("out"), "-c", "hf", "-o", path_of("back")));
    size_t n;
    char *now = bytes_of(path_of("out/model.safetensors.index.json"), &n);
    GDN_CHECK(strstr(now, "{\"total_size\": 1024}"), "%s", now);
    free(now);
    same_file(path_of("source/model.safetensors.index.json"), path_of("back/model.safetensors.index.json"));
}
END_TEST

/* A signal that the parent had ignored is ignored still; another one is watched. */
START_TEST(ignored_signals)
{
    struct sigaction now;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    run_ok(WORDS(golden(checkpoints[0]), "-c", "fp32", "-n"));
    ck_assert(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    ck_assert(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler != SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}
END_TEST

/* One is not several. */
START_TEST(numbers_in_words)
{
    static const float third = 0.333333f;
    char *said, note[] = "{\"m.linear_attn.A_log\": \"BF16\"}";
    sharded();
    GDN_CHECK(command(WORDS(path_of("source"), "-c", "fp32", "-n", "-o", path_of("out")), &said) == GDN_OK,
              "%s", err.text);
    GDN_CHECK(strstr(said, "2 files of weights, 3 tensors: ") &&
                  strstr(said, "1 entry of the folder is no file"),
              "%s", said);
    free(said);
    json_t *metadata = json_pack("{s:s}", gdn_convert_note, note);
    gdn_tensor one = made("m.linear_attn.A_log", GDN_DTYPE_F32, 1, &third);
    write_tensors(path_of("third.safetensors"), &one, 1, metadata);
    json_decref(metadata);
    GDN_CHECK(command(WORDS(path_of("third.safetensors"), "-c", "hf", "-n"), &said) == GDN_OK, "%s",
              err.text);
    GDN_CHECK(strstr(said, "1 file of weights, 1 tensor: ") && strstr(said, "note: 1 tensor keeps its dtype"),
              "%s", said);
    free(said);
}
END_TEST

/* Python's json in every layout comes back as it was. */
START_TEST(layouts_of_the_index)
{
    static const char *const texts[] = {
        "{\n    \"metadata\": {\n        \"total_size\": 20\n    },\n    \"weight_map\": {\n        "
        "\"a\": \"one.safetensors\",\n        \"m.linear_attn.A_log\": \"one.safetensors\",\n        "
        "\"z\": \"two.safetensors\"\n    }\n}",
        "{\"metadata\":{},\"weight_map\":{\"m.linear_attn.A_log\":\"one.safetensors\",\"z\":\"two."
        "safetensors\"}}\n"};
    sharded();
    for (int i = 0; i < 2; i++) {
        char out[64], back[64];
        snprintf(out, sizeof out, "out%d", i);
        snprintf(back, sizeof back, "back%d", i);
        write_text(path_of("source/model.safetensors.index.json"), texts[i]);
        run_ok(WORDS(path_of("source/model.safetensors.index.json"), "-c", "automodel", "-o", path_of(out)));
        run_ok(WORDS(path_of(out), "-c", "hf", "-o", path_of(back)));
        strcat(out, "/model.safetensors.index.json");
        strcat(back, "/model.safetensors.index.json");
        same_file(path_of("source/model.safetensors.index.json"), path_of(back));
        size_t n;
        char *text = bytes_of(path_of(out), &n);
        GDN_CHECK(strstr(text, "_fp32_params"), "%s", text);
        free(text);
    }
}
END_TEST

START_TEST(dry_run)
{
    char *said;
    const char *source = sharded();
    GDN_CHECK(command(WORDS(source, "-c", "automodel", "-n", "-o", path_of("out")), &said) == GDN_OK, "%s",
              err.text);
    GDN_CHECK(strstr(said, "dry run") && strstr(said, "1 with a new key, 1 cast, 2 copied byte for byte"),
              "%s", said);
    GDN_CHECK(strstr(said, "keys: m.linear_attn.A_log -> m.linear_attn._fp32_params.A_log\n"), "%s", said);
    free(said);
    run_ok(WORDS(source, "-c", "automodel", "-n"));
    ck_assert(!exists(path_of("out")));
}
END_TEST

/* A shard of 5 GB, nearly all of it a hole: copied in a moment, and a hole again. */
START_TEST(sparse)
{
    static const char header[] =
        "{\"m.linear_attn.A_log\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"w\":{\"dtype\":\"BF16\",\"shape\":[2500000000],\"data_offsets\":[8,5000000008]}}";
    uint64_t length = sizeof header - 1;
    const char *path = path_of("big.safetensors");
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    GDN_CHECK(fd >= 0 && write(fd, &length, 8) == 8 && write(fd, header, length) == (ssize_t)length &&
                  write(fd, filler, 8) == 8,
              "cannot write %s", path);
    GDN_CHECK(pwrite(fd, "end", 3, (off_t)(8 + length + 3000000000)) == 3 &&
                  !ftruncate(fd, (off_t)(8 + length + 5000000008)) && !close(fd),
              "cannot write %s", path);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    run_ok(WORDS(path, "-s", "a_log=bf16", "-o", path_of("out")));
    getrusage(RUSAGE_SELF, &after);
    GDN_CHECK(after.ru_maxrss - before.ru_maxrss < 64 << 10, "%ld KB", after.ru_maxrss - before.ru_maxrss);
    struct stat st;
    gdn_safetensors *f = opened(path_of("out/big.safetensors"));
    const gdn_tensor *w = gdn_safetensors_find(f, "w");
    ck_assert(w && w->bytes == 5000000000 && !stat(path_of("out/big.safetensors"), &st));
    const char *data = w->data;
    ck_assert(memcmp(data + 3000000000 - 8 - 1, "\0end\0", 5) == 0);
    ck_assert(data[4999999999] == 0);
    GDN_CHECK(st.st_blocks < 1 << 14, "%lld blocks", (long long)st.st_blocks);
    gdn_safetensors_close(f);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(wrong_words)
{
    const char *source = golden(checkpoints[0]), *out = path_of("out");
    answers(WORDS("-o", out, "-c", "fp32"), GDN_BAD_INPUT, "convert: a checkpoint is wanted");
    answers(WORDS(source, "-c", "fp32"), GDN_BAD_INPUT, "convert: -o DIR is wanted, or --dry-run");
    answers(WORDS(source, "-o", out), GDN_BAD_INPUT, "--contract or --store is wanted");
    answers(WORDS(source, "-o", out, "-c", "automodle"), GDN_BAD_INPUT,
            "'automodle' is no contract (did you mean 'automodel'?); allowed: none, fp32, automodel");
    answers(WORDS(source, "-o", out, "-s", "a_lag=bf16"), GDN_BAD_INPUT,
            "'a_lag' is no parameter (did you mean 'A_log'?); allowed: A_log, dt_bias, norm.weight, "
            "conv1d.weight");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf61"), GDN_BAD_INPUT,
            "'bf61' is no format (did you mean 'bf16'?); allowed: fp64, fp32, tf32");
    answers(WORDS(source, "-o", out, "-s", "a_log"), GDN_BAD_INPUT,
            "'a_log' is not allowed; PARAM=FORMAT is");
    answers(WORDS(source, "-o", out, "-s", "a_log="), GDN_BAD_INPUT, "'' is no format");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf16,"), GDN_BAD_INPUT, "'' is no format");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf16,tf32"), GDN_BAD_INPUT,
            "safetensors has no dtype for tf32");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf16-pair"), GDN_BAD_INPUT,
            "safetensors has no dtype for bf16-pair");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf16", "-s", "A_LOG=fp16"), GDN_BAD_INPUT,
            "A_log is named twice");
    answers(WORDS(source, "-o", out, "-s", "a_log=bf16,bf16,bf16,bf16,bf16,bf16,bf16"), GDN_BAD_INPUT,
            "more than 6 formats for A_log");
    answers(WORDS("/no/such", "-o", out, "-c", "fp32"), GDN_BAD_INPUT, "/no/such");
    ck_assert(!exists(out));
}
END_TEST

START_TEST(wrong_places)
{
    char source[PATH], at[PATH + 32];
    strcpy(source, sharded());
    write_text(path_of("file"), "x");
    answers(WORDS(source, "-c", "fp32", "-o", path_of("file")), GDN_BAD_INPUT, "Not a directory");
    answers(WORDS(source, "-c", "fp32", "-o", path_of("file/below")), GDN_BAD_INPUT, "Not a directory");
    answers(WORDS(source, "-c", "fp32", "-o", "/sys/gdnprec"), GDN_BAD_INPUT, "/sys/gdnprec: cannot ");
    answers(WORDS(source, "-c", "fp32", "-o", scratch), GDN_BAD_INPUT, "is not empty");
    answers(WORDS(source, "-c", "fp32", "-o", source), GDN_BAD_INPUT, "lies in the source's folder");
    answers(WORDS(source, "-c", "fp32", "-o", path_of("source/sub")), GDN_BAD_INPUT,
            "lies in the source's folder");
    answers(WORDS(source, "-c", "fp32", "-n", "-o", path_of("source/a/b")), GDN_BAD_INPUT,
            "lies in the source's folder");
    ck_assert_int_eq(symlink("source", path_of("link")), 0);
    answers(WORDS(source, "-c", "fp32", "-o", path_of("link/x")), GDN_BAD_INPUT,
            "lies in the source's folder");
    answers(WORDS(source, "-c", "fp32", "-o", path_of("none/../source/x")), GDN_BAD_INPUT, "has '..' behind");
    answers(WORDS(source, "-c", "fp32", "-o", ""), GDN_BAD_INPUT, "'' is not allowed as a folder");
    snprintf(at, sizeof at, "%s/model.safetensors.index.json", source);
    answers(WORDS(at, "-c", "fp32", "-o", path_of("source/x")), GDN_BAD_INPUT, "lies in the source's folder");
    ck_assert_int_eq(entries(source), 7);
    ck_assert_int_eq(mkdir(path_of("shut"), 0555), 0);
    if (geteuid() != 0)
        answers(WORDS(source, "-c", "fp32", "-o", path_of("shut/x")), GDN_BAD_INPUT, "Permission denied");
    /* An empty folder will do, and a lone file's neighbours are no matter. */
    ck_assert_int_eq(mkdir(path_of("empty"), 0777), 0);
    run_ok(WORDS(source, "-c", "fp32", "-o", path_of("empty")));
    run_ok(WORDS(path_of("source/one.safetensors"), "-c", "fp32", "-o", path_of("source/x")));
    ck_assert_int_eq(entries(path_of("source/x")), 1);
}
END_TEST

START_TEST(bad_tensors)
{
    static const float two[2] = {1, 2};
    static const int64_t whole[2] = {1, 2};
    const char *path = path_of("x.safetensors"), *out = path_of("out");
    gdn_tensor t[] = {made("m.linear_attn.A_log", GDN_DTYPE_F32, 2, two),
                      made("m.linear_attn._fp32_params.A_log", GDN_DTYPE_F32, 2, two)};
    write_tensors(path, t, 2, NULL);
    answers(WORDS(path, "-c", "hf", "-o", out), GDN_BAD_INPUT, "would both be called m.linear_attn.A_log");
    answers(WORDS(path, "-c", "automodel", "-o", out), GDN_BAD_INPUT,
            "would both be called m.linear_attn._fp32_params.A_log");
    t[0] = made("m.linear_attn.A_log", GDN_DTYPE_I64, 2, whole);
    write_tensors(path, t, 1, NULL);
    answers(WORDS(path, "-s", "a_log=bf16", "-o", out), GDN_BAD_INPUT,
            "tensor m.linear_attn.A_log: --store cannot cast I64");
    json_t *o = run_json(WORDS(path, "-c", "fp32", "-J", "-o", out));
    ck_assert_uint_eq(json_array_size(json_object_get(o, "notes")), 1);
    json_decref(o);
    same_file(path, path_of("out/x.safetensors"));
    json_t *metadata = json_pack("{s:s}", gdn_convert_note, "[]");
    write_tensors(path, t, 1, metadata);
    answers(WORDS(path, "-c", "hf", "-o", path_of("other")), GDN_BAD_INPUT, gdn_convert_note);
    ck_assert(!exists(path_of("other")));
    json_decref(metadata);
}
END_TEST

/* No room, and a signal: what was made is gone again, what was there stays. */
START_TEST(nothing_half_written)
{
    const char *source = golden(checkpoints[1]);
    gdn_checkpoint *c;
    gdn_conversion *p;
    gdn_convert_request r = {.contract = &gdn_contracts[2]};
    gdn_convert_files files;
    struct rlimit old, small;
    ck_assert_int_eq(mkdir(path_of("empty"), 0777), 0);
    GDN_CHECK(!gdn_checkpoint_open(source, &c, &err) && !gdn_convert_plan(c, &r, &p, &err), "%s", err.text);
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 57 << 10; /* the first shard and no more */
    setrlimit(RLIMIT_FSIZE, &small);
    ck_assert_int_eq(gdn_convert_write(p, path_of("empty"), false, NULL, &files, &err), GDN_MACHINE);
    GDN_CHECK(strstr(err.text, "cannot be written: File too large"), "%s", err.text);
    ck_assert_int_eq(gdn_convert_write(p, path_of("a/b"), false, NULL, &files, &err), GDN_MACHINE);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(entries(path_of("empty")), 0);
    ck_assert(!exists(path_of("a")));
    sig_atomic_t stop = SIGINT;
    ck_assert_int_eq(gdn_convert_write(p, path_of("empty"), false, &stop, &files, &err), GDN_MACHINE);
    GDN_CHECK(strstr(err.text, "interrupted"), "%s", err.text);
    ck_assert_int_eq(gdn_convert_write(p, path_of("a/b"), false, &stop, &files, &err), GDN_MACHINE);
    ck_assert_int_eq(entries(path_of("empty")), 0);
    ck_assert(!exists(path_of("a")));
    gdn_conversion_free(p);
    gdn_checkpoint_close(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_pattern_there_and_back,
                                  narrowing_is_rounding,
                                  written_files,
                                  writes_what_the_reference_writes,
                                  strip_undoes_route,
                                  other_keys_stay,
                                  namings,
                                  golden_round_trips,
                                  contracts_in_turn,
                                  nothing_is_rounded_unasked,
                                  order_of_tensors,
                                  chains,
                                  whole_folder,
                                  size_in_the_index,
                                  ignored_signals,
                                  numbers_in_words,
                                  layouts_of_the_index,
                                  dry_run,
                                  sparse,
                                  wrong_words,
                                  wrong_places,
                                  bad_tensors,
                                  nothing_half_written};
    if (!gdn_test_scratch(scratch, sizeof scratch, "convert"))
        return EXIT_FAILURE;
    Suite *suite = suite_create("convert");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *one = tcase_create(tests[i]->name);
        tcase_set_timeout(one, GDN_TEST_SECONDS);
        tcase_add_checked_fixture(one, empty_scratch, NULL);
        tcase_add_test(one, tests[i]);
        suite_add_tcase(suite, one);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    gdn_test_remove(scratch);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
