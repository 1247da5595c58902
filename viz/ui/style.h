/* viz/ui/style.h - every colour of the viewer, by theme.
 *
 * Category colours: VIEWER-design section 6, chosen so that any two that can meet in one pane
 * differ by at least 12 in CIEDE2000, also for people who lack one kind of cone;
 * tests/viz/test_style.c recomputes that. Constant tables; nothing to own. */
#ifndef VS_VIZ_UI_STYLE_H
#define VS_VIZ_UI_STYLE_H

#include "viz/draw/list.h"
#include "vramscope/tape.h"

typedef enum { VS_THEME_DARK, VS_THEME_LIGHT, VS_THEME_CONTRAST, VS_THEME_COUNT } vs_theme;

const char *vs_theme_name(vs_theme theme); /* "dark" */
/* False for unknown names. */
VS_MUST_CHECK bool vs_theme_find(vs_str name, vs_theme *out);

typedef struct {
    vs_fill fill;
    vs_color text;    /* readable on the fill */
    vs_color outline; /* VS_CLEAR: none */
    vs_color seam;    /* between this band and the one above */
} vs_category_style;

typedef struct {
    vs_color window, panel, plot, grid, text, dim, capacity, hover, cursor;
    vs_color oom, oom_text, ok, ok_text, warn, warn_text;
    vs_color above;        /* hatch of the zone above the capacity */
    vs_color run_a, run_b; /* of two runs that are compared */
    vs_category_style categories[VS_CAT_COUNT];
} vs_style;

const vs_style *vs_style_of(vs_theme theme);

/* Bottom of the stack first: what lies outside this process stands under everything. */
extern const vs_category vs_stack_order[VS_CAT_COUNT];

#endif /* VS_VIZ_UI_STYLE_H */
