#include "viz/app/compare.h"

#include "viz/app/shot.h"
#include "viz/view/compare.h"
#include "viz/view/headline.h"

#define FRAME_ARENA_BYTES                                                                      \
    ((size_t)8 << 30) /* reserved, not committed: the curves have a point an event */

/* The n-th GPU of a run; a predicted run of one GPU stands for any. */
static bool find_gpu(const vs_timeline *tl, uint32_t n, bool is_predicted, uint8_t *out)
{
    uint32_t count = 0;
    bool is_found = false;
    for (uint32_t i = 0; i < tl->device_count; i++) {
        if (tl->devices[i].kind != VS_DEVICE_GPU) {
            continue;
        }
        if (count == n || (is_predicted && count == 0)) {
            *out = (uint8_t)i;
            is_found = count == n || !is_found;
        }
        count++;
    }
    return is_found && (!is_predicted || count == 1 || n < count);
}

static bool choose_axis(vs_compare_view *view, const vs_view_options *options, vs_err *err)
{
    static const vs_compare_axis order[] = {VS_BY_TIME, VS_BY_SHARE, VS_BY_EVENT};
    const vs_comparison *cmp = view->cmp;
    if (cmp->reason != NULL) {
        return vs_fail(err, VS_ERR_VALUE, "these runs cannot be compared: %s", cmp->reason);
    }
    if (options->has_axis) {
        view->axis = options->axis;
        return cmp->curves[view->axis].reason == NULL ||
               vs_fail(err, VS_ERR_VALUE, "--axis %s: %s", vs_compare_axis_key(view->axis),
                       cmp->curves[view->axis].reason);
    }
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        view->axis = order[i];
        if (cmp->curves[order[i]].reason == NULL) {
            return true;
        }
    }
    return vs_fail(err, VS_ERR_VALUE, "these runs have no axis in common: %s",
                   cmp->curves[VS_BY_TIME].reason);
}

static bool write_picture(const vs_compare_view *view, const vs_view_options *options,
                          vs_arena *arena, vs_font *font, vs_err *err)
{
    vs_compare_frame *frame = VS_NEW(arena, vs_compare_frame);
    vs_draw_list list = {0};
    vs_draw_init(&list, arena, view->width, view->height);
    if (frame == NULL || !vs_compare_view_prepare(frame, view, arena)) {
        return vs_fail_memory(err, arena, "the picture");
    }
    vs_compare_view_draw(frame, view, &list);
    if (list.has_failed) {
        return vs_fail_memory(err, arena, "the picture");
    }
    char title[VS_HEADLINE_BYTES];
    char sentence[VS_COMPARE_LINE_BYTES];
    const vs_png_text texts[] = {
        {"Title", vs_headline_title(view->sources[VS_PREDICTED], NULL, title)},
        {"Description", vs_compare_sentence(view, sentence)},
        {"Source", vs_source_meta(view->sources[VS_PREDICTED], "command")},
        {"Software", "vramscope " VS_VERSION},
    };
    return vs_shot_write_list(options->shot, &list, texts, sizeof texts / sizeof texts[0], font,
                              err);
}

static bool draw(const vs_runs *runs, const vs_view_options *options, vs_arena *arena,
                 vs_font *font, vs_err *err)
{
    const uint32_t first = options->scenario != NULL ? 1 : 0; /* a scenario is loaded last */
    const vs_source *sources[VS_SIDES] = {&runs->sources[first], &runs->sources[1 - first]};
    vs_compare_desc desc = {.metric = options->metric, .align = options->align};
    vs_comparison cmp = {0};
    vs_live_difference live = {0};
    for (uint32_t side = 0; side < VS_SIDES; side++) {
        desc.tl[side] = sources[side]->tl;
        if (!find_gpu(desc.tl[side], options->gpu_index, side == VS_PREDICTED,
                      &desc.device[side])) {
            return vs_fail(err, VS_ERR_VALUE, "--gpu-index %u: the %s run has no such GPU",
                           options->gpu_index, side == VS_PREDICTED ? "first" : "second");
        }
    }
    vs_compare_view view = {.sources = {sources[0], sources[1]},
                            .cmp = &cmp,
                            .live = &live,
                            .theme = options->theme,
                            .scale_pct = options->scale_pct,
                            .width = options->width,
                            .height = options->height,
                            .metrics = vs_font_metrics(font)};
    return vs_compare(&cmp, arena, &desc, err) && choose_axis(&view, options, err) &&
           vs_compare_live(&live, arena, &cmp.desc, cmp.curves[view.axis].at_event, err) &&
           write_picture(&view, options, arena, font, err);
}

bool vs_compare_shot(const vs_runs *runs, const vs_view_options *options, vs_font *font,
                     vs_err *err)
{
    vs_arena arena = {0};
    if (!vs_arena_open(&arena, FRAME_ARENA_BYTES, err)) {
        return false;
    }
    const bool is_ok = draw(runs, options, &arena, font, err);
    vs_arena_close(&arena);
    return is_ok;
}
