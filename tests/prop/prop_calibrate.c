/* tests/prop/prop_calibrate.c - rates that are known come back within the uncertainty that is stated.
 *
 * Times of copies with a known latency and rate, normal relative noise of 1 to 8 % and now and then a copy that something
 * else held up. The stated interval is a 95 % one: it has to hold the truth in at least 90 % of the cases of every kind. */
#include "vramscope/calibrate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/support/mtrfile.h"

#define CASES 400u
#define SEED  UINT64_C(20260101)

/* Uniform in (0, 1). */
static double uniform(vs_rng *rng)
{
    return ((double)(vs_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
}

/* Normal with mean 0 and deviation 1 (Box and Muller). */
static double normal(vs_rng *rng)
{
    const double radius = sqrt(-2.0 * log(uniform(rng)));
    return radius * cos(6.283185307179586 * uniform(rng));
}

typedef struct {
    uint32_t count;
    double noise;
    double held_up; /* share of copies that take 1.5 to 4 times as long */
    bool one_size;
} kind;

static vs_cal_point make_point(vs_rng *rng, const kind *k, double latency, double rate)
{
    const double bytes = k->one_size ? 92274688.0 : 1048576.0 * exp(uniform(rng) * log(2048.0));
    double ns = (latency + bytes / rate * 1e9) * fmax(0.2, 1.0 + k->noise * normal(rng));
    if (uniform(rng) < k->held_up) {
        ns *= 1.5 + 2.5 * uniform(rng);
    }
    return (vs_cal_point){bytes, ns};
}

/* Of CASES recordings of that kind, how many intervals hold the true rate and the true latency. */
static void count_hits(vs_arena *arena, vs_rng *rng, const kind *k, uint32_t hits[2])
{
    vs_cal_point points[512];
    for (uint32_t c = 0; c < CASES; c++) {
        vs_cal_line line = {0};
        const double rate = 1e9 * exp(uniform(rng) * log(60.0)); /* 1 to 60 GB/s */
        const double latency = k->one_size ? 0.0 : 5000.0 + 45000.0 * uniform(rng);
        for (uint32_t i = 0; i < k->count; i++) {
            points[i] = make_point(rng, k, latency, rate);
        }
        assert_true(vs_cal_fit_line(points, k->count, arena, &line));
        const double truth = 1e9 / rate;
        hits[0] += fabs(line.ns_per_byte - truth) <= line.ns_per_byte_error ? 1 : 0;
        hits[1] += !line.has_latency || fabs(line.latency_ns - latency) <= line.latency_error;
        /* an interval that holds everything would be no use */
        assert_true(line.ns_per_byte_error < truth * 12.0 * fmax(0.02, k->noise));
    }
}

static void known_rates_are_within_the_stated_uncertainty(void **state)
{
    static const kind kinds[] = {{8, 0.01, 0.0, false},    {8, 0.05, 0.0, false},
                                 {24, 0.03, 0.0, false},   {24, 0.03, 0.1, false},
                                 {100, 0.08, 0.05, false}, {400, 0.05, 0.1, false},
                                 {12, 0.04, 0.0, true},    {200, 0.04, 0.1, true}};
    scratch *s = *state;
    vs_rng rng = {0};
    vs_rng_seed(&rng, SEED);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint32_t hits[2] = {0};
        count_hits(&s->arena, &rng, &kinds[i], hits);
        print_message(
            "%u points, noise %.2f, held up %.2f: rate %.1f %%, latency %.1f %% of %u\n",
            kinds[i].count, kinds[i].noise, kinds[i].held_up, 100.0 * hits[0] / CASES,
            100.0 * hits[1] / CASES, CASES);
        if (hits[0] < CASES * 9 / 10 || hits[1] < CASES * 9 / 10) {
            fail_msg("seed %" PRIu64 ", kind %zu: %u and %u of %u", SEED, i, hits[0], hits[1],
                     CASES);
        }
    }
}

static void medians_are_within_their_interval(void **state)
{
    (void)state;
    vs_rng rng = {0};
    vs_rng_seed(&rng, SEED + 1);
    for (uint32_t count = 6; count <= 300; count = count * 3 / 2) {
        uint32_t hits = 0;
        for (uint32_t c = 0; c < CASES; c++) {
            double values[512];
            double error = 0.0;
            bool is_interval = false;
            for (uint32_t i = 0; i < count; i++) {
                values[i] = exp(0.5 * normal(&rng)); /* median 1 */
            }
            const double median = vs_cal_median(values, count, &error, &is_interval);
            assert_true(is_interval);
            hits += fabs(median - 1.0) <= error ? 1 : 0;
        }
        if (hits < CASES * 9 / 10) {
            fail_msg("seed %" PRIu64 ", %u values: %u of %u", SEED + 1, count, hits, CASES);
        }
    }
}

/* ---- whole recordings ------------------------------------------------------------------------------------ */

typedef struct {
    double pinned, pageable, back, disk; /* bytes a second */
    double malloc_ns;
} machine_truth;

static void add_copy(mtr_file *f, vs_rng *rng, uint32_t aux, double rate, uint64_t *time)
{
    const kind k = {.noise = 0.03, .held_up = 0.05};
    const vs_cal_point p = make_point(rng, &k, 6000.0, rate);
    (void)mtr_add(f, &(mtr_row){.t = *time,
                                .b = (uint64_t)p.bytes,
                                .d = *time + (uint64_t)p.ns,
                                .aux = aux,
                                .type = MTR_COPY});
    *time += 1000000000;
}

/* A recorder file of a machine: 40 copies of each kind, 30 calls, 20 reads. */
static mtr_file record(vs_rng *rng, const machine_truth *truth)
{
    mtr_file f = mtr_begin("");
    uint64_t time = 1000;
    const uint32_t call = mtr_string(&f, "cuMemAlloc");
    for (uint32_t i = 0; i < 40; i++) {
        add_copy(&f, rng, MTR_COPY_KIND(MTR_HTOD, MTR_PINNED, MTR_DEVICE), truth->pinned,
                 &time);
        add_copy(&f, rng, MTR_COPY_KIND(MTR_HTOD, MTR_PAGEABLE, MTR_DEVICE), truth->pageable,
                 &time);
        add_copy(&f, rng, MTR_COPY_KIND(MTR_DTOH, MTR_DEVICE, MTR_PINNED), truth->back, &time);
    }
    for (uint32_t i = 0; i < 30; i++) {
        const double ns = truth->malloc_ns * exp(0.3 * normal(rng));
        (void)mtr_add(&f, &(mtr_row){.t = time,
                                     .d = time + (uint64_t)ns,
                                     .str = call,
                                     .type = MTR_CALL,
                                     .dev = MTR_HOST});
        const uint64_t bytes = VS_MIB + vs_rng_below(rng, 64 * VS_MIB);
        const double read_ns = (double)bytes / truth->disk * 1e9 * exp(0.1 * normal(rng));
        (void)mtr_add(&f, &(mtr_row){.t = time,
                                     .a = bytes,
                                     .d = time + (uint64_t)read_ns,
                                     .type = MTR_IO,
                                     .dev = MTR_HOST});
        time += 1000000000;
    }
    return f;
}

static bool holds(const vs_calibration *c, vs_cal_parameter parameter, double truth)
{
    const vs_cal_figure *const f = &c->figures[parameter];
    assert_true(f->is_known && f->has_uncertainty);
    return fabs((double)f->value - truth) <= f->uncertainty * (double)f->value + 1.0;
}

static void recordings_give_the_figures_of_their_machine_back(void **state)
{
    enum { RECORDINGS = 100, FIGURES = 5 };

    scratch *s = *state;
    vs_rng rng = {0};
    vs_arena arena = {0};
    uint32_t hits[FIGURES] = {0};
    vs_rng_seed(&rng, SEED + 2);
    assert_true(vs_arena_open(&arena, 256 * VS_MIB, NULL));
    for (uint32_t i = 0; i < RECORDINGS; i++) {
        const machine_truth truth = {.pinned = 1e10 + 5e10 * uniform(&rng),
                                     .pageable = 2e9 + 1e10 * uniform(&rng),
                                     .back = 1e10 + 4e10 * uniform(&rng),
                                     .disk = 5e8 + 1e10 * uniform(&rng),
                                     .malloc_ns = 2e4 + 2e5 * uniform(&rng)};
        mtr_file file = record(&rng, &truth);
        const char *const path = scratch_path(s, "run.mtr");
        FILE *const out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(file.bytes, 1, file.size_bytes, out), file.size_bytes);
        assert_int_equal(fclose(out), 0);
        free(file.bytes);
        vs_calibration c = {0};
        vs_err err = {0};
        vs_arena_reset(&s->arena);
        const vs_cal_desc desc = {.keep = &s->arena, .scratch = &arena};
        if (!vs_calibrate(&c, &path, 1, &desc, &err)) {
            scratch_fail(&err);
        }
        hits[0] += holds(&c, VS_CAL_H2D_PINNED, truth.pinned) ? 1 : 0;
        hits[1] += holds(&c, VS_CAL_H2D_PAGEABLE, truth.pageable) ? 1 : 0;
        hits[2] += holds(&c, VS_CAL_D2H, truth.back) ? 1 : 0;
        hits[3] += holds(&c, VS_CAL_DISK, truth.disk) ? 1 : 0;
        hits[4] += holds(&c, VS_CAL_GPU_MALLOC, truth.malloc_ns) ? 1 : 0;
    }
    vs_arena_close(&arena);
    for (uint32_t i = 0; i < FIGURES; i++) {
        print_message("figure %u: %u of %d recordings\n", i, hits[i], (int)RECORDINGS);
        if (hits[i] < RECORDINGS * 9 / 10) {
            fail_msg("seed %" PRIu64 ", figure %u: %u of %d", SEED + 2, i, hits[i],
                     (int)RECORDINGS);
        }
    }
}

static void exact_times_give_the_exact_rate(void **state)
{
    scratch *s = *state;
    vs_cal_point points[8];
    vs_cal_line line = {0};
    for (uint32_t i = 0; i < 8; i++) {
        points[i].bytes = 1048576.0 * (double)(1u << i);
        points[i].ns = 12000.0 + points[i].bytes / 25.0;
    }
    assert_true(vs_cal_fit_line(points, 8, &s->arena, &line));
    assert_true(fabs(line.ns_per_byte - 0.04) < 1e-12);
    assert_true(fabs(line.latency_ns - 12000.0) < 1e-3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_rates_are_within_the_stated_uncertainty),
        TEST(medians_are_within_their_interval),
        TEST(recordings_give_the_figures_of_their_machine_back),
        TEST(exact_times_give_the_exact_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
