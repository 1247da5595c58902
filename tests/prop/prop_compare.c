/* tests/prop/prop_compare.c - the curves of a comparison, their errors and their columns against naive twins on random tapes.
 *
 * The twin walks no samples: for every position of an axis it asks the tape what the bytes were then. */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define SEEDS       30u
#define COLUMNS_MAX 40u
#define BILLION     UINT64_C(1000000000)

__extension__ typedef unsigned __int128 wide;

typedef struct {
    vs_comparison cmp;
    uint64_t seed;
} bench;

static vs_timeline make(scratch *s, uint64_t seed, uint32_t steps)
{
    random_tape r = {0};
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_true(random_tape_make(&r, &s->arena, seed, steps));
    if (!vs_tape_seal(r.tape, &tl, &err)) {
        print_message("seed %" PRIu64 "\n", seed);
        scratch_fail(&err);
    }
    return tl;
}

static uint32_t track_of(const vs_comparison *cmp, uint32_t side)
{
    static const vs_track_role roles[] = {VS_TRACK_RESERVED, VS_TRACK_ALLOCATED, VS_TRACK_USED};
    return vs_timeline_find_track(cmp->desc.tl[side], cmp->desc.device[side],
                                  roles[cmp->desc.metric], VS_CAT_CONTEXT);
}

static bool is_alloc(const vs_comparison *cmp, uint32_t side, uint32_t e)
{
    const vs_timeline *tl = cmp->desc.tl[side];
    return tl->event_kind[e] == VS_EV_ALLOC && tl->event_device[e] == cmp->desc.device[side];
}

/* ---- the twin: what a run held at a position of an axis ------------------------------------ */

static vs_bytes at_instant(const vs_comparison *cmp, uint32_t side, vs_ns t)
{
    return vs_track_at_time(cmp->desc.tl[side], track_of(cmp, side), t);
}

static vs_bytes by_time(const vs_comparison *cmp, uint32_t side, uint64_t position)
{
    if (cmp->desc.align != VS_FROM_OOM) {
        const vs_ns zero = cmp->desc.align == VS_FROM_FIRST ? cmp->load_begin_ns[side] : 0;
        return at_instant(cmp, side, zero + position);
    }
    const vs_ns mine = cmp->desc.tl[side]->event_time[cmp->oom[side].event];
    const uint32_t other = VS_SIDES - 1 - side;
    const vs_ns theirs = cmp->desc.tl[other]->event_time[cmp->oom[other].event];
    const vs_ns ahead = theirs > mine ? theirs - mine : 0;
    return position < ahead ? 0 : at_instant(cmp, side, position - ahead);
}

static vs_bytes by_stretched(const vs_comparison *cmp, uint32_t side, uint64_t position)
{
    const vs_ns begin = cmp->load_begin_ns[side];
    const vs_ns span = cmp->load_end_ns[side] - begin;
    vs_ns t = 0;
    while (t < span && (wide)(t + 1) * BILLION / span <= position) {
        t++;
    }
    return at_instant(cmp, side, begin + t);
}

static vs_bytes by_event(const vs_comparison *cmp, uint32_t side, uint64_t position)
{
    const vs_timeline *tl = cmp->desc.tl[side];
    vs_bytes value = 0;
    uint64_t n = 0;
    for (uint32_t e = 0; e < tl->event_count && n <= position; e++) {
        if (is_alloc(cmp, side, e)) {
            value = vs_track_at_event(tl, track_of(cmp, side), e);
            n++;
        }
    }
    return value;
}

/* Bytes loaded after event e, and never fewer than before. */
static vs_bytes loaded_at(const vs_comparison *cmp, uint32_t side, uint32_t e, vs_bytes before)
{
    const vs_timeline *tl = cmp->desc.tl[side];
    vs_bytes now = before;
    if (!cmp->has_progress) {
        return is_alloc(cmp, side, e) ? before + tl->event_size[e] : before;
    }
    for (uint32_t i = 0; i < tl->track_count; i++) {
        if (tl->tracks[i].role == VS_TRACK_PROGRESS) {
            now = vs_track_at_event(tl, i, e);
        }
    }
    return now > before ? now : before;
}

static vs_bytes by_share(const vs_comparison *cmp, uint32_t side, uint64_t position)
{
    const vs_timeline *tl = cmp->desc.tl[side];
    vs_bytes loaded = 0;
    vs_bytes reached = 0; /* the share of the greatest value so far */
    vs_bytes value = 0;
    for (uint32_t e = 0; e < tl->event_count; e++) {
        loaded = loaded_at(cmp, side, e, loaded);
        if (loaded > position) {
            break;
        }
        const vs_bytes now = vs_track_at_event(tl, track_of(cmp, side), e);
        value = loaded > reached || now > value ? now : value;
        reached = loaded;
    }
    return value;
}

static vs_bytes twin(const vs_comparison *cmp, vs_compare_axis axis, uint32_t side,
                     uint64_t position)
{
    switch (axis) {
    case VS_BY_TIME: return by_time(cmp, side, position);
    case VS_BY_STRETCHED: return by_stretched(cmp, side, position);
    case VS_BY_EVENT: return by_event(cmp, side, position);
    case VS_BY_SHARE: return by_share(cmp, side, position);
    case VS_COMPARE_AXIS_COUNT: break;
    }
    return 0;
}

/* ---- checks -------------------------------------------------------------------------------- */

/* What the points say at a position. */
static vs_bytes ours(const vs_compare_points *points, uint64_t position)
{
    vs_bytes value = 0;
    for (uint32_t i = 0; i < points->count && points->position[i] <= position; i++) {
        value = points->value[i];
    }
    return value;
}

static void check_position(const bench *b, vs_compare_axis axis, uint64_t position)
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_bytes want = twin(&b->cmp, axis, side, position);
        const vs_bytes got = ours(&b->cmp.curves[axis].points[side], position);
        if (got != want) {
            fail_msg("seed %" PRIu64 ", by %s, side %" PRIu32 " at %" PRIu64 ": %" PRIu64
                     ", a full scan finds %" PRIu64,
                     b->seed, vs_compare_axis_key(axis), side, position, got, want);
        }
    }
}

static void check_order(const vs_compare_points *points, uint64_t end)
{
    for (uint32_t i = 0; i < points->count; i++) {
        assert_true(i == 0 ? points->position[i] == 0
                           : points->position[i] > points->position[i - 1]);
        assert_true(points->position[i] <= end);
    }
}

/* Positions where either curve may change, in order, each once; false when there is no other after *at. */
static bool next_change(const vs_compare_curve *curve, uint64_t *at)
{
    uint64_t next = curve->end;
    if (*at == curve->end) {
        return false;
    }
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const vs_compare_points *p = &curve->points[side];
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->position[i] > *at && p->position[i] < next) {
                next = p->position[i];
            }
        }
    }
    *at = next;
    return true;
}

static void check_errors(const bench *b, vs_compare_axis axis)
{
    const vs_compare_curve *curve = &b->cmp.curves[axis];
    wide integral = 0;
    vs_bytes max = 0;
    uint64_t at = 0;
    uint64_t max_at = 0;
    bool has_next = true;
    while (has_next) {
        const vs_bytes x = ours(&curve->points[VS_PREDICTED], at);
        const vs_bytes y = ours(&curve->points[VS_RECORDED], at);
        const vs_bytes error = x > y ? x - y : y - x;
        const uint64_t from = at;
        max_at = error > max ? from : max_at;
        max = error > max ? error : max;
        has_next = next_change(curve, &at);
        integral += (wide)error * (at - from);
    }
    const wide mean = curve->end > 0 ? (integral + curve->end - 1) / curve->end : max;
    assert_int_equal(curve->max_error_bytes, max);
    assert_int_equal(curve->at, max_at);
    assert_true(curve->mean_error_bytes == (uint64_t)mean);
}

/* The last event at the greatest error holds what the curve says, on the axes where that is one event's value. */
static void check_moment(const bench *b, vs_compare_axis axis)
{
    const vs_compare_curve *curve = &b->cmp.curves[axis];
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        const uint32_t event = curve->at_event[side];
        const vs_bytes bytes =
            event == VS_NO_MOMENT
                ? 0
                : vs_track_at_event(b->cmp.desc.tl[side], track_of(&b->cmp, side), event);
        if (bytes != curve->at_bytes[side]) {
            fail_msg("seed %" PRIu64 ", by %s, side %" PRIu32 ": event %" PRIu32
                     " holds %" PRIu64 ", the curve %" PRIu64,
                     b->seed, vs_compare_axis_key(axis), side, event, bytes,
                     curve->at_bytes[side]);
        }
    }
}

static void check_axis(const bench *b, vs_compare_axis axis)
{
    const vs_compare_curve *curve = &b->cmp.curves[axis];
    if (curve->reason != NULL) {
        return;
    }
    check_order(&curve->points[VS_PREDICTED], curve->end);
    check_order(&curve->points[VS_RECORDED], curve->end);
    if (axis == VS_BY_TIME || axis == VS_BY_EVENT) {
        for (uint64_t at = 0; at <= curve->end; at++) {
            check_position(b, axis, at);
        }
    } else {
        uint64_t at = 0;
        do {
            check_position(b, axis, at);
            check_position(b, axis, at + (curve->end - at) / 3);
        } while (next_change(curve, &at));
    }
    check_errors(b, axis);
    check_moment(b, axis);
}

static bool run_bench(bench *b, scratch *s, const vs_compare_desc *desc, uint64_t seed)
{
    vs_err err = {0};
    b->seed = seed;
    if (!vs_compare(&b->cmp, &s->arena, desc, &err)) {
        scratch_fail(&err);
    }
    return b->cmp.reason == NULL;
}

static void curves_and_errors_are_those_of_a_full_scan(void **state)
{
    scratch *s = *state;
    uint32_t compared = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        vs_arena_reset(&s->arena);
        const vs_timeline a = make(s, seed, 20 + (uint32_t)seed * 3);
        const vs_timeline c = make(s, seed + 1000, 15 + (uint32_t)seed * 4);
        for (uint32_t i = 0; i < 2 * VS_COMPARE_ALIGN_COUNT; i++) {
            bench b = {0};
            const uint8_t device = (uint8_t)(i & 1u);
            const vs_compare_desc desc = {.tl = {&a, &c},
                                          .device = {device, device},
                                          .metric = (vs_compare_metric)(seed % 4),
                                          .align = (vs_compare_align)(i / 2)};
            for (uint32_t axis = 0;
                 run_bench(&b, s, &desc, seed) && axis < VS_COMPARE_AXIS_COUNT; axis++) {
                check_axis(&b, (vs_compare_axis)axis);
                compared += b.cmp.curves[axis].reason == NULL;
            }
        }
    }
    assert_in_range(compared, SEEDS * 8, SEEDS * 24);
}

static void a_run_against_itself_differs_nowhere(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        vs_arena_reset(&s->arena);
        const vs_timeline a = make(s, seed, 60);
        const vs_compare_desc desc = {.tl = {&a, &a}, .metric = VS_COMPARE_METRIC_COUNT};
        bench b = {0};
        for (uint32_t axis = 0; run_bench(&b, s, &desc, seed) && axis < VS_COMPARE_AXIS_COUNT;
             axis++) {
            const vs_compare_curve *curve = &b.cmp.curves[axis];
            vs_live_difference live = {0};
            assert_int_equal(curve->max_error_bytes + curve->mean_error_bytes, 0);
            assert_true(vs_compare_live(&live, &s->arena, &desc, curve->at_event, NULL));
            assert_int_equal(live.only_count[VS_PREDICTED] + live.only_count[VS_RECORDED], 0);
        }
    }
}

/* ---- columns ------------------------------------------------------------------------------- */

static void check_column(const vs_compare_curve *curve, const vs_compare_column *column,
                         uint64_t low, uint64_t high)
{
    vs_compare_column want = {.min = {UINT64_MAX, UINT64_MAX}};
    for (uint64_t at = low; at < high; at++) {
        const vs_bytes v[VS_SIDES] = {ours(&curve->points[0], at), ours(&curve->points[1], at)};
        for (uint32_t side = 0; side < VS_SIDES; side++) {
            want.min[side] = v[side] < want.min[side] ? v[side] : want.min[side];
            want.max[side] = v[side] > want.max[side] ? v[side] : want.max[side];
        }
        want.above = v[1] > v[0] && v[1] - v[0] > want.above ? v[1] - v[0] : want.above;
        want.below = v[0] > v[1] && v[0] - v[1] > want.below ? v[0] - v[1] : want.below;
    }
    assert_memory_equal(column, &want, sizeof want);
}

static void columns_are_those_of_a_full_scan(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        vs_arena_reset(&s->arena);
        const vs_timeline a = make(s, seed, 30);
        const vs_timeline c = make(s, seed + 77, 25);
        const vs_compare_desc desc = {.tl = {&a, &c}, .metric = VS_COMPARE_USED};
        bench b = {0};
        if (!run_bench(&b, s, &desc, seed)) {
            continue;
        }
        for (uint32_t n = 1; n <= COLUMNS_MAX; n += 13) {
            const vs_compare_curve *curve = &b.cmp.curves[seed % 2 ? VS_BY_TIME : VS_BY_EVENT];
            vs_compare_column columns[COLUMNS_MAX];
            if (curve->reason != NULL) {
                continue;
            }
            vs_compare_columns(curve, columns, n);
            for (uint32_t i = 0; i < n; i++) {
                const uint64_t low = curve->end * i / n;
                const uint64_t next = curve->end * (i + 1) / n + (i + 1 == n);
                check_column(curve, &columns[i], low, next > low ? next : low + 1);
            }
        }
    }
}

/* ---- what was alive ------------------------------------------------------------------------ */

static bool is_alive(const vs_timeline *tl, uint8_t device, uint32_t block, uint32_t event)
{
    const vs_block_info *info = &tl->blocks[block];
    return info->device == device && info->born_event <= event && info->dead_event > event;
}

/* How many blocks like this one are alive. */
static uint32_t count_like(const vs_timeline *tl, uint8_t device, uint32_t event,
                           const char *name, vs_bytes size)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tl->block_count; i++) {
        count +=
            is_alive(tl, device, i, event) &&
            tl->event_size[tl->blocks[i].born_event] == size &&
            (name == NULL || strcmp(vs_timeline_string(tl, tl->blocks[i].name), name) == 0);
    }
    return count;
}

/* Blocks of one size that the other run has not: by name, each name once, else all together. */
static uint32_t surplus(const vs_compare_desc *desc, const uint32_t event[VS_SIDES],
                        uint32_t side, vs_bytes size, bool is_by_name)
{
    const uint32_t other = VS_SIDES - 1 - side;
    const char *seen[RANDOM_NAMES + 1] = {NULL};
    const uint32_t names = is_by_name ? RANDOM_NAMES : 1;
    uint32_t sum = 0;
    for (uint32_t i = 0; is_by_name && i < desc->tl[side]->block_count; i++) {
        const char *name = vs_timeline_string(desc->tl[side], desc->tl[side]->blocks[i].name);
        uint32_t k = 0;
        while (k < RANDOM_NAMES && seen[k] != NULL && strcmp(seen[k], name) != 0) {
            k++;
        }
        seen[k] = name;
    }
    for (uint32_t k = 0; k < names && (!is_by_name || seen[k] != NULL); k++) {
        const uint32_t mine =
            count_like(desc->tl[side], desc->device[side], event[side], seen[k], size);
        const uint32_t theirs =
            count_like(desc->tl[other], desc->device[other], event[other], seen[k], size);
        sum += mine > theirs ? mine - theirs : 0;
    }
    return sum;
}

static void check_live(const vs_live_difference *live, const vs_compare_desc *desc,
                       const uint32_t event[VS_SIDES])
{
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        uint64_t kept = 0;
        for (uint32_t i = 0; i < live->group_count[side]; i++) {
            const vs_live_group *g = &live->groups[side][i];
            assert_int_equal(g->count,
                             surplus(desc, event, side, g->size_bytes, live->is_by_name));
            assert_true(i == 0 || g[-1].size_bytes * g[-1].count >= g->size_bytes * g->count);
            assert_true(i == 0 || g[-1].size_bytes * g[-1].count > g->size_bytes * g->count ||
                        g[-1].size_bytes >= g->size_bytes);
            kept += g->count;
        }
        assert_true(live->group_count[side] < VS_COMPARE_GROUPS
                        ? kept == live->only_count[side]
                        : kept <= live->only_count[side]);
    }
    /* The surplus of one less that of the other is the difference of what is allocated. */
    vs_bytes all[VS_SIDES] = {0, 0};
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        for (uint32_t i = 0; i < desc->tl[side]->block_count; i++) {
            const vs_timeline *tl = desc->tl[side];
            all[side] += is_alive(tl, desc->device[side], i, event[side])
                             ? tl->event_size[tl->blocks[i].born_event]
                             : 0;
        }
    }
    assert_true(all[0] + live->only_bytes[1] == all[1] + live->only_bytes[0]);
}

static void the_surplus_of_each_run_is_that_of_a_full_scan(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        vs_arena_reset(&s->arena);
        const vs_timeline a = make(s, seed, 60);
        const vs_timeline c = make(s, seed + 5, 80);
        const vs_compare_desc desc = {.tl = {&a, &c}, .device = {1, 1}};
        for (uint32_t e = 0; e < a.event_count && e < c.event_count; e += 7) {
            const uint32_t event[VS_SIDES] = {e, c.event_count - 1 - e};
            vs_live_difference live = {0};
            assert_true(vs_compare_live(&live, &s->arena, &desc, event, NULL));
            check_live(&live, &desc, event);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(curves_and_errors_are_those_of_a_full_scan),
        TEST(a_run_against_itself_differs_nowhere),
        TEST(columns_are_those_of_a_full_scan),
        TEST(the_surplus_of_each_run_is_that_of_a_full_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
