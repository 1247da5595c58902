/* viz/ui/text.h - making text fit. */
#ifndef VS_VIZ_UI_TEXT_H
#define VS_VIZ_UI_TEXT_H

#include "viz/draw/list.h"

/* text itself when it is at most max_px wide, else a copy in arena shortened from the middle
 * ("model.layers.3...w1.weight"): both ends of a tensor's name matter. "" when not even "..."
 * fits with a letter on each side, or the arena is exhausted. */
vs_str vs_text_fit(vs_arena *arena, const vs_metrics *metrics, const vs_text_style *style,
                   vs_str text, int32_t max_px);

/* Takes the first line of at most max_px off *rest, broken at a space where there is one (a
 * single word that is too long is cut). False when nothing is left. */
bool vs_text_wrap(const vs_metrics *metrics, const vs_text_style *style, int32_t max_px,
                  vs_str *rest, vs_str *out_line);

/* Baseline that centres capitals and digits of this size in [y, y + h): capitals are taken as
 * 0.72 em high whatever the font, so that the list does not depend on it. */
int32_t vs_text_baseline(int32_t y, int32_t h, int32_t size_px);

#endif /* VS_VIZ_UI_TEXT_H */
