/* tests/fault/fault_host_json.c - HOST.json cut off at every byte, and with every byte changed. */
#include "sim/hardware/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

static const char whole[] =
    "{\"format\": \"vramscope.host/1\", \"name\": \"lab\", \"ram_bytes\": 34359738368,\n"
    " \"disk_read_bytes_per_s\": 13000000000, \"cores\": 16,\n"
    " \"gpu\": {\"name\": \"rtx-4090\", \"capacity_bytes\": 25382879232, \"malloc_ns\": "
    "41000},\n"
    " \"sources\": {\"ram_bytes\": \"free -b\"}, \"uncertainty\": {\"cores\": 0.5}}";

/* Accepted or one clear error; never a crash, and nothing written on failure. */
static bool parse(scratch *s, const char *text, size_t text_bytes)
{
    vs_hw_host_file file = {.has_gpu = true};
    vs_err err = {0};
    vs_arena_reset(&s->arena);
    if (vs_hw_parse_host_file(&file, &s->arena, text, text_bytes, "host.json", &err)) {
        assert_int_equal(err.code, VS_OK);
        return true;
    }
    assert_int_not_equal(err.code, VS_OK);
    assert_true(err.text[0] != '\0');
    assert_error_says(&err, "host.json");
    assert_true(file.has_gpu);
    return false;
}

static void every_truncation_is_an_error(void **state)
{
    assert_true(parse(*state, whole, sizeof whole - 1));
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *cut = malloc(n + 1); /* exact size: reading on would be seen by the sanitizer */
        assert_non_null(cut);
        memcpy(cut, whole, n);
        assert_false(parse(*state, cut, n));
        free(cut);
    }
}

static void every_flipped_bit_is_read_or_refused(void **state)
{
    size_t refused = 0;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            char text[sizeof whole] = {0};
            memcpy(text, whole, sizeof whole);
            text[n] = (char)((unsigned char)text[n] ^ (1U << bit));
            refused += parse(*state, text, sizeof whole - 1) ? 0 : 1;
        }
    }
    assert_true(refused >
                sizeof whole * 4); /* most changes break a key, a quote or a number's limits */
}

static void every_failed_allocation_is_an_error(void **state)
{
    scratch *s = *state;
    uint64_t n = 0;
    for (bool is_done = false; !is_done;) {
        vs_hw_host_file file = {0};
        vs_err err = {0};
        vs_arena_reset(&s->arena);
        s->arena.fail_at = ++n;
        is_done =
            vs_hw_parse_host_file(&file, &s->arena, whole, sizeof whole - 1, "host.json", &err);
        assert_true(is_done || err.code == VS_ERR_MEMORY);
    }
    assert_true(n > 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_truncation_is_an_error),
        TEST(every_flipped_bit_is_read_or_refused),
        TEST(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
