/* Lines are laid out first, then the card is drawn as high as they came out, so that text never leaves it. */
#include "viz/view/oomcard.h"

#include "viz/ui/text.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 24

typedef struct {
    vs_str text;
    vs_text_style style;
} card_line;

typedef struct {
    const vs_pen *pen;
    int32_t width;
    uint32_t room; /* lines that fit */
    card_line lines[LINES_MAX];
    uint32_t count;
} card;

static void add_line(card *c, const vs_text_style *style, const char *text)
{
    vs_str fitted =
        vs_text_fit(c->pen->arena, &c->pen->metrics, style, vs_str_of(text), c->width);
    if (c->count < c->room && c->count < LINES_MAX && fitted.len > 0) {
        c->lines[c->count++] = (card_line){fitted, *style};
    }
}

static void add_wrapped(card *c, const vs_text_style *style, const char *text)
{
    vs_str rest = vs_str_of(text);
    vs_str line = {"", 0};
    while (c->count < c->room && c->count < LINES_MAX &&
           vs_text_wrap(&c->pen->metrics, style, c->width, &rest, &line)) {
        c->lines[c->count++] = (card_line){line, *style};
    }
}

static const char *size_line(const card *c, const char *what, vs_bytes bytes)
{
    char size[VS_TEXT_BYTES];
    const char *line = vs_arena_printf(c->pen->arena, "%s %s", what, vs_format_size(bytes, size));
    return line != NULL ? line : "";
}

static void add_figures(card *c, const vs_source *source)
{
    const vs_style *colors = c->pen->style;
    const vs_text_style bold = vs_pen_bold(c->pen, 13, colors->oom);
    const vs_text_style text = vs_pen_style(c->pen, 12, colors->text);
    const vs_text_style dim = vs_pen_style(c->pen, 12, colors->dim);
    const vs_event event = vs_timeline_event(source->tl, source->oom_event);
    char when[VS_TEXT_BYTES];
    const char *title = vs_arena_printf(c->pen->arena, "Out of memory at %s",
                                        vs_format_duration(event.time_ns, when));
    add_line(c, &bold, title != NULL ? title : "");
    add_line(c, &text, vs_timeline_string(source->tl, event.name));
    add_line(c, &text, size_line(c, "asked for", event.asked_bytes));
    if (event.size_bytes != event.asked_bytes && event.size_bytes > 0) {
        add_line(c, &text, size_line(c, "the driver was asked for", event.size_bytes));
    }
    add_line(c, &text, size_line(c, "free on the device", event.extra));
    add_wrapped(c, &dim, vs_source_meta(source, "reason"));
}

void vs_oomcard_draw(const vs_source *source, const vs_pen *pen, vs_rect room)
{
    if (source->oom_event == VS_NO_EVENT) {
        return;
    }
    const int32_t pad = vs_pen_px(pen, 10);
    const int32_t line_h = vs_pen_px(pen, 18);
    const int32_t bar = vs_pen_px(pen, 3);
    card c = {.pen = pen, .width = room.w - 2 * pad - bar};
    c.room = room.h > 2 * pad ? (uint32_t)((room.h - 2 * pad) / line_h) : 0;
    if (c.room < 3) {
        return;
    }
    add_figures(&c, source);
    const vs_rect box = vs_rect_of(room.x, room.y, room.w, 2 * pad + (int32_t)c.count * line_h);
    vs_draw_rect(pen->list, box, pen->style->panel);
    vs_draw_rect(pen->list, vs_rect_of(box.x, box.y, bar, box.h), pen->style->oom);
    for (uint32_t i = 0; i < c.count; i++) {
        const vs_rect line =
            vs_rect_of(box.x + bar + pad, box.y + pad + (int32_t)i * line_h, c.width, line_h);
        vs_pen_label(pen, line, &c.lines[i].style, c.lines[i].text);
    }
}
