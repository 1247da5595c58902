#include "viz/view/camera.h"

#define INSTANT_SPAN                                                                           \
    UINT64_C(1000000)             /* what is shown of a run that lasts no time at all: 1 ms */
#define TIME_MAX (UINT64_MAX / 8) /* keeps every sum below in range; 73 years */

static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t out = 0;
    return vs_muldiv_u64(a, b, c, &out) ? out : UINT64_MAX;
}

static vs_ns fitted_span(vs_ns end_ns, int32_t width)
{
    vs_ns span = end_ns == 0 ? INSTANT_SPAN : end_ns + end_ns / 24 + 1;
    return span < (vs_ns)width ? (vs_ns)width : span;
}

/* Brings span and t0 within the limits, in this order. */
static void limit(vs_camera *camera)
{
    const vs_ns least = (vs_ns)camera->width;
    vs_ns most = fitted_span(camera->end_ns, camera->width);
    most = most < TIME_MAX / 3 ? most * 3 : TIME_MAX;
    camera->span = camera->span < least ? least : camera->span > most ? most : camera->span;
    /* At least a tenth of the view shows the run. */
    const vs_ns keep = camera->span / 10;
    const vs_ns last = camera->end_ns > keep ? camera->end_ns - keep : 0;
    camera->t0 = camera->t0 > last ? last : camera->t0;
}

void vs_camera_fit(vs_camera *camera, vs_ns end_ns, int32_t width)
{
    *camera = (vs_camera){.width = width > 0 ? width : 1, .is_fitted = true};
    camera->end_ns = end_ns < TIME_MAX ? end_ns : TIME_MAX;
    camera->span = fitted_span(camera->end_ns, camera->width);
}

void vs_camera_resize(vs_camera *camera, int32_t width)
{
    if (camera->is_fitted) {
        vs_camera_fit(camera, camera->end_ns, width);
        return;
    }
    camera->width = width > 0 ? width : 1;
    limit(camera);
}

void vs_camera_range(vs_camera *camera, vs_ns t0, vs_ns t1)
{
    camera->t0 = t0 < TIME_MAX ? t0 : TIME_MAX;
    camera->span = t1 > t0 ? t1 - t0 : 1;
    camera->is_fitted = false;
    limit(camera);
}

void vs_camera_zoom(vs_camera *camera, int32_t x, double factor)
{
    const vs_ns old = camera->span;
    const vs_ns at =
        camera->t0 + scaled(old, (uint64_t)(x > 0 ? x : 0), (uint64_t)camera->width);
    const double wanted = (double)old / factor;
    camera->span = wanted < 1                  ? 1
                   : wanted > (double)TIME_MAX ? TIME_MAX
                                               : (vs_ns)(wanted + 0.5);
    camera->is_fitted = false;
    vs_camera limited = *camera;
    limit(&limited); /* the span's limits come before the anchor, or the anchor would slip */
    camera->span = limited.span;
    const vs_ns left = scaled(camera->span, (uint64_t)(x > 0 ? x : 0), (uint64_t)camera->width);
    camera->t0 = at > left ? at - left : 0;
    limit(camera);
}

void vs_camera_pan(vs_camera *camera, int64_t columns)
{
    const uint64_t count = columns < 0 ? 0 - (uint64_t)columns : (uint64_t)columns;
    const vs_ns by = scaled(camera->span, count, (uint64_t)camera->width);
    if (columns < 0) {
        camera->t0 = camera->t0 > by ? camera->t0 - by : 0;
    } else {
        camera->t0 = by < TIME_MAX ? camera->t0 + by : TIME_MAX;
    }
    camera->is_fitted = false;
    limit(camera);
}

void vs_camera_reveal(vs_camera *camera, vs_ns t)
{
    if (t >= camera->t0 && t - camera->t0 < camera->span) {
        return;
    }
    camera->t0 = t > camera->span / 2 ? t - camera->span / 2 : 0;
    camera->is_fitted = false;
    limit(camera);
}

vs_ns vs_camera_time(const vs_camera *camera, int32_t x)
{
    return camera->t0 +
           scaled(camera->span, (uint64_t)(x > 0 ? x : 0), (uint64_t)camera->width);
}

int32_t vs_camera_column(const vs_camera *camera, vs_ns t)
{
    if (t < camera->t0) {
        return -1;
    }
    const vs_ns offset = t - camera->t0;
    if (offset >= camera->span) {
        return camera->width;
    }
    /* The greatest i with floor(span * i / width) <= offset. */
    uint64_t after = 0;
    if (!vs_muldiv_ceil_u64(offset + 1, (uint64_t)camera->width, camera->span, &after)) {
        return camera->width;
    }
    return (int32_t)(after - 1);
}
