/* sim/study/compare_words.c - a comparison's names, shares and places as text. */
#include "sim/study/compare.h"

#include <stdio.h>

/* ---- names ------------------------------------------------------------------------------- */

#define VS_X(id, key) key,
static const char *const axis_keys[] = {VS_COMPARE_AXES(VS_X)};
static const char *const metric_keys[] = {VS_COMPARE_METRICS(VS_X)};
static const char *const align_keys[] = {VS_COMPARE_ALIGNS(VS_X)};
#undef VS_X

static uint32_t find_key(const char *const *keys, uint32_t count, vs_str key)
{
    uint32_t i = 0;
    while (i < count && !vs_str_is(key, keys[i])) {
        i++;
    }
    return i;
}

const char *vs_compare_axis_key(vs_compare_axis axis)
{
    return axis < VS_COMPARE_AXIS_COUNT ? axis_keys[axis] : "?";
}

const char *vs_compare_metric_key(vs_compare_metric metric)
{
    return metric < VS_COMPARE_METRIC_COUNT ? metric_keys[metric] : "?";
}

const char *vs_compare_align_key(vs_compare_align align)
{
    return align < VS_COMPARE_ALIGN_COUNT ? align_keys[align] : "?";
}

bool vs_compare_axis_find(vs_str key, vs_compare_axis *out)
{
    const uint32_t i = find_key(axis_keys, VS_COMPARE_AXIS_COUNT, key);
    *out = i < VS_COMPARE_AXIS_COUNT ? (vs_compare_axis)i : *out;
    return i < VS_COMPARE_AXIS_COUNT;
}

bool vs_compare_metric_find(vs_str key, vs_compare_metric *out)
{
    const uint32_t i = find_key(metric_keys, VS_COMPARE_METRIC_COUNT, key);
    *out = i < VS_COMPARE_METRIC_COUNT ? (vs_compare_metric)i : *out;
    return i < VS_COMPARE_METRIC_COUNT;
}

bool vs_compare_align_find(vs_str key, vs_compare_align *out)
{
    const uint32_t i = find_key(align_keys, VS_COMPARE_ALIGN_COUNT, key);
    *out = i < VS_COMPARE_ALIGN_COUNT ? (vs_compare_align)i : *out;
    return i < VS_COMPARE_ALIGN_COUNT;
}

bool vs_compare_ppm(vs_bytes part, vs_bytes whole, uint64_t *out)
{
    return vs_muldiv_ceil_u64(part, 1000000, whole, out);
}

/* ---- numbers ----------------------------------------------------------------------------- */

const char *vs_compare_share(vs_bytes part, vs_bytes whole, char buf[VS_TEXT_BYTES])
{
    uint64_t ppm = 0;
    buf[0] = '\0';
    if (!vs_compare_ppm(part, whole, &ppm)) {
        return buf;
    }
    if (ppm > 0 && ppm < 100) {
        (void)snprintf(buf, VS_TEXT_BYTES, "<0.01 %%");
    } else if (ppm >= UINT64_C(100000000)) { /* decimals of 10,000 % say nothing */
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 " %%", ppm / 10000);
    } else {
        (void)snprintf(buf, VS_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 " %%", ppm / 10000,
                       ppm / 100 % 100);
    }
    return buf;
}

/* ---- places ------------------------------------------------------------------------------ */

static const char *duration(vs_ns ns, char buf[VS_TEXT_BYTES])
{
    return ns == 0 ? "0 s" : vs_format_duration(ns, buf);
}

static void time_place(const vs_comparison *cmp, uint64_t at, char buf[VS_PLACE_BYTES])
{
    char text[VS_TEXT_BYTES];
    const uint64_t *oom = cmp->curves[VS_BY_TIME].oom_at;
    switch (cmp->desc.align) {
    case VS_FROM_FIRST:
    case VS_FROM_START:
        (void)snprintf(buf, VS_PLACE_BYTES, "%s after %s", duration(at, text),
                       cmp->desc.align == VS_FROM_START ? "the start"
                       : cmp->ends == VS_LOAD_BY_CURVE  ? "the first bytes"
                                                        : "the first allocation");
        return;
    case VS_FROM_OOM: /* both are there */
        (void)snprintf(buf, VS_PLACE_BYTES, "%s %s running out of memory",
                       duration(at > oom[0] ? at - oom[0] : oom[0] - at, text),
                       at > oom[0] ? "after" : "before");
        return;
    case VS_COMPARE_ALIGN_COUNT: return;
    }
}

const char *vs_compare_place(const vs_comparison *cmp, vs_compare_axis axis, uint64_t position,
                             char buf[VS_PLACE_BYTES])
{
    char text[VS_TEXT_BYTES];
    char size[VS_TEXT_BYTES];
    buf[0] = '\0';
    switch (axis) {
    case VS_BY_TIME: time_place(cmp, position, buf); break;
    case VS_BY_STRETCHED:
        (void)snprintf(buf, VS_PLACE_BYTES, "at %s of each load's time",
                       vs_compare_share(position, cmp->curves[axis].end, text));
        break;
    case VS_BY_EVENT:
        (void)snprintf(buf, VS_PLACE_BYTES, "at allocation %s",
                       vs_format_grouped(position + 1, text));
        break;
    case VS_BY_SHARE:
        (void)snprintf(buf, VS_PLACE_BYTES, "with %s (%s) %s", vs_format_size(position, size),
                       vs_compare_share(position, cmp->curves[axis].end, text),
                       cmp->has_progress ? "loaded" : "allocated");
        break;
    case VS_COMPARE_AXIS_COUNT: break;
    }
    return buf;
}
