/* Recordings of real GPUs, read and replayed: every address, every segment and every total must come out again
 * (specs/torch-caching-allocator.md [17]); where recording began late, from the state that section 17 derives.
 *
 * The figures beside each file are those of ../shared/traces/MANIFEST.md. Prints the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "vramscope/replay.h"

#define TRACES "../shared/traces/"

typedef struct {
    const char *name;
    uint32_t events;
    uint32_t allocations;
    vs_bytes final_mib; /* reserved */
    bool is_whole;      /* began with an empty allocator */
    vs_replay_verdict verdict;
} expected;

static const expected table[] = {
    {"Nesta-gitU__discrete_diffusion__memory_snapshot.pickle.gz", 1299, 576, 21526, true,
     VS_REPLAY_IDENTICAL},
    {"LfieLike__SketchKV2__my_snapshot.pickle.gz", 1, 0, 16340, false,
     VS_REPLAY_NOT_COMPARABLE},
    {"MercuryB1__SQAttn__cuda_memory_snapshot.pickle.gz", 9576, 2912, 220, false,
     VS_REPLAY_IDENTICAL},
    {"Maphsge4__select_n__snapshot_bert.pickle.gz", 4496, 1497, 2648, false,
     VS_REPLAY_IDENTICAL},
    {"NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_forward_memory_"
     "snapshot_"
     "100.pickle.gz",
     2304, 785, 442, true, VS_REPLAY_IDENTICAL},
    {"NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_forward_memory_"
     "snapshot_"
     "200_mixed_precision.pickle.gz",
     2950, 995, 708, true, VS_REPLAY_IDENTICAL},
    {"NiuHuangxiaozi__assignment2-systems__cs336_systems_profile_memory_forward_and_backward_"
     "memory_snapshot_100.pickle.gz",
     11300, 3853, 750, true, VS_REPLAY_IDENTICAL},
    {"HanFa__assignment2-systems__trace_playground_mem_dump_benchmark_toy_model_small_FP32_seq_"
     "128_inference.pickle.gz",
     19681, 6651, 2458, false, VS_REPLAY_IDENTICAL},
    {"kkaitlyn111__cs336-a2-systems__memory_files_memory_ctx128_forward.pickle.gz", 4657, 2058,
     18756, false, VS_REPLAY_IDENTICAL},
    {"kkaitlyn111__cs336-a2-systems__memory_files_memory_ctx512_forward_.pickle.gz", 5265, 2057,
     42644, false, VS_REPLAY_IDENTICAL},
    {"silmont2000__assignment2-systems__mem_snapshot.pickle.gz", 97, 36, 3606, true,
     VS_REPLAY_IDENTICAL},
    {"silmont2000__assignment2-systems__memory_forward_fp32_128.pickle.gz", 2043, 681, 582,
     false, VS_REPLAY_IDENTICAL},
    {"shreyansh26__MLSys-Experiments__model_memory_usage_profile_grad.pkl.gz", 33, 12, 4234,
     true, VS_REPLAY_IDENTICAL},
    {"shreyansh26__MLSys-Experiments__model_memory_usage_profile_no_grad.pkl.gz", 33, 12, 4234,
     true, VS_REPLAY_IDENTICAL},
    {"Wedsonlin__assignment2-systems__results_medium_128_inference_memory_snapshot.77da8fef."
     "pickle.gz",
     3840, 1280, 1682, false, VS_REPLAY_IDENTICAL},
};

typedef struct {
    vs_arena keep;
    vs_arena scratch;
} arenas;

static int setup(void **state)
{
    arenas *a = test_calloc(1, sizeof *a);
    vs_err err = {0};
    assert_true(vs_arena_open(&a->keep, 512 * VS_MIB, &err));
    assert_true(vs_arena_open(&a->scratch, 512 * VS_MIB, &err));
    *state = a;
    return 0;
}

static int teardown(void **state)
{
    arenas *a = *state;
    vs_arena_close(&a->keep);
    vs_arena_close(&a->scratch);
    test_free(a);
    return 0;
}

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

static const char *path_of(arenas *a, const char *name)
{
    vs_arena_reset(&a->keep);
    vs_arena_reset(&a->scratch);
    return vs_arena_printf(&a->keep, TRACES "%s", name);
}

static vs_replay_result replay(arenas *a, const char *path, vs_replay_desc desc)
{
    vs_err err = {0};
    vs_recording *rec = VS_NEW(&a->keep, vs_recording);
    vs_replay_result result = {0};
    const vs_read_desc read = {.keep = &a->keep, .scratch = &a->scratch};
    desc.keep = &a->keep;
    desc.scratch = &a->scratch;
    assert_non_null(rec);
    if (!vs_recording_read(rec, path, &read, &err) ||
        !vs_replay_run(&result, rec, &desc, &err)) {
        fail_msg("%s: %s", path, err.text);
    }
    assert_int_equal(result.device_count, 1);
    return result;
}

static const vs_replay_device *only_device(const vs_replay_result *result)
{
    static const vs_replay_device none = {0};
    assert_non_null(result->devices);
    return result->devices != NULL ? &result->devices[0] : &none;
}

static void check(const expected *e, const vs_replay_result *result)
{
    const vs_replay_device *d = only_device(result);
    if (result->verdict != e->verdict) {
        fail_msg("%s: %s; first difference at event %u, %s: %" PRIx64 ", ours %" PRIx64,
                 e->name, vs_replay_verdict_key(result->verdict), d->first_mismatch.event,
                 d->first_mismatch.what, d->first_mismatch.recorded, d->first_mismatch.ours);
    }
    assert_int_equal(d->events, e->events);
    assert_int_equal(d->recorded_final_reserved_bytes, e->final_mib * VS_MIB);
    if (e->verdict != VS_REPLAY_IDENTICAL) {
        return;
    }
    assert_int_equal(d->allocations, e->allocations);
    assert_int_equal(d->final_reserved_bytes, e->final_mib * VS_MIB);
    assert_int_equal(d->corrections, 0);
    assert_int_equal(d->initial_reserved_bytes == 0, e->is_whole);
}

static void every_recording_comes_out_as_it_was_recorded(void **state)
{
    arenas *a = *state;
    uint32_t seen = 0;
    print_message("%-60.60s %7s %7s %-14s %s\n", "recording", "events", "allocs", "verdict",
                  "before");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *path = path_of(a, table[i].name);
        if (!is_there(path)) {
            print_message("skipped: %s is not there\n", path);
            continue;
        }
        const vs_replay_result result = replay(a, path, (vs_replay_desc){0});
        check(&table[i], &result);
        const vs_replay_device *d = only_device(&result);
        char text[VS_TEXT_BYTES];
        print_message("%-60.60s %7u %7u %-14s %s\n", table[i].name, (unsigned)d->events,
                      (unsigned)d->allocations, vs_replay_verdict_key(result.verdict),
                      vs_format_size(d->initial_reserved_bytes, text));
        seen++;
    }
    if (seen == 0) {
        skip();
    }
}

#define OOM_FILE "Nesta-gitU__discrete_diffusion__memory_snapshot.pickle.gz"

static void the_real_out_of_memory_happens_where_it_did(void **state)
{
    arenas *a = *state;
    const char *path = path_of(a, OOM_FILE);
    if (!is_there(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    const vs_replay_result result = replay(a, path, (vs_replay_desc){0});
    const vs_replay_device *d = only_device(&result);
    assert_int_equal(d->recorded_ooms, 1);
    assert_int_equal(d->ooms, 1);
    assert_int_equal(d->oom_event, 1117);
    assert_int_equal(d->oom.rounded_bytes, 402653184); /* MANIFEST.md */
    assert_int_equal(d->oom.attempted_bytes, 402653184);
    assert_int_equal(d->oom.free_bytes, 264634368);
}

static void it_would_have_fitted_on_a_larger_card(void **state)
{
    arenas *a = *state;

    static const struct {
        vs_bytes capacity;
        bool fits;
    } cards[] = {{22 * VS_GIB, false}, {24 * VS_GIB, true}, {32 * VS_GIB, true}};

    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++) {
        const char *path = path_of(a, OOM_FILE);
        if (!is_there(path)) {
            print_message("skipped: %s is not there\n", path);
            skip();
        }
        const vs_replay_desc desc = {.capacity_bytes = cards[i].capacity,
                                     .context_bytes = 350 * VS_MIB};
        const vs_replay_result result = replay(a, path, desc);
        assert_int_equal(result.verdict, VS_REPLAY_WHAT_IF);
        assert_int_equal(only_device(&result)->fits, cards[i].fits);
    }
}

/* The same options on the same card: the what-if runs out where the recording did, without being told. */
static void a_what_if_of_what_was_is_what_was(void **state)
{
    arenas *a = *state;
    const char *path = path_of(a, OOM_FILE);
    if (!is_there(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    const vs_alloc_conf conf = vs_alloc_conf_default(VS_TORCH_NEWEST);
    const vs_replay_result result = replay(a, path, (vs_replay_desc){.conf = &conf});
    const vs_replay_device *d = only_device(&result);
    assert_false(d->fits);
    assert_int_equal(d->oom_event, 1117);
    assert_int_equal(d->oom.attempted_bytes, 402653184);
    assert_int_equal(d->oom.free_bytes, 264634368);
    assert_int_equal(d->peak_reserved_bytes, d->recorded_peak_reserved_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_comes_out_as_it_was_recorded),
        cmocka_unit_test(the_real_out_of_memory_happens_where_it_did),
        cmocka_unit_test(it_would_have_fitted_on_a_larger_card),
        cmocka_unit_test(a_what_if_of_what_was_is_what_was),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
