#include "viz/ui/text.h"

#include <string.h>

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xC0u) == 0x80u;
}

/* Code points are never cut in two. */
static size_t back_to_boundary(vs_str text, size_t at)
{
    while (at > 0 && at < text.len && is_continuation(text.ptr[at])) {
        at--;
    }
    return at;
}

static size_t on_to_boundary(vs_str text, size_t at)
{
    while (at < text.len && is_continuation(text.ptr[at])) {
        at++;
    }
    return at;
}

static vs_str shortened(char *buf, vs_str text, size_t keep)
{
    size_t head = back_to_boundary(text, (keep + 1) / 2);
    size_t tail = on_to_boundary(text, text.len - keep / 2);
    memcpy(buf, text.ptr, head);
    memset(buf + head, '.', 3);
    memcpy(buf + head + 3, text.ptr + tail, text.len - tail);
    return (vs_str){buf, head + 3 + (text.len - tail)};
}

vs_str vs_text_fit(vs_arena *arena, const vs_metrics *metrics, const vs_text_style *style,
                   vs_str text, int32_t max_px)
{
    if (text.len == 0 || vs_text_width(metrics, style, text) <= max_px) {
        return text;
    }
    char *buf = VS_ARRAY(arena, char, text.len + 4);
    if (buf == NULL) {
        return (vs_str){"", 0};
    }
    size_t low = 1; /* keeping `low` bytes is not known to fit, nor known not to */
    size_t high = text.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vs_text_width(metrics, style, shortened(buf, text, middle)) <= max_px) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low <= 2 ? (vs_str){"", 0} : shortened(buf, text, low - 1);
}

bool vs_text_wrap(const vs_metrics *metrics, const vs_text_style *style, int32_t max_px,
                  vs_str *rest, vs_str *out_line)
{
    while (rest->len > 0 && rest->ptr[0] == ' ') {
        rest->ptr++;
        rest->len--;
    }
    if (rest->len == 0) {
        return false;
    }
    size_t fits = 0;
    size_t space = 0;
    for (size_t end = 1; end <= rest->len; end++) {
        if (end < rest->len && is_continuation(rest->ptr[end])) {
            continue;
        }
        if (vs_text_width(metrics, style, (vs_str){rest->ptr, end}) > max_px) {
            break;
        }
        fits = end;
        if (end == rest->len || rest->ptr[end] == ' ') {
            space = end;
        }
    }
    size_t used = space > 0 ? space : fits > 0 ? fits : on_to_boundary(*rest, 1);
    *out_line = (vs_str){rest->ptr, used};
    while (out_line->len > 0 && out_line->ptr[out_line->len - 1] == ' ') {
        out_line->len--;
    }
    rest->ptr += used;
    rest->len -= used;
    return true;
}

int32_t vs_text_baseline(int32_t y, int32_t h, int32_t size_px)
{
    return y + (h + size_px * 72 / 100 + 1) / 2;
}
