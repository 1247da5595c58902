/* viz/app/compare.h - --compare: two runs in one frame, as a file. */
#ifndef VS_VIZ_APP_COMPARE_H
#define VS_VIZ_APP_COMPARE_H

#include "viz/app/load.h"
#include "viz/draw/font.h"

/* The first run is the predicted one; a --scenario is, wherever it stands. */
VS_MUST_CHECK bool vs_compare_shot(const vs_runs *runs, const vs_view_options *options,
                                   vs_font *font, vs_err *err);

#endif /* VS_VIZ_APP_COMPARE_H */
