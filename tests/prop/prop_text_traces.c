/* tests/prop/prop_text_traces.c - random lives of blocks, written in each text format, read and put on a tape: the bytes at
 * every moment are those of the plan.
 *
 * A plan is a list of allocations and frees with their times, some of blocks from before it began. Chrome traces have it
 * thread by thread, as PyTorch writes them; one of them is larger than the window, so that events lie across its edges. */

#include "tests/support/trace_text.h"

#include <unistd.h>

#define SEED       UINT64_C(20261122)
#define PLANS      60u
#define STEPS_MAX  30000u
#define LIVE_MAX   64u
#define TEXT_BYTES ((size_t)16 << 20)
#define BASE_BYTES UINT64_C(1000000) /* what was there before, and stays */

typedef struct {
    uint64_t us;
    uint64_t addr;
    uint64_t size;
    uint64_t total; /* behind it */
    bool is_free;
    uint8_t thread;
} step;

typedef struct {
    trace_text *t;
    step *steps;
    uint32_t count;
    char *text;
    size_t at;
} plan;

static void put(plan *p, const char *format, ...) VS_PRINTF(2, 3);

static void put(plan *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(p->text + p->at, TEXT_BYTES - p->at, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT_BYTES - p->at);
    p->at += (size_t)n;
}

/* Addresses are slots, so that one is used again and again; sizes are all different, so that those of blocks without an
 * address tell them apart. */
static void make_plan(plan *p, uint32_t count, uint64_t seed)
{
    vs_rng rng = {0};
    uint64_t size_of[LIVE_MAX] = {0};
    uint64_t us = 1000;
    uint64_t total = BASE_BYTES;
    vs_rng_seed(&rng, seed);
    for (uint32_t slot = 0; slot < 8; slot++) { /* before the plan */
        size_of[slot] = 4096 + slot;
        total += size_of[slot];
    }
    p->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t slot = (uint32_t)vs_rng_below(&rng, LIVE_MAX);
        step *const s = &p->steps[i];
        us += 1 + vs_rng_below(&rng, 5);
        *s = (step){.us = us,
                    .addr = (UINT64_C(1) << 40) + UINT64_C(4096) * slot,
                    .is_free = size_of[slot] > 0,
                    .thread = (uint8_t)vs_rng_below(&rng, 3)};
        s->size = s->is_free ? size_of[slot] : 10000 + i;
        size_of[slot] = s->is_free ? 0 : s->size;
        total = s->is_free ? total - s->size : total + s->size;
        s->total = total;
    }
}

/* What is known of the start without totals: blocks that are freed later. */
static uint64_t known_before(const plan *p)
{
    bool is_seen[LIVE_MAX] = {0};
    uint64_t known = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const uint64_t slot = (p->steps[i].addr - (UINT64_C(1) << 40)) / 4096;
        known += !is_seen[slot] && p->steps[i].is_free ? p->steps[i].size : 0;
        is_seen[slot] = true;
    }
    return known;
}

/* All bytes of the plan's start, which totals tell. */
static uint64_t all_before(const plan *p)
{
    const step *const first = &p->steps[0];
    return first->is_free ? first->total + first->size : first->total - first->size;
}

/* before: what the tape can know of the start. */
static void check_tape(plan *p, uint64_t before)
{
    const vs_timeline *tl = trace_text_tape(p->t);
    const uint32_t track = vs_timeline_find_track(tl, 0, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
    const step *const first = &p->steps[0];
    const uint64_t shift = all_before(p) - before;
    for (uint32_t i = 0; i < p->count; i++) {
        const vs_ns at_ns = (p->steps[i].us - first->us) * 1000;
        assert_int_equal(vs_track_at_time(tl, track, at_ns) + shift, p->steps[i].total);
    }
    for (uint32_t i = 0; i < tl->meta_count; i++) {
        if (strncmp(vs_timeline_string(tl, tl->metas[i].value), "GPU 0,", 6) == 0) {
            fail_msg("%s", vs_timeline_string(tl, tl->metas[i].value));
        }
    }
}

/* ---- the formats ------------------------------------------------------------------------------ */

static void put_chrome_step(plan *p, const step *s, bool has_totals)
{
    put(p,
        "%s{\"ph\": \"i\", \"name\": \"[memory]\", \"tid\": %u,\n \"ts\": %" PRIu64
        ".000, \"args\": {\"Device Type\": 1, \"Device Id\": 0, \"Bytes\": %s%" PRIu64,
        p->text[p->at - 1] == '[' ? "" : ",\n", (unsigned)s->thread, s->us,
        s->is_free ? "-" : "", s->size);
    if (has_totals) {
        put(p,
            ", \"Addr\": %" PRIu64 ", \"Total Allocated\": %" PRIu64 ", \"Total Reserved\": %d",
            s->addr, s->total, 1 << 30);
    }
    put(p, "}},\n{\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"\\\"}]\", \"args\": {\"a\": "
           "[[]]}}");
}

static void write_chrome(plan *p, bool has_totals)
{
    p->at = 0;
    put(p, "{\"baseTimeNanoseconds\": 0, \"traceEvents\": [");
    for (uint8_t thread = 0; thread < 3; thread++) {
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->steps[i].thread == thread) {
                put_chrome_step(p, &p->steps[i], has_totals);
            }
        }
    }
    put(p, "]}");
}

static void write_rmm(plan *p)
{
    p->at = 0;
    put(p, "Thread,Time,Action,Pointer,Size,Stream\n");
    for (uint32_t i = 0; i < p->count; i++) {
        const step *const s = &p->steps[i];
        put(p, "%u,10:%02u:%02u.%06u,%s,0x%" PRIx64 ",%" PRIu64 ",0x0\n", (unsigned)s->thread,
            (unsigned)(s->us / 60000000), (unsigned)(s->us / 1000000 % 60),
            (unsigned)(s->us % 1000000), s->is_free ? "free" : "allocate", s->addr, s->size);
    }
}

static void write_timeline(plan *p)
{
    p->at = 0;
    put(p, "[[-1, 1, %" PRIu64 ", 7]", BASE_BYTES);
    for (uint32_t i = 0; i < p->count; i++) {
        const step *const s = &p->steps[i];
        put(p, ", [%" PRIu64 ", %d, %s%" PRIu64 ", 4]", s->us * 1000, s->is_free ? 4 : 2,
            s->is_free ? "-" : "", s->size);
    }
    put(p, "]");
}

/* ---- properties ---------------------------------------------------------------------------------- */

static int open_plan(void **state)
{
    plan *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return 1;
    }
    void *t = NULL;
    const int status = trace_text_open(&t);
    p->t = t;
    p->steps = calloc(STEPS_MAX, sizeof *p->steps);
    p->text = malloc(TEXT_BYTES);
    *state = p;
    return status != 0 || p->steps == NULL || p->text == NULL;
}

static int close_plan(void **state)
{
    plan *p = *state;
    void *t = p->t;
    free(p->steps);
    free(p->text);
    free(p);
    return trace_text_close(&t);
}

static void every_format_gives_the_bytes_of_the_plan(void **state)
{
    plan *p = *state;
    for (uint32_t i = 0; i < PLANS; i++) {
        make_plan(p, 1 + i * 7, SEED + i);
        write_chrome(p, true);
        (void)trace_text_read(p->t, read_chrome, p->text);
        check_tape(p, all_before(p));
        write_chrome(p, false);
        (void)trace_text_read(p->t, read_chrome, p->text);
        check_tape(p, known_before(p));
        write_rmm(p);
        (void)trace_text_read(p->t, read_rmm, p->text);
        check_tape(p, known_before(p));
        write_timeline(p);
        const vs_recording *rec = trace_text_read(p->t, read_timeline, p->text);
        assert_int_equal(rec->devices[0].event_count, p->count + 1);
        check_tape(p, BASE_BYTES + known_before(p));
    }
}

/* A window of 1 MiB moves over a file more than five times as long: nothing is lost at its edges. */
static void a_long_file_gives_what_its_bytes_give(void **state)
{
    plan *p = *state;
    make_plan(p, STEPS_MAX, SEED);
    write_chrome(p, true);
    assert_true(p->at > 5 * INPUT_WINDOW_BYTES);
    char path[] = "/tmp/vramscope-test-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p->text, p->at), p->at);
    assert_int_equal(close(fd), 0);
    (void)trace_text_read(p->t, read_chrome, p->text);
    vs_arena keep = {0};
    vs_arena scratch = {0};
    vs_recording rec = {0};
    assert_true(vs_arena_open(&keep, 64 * VS_MIB, NULL));
    assert_true(vs_arena_open(&scratch, 64 * VS_MIB, NULL));
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    assert_true(vs_recording_read(&rec, path, &desc, NULL));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rec.devices[0].event_count, STEPS_MAX);
    assert_memory_equal(rec.devices[0].events, p->t->rec.devices[0].events,
                        STEPS_MAX * sizeof(vs_rec_event));
    assert_memory_equal(rec.devices[0].totals, p->t->rec.devices[0].totals,
                        STEPS_MAX * sizeof(vs_rec_totals));
    check_tape(p, all_before(p));
    vs_arena_close(&keep);
    vs_arena_close(&scratch);
}

#define WITH_PLAN(test) cmocka_unit_test_setup_teardown(test, open_plan, close_plan)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLAN(every_format_gives_the_bytes_of_the_plan),
        WITH_PLAN(a_long_file_gives_what_its_bytes_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
