#include "viz/app/shot.h"

#include "viz/app/compare.h"
#include "viz/draw/png.h"
#include "viz/draw/raster.h"
#include "viz/draw/svg.h"
#include "viz/view/headline.h"
#include "viz/view/view.h"

#include <stdlib.h>

#define FRAME_ARENA_BYTES ((size_t)1 << 30) /* reserved, not committed */

static bool write_png(const char *path, const vs_draw_list *list, const vs_png_text *texts,
                      uint32_t text_count, vs_font *font, vs_err *err)
{
    vs_surface surface = {NULL, list->width, list->height};
    surface.pixels = calloc((size_t)list->width * (size_t)list->height, sizeof *surface.pixels);
    if (surface.pixels == NULL) {
        return vs_fail(err, VS_ERR_MEMORY, "out of memory for a picture of %d x %d",
                       list->width, list->height);
    }
    vs_raster_list(&surface, list, font);
    const bool is_ok = vs_png_write(path, &surface, texts, text_count, err);
    free(surface.pixels);
    return is_ok;
}

bool vs_shot_write_list(const char *path, const vs_draw_list *list, const vs_png_text *texts,
                        uint32_t text_count, vs_font *font, vs_err *err)
{
    return vs_str_ends(vs_str_of(path), ".svg")
               ? vs_svg_write(path, list, err)
               : write_png(path, list, texts, text_count, font, err);
}

static bool write_view(const vs_view_options *options, const vs_draw_list *list,
                       const vs_view *view, vs_font *font, vs_err *err)
{
    char title[VS_HEADLINE_BYTES];
    char verdict[VS_HEADLINE_BYTES];
    const vs_png_text texts[] = {
        {"Title", vs_headline_title(&view->sources[0], view->title, title)},
        {"Description", vs_headline_text(&view->sources[0], verdict)},
        {"Source", vs_source_meta(&view->sources[0], "command")},
        {"Software", "vramscope " VS_VERSION},
    };
    return vs_shot_write_list(options->shot, list, texts, sizeof texts / sizeof texts[0], font,
                              err);
}

bool vs_shot_write(const vs_runs *runs, const vs_view_options *options, vs_font *font,
                   vs_err *err)
{
    vs_arena arena = {0};
    if (options->is_compare) {
        return vs_compare_shot(runs, options, font, err);
    }
    if (!vs_arena_open(&arena, FRAME_ARENA_BYTES, err)) {
        return false;
    }
    vs_view view = {.sources = runs->sources,
                    .source_count = runs->count,
                    .theme = options->theme,
                    .scale_pct = options->scale_pct,
                    .width = options->width,
                    .height = options->height,
                    .metrics = vs_font_metrics(font),
                    .title = options->title,
                    .note = runs->notes[0],
                    .has_overview = options->has_range};
    vs_frame *frame = VS_NEW(&arena, vs_frame);
    vs_draw_list list = {0};
    vs_draw_init(&list, &arena, view.width, view.height);
    bool is_ok = frame != NULL && vs_view_prepare(frame, &view, &arena);
    if (is_ok && options->has_range) {
        vs_camera_range(&view.camera, options->range_t0, options->range_t1);
        is_ok = vs_view_prepare(frame, &view, &arena);
    }
    if (is_ok) {
        vs_view_draw(frame, &view, &list);
        is_ok = !list.has_failed;
    }
    if (!is_ok) {
        vs_fail_memory(err, &arena, "the picture");
    } else {
        is_ok = write_view(options, &list, &view, font, err);
    }
    vs_arena_close(&arena);
    return is_ok;
}
