/* viz/app/shot.h - a picture in a file: no display, no SDL. */
#ifndef VS_VIZ_APP_SHOT_H
#define VS_VIZ_APP_SHOT_H

#include "viz/app/load.h"
#include "viz/draw/font.h"
#include "viz/draw/png.h"

VS_MUST_CHECK bool vs_shot_write(const vs_runs *runs, const vs_view_options *options,
                                 vs_font *font, vs_err *err);

/* A draw list as a file: SVG by its name, else PNG with these texts in it. */
VS_MUST_CHECK bool vs_shot_write_list(const char *path, const vs_draw_list *list,
                                      const vs_png_text *texts, uint32_t text_count,
                                      vs_font *font, vs_err *err);

#endif /* VS_VIZ_APP_SHOT_H */
