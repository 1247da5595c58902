/* sim/study/chart.c - the timeline of one memory as text.
 *
 *    23.64 GiB ┬───────────── capacity 23.64 GiB ──✗ out of memory at 2.1 s
 *              │                                  ░:
 *    12.8 GiB  ┤              ▂▄▆████████████████░░:
 *              │     ▂▄▆███████████████████████████▒
 *              └┬────────────────┬────────────────┬─
 *               0 s            1.1 s            2.2 s
 *               █ weights bf16/fp16  ▒ staging  ░ reserved, free
 *
 * A column covers an equal share of the time and shows the composition at the moment of its greatest use. A
 * cell shows the category that takes most of it. Only solid weights have a fine edge (eighths of a
 * cell); a shade cannot be cut, so its edge is the nearest cell. */
#include "vramscope/study.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MIN 40u
#define COLUMNS_MAX 240u
#define ROWS_MIN    4u
#define ROWS_MAX    64u
#define GUTTER      12u /* "   23.64 GiB " left of the axis */
#define LABEL_ROWS  3u  /* a size is printed beside every third row */
#define TICKS       4u
#define LINE_BYTES  128

/* What a cell shows: a category and, above EIGHTHS_SHIFT, how many eighths of the cell it fills (0: all);
 * or one of these. */
#define CELL_EMPTY    0xffu
#define CELL_RULE     0xfeu /* the capacity, when it is not the top */
#define CELL_PLUMB    0xfdu /* between the stack and the cross above it */
#define EIGHTHS_SHIFT 8

typedef struct {
    const char *utf8;
    char ascii;
} symbol;

/* Densest what stays, lightest what is free. */
static const symbol symbols[VS_CAT_COUNT] = {
    [VS_CAT_CONTEXT] = {"▚", 'c'},  [VS_CAT_OTHER] = {"▞", 'o'},
    [VS_CAT_W_FP32] = {"█", 'W'},   [VS_CAT_W_16] = {"█", 'w'},
    [VS_CAT_W_FP8] = {"█", 'v'},    [VS_CAT_Q_INT8] = {"▓", 'q'},
    [VS_CAT_Q_4BIT] = {"▓", 'q'},   [VS_CAT_KV] = {"▙", 'k'},
    [VS_CAT_ACT] = {"▛", 'a'},      [VS_CAT_STAGING] = {"▒", 's'},
    [VS_CAT_SLACK] = {"·", '-'},    [VS_CAT_RESFREE] = {"░", '.'},
    [VS_CAT_PINNED] = {"▒", 'p'},   [VS_CAT_PAGECACHE] = {"░", 'f'},
    [VS_CAT_HOSTHEAP] = {"█", 'h'}, [VS_CAT_TENSOR] = {"█", 't'},
};
static const char *const eighths[8] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇"};

typedef struct {
    const vs_timeline *tl;
    vs_outfile *out;
    uint8_t device;
    bool is_utf8;
    uint32_t width;  /* cells right of the axis */
    uint32_t height; /* rows of cells */
    vs_bytes capacity;
    vs_bytes scale; /* bytes of the full height, > 0 */
    vs_ns span_ns;  /* first instant after the last, > 0 */
    vs_bytes peak;
    vs_ns peak_ns;
    bool has_oom;
    vs_ns oom_ns;
    uint32_t oom_column;
    uint16_t cells[ROWS_MAX][COLUMNS_MAX]; /* row 0 is the lowest */
} chart;

/* ---- filling the cells -------------------------------------------------------------------------- */

/* floor(a * b / c) of figures that stay below 2^64 here: c > 0 and b <= c. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t out = 0;
    return vs_muldiv_u64(a, b, c, &out) ? out : UINT64_MAX;
}

static vs_bytes overlap(vs_bytes a0, vs_bytes a1, vs_bytes b0, vs_bytes b1)
{
    const vs_bytes low = a0 > b0 ? a0 : b0;
    const vs_bytes high = a1 < b1 ? a1 : b1;
    return high > low ? high - low : 0;
}

static bool is_solid(uint32_t category)
{
    return strcmp(symbols[category].utf8, "█") == 0;
}

/* What the cell [low, high) of a stack shows. */
static uint16_t cell_of(const chart *c, const vs_moment *stack, vs_bytes low, vs_bytes high)
{
    vs_bytes bottom = 0;
    vs_bytes filled = 0;
    vs_bytes most = 0;
    uint32_t winner = CELL_EMPTY;
    for (uint32_t k = 0; k < VS_CAT_COUNT; k++) {
        const vs_bytes top = bottom + stack->categories[k];
        const vs_bytes part = overlap(bottom, top, low, high);
        filled += part;
        if (part > most) {
            most = part;
            winner = k;
        }
        bottom = top;
    }
    const uint32_t parts = high > low ? (uint32_t)scaled(8, filled, high - low) : 0;
    if (winner == CELL_EMPTY || parts == 8) {
        return (uint16_t)winner;
    }
    if (c->is_utf8 && is_solid(winner)) {
        const uint32_t shown = parts > 0 ? parts : (low == 0 ? 1 : 0);
        return shown > 0 ? (uint16_t)(winner | shown << EIGHTHS_SHIFT) : CELL_EMPTY;
    }
    const bool is_shown = parts >= 4 || low == 0; /* something is never drawn as nothing */
    return (uint16_t)(is_shown ? winner : CELL_EMPTY);
}

static void fill_column(chart *c, uint32_t column, const vs_moment *stack)
{
    for (uint32_t row = 0; row < c->height; row++) {
        const vs_bytes low = scaled(c->scale, row, c->height);
        const vs_bytes high = scaled(c->scale, row + 1, c->height);
        c->cells[row][column] = cell_of(c, stack, low, high);
    }
}

/* The composition that was there before the column began. */
static void carried_in(const chart *c, vs_ns start_ns, vs_moment *out)
{
    uint32_t low = 0;
    uint32_t high = c->tl->event_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (c->tl->event_time[middle] < start_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        *out = (vs_moment){0};
    } else {
        vs_study_at_event(c->tl, c->device, low - 1, out);
    }
}

static vs_ns column_start(const chart *c, uint32_t column)
{
    return scaled(c->span_ns, column, c->width);
}

static void fill_cells(chart *c, uint32_t track)
{
    vs_column columns[COLUMNS_MAX];
    vs_track_columns(c->tl, track, 0, c->span_ns, columns, c->width);
    for (uint32_t i = 0; i < c->width; i++) {
        vs_moment stack = {0};
        if (columns[i].max_event == UINT32_MAX) {
            carried_in(c, column_start(c, i), &stack);
        } else {
            vs_study_at_event(c->tl, c->device, columns[i].max_event, &stack);
        }
        fill_column(c, i, &stack);
    }
}

/* ---- what lies over the stack ----------------------------------------------------------------------- */

static uint32_t column_at(const chart *c, vs_ns time_ns)
{
    uint32_t column = (uint32_t)scaled(c->width, time_ns, c->span_ns);
    /* rounding may be off by one against the starts */
    while (column + 1 < c->width && column_start(c, column + 1) <= time_ns) {
        column++;
    }
    return column < c->width ? column : c->width - 1;
}

static void find_oom(chart *c)
{
    for (uint32_t i = 0; i < c->tl->event_count && !c->has_oom; i++) {
        if (c->tl->event_kind[i] == VS_EV_OOM && c->tl->event_device[i] == c->device) {
            c->has_oom = true;
            c->oom_ns = c->tl->event_time[i];
            c->oom_column = column_at(c, c->oom_ns);
        }
    }
}

static void draw_over(chart *c)
{
    for (uint32_t row = c->height; c->has_oom && row-- > 0;) {
        if (c->cells[row][c->oom_column] != CELL_EMPTY) {
            break;
        }
        c->cells[row][c->oom_column] = CELL_PLUMB;
    }
    if (c->capacity == 0 || c->capacity >= c->scale) {
        return;
    }
    const uint32_t row = (uint32_t)scaled(c->height, c->capacity, c->scale);
    for (uint32_t i = 0; i < c->width; i++) {
        if (c->cells[row][i] == CELL_EMPTY) {
            c->cells[row][i] = CELL_RULE;
        }
    }
}

/* ---- printing ------------------------------------------------------------------------------------------ */

static void print_cell(const chart *c, uint16_t cell)
{
    char ascii[2] = {' ', '\0'};
    const char *text = ascii;
    if (cell < VS_CAT_COUNT) {
        ascii[0] = symbols[cell].ascii;
        text = c->is_utf8 ? symbols[cell].utf8 : ascii;
    } else if (cell == CELL_RULE) {
        ascii[0] = '-';
        text = c->is_utf8 ? "─" : ascii;
    } else if (cell == CELL_PLUMB) {
        ascii[0] = ':';
        text = c->is_utf8 ? "┊" : ascii;
    } else if (cell != CELL_EMPTY) {
        text = eighths[cell >> EIGHTHS_SHIFT];
    }
    vs_outfile_printf(c->out, "%s", text);
}

/* The top line: the capacity as a rule, its label, and the cross. The label stands on the side of the
 * cross that has room for it. */
static void print_top(const chart *c)
{
    const char *rule = c->is_utf8 ? "─" : "-";
    const char *cross = c->is_utf8 ? "✗" : "X";
    char size[VS_TEXT_BYTES] = {0};
    char peak[VS_TEXT_BYTES] = {0};
    char when[VS_TEXT_BYTES] = {0};
    char label[LINE_BYTES] = {0};
    if (c->has_oom) {
        (void)snprintf(label, sizeof label, " out of memory at %s ",
                       vs_format_duration(c->oom_ns, when));
    } else {
        (void)snprintf(label, sizeof label, " peak %s at %s ", vs_format_size(c->peak, peak),
                       vs_format_duration(c->peak_ns, when));
    }
    const uint32_t length = (uint32_t)strlen(label);
    const uint32_t mark = c->has_oom ? c->oom_column : column_at(c, c->peak_ns);
    uint32_t start = mark + 1;
    if (start + length > c->width) {
        start = mark > length ? mark - length : 0;
    }
    const char *shown = c->has_oom ? cross : (c->is_utf8 ? "┬" : "+");
    vs_outfile_printf(c->out, "%11s %s", vs_format_size(c->scale, size),
                      c->is_utf8 ? "┌" : "+");
    for (uint32_t i = 0; i < c->width; i++) {
        if (i == mark) {
            vs_outfile_printf(c->out, "%s", shown);
        } else if (i >= start && i - start < length) {
            vs_outfile_printf(c->out, "%c", label[i - start]);
        } else {
            vs_outfile_printf(c->out, "%s", rule);
        }
    }
    vs_outfile_printf(c->out, "\n");
}

static void print_rows(const chart *c)
{
    for (uint32_t row = c->height; row-- > 0;) {
        char size[VS_TEXT_BYTES] = "";
        const bool has_label = row > 0 && row % LABEL_ROWS == 0 && row + 1 < c->height;
        if (has_label) { /* the size at the middle of the row, where the tick is */
            (void)vs_format_size(
                scaled(c->scale, 2 * (uint64_t)row + 1, 2 * (uint64_t)c->height), size);
        }
        const char *axis = c->is_utf8 ? (has_label ? "┤" : "│") : (has_label ? "+" : "|");
        vs_outfile_printf(c->out, "%11s %s", size, axis);
        uint32_t last = c->width;
        while (last > 0 && c->cells[row][last - 1] == CELL_EMPTY) {
            last--; /* no blanks at the end of a line */
        }
        for (uint32_t i = 0; i < last; i++) {
            print_cell(c, c->cells[row][i]);
        }
        vs_outfile_printf(c->out, "\n");
    }
}

/* Writes time_ns centred below column `at` into labels, unless it would touch the label before it; end is the
 * first free position. Returns the new one. */
static uint32_t put_time(const chart *c, char *labels, uint32_t at, vs_ns time_ns, uint32_t end)
{
    char text[VS_TEXT_BYTES] = {0};
    const char *words = time_ns == 0 ? "0 s" : vs_format_duration(time_ns, text);
    const uint32_t length = (uint32_t)strlen(words);
    uint32_t start = at > length / 2 ? at - length / 2 : 0;
    start = start + length > c->width ? c->width - length : start;
    if (at > 0 && start <= end) {
        return end;
    }
    for (uint32_t i = 0; i < length; i++) {
        labels[start + i] = words[i];
    }
    return start + length;
}

/* Ticks at equal distances, and their times below them. */
static void print_axis(const chart *c)
{
    char labels[COLUMNS_MAX + GUTTER + VS_TEXT_BYTES] = {0};
    bool is_tick[COLUMNS_MAX] = {false};
    const uint32_t tick_count = c->tl->end_ns > 0 ? TICKS : 0;
    uint32_t end = 0;
    memset(labels, ' ', sizeof labels - 1);
    for (uint32_t i = 0; i <= tick_count; i++) {
        const uint32_t at = (c->width - 1) * i / TICKS;
        is_tick[at] = true;
        end = put_time(c, labels, at, scaled(c->tl->end_ns, i, TICKS), end);
    }
    labels[end] = '\0';
    const char *plain = c->is_utf8 ? "─" : "-";
    const char *tick = c->is_utf8 ? "┴" : "+";
    vs_outfile_printf(c->out, "%11s %s", "0 B", c->is_utf8 ? "└" : "+");
    for (uint32_t i = 0; i < c->width; i++) {
        vs_outfile_printf(c->out, "%s", is_tick[i] ? tick : plain);
    }
    vs_outfile_printf(c->out, "\n%13s%s\n", "", labels);
}

static bool is_drawn(const chart *c, uint32_t category)
{
    for (uint32_t row = 0; row < c->height; row++) {
        for (uint32_t i = 0; i < c->width; i++) {
            if ((c->cells[row][i] & ((1u << EIGHTHS_SHIFT) - 1)) == category) {
                return true;
            }
        }
    }
    return false;
}

/* Names every category that has a cell; as many a line as fit. A category too thin for a cell of its
 * own is in the report's table, not here. */
static void print_legend(const chart *c)
{
    uint32_t used = 0;
    for (uint32_t k = 0; k < VS_CAT_COUNT; k++) {
        if (!is_drawn(c, k)) {
            continue;
        }
        const char ascii[2] = {symbols[k].ascii, '\0'};
        const char *label = vs_category_label((vs_category)k);
        const uint32_t length = (uint32_t)strlen(label) + 4;
        if (used > 0 && used + length > c->width) {
            vs_outfile_printf(c->out, "\n");
            used = 0;
        }
        if (used == 0) {
            vs_outfile_printf(c->out, "%13s", "");
        }
        vs_outfile_printf(c->out, "%s%s %s", used > 0 ? "  " : "",
                          c->is_utf8 ? symbols[k].utf8 : ascii, label);
        used += length;
    }
    if (used > 0) {
        vs_outfile_printf(c->out, "\n");
    }
}

static uint32_t within(uint32_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : (value > high ? high : value);
}

void vs_study_chart(const vs_timeline *tl, uint8_t device, vs_outfile *out, uint32_t columns,
                    uint32_t rows, bool is_utf8)
{
    const uint32_t track = vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    vs_moment peak = {0};
    if (track == VS_NO_TRACK || !vs_study_peak(tl, device, &peak)) {
        return;
    }
    chart c = {.tl = tl, .out = out, .device = device, .is_utf8 = is_utf8};
    c.width = within(columns, COLUMNS_MIN, COLUMNS_MAX) - GUTTER - 1;
    c.height = within(rows, ROWS_MIN, ROWS_MAX) - 1;
    c.capacity = tl->devices[device].capacity_bytes;
    c.peak = peak.used_bytes;
    c.peak_ns = peak.time_ns;
    c.span_ns = tl->end_ns < UINT64_MAX ? tl->end_ns + 1 : UINT64_MAX;
    c.scale = c.peak > c.capacity ? c.peak : c.capacity;
    c.scale = c.scale > 0 ? c.scale : 1;
    fill_cells(&c, track);
    find_oom(&c);
    draw_over(&c);
    print_top(&c);
    print_rows(&c);
    print_axis(&c);
    print_legend(&c);
}
