#include "viz/view/headline.h"

#include "viz/ui/text.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *verdict;
    const char *badge;
} verdict_words;

/* Verdicts: CONTRACT, JSON of `sim`. */
static const verdict_words words[] = {
    {"fits", "FITS"},           {"oom", "OUT OF MEMORY"}, {"host_oom", "KILLED"},
    {"disk_full", "DISK FULL"}, {"failed", "FAILED"},     {"empty", "EMPTY RUN"},
    {"recorded", "RECORDED"},
};

const char *vs_headline_badge(const vs_source *source)
{
    const char *verdict = vs_source_verdict(source);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].verdict, verdict) == 0) {
            return words[i].badge;
        }
    }
    return "RUN";
}

static bool is_word(const vs_source *source, const char *verdict)
{
    return strcmp(vs_source_verdict(source), verdict) == 0;
}

/* "FITS - peak ..." and "Out of memory at ..." without the verdict the badge has said
 * already. */
static const char *without_badge(const char *sentence, const char *badge)
{
    const size_t length = strlen(badge);
    const vs_str head = {sentence, length};
    if (strlen(sentence) < length || !vs_str_is_nocase(head, badge)) {
        return sentence;
    }
    const char *rest = sentence + length;
    while (*rest == ' ' || *rest == '-' || *rest == ':' || *rest == ',') {
        rest++;
    }
    return rest;
}

static void oom_text(const vs_source *source, char *buf)
{
    const vs_event event = vs_timeline_event(source->tl, source->oom_event);
    const char *name = vs_timeline_string(source->tl, event.name);
    char when[VS_TEXT_BYTES];
    char asked[VS_TEXT_BYTES];
    char room[VS_TEXT_BYTES];
    (void)snprintf(buf, VS_HEADLINE_BYTES, "at %s%s%s: %s asked, %s free",
                   vs_format_duration(event.time_ns, when), name[0] != '\0' ? " - " : "", name,
                   vs_format_size(event.asked_bytes, asked), vs_format_size(event.extra, room));
}

static void peak_text(const vs_memory *memory, char *buf)
{
    char peak[VS_TEXT_BYTES];
    char capacity[VS_TEXT_BYTES];
    char room[VS_TEXT_BYTES];
    vs_format_size(memory->peak.used_bytes, peak);
    vs_format_size(memory->capacity_bytes, capacity);
    if (memory->capacity_bytes == 0) {
        (void)snprintf(buf, VS_HEADLINE_BYTES, "peak %s", peak);
    } else if (memory->peak.used_bytes > memory->capacity_bytes) {
        vs_format_size(memory->peak.used_bytes - memory->capacity_bytes, room);
        (void)snprintf(buf, VS_HEADLINE_BYTES, "peak %s, %s more than the card's %s", peak,
                       room, capacity);
    } else {
        vs_format_size(memory->capacity_bytes - memory->peak.used_bytes, room);
        (void)snprintf(buf, VS_HEADLINE_BYTES, "peak %s of %s, %s to spare", peak, capacity,
                       room);
    }
}

const char *vs_headline_text(const vs_source *source, char buf[VS_HEADLINE_BYTES])
{
    const char *own = vs_source_meta(source, "headline");
    buf[0] = '\0';
    /* For a run that fits our own line says the same and how much is left. */
    if (own[0] != '\0' && !(is_word(source, "fits") && source->gpu.exists)) {
        (void)snprintf(buf, VS_HEADLINE_BYTES, "%s",
                       without_badge(own, vs_headline_badge(source)));
    } else if (is_word(source, "empty")) {
        (void)snprintf(buf, VS_HEADLINE_BYTES, "nothing was recorded on this tape");
    } else if (source->oom_event != VS_NO_EVENT) {
        oom_text(source, buf);
    } else if (source->gpu.exists) {
        peak_text(&source->gpu, buf);
    } else if (source->host.exists) {
        peak_text(&source->host, buf);
    }
    return buf;
}

const char *vs_headline_title(const vs_source *source, const char *title,
                              char buf[VS_HEADLINE_BYTES])
{
    const char *first = title != NULL ? title : vs_source_meta(source, "title");
    const char *second = vs_source_meta(source, "subtitle");
    if (first[0] == '\0') {
        first = vs_source_meta(source, "model");
    }
    if (first[0] == '\0') { /* a recording says where it is from */
        const char *path = vs_source_meta(source, "source");
        const char *slash = strrchr(path, '/');
        first = slash != NULL ? slash + 1 : path;
        second = second[0] == '\0' ? vs_source_meta(source, "made_by") : second;
    }
    if (second[0] == '\0') {
        second = vs_source_meta(source, "gpu");
    }
    if (second[0] == '\0' && source->gpu.exists) {
        second = vs_timeline_string(source->tl, source->tl->devices[source->gpu.device].name);
    }
    const char *between = first[0] != '\0' && second[0] != '\0' ? "   \xC2\xB7   " : "";
    (void)snprintf(buf, VS_HEADLINE_BYTES, "%s%s%s", first, between, second);
    return buf;
}

void vs_headline_draw(const vs_source *source, const vs_pen *pen, vs_rect box,
                      const char *title)
{
    char buf[VS_HEADLINE_BYTES];
    const vs_style *style = pen->style;
    const bool is_good = is_word(source, "fits");
    const bool is_neutral = is_word(source, "empty") || is_word(source, "recorded");
    const vs_color plate = is_good ? style->ok : is_neutral ? style->dim : style->oom;
    const vs_color on_plate = is_good      ? style->ok_text
                              : is_neutral ? style->window
                                           : style->oom_text;
    const int32_t margin = vs_pen_px(pen, 14);
    const int32_t top = box.y + vs_pen_px(pen, 9);
    const int32_t line = vs_pen_px(pen, 24);
    const vs_text_style bold = vs_pen_bold(pen, 15, on_plate);
    const int32_t badge_w =
        vs_text_width(&pen->metrics, &bold, vs_str_of(vs_headline_badge(source))) +
        2 * vs_pen_px(pen, 9);
    const vs_text_style badge = vs_aligned(bold, VS_ALIGN_CENTER);
    const vs_rect badge_box = vs_rect_of(margin, top, badge_w, line);
    vs_draw_rect(pen->list, badge_box, plate);
    vs_pen_label(pen, badge_box, &badge, vs_str_of(vs_headline_badge(source)));

    const int32_t x = margin + badge_w + vs_pen_px(pen, 12);
    const vs_text_style text = vs_pen_bold(pen, 15, style->text);
    vs_pen_label(pen, vs_rect_of(x, top, box.x + box.w - x - margin, line), &text,
                 vs_str_of(vs_headline_text(source, buf)));
    const vs_text_style dim = vs_pen_style(pen, 13, style->dim);
    vs_pen_label(pen,
                 vs_rect_of(margin, top + line + vs_pen_px(pen, 2), box.w - 2 * margin,
                            vs_pen_px(pen, 18)),
                 &dim, vs_str_of(vs_headline_title(source, title, buf)));
}
