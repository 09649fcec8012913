/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_checkpoint -- checkpoints as they come (tests/golden, or $GDN_GOLDEN), as they should not come, and as
 * they are too large to read.
 */
#include "tests/gdn_test.h"

#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/checkpoint.h"
#include "harness/checkpoint_parts.h"
#include "harness/contract.h"
#include "harness/json_file.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZE_FEATURE
#endif
#endif

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static gdn_error err;
static char scratch[64];

/* ---- scratch files ---- */

static const char *path_of(const char *name)
{
    static char paths[4][512];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", name);
}

/* A safetensors file of U8 tensors of one byte each, by these names (JSON text), with `value` in each; NULL
 * ends them. */
static void write_shard(const char *name, int value, ...)
{
    char header[2048] = "";
    const char *tensor;
    size_t n = 0, used = 0;
    va_list names;
    va_start(names, value);
    for (; (tensor = va_arg(names, const char *)); n++)
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                                 n ? "," : "{", tensor, n, n + 1);
    va_end(names);
    used += (size_t)snprintf(header + used, sizeof header - used, n ? "}" : "{}");
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f, "cannot write %s", name);
    for (int i = 0; i < 8; i++)
        fputc((int)(used >> 8 * i & 0xff), f);
    fputs(header, f);
    for (size_t i = 0; i < n; i++)
        fputc(value, f);
    GDN_CHECK(fclose(f) == 0, "cannot write %s", name);
}

static void make_scratch(void)
{
    ck_assert(gdn_test_scratch(scratch, sizeof scratch, "checkpoint"));
}

static void remove_scratch(void)
{
    gdn_test_remove(scratch);
}

static const char *golden(const char *name)
{
    static char path[512];
    const char *place = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", place ? place : "tests/golden", name);
    return path;
}

/* ---- opening ---- */

static gdn_checkpoint *opened(const char *path)
{
    gdn_checkpoint *c = NULL;
    err.text[0] = 0;
    gdn_status status = gdn_checkpoint_open(path, &c, &err);
    GDN_CHECK(status == GDN_OK && c, "%s: status %d: %s", path, (int)status, err.text);
    return c;
}

/* The sentence holds the text, names no byte that a terminal could obey, and is whole. */
static void refused(const char *path, const char *sentence)
{
    gdn_checkpoint *c = (gdn_checkpoint *)&err; /* anything but NULL */
    err.text[0] = 0;
    gdn_status status = gdn_checkpoint_open(path, &c, &err);
    GDN_CHECK(status == GDN_BAD_INPUT && !c, "%s, which is %s: status %d: %s", path, sentence, (int)status,
              err.text);
    GDN_CHECK(strstr(err.text, sentence), "'%s' is not in: %s", sentence, err.text);
    GDN_CHECK(strlen(err.text) < sizeof err.text - 1, "cut: %s", err.text);
    for (const char *s = err.text; *s; s++)
        GDN_CHECK(*s >= 0x20 && *s < 0x7f, "byte %02x in: %s", (unsigned)*s & 0xff, err.text);
}

START_TEST(golden_checkpoints)
{
    static const struct {
        const char *folder, *architecture;
        int shards;
        size_t tensors;
        gdn_dtype of[GDN_PARAMS]; /* of the layers' parameters */
    } want[] = {
        {"hf_checkpoint_bf16",
         "Qwen3_5ForCausalLM",
         1,
         56,
         {GDN_DTYPE_BF16, GDN_DTYPE_BF16, GDN_DTYPE_BF16, GDN_DTYPE_BF16}},
        {"hf_checkpoint_mixed",
         "Qwen3_5ForCausalLM",
         6,
         56,
         {GDN_DTYPE_F32, GDN_DTYPE_BF16, GDN_DTYPE_F32, GDN_DTYPE_BF16}},
        {"hf_checkpoint_upcast",
         "Qwen3_5ForCausalLM",
         1,
         56,
         {GDN_DTYPE_F32, GDN_DTYPE_F32, GDN_DTYPE_F32, GDN_DTYPE_BF16}},
        {"hf_checkpoint_qwen3_next",
         "Qwen3NextForCausalLM",
         1,
         82,
         {GDN_DTYPE_BF16, GDN_DTYPE_BF16, GDN_DTYPE_BF16, GDN_DTYPE_BF16}},
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        const char *folder = want[i].folder;
        gdn_checkpoint *c = opened(golden(folder));
        ck_assert_str_eq(c->path, golden(folder));
        ck_assert_str_eq(c->architecture, want[i].architecture);
        ck_assert_int_eq(c->shards, want[i].shards);
        ck_assert_uint_eq(c->tensors, want[i].tensors);
        ck_assert_int_eq(c->index != NULL, want[i].shards > 1);
        ck_assert_int_eq(c->index_name != NULL, want[i].shards > 1);
        int found[GDN_PARAMS] = {0}, last = -1;
        for (size_t k = 0; k < c->tensors; k++) {
            const gdn_checkpoint_tensor *t = &c->tensor[k];
            const char *name = t->tensor->name;
            gdn_key key;
            GDN_CHECK(gdn_checkpoint_find(c, name) == t, "%s: %s is not found", folder, name);
            GDN_CHECK(gdn_safetensors_find(c->shard[t->shard].file, name) == t->tensor, "%s: shard of %s",
                      folder, name);
            GDN_CHECK(k == 0 || gdn_natural_order(c->tensor[k - 1].tensor->name, name) < 0, "%s: order",
                      folder);
            const char *listed =
                json_string_value(json_object_get(json_object_get(c->index, "weight_map"), name));
            GDN_CHECK(!c->index || strcmp(listed, c->shard[t->shard].name) == 0, "%s: shard of %s", folder,
                      name);
            if (!gdn_key_parse(name, &key))
                continue;
            GDN_CHECK(key.naming == GDN_NAMING_HF && key.layer >= last && !key.held, "%s: %s", folder, name);
            GDN_CHECK(t->tensor->dtype == want[i].of[key.param], "%s: dtype of %s", folder, name);
            last = key.layer;
            found[key.param]++;
        }
        for (int p = 0; p < GDN_PARAMS; p++)
            GDN_CHECK(found[p] == 3, "%s: %d of %s", folder, found[p], gdn_param_names[p]);
        ck_assert_ptr_null(gdn_checkpoint_find(c, "model"));
        ck_assert_ptr_null(gdn_checkpoint_find(c, ""));
        gdn_checkpoint_close(c);
    }
    gdn_checkpoint_close(NULL);
}
END_TEST

/* A folder, its index, and one of its files; from within, too. */
START_TEST(ways_to_name_one)
{
    gdn_checkpoint *c = opened(golden("hf_checkpoint_mixed/"));
    ck_assert_uint_eq(c->tensors, 56);
    ck_assert_str_eq(c->shard[1].name, "model-00002-of-00006.safetensors");
    ck_assert_str_eq(c->shard[1].path, golden("hf_checkpoint_mixed/model-00002-of-00006.safetensors"));
    gdn_checkpoint_close(c);
    c = opened(golden("hf_checkpoint_mixed/model.safetensors.index.json"));
    ck_assert_uint_eq(c->tensors, 56);
    ck_assert_str_eq(c->index_name, "model.safetensors.index.json");
    ck_assert_str_eq(c->architecture, "Qwen3_5ForCausalLM");
    gdn_checkpoint_close(c);
    c = opened(golden("hf_checkpoint_mixed/model-00002-of-00006.safetensors"));
    ck_assert_uint_eq(c->tensors, 13);
    ck_assert_str_eq(c->shard[0].name, "model-00002-of-00006.safetensors");
    ck_assert_str_eq(c->architecture, "Qwen3_5ForCausalLM");
    ck_assert_ptr_null(c->index);
    gdn_checkpoint_close(c);
    c = opened(golden("fla_bf16.safetensors")); /* no config beside it */
    ck_assert_ptr_null(c->config);
    ck_assert_ptr_null(c->architecture);
    gdn_checkpoint_close(c);
    static const char *const within[] = {".", "model.safetensors"};
    ck_assert_int_eq(chdir(golden("hf_checkpoint_bf16")), 0);
    for (size_t i = 0; i < COUNT(within); i++) {
        c = opened(within[i]);
        ck_assert_uint_eq(c->tensors, 56);
        ck_assert_str_eq(c->architecture, "Qwen3_5ForCausalLM");
        gdn_checkpoint_close(c);
    }
}
END_TEST

START_TEST(natural_order)
{
    static const char *const order[] = {"",
                                        "layers.",
                                        "layers.0.a",
                                        "layers.2",
                                        "layers.2.a",
                                        "layers.2.b",
                                        "layers.02.b.x",
                                        "layers.9.a",
                                        "layers.10.a",
                                        "layers.18446744073709551616",
                                        "layers.18446744073709551617",
                                        "layers.a",
                                        "layers2",
                                        "\xc3\xa9"};
    for (size_t i = 0; i < COUNT(order); i++)
        for (size_t j = 0; j < COUNT(order); j++) {
            int x = gdn_natural_order(order[i], order[j]);
            GDN_CHECK((x > 0) - (x < 0) == (i > j) - (i < j), "'%s' and '%s': %d", order[i], order[j], x);
        }
    GDN_CHECK(gdn_natural_order("a.1", "a.01") * gdn_natural_order("a.01", "a.1") < 0,
              "a.1 and a.01 are two names");
}
END_TEST

/* ---- folders ---- */

START_TEST(what_a_folder_holds)
{
    make_scratch();
    refused(path_of("none"), "/none: cannot be opened: No such file or directory");
    refused(scratch, "found no model.safetensors.index.json, 0 other files *.safetensors.index.json, "
                     "no model.safetensors and 0 other files *.safetensors");
    write_shard("b.safetensors", 1, "x", NULL);
    gdn_checkpoint *c = opened(scratch);
    ck_assert_str_eq(c->shard[0].name, "b.safetensors");
    gdn_checkpoint_close(c);
    write_shard("a.safetensors", 1, "x", NULL);
    refused(scratch, "and 2 other files *.safetensors; allowed is one of those");
    write_shard("model.safetensors", 1, "x", "y", NULL);
    c = opened(scratch);
    ck_assert_str_eq(c->shard[0].name, "model.safetensors");
    gdn_checkpoint_close(c);
    write_text("q.safetensors.index.json", "{\"weight_map\":{\"x\":\"a.safetensors\"}}");
    c = opened(scratch);
    ck_assert_str_eq(c->index_name, "q.safetensors.index.json");
    ck_assert_str_eq(c->shard[0].name, "a.safetensors");
    gdn_checkpoint_close(c);
    write_text("p.safetensors.index.json", "{}");
    c = opened(scratch); /* two are none: which is meant is not said */
    ck_assert_str_eq(c->shard[0].name, "model.safetensors");
    gdn_checkpoint_close(c);
    refused(path_of("p.safetensors.index.json"), "p.safetensors.index.json: weight_map is missing");
    write_text("model.safetensors.index.json", "{\"weight_map\":{}}");
    c = opened(scratch);
    ck_assert_uint_eq(c->tensors, 0);
    ck_assert_int_eq(c->shards, 0);
    gdn_checkpoint_close(c);
    refused(path_of("config.json"), "cannot be opened");
    write_text("config.json", "{}");
    refused(path_of("config.json"), "not a safetensors file");
    remove_scratch();
}
END_TEST

/* ---- config.json ---- */

START_TEST(configs)
{
    static const struct {
        const char *text, *says; /* says NULL: it is taken, and names none */
    } cases[] = {
        {"{}", NULL},
        {"{\"architectures\": null}", NULL},
        {"{\"architectures\": []}", NULL},
        {"", "config.json:1: is not JSON: byte offset 0: "},
        {"[]", "config.json: byte offset 0: found an array, allowed is an object"},
        {"{\n \"architectures\": !\n}", "config.json:2: is not JSON: byte offset 20: "},
        {"{\"a\":1, \"a\":2}", "config.json:1: is not JSON: byte offset 10: "},
        {"{\"a\xff\":1}", "config.json:1: is not JSON: byte offset 3: "},
        {"{\"a\x1b[2J\":1}", "config.json:1: is not JSON: byte offset 3: "},
        {"{\"architectures\": \"Qwen\"}", "config.json: architectures: allowed is an array of strings"},
        {"{\"architectures\": [7]}", "config.json: architectures: allowed is an array of strings"},
    };
    make_scratch();
    write_shard("model.safetensors", 1, "x", NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_text("config.json", cases[i].text);
        if (cases[i].says) {
            refused(scratch, cases[i].says);
            continue;
        }
        gdn_checkpoint *c = opened(scratch);
        ck_assert_ptr_nonnull(c->config);
        ck_assert_ptr_null(c->architecture);
        gdn_checkpoint_close(c);
    }
    ck_assert_int_eq(truncate(path_of("config.json"), GDN_JSON_BYTES + 1), 0);
    refused(scratch,
            "config.json: found a longer file, allowed is a regular file of at most 100000000 bytes");
    unlink(path_of("config.json"));
    ck_assert_int_eq(mkfifo(path_of("config.json"), 0600), 0);
    refused(scratch, "config.json: found no regular file");
    unlink(path_of("config.json"));
    ck_assert_int_eq(symlink("nowhere", path_of("config.json")), 0);
    refused(scratch, "config.json: cannot be opened: No such file");
    remove_scratch();
}
END_TEST

/* Nested and wide JSON takes many times its size as a tree: so much is refused before it is built. */
START_TEST(json_has_an_end)
{
    enum { N = GDN_JSON_VALUES };
    char *text = gdn_test_alloc(2 * N + 32, 1), *s = text;
    s += sprintf(s, "{\"\\\",{[\":[0");
    for (int i = 4; i < N; i++)
        s = stpcpy(s, ",0");
    strcpy(s, "]}");
    json_t *root;
    GDN_CHECK(gdn_json_parse(text, strlen(text), "wide", &root, &err) == GDN_OK, "%s", err.text);
    json_decref(root);
    strcpy(s, ",0,0]}");
    ck_assert_int_eq(gdn_json_parse(text, strlen(text), "wide", &root, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "wide: byte offset 20000"));
    ck_assert_ptr_null(root);
    strcpy(text, "{\"a\":");
    memset(text + 5, '[', 5000);
    text[5005] = 0;
    ck_assert_int_eq(gdn_json_parse(text, 5005, "deep", &root, &err), GDN_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "maximum parsing depth"));
    free(text);
}
END_TEST

/* ---- the index ---- */

#define MAP(entries) "{\"metadata\":{\"total_size\":2},\"weight_map\":{" entries "}}"
#define OUTSIDE(shown) "found \"" shown "\", allowed is the name of a file of the same folder"

START_TEST(indexes)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "index.json:1: is not JSON: byte offset 0: "},
        {"{\"weight_map\":{\n\"x\":\"a.safetensors\",}}", "index.json:2: is not JSON: byte offset 36: "},
        {"[]", "index.json: byte offset 0: found an array, allowed is an object"},
        {"{}", "index.json: weight_map is missing or is no object"},
        {"{\"weight_map\":[]}", "index.json: weight_map is missing or is no object"},
        {"{\"weight_map\":{},\"weight_map\":{}}", "index.json:1: is not JSON: byte offset 28: "},
        {MAP("\"x\":\"a.safetensors\",\"x\":\"b.safetensors\""), "unique keys"},
        {MAP("\"x\":3"), "index.json: weight_map, \"x\": allowed is the name of a file, as a string"},
        {MAP("\"x\":null"), "index.json: weight_map, \"x\": allowed is the name of a file, as a string"},
        {MAP("\"\\u001b[31mx\\n\":3"), "weight_map, \"\\x1b[31mx\\x0a\": allowed is the name"},
        {MAP("\"x\":\"\""), OUTSIDE("")},
        {MAP("\"x\":\".\""), OUTSIDE(".")},
        {MAP("\"x\":\"..\""), OUTSIDE("..")},
        {MAP("\"x\":\"../a.safetensors\""), OUTSIDE("../a.safetensors")},
        {MAP("\"x\":\"/etc/passwd\""), OUTSIDE("/etc/passwd")},
        {MAP("\"x\":\"./a.safetensors\""), OUTSIDE("./a.safetensors")},
        {MAP("\"x\":\"sub/a.safetensors\""), OUTSIDE("sub/a.safetensors")},
        {MAP("\"x\":\"..\\\\a.safetensors\""), OUTSIDE("..\\a.safetensors")},
        {MAP("\"x\":\"a.safetensors\\u0000.txt\""), "is not JSON: byte offset "},
        {MAP("\"x\":\"none.safetensors\""), "/none.safetensors: cannot be opened: No such file"},
        {MAP("\"x\":\"n\\u001b[2Jone\""), "/n\\x1b[2Jone: cannot be opened: No such file"},
        {MAP("\"x\":\"sub\""), "/sub: not a safetensors file: it is a directory"},
        {MAP("\"x\":\"model.safetensors.index.json\""),
         "model.safetensors.index.json: not a safetensors file"},
        {MAP("\"x\":\"b.safetensors\""),
         "weight_map, \"x\": found \"b.safetensors\", which has no such tensor"},
        {MAP("\"x\":\"a.safetensors\",\"y\":\"a.safetensors\""),
         "weight_map, \"y\": found \"a.safetensors\", which has"},
        {MAP("\"__metadata__\":\"a.safetensors\""),
         "\"__metadata__\": found \"a.safetensors\", which has no such"},
    };
    make_scratch();
    write_shard("a.safetensors", 1, "x", "both", "\\u001b", NULL);
    write_shard("b.safetensors", 2, "y", "both", "spare", NULL);
    ck_assert_int_eq(mkdir(path_of("sub"), 0700), 0);
    write_shard("sub/a.safetensors", 1, "x", NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_text("model.safetensors.index.json", cases[i].text);
        refused(scratch, cases[i].says);
    }
    remove_scratch();
}
END_TEST

/* A shard's tensors that the index does not list are no part of it; of two it names one. */
START_TEST(the_index_decides)
{
    make_scratch();
    write_shard("a.safetensors", 1, "x", "both", NULL);
    write_shard("b.safetensors", 2, "y", "both", "spare", NULL);
    write_text("model.safetensors.index.json",
               MAP("\"y\":\"b.safetensors\",\"both\":\"b.safetensors\",\"x\":\"a.safetensors\""));
    gdn_checkpoint *c = opened(scratch);
    ck_assert_int_eq(c->shards, 2);
    ck_assert_str_eq(c->shard[0].name, "a.safetensors");
    ck_assert_uint_eq(c->tensors, 3);
    const gdn_checkpoint_tensor *both = gdn_checkpoint_find(c, "both");
    ck_assert_ptr_nonnull(both);
    ck_assert_int_eq(both->shard, 1);
    ck_assert_int_eq(*(const unsigned char *)both->tensor->data, 2);
    ck_assert_ptr_null(gdn_checkpoint_find(c, "spare"));
    gdn_checkpoint_close(c);
    remove_scratch();
}
END_TEST

/* Hugging Face's cache: a snapshot holds links to blobs beside it. */
START_TEST(links_are_followed)
{
    make_scratch();
    ck_assert_int_eq(mkdir(path_of("blobs"), 0700), 0);
    ck_assert_int_eq(mkdir(path_of("snapshot"), 0700), 0);
    write_shard("blobs/1", 1, "x", NULL);
    write_text("blobs/2", MAP("\"x\":\"model-1.safetensors\""));
    ck_assert_int_eq(symlink("../blobs/1", path_of("snapshot/model-1.safetensors")), 0);
    ck_assert_int_eq(symlink("../blobs/2", path_of("snapshot/model.safetensors.index.json")), 0);
    gdn_checkpoint *c = opened(path_of("snapshot"));
    ck_assert_uint_eq(c->tensors, 1);
    gdn_checkpoint_close(c);
    remove_scratch();
}
END_TEST

/* A bad shard is answered with its file and byte offset, and its names without their control characters. */
START_TEST(bad_shards)
{
    make_scratch();
    write_text("model.safetensors.index.json", MAP("\"x\":\"a.safetensors\""));
    write_shard("a.safetensors", 1, "x", "x", NULL);
    refused(scratch, "/a.safetensors: byte offset 61: tensor \"x\": found this key twice");
    write_text("a.safetensors", "\x27");
    refused(scratch, "/a.safetensors: not a safetensors file");
    ck_assert_int_eq(truncate(path_of("a.safetensors"), 200), 0);
    refused(scratch, "/a.safetensors: ");
    write_shard("a.safetensors", 1, "x", "\\u001b]0;title\\u0007", NULL);
    gdn_checkpoint *c = opened(scratch);
    ck_assert_uint_eq(c->tensors, 1);
    gdn_checkpoint_close(c);
    write_shard("a.safetensors", 1, "\\u001b]0;title\\u0007", "\\u001b]0;title\\u0007", NULL);
    refused(scratch, "tensor \"\\x1b]0;title\\x07\": found this key twice");
    remove_scratch();
}
END_TEST

/* ---- size ---- */

enum { SHARDS = 5, LAYERS = 12, HEADS = 32 }; /* of 1 GiB each; layers in each */

/* A shard of 1 GiB of zeros behind its header: LAYERS layers' A_log and one large weight. False: no sparse
 * files. */
static bool write_large(int shard)
{
    char name[64], header[4096];
    size_t used = 0;
    long long at = 0, large = 1LL << 30;
    for (int i = 0; i < LAYERS; i++, at += 4 * HEADS)
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 "%s\"model.layers.%d.linear_attn.A_log\":{\"dtype\":\"F32\",\"shape\":[%d],"
                                 "\"data_offsets\":[%lld,%lld]}",
                                 i ? "," : "{", shard * LAYERS + i, HEADS, at, at + 4 * HEADS);
    used +=
        (size_t)snprintf(header + used, sizeof header - used,
                         ",\"large.%d\":{\"dtype\":\"BF16\",\"shape\":[%lld],\"data_offsets\":[%lld,%lld]}}",
                         shard, large / 2, at, at + large);
    snprintf(name, sizeof name, "model-%d.safetensors", shard);
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f, "cannot write %s", name);
    for (int i = 0; i < 8; i++)
        fputc((int)(used >> 8 * i & 0xff), f);
    fputs(header, f);
    GDN_CHECK(fclose(f) == 0, "cannot write %s", name);
    return truncate(path_of(name), (off_t)(8 + used) + at + large) == 0;
}

static long peak_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

/* What an audit does: open it, and read every A_log. check has forked for this test: its peak is this test's
 * own. */
START_TEST(large_checkpoint_is_small_to_read)
{
    make_scratch();
    char index[8192] = "{\"weight_map\":{", *s = index + strlen(index);
    bool made = true;
    for (int i = 0; i < SHARDS && made; i++) {
        made = write_large(i);
        s += sprintf(s, "%s\"large.%d\":\"model-%d.safetensors\"", i ? "," : "", i, i);
        for (int k = 0; k < LAYERS; k++)
            s += sprintf(s, ",\"model.layers.%d.linear_attn.A_log\":\"model-%d.safetensors\"", i * LAYERS + k,
                         i);
    }
    strcpy(s, "}}");
    write_text("model.safetensors.index.json", index);
    if (!made) {
        remove_scratch();
        return; /* a file system without sparse files of 1 GiB */
    }
    struct timespec before, after;
    long kib = peak_kib();
    clock_gettime(CLOCK_MONOTONIC, &before);
    gdn_checkpoint *c = opened(scratch);
    size_t read = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->tensors; i++) {
        const gdn_tensor *t = c->tensor[i].tensor;
        float x[HEADS];
        bytes += t->bytes;
        if (gdn_key_param(t->name) != GDN_PARAM_A_LOG)
            continue;
        GDN_CHECK(gdn_tensor_floats(t, x, &err) == GDN_OK && x[HEADS - 1] == 0, "%s: %s", t->name, err.text);
        read++;
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    kib = peak_kib() - kib;
    ck_assert_uint_eq(read, SHARDS * LAYERS);
    ck_assert_uint_ge(bytes, 5ULL << 30);
    gdn_checkpoint_close(c);
    remove_scratch();
    double seconds = difftime(after.tv_sec, before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    GDN_CHECK(seconds < 5, "it took %.1f s", seconds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(SANITIZE_FEATURE) /* the sanitizer's own memory is not meant  \
                                                                  */
    GDN_CHECK(kib >= 0 && kib < 100 * 1000, "it took %ld KiB", kib);
#endif
}
END_TEST

GDN_TEST_MAIN("checkpoint", golden_checkpoints, ways_to_name_one, natural_order, what_a_folder_holds, configs,
              json_has_an_end, indexes, the_index_decides, links_are_followed, bad_shards,
              large_checkpoint_is_small_to_read)
