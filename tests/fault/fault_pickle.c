/* tests/fault/fault_pickle.c - pickles made to cost: memory and time stay linear in their length, and nothing is expanded.
 *
 * Also every truncation, every byte changed and every failing allocation of a small state dict. */
#include "sim/model/pickle.h"
#include "tests/support/torchfile.h"

#include <setjmp.h>

#include <cmocka.h>

#include <time.h>

#define BOMB_BYTES ((size_t)256 << 10)

typedef struct {
    vs_arena arena;
    bytes p;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, (size_t)1 << 30, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    free_bytes(&b->p);
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

/* Bytes in a block of their exact size: the address sanitizer sees a read past the end. */
static bool try_pickle(bench *b, const uint8_t *at, size_t count, vs_err *err)
{
    vs_pickle_result result = {0};
    uint8_t *const exact = malloc(count + 1);
    assert_non_null(exact);
    memcpy(exact, at, count);
    vs_arena_reset(&b->arena);
    const bool is_read =
        vs_pickle_run(&result, &b->arena, (vs_str){(const char *)exact, count}, 100, err);
    free(exact);
    if (!is_read) {
        char line[1024];
        assert_int_not_equal(err->code, VS_OK);
        assert_int_not_equal(err->code, VS_ERR_INTERNAL);
        assert_string_not_equal(err->text, "");
        assert_null(strchr(vs_err_line(err, line, sizeof line), '\n'));
    }
    return is_read;
}

/* ---- a small state dict ------------------------------------------------------------------------------- */

static void every_truncation_is_an_error(void **state)
{
    bench *b = *state;
    pk_two_tensors(&b->p, false);
    for (size_t count = 0; count < b->p.count; count++) {
        vs_err err = {0};
        assert_false(try_pickle(b, b->p.at, count, &err));
    }
}

static void every_byte_changed_is_survived(void **state)
{
    bench *b = *state;
    size_t outcomes[2] = {0};
    pk_two_tensors(&b->p, false);
    for (size_t at = 0; at < b->p.count; at++) {
        const uint8_t kept = b->p.at[at];
        for (unsigned value = 0; value < 256; value++) {
            vs_err err = {0};
            b->p.at[at] = (uint8_t)value;
            outcomes[try_pickle(b, b->p.at, b->p.count, &err)]++;
            assert_int_not_equal(err.code, VS_ERR_MEMORY);
        }
        b->p.at[at] = kept;
    }
    assert_true(outcomes[true] > b->p.count && outcomes[false] > outcomes[true]);
}

static void every_failing_allocation_is_reported(void **state)
{
    bench *b = *state;
    vs_pickle_result result = {0};
    pk_two_tensors(&b->p, false);
    for (uint64_t n = 1; n < 200; n++) {
        vs_err err = {0};
        vs_arena_reset(&b->arena);
        b->arena.fail_at = n;
        if (vs_pickle_run(&result, &b->arena, (vs_str){(const char *)b->p.at, b->p.count}, 0,
                          &err)) {
            assert_true(n > 10);
            return;
        }
        assert_int_equal(err.code, VS_ERR_MEMORY);
    }
    fail();
}

/* ---- bombs --------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t = {0};
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A beginning, and a piece that is repeated to BOMB_BYTES. Ends without STOP, so that it is always an error. */
static void explode(bench *b, const char *name, const void *piece, size_t piece_bytes)
{
    vs_err err = {0};
    const uint64_t start = now_ms();
    while (b->p.count < BOMB_BYTES) {
        put(&b->p, piece, piece_bytes);
    }
    assert_false(try_pickle(b, b->p.at, b->p.count, &err));
    const size_t used = b->arena.used_bytes;
    print_message("# %s: %zu bytes of memory per byte, %s\n", name, used / b->p.count,
                  err.text);
    assert_true(err.code == VS_ERR_FORMAT && err.offset > BOMB_BYTES / 2);
    assert_true(used < VS_PICKLE_SCRATCH_FACTOR * b->p.count + VS_MIB);
    assert_true(now_ms() - start < 2000);
    b->p.count = 0;
}

#define EXPLODE(b, name, piece) explode((b), (name), (piece), sizeof(piece) - 1)

static void values_without_end_cost_little(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    EXPLODE(b, "None", "N");
    pk_proto(&b->p, 4);
    EXPLODE(b, "lists, remembered", "]\x94");
    pk_proto(&b->p, 4);
    EXPLODE(b, "dicts", "}");
    pk_proto(&b->p, 4);
    put_text(&b->p, "N");
    EXPLODE(b, "a tuple in a tuple in a tuple", "\x85");
    pk_proto(&b->p, 4);
    EXPLODE(b, "empty tuples, remembered", ")\x94");
    pk_proto(&b->p, 4);
    put_text(&b->p, "]");
    EXPLODE(b, "a list that grows by one", "Na");
    pk_proto(&b->p, 4);
    put_text(&b->p, "}");
    EXPLODE(b, "a dict that grows by one", "NNs");
    pk_proto(&b->p, 4);
    put_text(&b->p, "]");
    EXPLODE(b, "a list that grows by nothing", "(e");
}

static void a_billion_laughs_are_not_told(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    put(&b->p, "Nq\0", 3);
    EXPLODE(b, "tuples of ten times the last one", "(h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0tq\0");
    pk_proto(&b->p, 4);
    put(&b->p, "]q\0", 3);
    EXPLODE(b, "a list that is added to itself", "(h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0e");
}

static void tensors_from_the_memo_cost_what_they_hold(void **state)
{
    const uint64_t one = 1;
    bench *b = *state;
    pk_proto(&b->p, 4);
    pk_global(&b->p, "torch._utils", "_rebuild_tensor_v2");
    put(&b->p, "q\0(", 3);
    pk_storage(&b->p, "HalfStorage", "0", 1, false);
    pk_view(&b->p, 0, &one, &one, 1);
    put_text(&b->p, "tq\001");
    EXPLODE(b, "one tensor in five bytes", "h\0h\001R");
}

static void storages_from_the_memo_cost_what_they_hold(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    put_text(&b->p, "(");
    pk_text(&b->p, "storage");
    pk_global(&b->p, "torch", "HalfStorage");
    pk_text(&b->p, "0");
    pk_text(&b->p, "cpu");
    put_text(&b->p, "K\001tq\001");
    EXPLODE(b, "one storage in three bytes", "h\001Q");
}

static void a_list_makes_a_dict_only_once(void **state)
{
    bench *b = *state;
    vs_err err = {0};
    pk_proto(&b->p, 4);
    pk_global(&b->p, "collections", "OrderedDict");
    put(&b->p, "q\0](", 4);
    for (unsigned i = 0; i < 20000; i++) {
        put_text(&b->p, "NN\x86");
    }
    put(&b->p, "e\x85q\001R", 5);
    while (b->p.count < BOMB_BYTES) {
        put(&b->p, "h\0h\001R", 5);
    }
    assert_false(try_pickle(b, b->p.at, b->p.count, &err));
    assert_non_null(strstr(err.text, "two dicts are made from one list"));
}

static void far_memo_slots_cost_no_more_than_near_ones(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    put_text(&b->p, "Nr");
    put_number(&b->p, BOMB_BYTES - 1, 4);
    EXPLODE(b, "the last memo slot", "N");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_truncation_is_an_error),
        T(every_byte_changed_is_survived),
        T(every_failing_allocation_is_reported),
        T(values_without_end_cost_little),
        T(a_billion_laughs_are_not_told),
        T(tensors_from_the_memo_cost_what_they_hold),
        T(storages_from_the_memo_cost_what_they_hold),
        T(a_list_makes_a_dict_only_once),
        T(far_memo_slots_cost_no_more_than_near_ones),
    };
    return cmocka_run_group_tests_name("pickle faults", tests, NULL, NULL);
}
