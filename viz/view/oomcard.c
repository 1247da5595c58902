/* Lines are laid out first, then the card is drawn as high as they came out, so that text never
 * leaves it. */
#include "viz/view/oomcard.h"

#include "viz/ui/text.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 24

enum { PAD = 8, BAR = 3, LINES_MIN = 3, SIZE = 12, SIZE_LOW = 11 };

typedef struct {
    vs_str text;
    vs_text_style style;
} card_line;

typedef struct {
    const vs_pen *pen;
    int32_t size; /* logical, of the letters */
    int32_t width;
    uint32_t room; /* lines that fit */
    card_line lines[LINES_MAX];
    uint32_t count;
    bool is_cut;
} card;

static int32_t line_height(const card *c)
{
    return vs_pen_px(c->pen, c->size == SIZE ? 17 : 15);
}

static void add_line(card *c, const vs_text_style *style, vs_str text)
{
    if (text.len > 0 && c->count < c->room) {
        c->lines[c->count++] = (card_line){text, *style};
    }
}

/* A text that does not fit as a whole says so at its end. */
static void add_wrapped(card *c, const vs_text_style *style, const char *text)
{
    vs_str rest = vs_str_of(text);
    vs_str line = {"", 0};
    while (c->count < c->room &&
           vs_text_wrap(&c->pen->metrics, style, c->width, &rest, &line)) {
        add_line(c, style, line);
    }
    if (rest.len > 0 && c->count > 0) {
        card_line *last = &c->lines[c->count - 1];
        const char *cut =
            vs_arena_printf(c->pen->arena, "%.*s ...", (int)last->text.len, last->text.ptr);
        last->text = vs_str_of(cut);
        c->is_cut = true;
    }
}

static void add_printed(card *c, const vs_text_style *style, const char *text)
{
    const char *copy = vs_str_copy(c->pen->arena, vs_str_of(text));
    add_wrapped(c, style, copy != NULL ? copy : "");
}

static void add_sizes(card *c, const vs_text_style *style, const vs_event *event)
{
    char asked[VS_TEXT_BYTES];
    char room[VS_TEXT_BYTES];
    char driver[VS_TEXT_BYTES];
    char text[128];
    (void)snprintf(text, sizeof text, "asked for %s, %s free",
                   vs_format_size(event->asked_bytes, asked),
                   vs_format_size(event->extra, room));
    add_printed(c, style, text);
    if (event->size_bytes != event->asked_bytes && event->size_bytes > 0) {
        (void)snprintf(text, sizeof text, "of the driver: %s",
                       vs_format_size(event->size_bytes, driver));
        add_printed(c, style, text);
    }
}

/* The process was killed for host memory: nothing on the card failed, or not as the end. */
static bool is_killed(const vs_source *source)
{
    return strcmp(vs_source_verdict(source), "host_oom") == 0;
}

/* Is there anything to explain? */
static bool has_card(const vs_source *source)
{
    return source->oom_event != VS_NO_EVENT ||
           (is_killed(source) && vs_source_meta(source, "reason")[0] != '\0');
}

static void add_title(card *c, const vs_source *source, const vs_text_style *bold)
{
    if (is_killed(source)) {
        add_printed(c, bold, "Killed: out of host RAM");
        return;
    }
    const vs_event event = vs_timeline_event(source->tl, source->oom_event);
    char when[VS_TEXT_BYTES];
    char title[64];
    (void)snprintf(title, sizeof title, "Out of memory at %s",
                   vs_format_duration(event.time_ns, when));
    add_printed(c, bold, title);
}

/* Lays the card's text out in letters of size; room.h bounds its lines. A brief card leaves out
 * what the headline says as well. */
static card make_card(const vs_source *source, const vs_pen *pen, vs_rect room, int32_t size,
                      bool is_brief)
{
    card c = {.pen = pen,
              .size = size,
              .width = room.w - 2 * vs_pen_px(pen, PAD) - vs_pen_px(pen, BAR)};
    const int32_t lines = (room.h - 2 * vs_pen_px(pen, PAD)) / line_height(&c);
    c.room = lines < 0 ? 0 : lines < LINES_MAX ? (uint32_t)lines : LINES_MAX;
    const vs_style *colors = pen->style;
    const vs_text_style bold = vs_pen_bold(pen, size + 1, colors->oom);
    const vs_text_style text = vs_pen_style(pen, size, colors->text);
    const vs_text_style dim = vs_pen_style(pen, size, colors->dim);
    add_title(&c, source, &bold);
    if (!is_brief && !is_killed(source)) {
        const vs_event event = vs_timeline_event(source->tl, source->oom_event);
        add_line(&c, &text, vs_str_of(vs_timeline_string(source->tl, event.name)));
        add_sizes(&c, &text, &event);
    }
    add_wrapped(&c, &dim, vs_source_meta(source, "reason"));
    return c;
}

static int32_t card_height(const card *c)
{
    return 2 * vs_pen_px(c->pen, PAD) + (int32_t)c->count * line_height(c);
}

int32_t vs_oomcard_height(const vs_source *source, const vs_pen *pen, vs_rect room)
{
    if (!has_card(source)) {
        return 0;
    }
    room.h = INT16_MAX;
    const card c = make_card(source, pen, room, SIZE, false);
    return card_height(&c);
}

void vs_oomcard_draw(const vs_source *source, const vs_pen *pen, vs_rect room)
{
    if (!has_card(source)) {
        return;
    }
    card c = make_card(source, pen, room, SIZE, false);
    if (c.is_cut) {
        c = make_card(source, pen, room, SIZE_LOW, false);
    }
    if (c.is_cut) {
        c = make_card(source, pen, room, SIZE_LOW, true);
    }
    if (c.room < LINES_MIN || c.count == 0) {
        return;
    }
    const int32_t pad = vs_pen_px(pen, PAD);
    const int32_t bar = vs_pen_px(pen, BAR);
    const int32_t line_h = line_height(&c);
    const vs_rect box = vs_rect_of(room.x, room.y, room.w, card_height(&c));
    vs_draw_rect(pen->list, box, pen->style->panel);
    vs_draw_rect(pen->list, vs_rect_of(box.x, box.y, bar, box.h), pen->style->oom);
    for (uint32_t i = 0; i < c.count; i++) {
        const vs_rect line =
            vs_rect_of(box.x + bar + pad, box.y + pad + (int32_t)i * line_h, c.width, line_h);
        vs_pen_label(pen, line, &c.lines[i].style, c.lines[i].text);
    }
}
