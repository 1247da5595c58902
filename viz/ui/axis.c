#include "viz/ui/axis.h"

#include <stdio.h>
#include <string.h>

#define NS_S    UINT64_C(1000000000)
#define NS_MIN  (60 * NS_S)
#define NS_HOUR (60 * NS_MIN)

typedef struct {
    uint64_t ns;
    const char *name;
} time_unit;

static const time_unit time_units[] = {
    {NS_S, "s"}, {UINT64_C(1000000), "ms"}, {UINT64_C(1000), "us"}, {1, "ns"}};

/* The smallest round step that is at least `least`. */
static uint64_t time_step(uint64_t least)
{
    for (uint64_t decade = 1; decade <= 10 * NS_S; decade *= 10) {
        static const uint64_t steps[] = {1, 2, 5};
        for (size_t i = 0; i < 3; i++) {
            if (decade * steps[i] >= least && decade * steps[i] <= 30 * NS_S) {
                return decade * steps[i];
            }
        }
    }
    static const uint64_t minutes[] = {1, 2, 5, 10, 20, 30};
    for (size_t i = 0; i < sizeof minutes / sizeof minutes[0]; i++) {
        if (minutes[i] * NS_MIN >= least) {
            return minutes[i] * NS_MIN;
        }
    }
    uint64_t step = NS_HOUR;
    while (step < least && step < UINT64_MAX / 2) {
        step *= 2;
    }
    return step;
}

/* value counted in unit with as many decimals as the step needs (at most nine). */
static void decimal_label(char *out, const char *sign, uint64_t value, uint64_t step,
                          time_unit unit)
{
    char fraction[12] = "";
    size_t used = 0;
    uint64_t rest = value % unit.ns;
    for (uint64_t part = unit.ns; part > 1 && step % part != 0 && used < 10; used++) {
        part /= 10;
        fraction[used + 1] = (char)('0' + rest / part % 10);
    }
    fraction[0] = used > 0 ? '.' : '\0';
    fraction[used + 1] = '\0';
    (void)snprintf(out, VS_TEXT_BYTES, "%s%" PRIu64 "%s %s", sign, value / unit.ns, fraction,
                   unit.name);
}

static time_unit unit_for(uint64_t value)
{
    size_t i = 0;
    while (i < 3 && value < time_units[i].ns) {
        i++;
    }
    return time_units[i];
}

static void clock_label(char *out, uint64_t value)
{
    uint64_t seconds = value / NS_S;
    if (seconds >= 3600) {
        (void)snprintf(out, VS_TEXT_BYTES, "%" PRIu64 " h %02" PRIu64 " min", seconds / 3600,
                       seconds / 60 % 60);
    } else {
        (void)snprintf(out, VS_TEXT_BYTES, "%" PRIu64 " min", seconds / 60);
    }
}

static void time_label(vs_axis *axis, vs_tick *tick, uint64_t origin, uint64_t last)
{
    if (axis->step >= NS_MIN) {
        clock_label(tick->label, tick->value);
    } else if (tick->value == origin || origin == 0) {
        /* Zero needs no decimals to be exact. */
        uint64_t step = tick->value == 0 ? NS_HOUR : axis->step;
        decimal_label(tick->label, "", tick->value, step, unit_for(last));
    } else {
        uint64_t later = tick->value - origin;
        decimal_label(tick->label, "+", later, axis->step, unit_for(last - origin));
    }
}

void vs_axis_time(vs_axis *axis, vs_ns t0, vs_ns span, int32_t width_px, int32_t gap_px)
{
    memset(axis, 0, sizeof *axis);
    uint64_t least = 1;
    if (span == 0 || width_px <= 0 ||
        !vs_muldiv_ceil_u64(span, (uint64_t)gap_px, (uint64_t)width_px, &least)) {
        return;
    }
    axis->step = time_step(least > 0 ? least : 1);
    axis->unit = "";
    uint64_t first = 0;
    uint64_t last = 0;
    if (!vs_round_up_u64(t0, axis->step, &first) || !vs_add_u64(t0, span, &last)) {
        return;
    }
    last = last / axis->step * axis->step;
    const bool is_relative = span < t0 / 1000;
    for (uint64_t t = first; t <= last && axis->count < VS_TICKS_MAX; t += axis->step) {
        vs_tick *tick = &axis->ticks[axis->count++];
        tick->value = t;
        time_label(axis, tick, is_relative ? first : 0, last);
        if (t > UINT64_MAX - axis->step) {
            break;
        }
    }
}

void vs_axis_bytes(vs_axis *axis, vs_bytes max, int32_t height_px, int32_t gap_px)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    memset(axis, 0, sizeof *axis);
    uint32_t power = 0;
    while (power < 6 && max >> (10 * power) >= 1024) {
        power++;
    }
    axis->unit = names[power];
    uint64_t least = 1;
    if (height_px <= 0 ||
        !vs_muldiv_ceil_u64(max, (uint64_t)gap_px, (uint64_t)height_px, &least)) {
        return;
    }
    const uint64_t unit = UINT64_C(1) << (10 * power);
    axis->step =
        power > 0 ? unit / 4 : 1; /* a quarter of a unit is still a round number: 0.25, 0.5 */
    while (axis->step < least && axis->step < UINT64_MAX / 2) {
        axis->step *= 2;
    }
    for (uint64_t v = 0; v <= max && axis->count < VS_TICKS_MAX; v += axis->step) {
        vs_tick *tick = &axis->ticks[axis->count++];
        tick->value = v;
        if (axis->step >= unit || v == 0) {
            (void)snprintf(tick->label, sizeof tick->label, "%" PRIu64, v / unit);
        } else {
            (void)snprintf(tick->label, sizeof tick->label, "%" PRIu64 ".%02" PRIu64, v / unit,
                           v % unit * 100 / unit);
        }
        if (v > UINT64_MAX - axis->step) {
            break;
        }
    }
}
