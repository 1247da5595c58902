/* viz/app/window.h - the SDL2 window. */
#ifndef VS_VIZ_APP_WINDOW_H
#define VS_VIZ_APP_WINDOW_H

#include "viz/app/load.h"
#include "viz/draw/font.h"

/* Opens a window and returns when it is closed. False when there is no display or SDL fails. */
VS_MUST_CHECK bool vs_window_run(const vs_runs *runs, const vs_view_options *options,
                                 vs_font *font, vs_err *err);

#endif /* VS_VIZ_APP_WINDOW_H */
