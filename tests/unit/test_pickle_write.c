/* tests/unit/test_pickle_write.c - traces/write/pickle.c: the bytes of pickles, as Python's pickletools reads them. */
#include "traces/write/pickle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

typedef struct {
    scratch *s;
    const char *path;
    vs_outfile *out;
    vs_pickle p;
    uint8_t bytes[300000];
    size_t count;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    void *inner = NULL;
    if (f == NULL) {
        return 1;
    }
    *state = f;
    if (scratch_open(&inner) != 0) {
        return 1;
    }
    f->s = inner;
    f->path = scratch_path(f->s, "out.pickle");
    f->out = vs_outfile_open(f->path, NULL);
    return f->out != NULL && pickle_begin(&f->p, f->out, &f->s->arena, NULL) ? 0 : 1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    void *inner = f->s;
    (void)scratch_close(&inner);
    free(f);
    return 0;
}

/* Everything between PROTO and STOP, without the heads of frames. */
static void finish(fixture *f)
{
    static uint8_t const head[] = {0x80, 4};
    uint8_t file[300000];
    vs_err err = {0};
    if (!pickle_end(&f->p, &err) || !vs_outfile_commit(f->out, &err)) {
        scratch_fail(&err);
    }
    FILE *in = fopen(f->path, "rb");
    assert_non_null(in);
    const size_t got = fread(file, 1, sizeof file, in);
    (void)fclose(in);
    assert_in_range(got, 3, sizeof file - 1);
    assert_memory_equal(file, head, sizeof head);
    for (size_t at = sizeof head; at < got;) {
        size_t length = 0;
        assert_int_equal(file[at], 0x95);
        for (size_t i = 8; i > 0; i--) {
            length = length << 8 | file[at + i];
        }
        at += 9;
        assert_true(length > 0 && length <= got - at);
        memcpy(f->bytes + f->count, file + at, length);
        f->count += length;
        at += length;
    }
    f->count--;
    assert_int_equal(f->bytes[f->count], '.');
}

static void assert_bytes(const fixture *f, const char *bytes, size_t count)
{
    assert_int_equal(f->count, count);
    assert_memory_equal(f->bytes, bytes, count);
}

#define ASSERT_BYTES(f, text) assert_bytes((f), (text), sizeof(text) - 1)

static void integers_take_the_shortest_opcode(void **state)
{
    fixture *f = *state;
    static const uint64_t values[] = {0,
                                      255,
                                      256,
                                      65535,
                                      65536,
                                      INT32_MAX,
                                      UINT64_C(0x80000000),
                                      UINT64_C(0xffffffff),
                                      UINT64_C(0x7fffffffff),
                                      UINT64_C(0x8000000000),
                                      INT64_MAX,
                                      UINT64_C(0x8000000000000000),
                                      UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        pickle_u64(&f->p, values[i]);
    }
    pickle_minus_one(&f->p);
    finish(f);
    ASSERT_BYTES(f, "K\x00"
                    "K\xff"
                    "M\x00\x01"
                    "M\xff\xff"
                    "J\x00\x00\x01\x00"
                    "J\xff\xff\xff\x7f"
                    "\x8a\x05\x00\x00\x00\x80\x00"
                    "\x8a\x05\xff\xff\xff\xff\x00"
                    "\x8a\x05\xff\xff\xff\xff\x7f"
                    "\x8a\x06\x00\x00\x00\x00\x80\x00"
                    "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                    "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"
                    "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00"
                    "J\xff\xff\xff\xff");
}

static void plain_values_have_their_opcodes(void **state)
{
    fixture *f = *state;
    pickle_none(&f->p);
    pickle_bool(&f->p, true);
    pickle_bool(&f->p, false);
    pickle_float(&f->p, 0.75);
    pickle_pair(&f->p, 0, 7);
    finish(f);
    ASSERT_BYTES(f, "N\x88\x89G\x3f\xe8\x00\x00\x00\x00\x00\x00K\x00K\x07\x86");
}

static void containers_are_filled_behind_a_mark(void **state)
{
    fixture *f = *state;
    pickle_memo key = 0;
    pickle_list(&f->p);
    pickle_item(&f->p);
    pickle_list(&f->p);
    pickle_close(&f->p);
    pickle_item(&f->p);
    pickle_dict(&f->p);
    pickle_key(&f->p, "a", &key);
    pickle_u64(&f->p, 1);
    pickle_close(&f->p);
    pickle_close(&f->p);
    finish(f);
    ASSERT_BYTES(f, "](]}(\x8c\x01"
                    "a\x94K\x01ue");
}

static void a_text_that_comes_again_is_read_from_the_memo(void **state)
{
    fixture *f = *state;
    pickle_memo memos[300] = {0};
    pickle_list(&f->p);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < 300; i++) {
            pickle_item(&f->p);
            pickle_shared_text(&f->p, "x", &memos[i]);
        }
    }
    pickle_close(&f->p);
    finish(f);
    assert_int_equal(f->count, 2 + 300 * 4 + 256 * 2 + 44 * 5 + 1);
    assert_memory_equal(f->bytes + 2 + 1200, "h\x00h\x01", 4);
    assert_memory_equal(f->bytes + f->count - 6,
                        "j\x2b\x01\x00\x00"
                        "e",
                        6);
}

static void items_go_in_a_thousand_at_a_time(void **state)
{
    fixture *f = *state;
    pickle_list(&f->p);
    for (uint32_t i = 0; i < 2001; i++) {
        pickle_item(&f->p);
        pickle_none(&f->p);
    }
    pickle_close(&f->p);
    finish(f);
    assert_int_equal(f->count, 1 + 2001 + 6);
    assert_memory_equal(f->bytes + 1001, "Ne(N", 4);
    assert_memory_equal(f->bytes + f->count - 3, "(Ne", 3);
}

static void bytes_that_are_no_utf8_become_surrogates(void **state)
{
    static const struct {
        const char *text;
        const char *written;
    } cases[] = {
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xff", "a\xed\xb3\xbf"},
        {"\x80", "\xed\xb2\x80"},
        {"\xc0\xaf", "\xed\xb3\x80\xed\xb2\xaf"},                 /* longer than need be */
        {"\xed\xb2\x80", "\xed\xb3\xad\xed\xb2\xb2\xed\xb2\x80"}, /* a surrogate */
        {"\xe2\x82", "\xed\xb3\xa2\xed\xb2\x82"},                 /* cut short */
        {"\xf4\x90\x80\x80", "\xed\xb3\xb4\xed\xb2\x90\xed\xb2\x80\xed\xb2\x80"},
        {"\xe2\x41\x82", "\xed\xb3\xa2\x41\xed\xb2\x82"},
    };

    fixture *f = *state;
    char wanted[200] = "";
    size_t at = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pickle_text(&f->p, cases[i].text);
        const size_t len = strlen(cases[i].written);
        wanted[at++] = (char)0x8c;
        wanted[at++] = (char)len;
        memcpy(wanted + at, cases[i].written, len);
        at += len;
    }
    finish(f);
    assert_bytes(f, wanted, at);
}

/* finish() has read frames whose lengths lead from one to the next. */
static void long_texts_and_many_values_stand_in_whole_frames(void **state)
{
    fixture *f = *state;
    const size_t len = PICKLE_FRAME_BYTES + 12345;
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        text[i] = i % 7 == 3 ? (char)0xfe : 'y'; /* each written as three bytes */
    }
    text[len] = '\0';
    for (uint32_t i = 0; i < 20000; i++) {
        pickle_u64(&f->p, 70000);
    }
    pickle_text(&f->p, text);
    pickle_none(&f->p);
    free(text);
    finish(f);
    const size_t written = len + 2 * ((len + 3) / 7);
    assert_int_equal(f->count, 100000 + 5 + written + 1);
    assert_int_equal(f->bytes[100000], 'X');
    assert_int_equal(f->bytes[100001] | f->bytes[100002] << 8 | f->bytes[100003] << 16,
                     written);
    assert_int_equal(f->bytes[f->count - 1], 'N');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(integers_take_the_shortest_opcode),
        TEST(plain_values_have_their_opcodes),
        TEST(containers_are_filled_behind_a_mark),
        TEST(a_text_that_comes_again_is_read_from_the_memo),
        TEST(items_go_in_a_thousand_at_a_time),
        TEST(bytes_that_are_no_utf8_become_surrogates),
        TEST(long_texts_and_many_values_stand_in_whole_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
