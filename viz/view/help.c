#include "viz/view/help.h"

typedef struct {
    const char *keys;
    const char *does;
} help_line;

static const help_line lines[] = {
    {"wheel, W / S", "zoom in / out at the pointer"},
    {"A / D, middle or right drag", "move left / right (Shift: four times as far)"},
    {"pointer", "what the memory holds at that moment"},
    {"click", "pin the cursor there"},
    {"Left / Right", "cursor to the previous / next event"},
    {"Home / End", "begin / end of the run"},
    {"0", "show the whole run"},
    {"P", "go to the peak"},
    {"O", "go to the out-of-memory"},
    {"T", "theme: dark, light, high contrast"},
    {"Ctrl + / Ctrl -", "larger / smaller text"},
    {"F11", "full screen"},
    {"? or F1", "this page"},
    {"Esc", "closes this page, the cursor, the window"},
    {"Ctrl+Q", "quit"},
};

#define LINE_COUNT ((int32_t)(sizeof lines / sizeof lines[0]))

void vs_help_draw(const vs_pen *pen, int32_t width, int32_t height)
{
    const int32_t pad = vs_pen_px(pen, 20);
    const int32_t line_h = vs_pen_px(pen, 22);
    const int32_t keys_w = vs_pen_px(pen, 210);
    const int32_t w = keys_w + vs_pen_px(pen, 330) + 2 * pad;
    const int32_t h = (LINE_COUNT + 2) * line_h + 2 * pad;
    const vs_rect box = vs_rect_of((width - w) / 2, (height - h) / 2, w, h);
    vs_draw_rect(pen->list, vs_rect_of(0, 0, width, height),
                 vs_color_with_alpha(pen->style->window, 170));
    vs_draw_rect(pen->list, box, pen->style->panel);
    vs_draw_frame(pen->list, box, vs_pen_px(pen, 1), pen->style->dim);
    const vs_text_style title = vs_pen_bold(pen, 15, pen->style->text);
    const vs_text_style keys = vs_pen_bold(pen, 13, pen->style->text);
    const vs_text_style does = vs_pen_style(pen, 13, pen->style->text);
    int32_t y = box.y + pad;
    vs_pen_label(pen, vs_rect_of(box.x + pad, y, w - 2 * pad, line_h), &title,
                 vs_str_of("Keys and mouse"));
    y += 2 * line_h;
    for (int32_t i = 0; i < LINE_COUNT; i++) {
        vs_pen_label(pen, vs_rect_of(box.x + pad, y, keys_w, line_h), &keys,
                     vs_str_of(lines[i].keys));
        vs_pen_label(pen, vs_rect_of(box.x + pad + keys_w, y, w - 2 * pad - keys_w, line_h),
                     &does, vs_str_of(lines[i].does));
        y += line_h;
    }
}
