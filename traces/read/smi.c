/* traces/read/smi.c - samples of nvidia-smi --query-gpu=... --format=csv[,noheader][,nounits] -l 1.
 *
 *   timestamp, index, name, memory.used [MiB], memory.total [MiB]
 *   2024/01/31 12:34:56.789, 0, NVIDIA L4, 1234 MiB, 23034 MiB
 *
 * With a header, columns are known by name. Without one, the first row has to make them clear, and a note says what was
 * taken for what; where it does not, that is an error, because a wrong guess would look like a measurement. A sample is what
 * the device had in use by everybody. Samples without a time are taken one second apart, which is assumed and said.
 * (Query names: nvidia-smi --help-query-gpu; memory is always in MiB.) */
#include "traces/read/csv_rows.h"
#include "traces/read/json_stream.h"

#include <string.h>

#define NS_PER_S    UINT64_C(1000000000)
#define S_PER_DAY   UINT64_C(86400)
#define MIB_MAX     ((uint64_t)1 << 40) /* 2^60 bytes, as a tape */
#define CARDS_MAX   64u                 /* as builder_device */
#define INDEX_LIMIT 64u                 /* a bare number below it may be the number of a card */
#define TOTAL_LEAST 2048u /* MiB; what a bare number must be to be taken for a card's total */

typedef enum {
    ROLE_NONE,
    ROLE_TIME,
    ROLE_INDEX,
    ROLE_NAME,
    ROLE_IDENTITY, /* uuid, bus id, serial */
    ROLE_USED,
    ROLE_TOTAL,
    ROLE_FREE,
    ROLE_COUNT
} role;

#define NO_COLUMN UINT32_MAX

typedef struct {
    uint64_t samples;
    uint32_t hash; /* of the identity, when there is no index */
    uint32_t ordinal;
    uint8_t device;
    bool is_named;
} card;

typedef struct {
    csv_rows rows;
    vs_builder *b;
    uint32_t column[ROLE_COUNT];
    uint32_t card_count;
    card cards[CARDS_MAX];
    vs_ns last_ns;
    uint64_t used;
    uint64_t odd;
    uint32_t first_odd_line;
    uint64_t not_told;
    uint64_t backwards;
    uint64_t no_time;
} smi;

/* ---- fields ------------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "1234 MiB", "1234MiB", "1234". *has_unit: MiB was written. */
static bool take_mib(vs_str text, uint64_t *out, bool *has_unit)
{
    size_t len = 0;
    while (len < text.len && is_digit(text.ptr[len])) {
        len++;
    }
    vs_str unit = {text.ptr + len, text.len - len};
    while (unit.len > 0 && *unit.ptr == ' ') {
        unit.ptr++;
        unit.len--;
    }
    *has_unit = vs_str_is(unit, "MiB");
    return (unit.len == 0 || *has_unit) && vs_parse_u64((vs_str){text.ptr, len}, out, NULL) &&
           *out <= MIB_MAX;
}

/* Days from 1970-01-01 in the Gregorian calendar: full years before, leap days among them, days of the months. */
static bool days_since_1970(uint64_t year, uint64_t month, uint64_t day, uint64_t *out)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (year < 1970 || year > 2400 || month < 1 || month > 12 || day < 1 || day > 31) {
        return false;
    }
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const uint64_t past = year - 1;
    const uint64_t leap_days = past / 4 - past / 100 + past / 400 - 477; /* 477: until 1969 */
    *out =
        (year - 1970) * 365 + leap_days + before[month - 1] + (is_leap && month > 2) + day - 1;
    return true;
}

static bool take_digits(vs_str *text, size_t count, uint64_t *out)
{
    if (text->len < count || !vs_parse_u64((vs_str){text->ptr, count}, out, NULL)) {
        return false;
    }
    text->ptr += count;
    text->len -= count;
    return true;
}

static bool take_one_of(vs_str *text, const char *bytes)
{
    if (text->len == 0 || *text->ptr == '\0' || strchr(bytes, *text->ptr) == NULL) {
        return false;
    }
    text->ptr++;
    text->len--;
    return true;
}

/* "2024/01/31 12:34:56.789", with - and T too. */
static bool take_date(vs_str text, vs_ns *out)
{
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 0;
    uint64_t days = 0;
    vs_ns ns = 0;
    if (!take_digits(&text, 4, &year) || !take_one_of(&text, "/-") ||
        !take_digits(&text, 2, &month) || !take_one_of(&text, "/-") ||
        !take_digits(&text, 2, &day) || !take_one_of(&text, " T") ||
        !days_since_1970(year, month, day, &days)) {
        return false;
    }
    if (text.len > 0 && text.ptr[text.len - 1] == 'Z') {
        text.len--;
    }
    if (!csv_time_of_day(text, &ns)) {
        return false;
    }
    *out = days * S_PER_DAY * NS_PER_S + ns;
    return true;
}

/* "[N/A]", "[Not Supported]", "ERR!" and their like: the driver does not tell. */
static bool is_not_told(vs_str text)
{
    return vs_str_starts(text, "[") || vs_str_is(text, "N/A") || vs_str_starts(text, "ERR") ||
           text.len == 0;
}

/* ---- columns ------------------------------------------------------------------------------------- */

static role role_of_name(vs_str name)
{
    static const struct {
        const char *name;
        role role;
    } names[] = {
        {"timestamp", ROLE_TIME},      {"time", ROLE_TIME},
        {"index", ROLE_INDEX},         {"gpu", ROLE_INDEX},
        {"name", ROLE_NAME},           {"gpu_name", ROLE_NAME},
        {"uuid", ROLE_IDENTITY},       {"gpu_uuid", ROLE_IDENTITY},
        {"pci.bus_id", ROLE_IDENTITY}, {"gpu_bus_id", ROLE_IDENTITY},
        {"memory.used", ROLE_USED},    {"memory.total", ROLE_TOTAL},
        {"memory.free", ROLE_FREE},
    };

    for (size_t i = 0; i < name.len; i++) { /* the unit stands behind it */
        if (name.ptr[i] == '[') {
            name.len = i;
        }
    }
    while (name.len > 0 && name.ptr[name.len - 1] == ' ') {
        name.len--;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (vs_str_is_nocase(name, names[i].name)) {
            return names[i].role;
        }
    }
    return ROLE_NONE;
}

static void clear_columns(uint32_t column[ROLE_COUNT])
{
    for (uint32_t i = 0; i < ROLE_COUNT; i++) {
        column[i] = NO_COLUMN;
    }
}

/* False: the row is no header. */
static bool take_header(smi *s)
{
    uint32_t column[ROLE_COUNT];
    clear_columns(column);
    for (uint32_t i = 0; i < s->rows.count; i++) {
        const role r = role_of_name(s->rows.fields[i]);
        column[r] = column[r] == NO_COLUMN ? i : column[r];
    }
    const bool has_memory = column[ROLE_USED] != NO_COLUMN ||
                            (column[ROLE_FREE] != NO_COLUMN && column[ROLE_TOTAL] != NO_COLUMN);
    if (has_memory) {
        memcpy(s->column, column, sizeof column);
    }
    return has_memory;
}

/* What the fields of a first row look like. */
typedef struct {
    uint32_t mib[CSV_FIELDS_MAX];  /* columns of "n MiB" */
    uint32_t bare[CSV_FIELDS_MAX]; /* columns of "n" */
    uint32_t mib_count;
    uint32_t bare_count;
} look;

static look look_at(smi *s)
{
    look l = {0};
    for (uint32_t i = 0; i < s->rows.count; i++) {
        const vs_str field = s->rows.fields[i];
        uint64_t value = 0;
        bool has_unit = false;
        vs_ns ns = 0;
        if (take_mib(field, &value, &has_unit)) {
            uint32_t *const list = has_unit ? l.mib : l.bare;
            uint32_t *const count = has_unit ? &l.mib_count : &l.bare_count;
            list[(*count)++] = i;
        } else if (take_date(field, &ns)) {
            s->column[ROLE_TIME] = i;
        } else if (vs_str_starts(field, "GPU-") ||
                   (field.len > 8 && (field.ptr[8] == ':' || field.ptr[4] == ':'))) {
            s->column[ROLE_IDENTITY] = i;
        } else if (field.len > 0 && !is_digit(*field.ptr) && !is_not_told(field)) {
            s->column[ROLE_NAME] = i;
        }
    }
    return l;
}

static uint64_t bare_value(const smi *s, uint32_t column)
{
    uint64_t value = 0;
    return vs_parse_u64(s->rows.fields[column], &value, NULL) ? value : 0;
}

/* Of two columns in MiB, the total is the larger. */
static void take_pair(smi *s, uint32_t a, uint32_t b)
{
    uint64_t in_a = 0;
    uint64_t in_b = 0;
    bool has_unit = false;
    const bool is_known = take_mib(s->rows.fields[a], &in_a, &has_unit) &&
                          take_mib(s->rows.fields[b], &in_b, &has_unit);
    const bool is_b_total = !is_known || in_b >= in_a;
    s->column[ROLE_USED] = is_b_total ? a : b;
    s->column[ROLE_TOTAL] = is_b_total ? b : a;
}

/* Numbers with units say which are memory; the first bare one is then the card. */
static bool guess_with_units(smi *s, const look *l)
{
    if (l->mib_count > 2) {
        return false;
    }
    if (l->mib_count == 1) {
        s->column[ROLE_USED] = l->mib[0];
    } else {
        take_pair(s, l->mib[0], l->mib[1]);
    }
    if (l->bare_count > 0 && l->bare[0] < l->mib[0] &&
        bare_value(s, l->bare[0]) < INDEX_LIMIT) {
        s->column[ROLE_INDEX] = l->bare[0];
    }
    return true;
}

/* Bare numbers: used; index, used; used, total; index, used, total. */
static bool guess_bare(smi *s, const look *l)
{
    const bool has_index = l->bare_count >= 2 && bare_value(s, l->bare[0]) < INDEX_LIMIT;
    const uint32_t first = has_index ? 1 : 0;
    const uint32_t left = l->bare_count - first;
    if (l->bare_count == 0 || left > 2) {
        return false;
    }
    s->column[ROLE_INDEX] = has_index ? l->bare[0] : NO_COLUMN;
    s->column[ROLE_USED] = l->bare[first];
    if (left == 1) {
        return true;
    }
    const uint64_t total = bare_value(s, l->bare[first + 1]);
    s->column[ROLE_TOTAL] = l->bare[first + 1];
    return total >= TOTAL_LEAST && total >= bare_value(s, l->bare[first]);
}

static bool guess_columns(smi *s, vs_err *err)
{
    clear_columns(s->column);
    const look l = look_at(s);
    if (!(l.mib_count > 0 ? guess_with_units(s, &l) : guess_bare(s, &l))) {
        (void)vs_fail(err, VS_ERR_FORMAT,
                      "samples without a header, and which column is the memory in use is not "
                      "clear: query with the header, such as nvidia-smi --query-gpu="
                      "timestamp,index,memory.used --format=csv");
        return csv_fail(&s->rows, err);
    }
    builder_note(s->b,
                 "there is no header: column %" PRIu32 " is taken as the memory in use in MiB",
                 s->column[ROLE_USED] + 1);
    if (s->column[ROLE_INDEX] != NO_COLUMN) {
        builder_note(s->b,
                     "there is no header: column %" PRIu32 " is taken as the GPU's number",
                     s->column[ROLE_INDEX] + 1);
    }
    if (s->column[ROLE_TOTAL] != NO_COLUMN) {
        builder_note(s->b,
                     "there is no header: column %" PRIu32 " is taken as the GPU's memory",
                     s->column[ROLE_TOTAL] + 1);
    }
    return true;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static bool field_of(const smi *s, role r, vs_str *out)
{
    const uint32_t i = s->column[r];
    if (i == NO_COLUMN || i >= s->rows.count) {
        return false;
    }
    *out = s->rows.fields[i];
    return true;
}

static void count_odd(smi *s)
{
    s->first_odd_line = s->odd == 0 ? s->rows.line : s->first_odd_line;
    s->odd++;
}

static bool mib_field(const smi *s, role r, uint64_t *out)
{
    vs_str text = {0};
    bool has_unit = false;
    return field_of(s, r, &text) && take_mib(text, out, &has_unit);
}

/* The bytes in use. False: counted, and the row is left out. */
static bool take_used(smi *s, vs_bytes *out)
{
    vs_str text = {0};
    uint64_t used = 0;
    uint64_t total = 0;
    uint64_t left = 0;
    if (s->column[ROLE_USED] != NO_COLUMN) {
        if (mib_field(s, ROLE_USED, &used)) {
            *out = used * VS_MIB;
            return true;
        }
        if (field_of(s, ROLE_USED, &text) && is_not_told(text)) {
            s->not_told++;
            return false;
        }
    } else if (mib_field(s, ROLE_TOTAL, &total) && mib_field(s, ROLE_FREE, &left) &&
               left <= total) {
        *out = (total - left) * VS_MIB;
        return true;
    }
    count_odd(s);
    return false;
}

/* Cards are told apart by their index, else by uuid or bus id in the order they come. */
static bool identify(const smi *s, uint32_t *ordinal, uint32_t *hash)
{
    vs_str text = {0};
    uint64_t index = 0;
    *hash = 0;
    *ordinal = UINT32_MAX;
    if (s->column[ROLE_INDEX] != NO_COLUMN) {
        const bool is_index = field_of(s, ROLE_INDEX, &text) &&
                              vs_parse_u64(text, &index, NULL) && index < UINT32_MAX;
        *ordinal = (uint32_t)index;
        return is_index;
    }
    if (s->column[ROLE_IDENTITY] == NO_COLUMN) {
        *ordinal = 0;
        return true;
    }
    if (!field_of(s, ROLE_IDENTITY, &text)) {
        return false;
    }
    *hash = UINT32_C(2166136261); /* FNV-1a */
    for (size_t i = 0; i < text.len; i++) {
        *hash = (*hash ^ (uint8_t)text.ptr[i]) * UINT32_C(16777619);
    }
    return true;
}

/* NULL: not a card (counted), or too many (err). */
static card *card_of(smi *s, vs_err *err)
{
    uint32_t ordinal = 0;
    uint32_t hash = 0;
    if (!identify(s, &ordinal, &hash)) {
        count_odd(s);
        return NULL;
    }
    for (uint32_t i = 0; i < s->card_count; i++) {
        const bool is_same =
            ordinal != UINT32_MAX ? s->cards[i].ordinal == ordinal : s->cards[i].hash == hash;
        if (is_same) {
            return &s->cards[i];
        }
    }
    if (s->card_count == CARDS_MAX) {
        (void)vs_fail(err, VS_ERR_LIMIT, "samples of more than %u GPUs", CARDS_MAX);
        (void)csv_fail(&s->rows, err);
        return NULL;
    }
    card *const c = &s->cards[s->card_count++];
    c->hash = hash;
    c->ordinal = ordinal != UINT32_MAX ? ordinal : s->card_count - 1;
    c->device = builder_device(s->b, c->ordinal, false);
    return c;
}

static vs_ns take_time(smi *s, const card *c)
{
    vs_str text = {0};
    vs_ns ns = 0;
    json_number seconds = {0};
    if (s->column[ROLE_TIME] == NO_COLUMN) {
        return c->samples * NS_PER_S;
    }
    const bool has_text = field_of(s, ROLE_TIME, &text);
    if (!has_text || !take_date(text, &ns)) {
        if (!has_text || !json_scaled(text, 9, &seconds) || seconds.is_negative) {
            s->no_time++;
            return s->last_ns;
        }
        ns = seconds.value;
    }
    s->backwards += ns < s->last_ns;
    s->last_ns = ns;
    return ns;
}

static void name_card(smi *s, card *c)
{
    vs_str name = {0};
    uint64_t total = 0;
    c->is_named = true;
    (void)field_of(s, ROLE_NAME, &name);
    if (!mib_field(s, ROLE_TOTAL, &total)) {
        total = 0;
    }
    builder_name_device(s->b, c->device, name, total * VS_MIB);
}

static bool take_row(smi *s, vs_err *err)
{
    vs_rec_event event = {.stack = VS_REC_NO_STACK,
                          .action = VS_REC_LEVEL,
                          .flags = VS_REC_NO_ADDR,
                          .category = VS_CAT_OTHER,
                          .origin = s->rows.line};
    card *const c = card_of(s, err);
    if (c == NULL) {
        return err->code == VS_OK;
    }
    if (!take_used(s, &event.size)) {
        c->samples++; /* it was taken, and shows nothing */
        return true;
    }
    event.time_ns = take_time(s, c);
    if (!c->is_named) {
        name_card(s, c);
    }
    c->samples++;
    builder_event(s->b, c->device, &event, NULL);
    s->used++;
    return true;
}

static bool read_rows(smi *s, vs_err *err)
{
    if (!csv_next(&s->rows)) {
        (void)csv_fail(&s->rows, err);
        return vs_fail(err, VS_ERR_FORMAT, "samples of nvidia-smi without a whole line");
    }
    if (!take_header(s) && !(guess_columns(s, err) && take_row(s, err))) {
        return false;
    }
    while (csv_next(&s->rows)) {
        if (!take_header(s) && !take_row(s, err)) {
            return false;
        }
    }
    return s->rows.err.code == VS_OK || csv_fail(&s->rows, err);
}

/* ---- finishing ------------------------------------------------------------------------------------------ */

static void note_if(smi *s, uint64_t count, const char *what)
{
    if (count > 0) {
        builder_note(s->b, "%s: %" PRIu64, what, count);
    }
}

static void note_all(smi *s)
{
    if (s->rows.is_cut) {
        builder_note(s->b,
                     "the file is cut: its last line has no end and its %" PRIu64
                     " bytes are left out",
                     s->rows.cut_bytes);
    }
    if (s->odd > 0) {
        builder_note(s->b,
                     "lines left out because they are no samples: %" PRIu64
                     ", the first is line %" PRIu32,
                     s->odd, s->first_odd_line);
    }
    note_if(s, s->not_told, "samples left out because they hold no figure ([N/A])");
    note_if(s, s->no_time,
            "samples whose time cannot be read and that got that of the one before");
    note_if(s, s->backwards,
            "samples earlier than the one before, so the clock goes backwards");
    if (s->column[ROLE_TIME] == NO_COLUMN) {
        builder_note(s->b, "there is no time in the file: samples are taken one second apart, "
                           "which is assumed");
    }
    if (s->column[ROLE_INDEX] == NO_COLUMN && s->column[ROLE_IDENTITY] == NO_COLUMN) {
        builder_note(s->b, "there is no index or uuid in the file: all samples are taken as "
                           "those of GPU 0");
    }
    if (s->column[ROLE_USED] == NO_COLUMN) {
        builder_note(s->b,
                     "memory in use is the total less what was free, so it holds what the "
                     "driver keeps for itself");
    }
}

static bool finish(smi *s, vs_recording *out, vs_err *err)
{
    if (s->used == 0) {
        return vs_fail(err, VS_ERR_VALUE, "no sample of nvidia-smi that could be used");
    }
    note_all(s);
    vs_recording *const head = builder_head(s->b);
    head->made_by = "nvidia-smi";
    head->has_time = true;
    head->epoch_ns = s->column[ROLE_TIME] == NO_COLUMN ? BUILDER_EPOCH_UNKNOWN : 0;
    return builder_finish(s->b, out, err);
}

bool read_smi(vs_recording *out, vs_input *in, const vs_read_desc *desc, vs_err *err)
{
    smi *const s = VS_NEW(desc->scratch, smi);
    vs_builder *const b = builder_new(desc, VS_TRACE_SMI);
    vs_err failed = {0};
    if (s == NULL || b == NULL) {
        return vs_fail_memory(err, desc->scratch, "samples of nvidia-smi");
    }
    s->b = b;
    clear_columns(s->column);
    csv_open(&s->rows, in, desc);
    vs_recording made = {0};
    if (!read_rows(s, &failed) || !finish(s, &made, &failed)) {
        if (err != NULL && err->code == VS_OK) {
            *err = failed;
        }
        return false;
    }
    *out = made;
    return true;
}
